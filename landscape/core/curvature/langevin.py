"""The local learning coefficient: how much of low loss is about a checkpoint, by sampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.data.batches import Batch, Examples, batches_joinable
from landscape.core.problem.derivatives.gradient import check_gradient
from landscape.core.problem.problem import Problem
from landscape.core.seeds import seeded_generator
from landscape.errors import InputError

__all__ = ["Langevin", "inverse_temperature", "langevin_chain", "local_llc", "quadratic_llc"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Langevin:
    """How a chain of stochastic gradient Langevin dynamics moves.

    Attributes:
        step: ε > 0, the size of its steps.
        localization: γ >= 0, the precision that holds it near the checkpoint.
        inverse_temperature: nβ, by which the mean loss is multiplied.
        batch_size: Examples of each step; all of them if there are no more.
        burn_in: Steps that are left out.
        samples: Steps after them, each a draw.
    """

    step: float
    localization: float
    inverse_temperature: float
    batch_size: int = 32
    burn_in: int = 300
    samples: int = 300

    def __post_init__(self) -> None:
        right = self.step > 0 and self.localization >= 0 and self.inverse_temperature > 0
        if not (right and self.batch_size >= 1 and self.burn_in >= 0 and self.samples >= 1):
            raise InputError(
                "a Langevin chain needs step > 0, localization >= 0, inverse_temperature > 0, batch_size >="
                f" 1, burn_in >= 0 and samples >= 1; got {self}."
            )


def inverse_temperature(examples: int) -> float:
    """nβ* = n/ln n, the temperature at which the loss estimates the coefficient (Watanabe 2013).

    Raises:
        InputError: If there are fewer than three examples.

    Example:
        >>> round(inverse_temperature(1000), 2)
        144.76
    """
    if examples < 3:
        raise InputError(f"the temperature 1/ln n needs three examples or more; got {examples}.")
    return float(examples / np.log(examples))


def local_llc(rises: Array, settings: Langevin) -> Array:
    """λ̂ = nβ (E L(w) − L*) from rises of the loss along chains, the last axis that of draws."""
    return np.asarray(settings.inverse_temperature * rises.mean(-1))


def quadratic_llc(eigenvalues: Array, settings: Langevin) -> float:
    """What chains of these settings give in the end on a quadratic loss.

    ½ Σ nβh/(nβh + γ) / (1 − ε(nβh + γ)/4) over the eigenvalues h of its Hessian.

    Without the last factor, which is that of steps of finite size, half the effective dimension at α = γ/nβ.

    Args:
        eigenvalues: Of its Hessian, all of them, (P,).
        settings: Of the chains, full batches.
    """
    scaled = settings.inverse_temperature * eigenvalues
    held = scaled + settings.localization
    with np.errstate(invalid="ignore"):
        terms = np.where(held > 0, scaled / held, 0.0) / (1 - settings.step * held / 4)
    return float(0.5 * terms.sum())


@under_own_context
def langevin_chain(
    problem: Problem,
    settings: Langevin,
    *,
    seed: int = 0,
    chain: int = 0,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> Array:
    """Rises of the loss along one chain that samples exp(−nβ L(w) − γ‖w − w*‖²/2), burn-in included.

    w ← w − (ε/2)(nβ ∇L_B(w) + γ(w − w*)) + √ε N(0, I) from the checkpoint w* on (Lau et al. 2023, algorithm
    1), on a batch B drawn anew for each step. What is recorded before each step is L_B(w) − L_B(w*), on the
    same
    examples: its mean is that of L(w) − L(w*) over all the data, since the batch does not know w, and the
    noise of the batch, which both losses share, drops out. L is the problem's loss, weight decay included.

    Costs burn_in + samples gradients of a batch, and memory for three vectors of the size of the parameters.

    Args:
        problem: The problem.
        settings: Of the chain.
        seed: Seed of all chains.
        chain: Number of this one.
        on_progress: Called with the finished fraction.

    Returns:
        Rises (burn_in + samples,); NaN or infinite from where the chain diverged.

    Raises:
        InputError: If BatchNorm takes statistics of each batch, so that the loss is no mean over examples.
    """
    if problem.batchnorm == "batch":
        raise InputError(
            "the loss of a mini-batch is no part of the whole loss where BatchNorm takes the batch's"
            " statistics: take batchnorm='checkpoint'."
        )
    problem.vouch(check_gradient)
    center = problem.theta
    draws = _Draws(problem, settings.batch_size, np.random.default_rng([seed, chain, 1]))
    # In float64 on the CPU, so that a seed means the same noise for any problem.
    noise = seeded_generator(seed, chain)
    half, spread = 0.5 * settings.step, settings.step**0.5
    decay = problem.weight_decay
    base_penalty = 0.5 * decay * float(center.double().square().sum())
    steps = settings.burn_in + settings.samples
    rises = np.full(steps, np.nan)
    w = center.clone()
    for step in range(steps):
        batch, baseline = draws.next()
        with problem.at(w):
            loss, slope = _loss_and_gradient(problem, batch)
        penalty = 0.5 * decay * float(w.double().square().sum()) - base_penalty if decay else 0.0
        rises[step] = loss - baseline + penalty
        if not np.isfinite(rises[step]):
            break  # there is no way back, and what follows stays NaN
        if decay:
            slope = slope + decay * w
        pull = settings.inverse_temperature * slope + settings.localization * (w - center)
        kick = torch.randn(problem.size, generator=noise, dtype=torch.float64)
        w = w - half * pull + spread * kick.to(problem.device, problem.dtype)
        on_progress((step + 1) / steps)
    return rises


def _loss_and_gradient(problem: Problem, batch: Batch) -> tuple[float, Tensor]:
    """Mean loss of a batch and its gradient (P,), weight decay apart, in one pass."""
    with torch.enable_grad():
        loss = problem.batch_loss(batch)
        grads = torch.autograd.grad(loss, problem.parameters, allow_unused=True)
    return float(loss.detach()) / batch.size, problem.flatten_grads(grads) / batch.size


class _Draws:
    """Random batches, each drawn without a look at the others, with their mean loss at the checkpoint."""

    def __init__(self, problem: Problem, size: int, rng: np.random.Generator) -> None:
        self._rng = rng
        self._all = problem.batches
        self._count, self._size = problem.examples, min(size, problem.examples)
        self._pieces: list[Batch] = []
        self._base: list[float] = []
        losses = problem.measure().losses
        joinable = batches_joinable(self._all)
        if self._size == self._count and len(self._all) == 1:
            self._take([self._all[0]], problem)
        elif joinable and losses is not None:
            self._losses = losses.double().cpu().numpy()
            self._examples = Examples(self._all)
        else:
            size = (
                problem.examples if losses is None else self._size
            )  # of means alone, batches stay as they are
            self._take([piece for batch in self._all for piece in batch.split(size)], problem)

    def _take(self, pieces: list[Batch], problem: Problem) -> None:
        """Fixed pieces, each as likely as it has examples."""
        self._pieces = pieces
        with torch.no_grad():
            self._base = [float(problem.batch_loss(piece)) / piece.size for piece in pieces]
        self._shares = np.array([piece.size for piece in pieces]) / sum(piece.size for piece in pieces)

    def next(self) -> tuple[Batch, float]:
        """A batch and its mean loss at the checkpoint."""
        if self._pieces:
            index = int(self._rng.choice(len(self._pieces), p=self._shares))
            return self._pieces[index], self._base[index]
        rows = self._rng.choice(self._count, self._size, replace=False)
        return self._examples.take(torch.from_numpy(rows)), float(self._losses[rows].mean())
