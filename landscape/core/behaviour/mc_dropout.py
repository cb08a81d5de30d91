"""Monte Carlo dropout: a network averaged over its random dropout masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from landscape.core.behaviour.predictive import Draws, Kind, Predictive, joined, predictive_of
from landscape.core.seeds import spread_seed
from landscape.errors import InputError

__all__ = ["MCDropout", "mc_samples"]


class MCDropout(Predictive):
    """The predictive mean of a network over random dropout masks.

    The forward pass gives log mean probabilities, which are logits: cross-entropy, accuracy and calibration
    of this module are those of the averaged prediction. Dropout is on in eval mode too; everything else
    (BatchNorm) is as the mode says. A draw is one thinned network: its mask follows from the seed and the
    number of the draw alone and is the same for every example, so that neither the cut into batches nor
    the device nor what else draws numbers changes a prediction.

    Args:
        model: A classifier with dropout, whose activations have the examples along axis 0; or a predictive,
            such as a Gaussian head, whose draws are then those of each mask.
        samples: Masks.
        seed: Seed of the masks.
        kind: What a model predicts that is no predictive: ``classification`` or ``regression``.

    Raises:
        InputError: If there is no dropout, or no sample.

    Reference:
        Gal & Ghahramani (2016), Dropout as a Bayesian approximation.
    """

    def __init__(
        self, model: nn.Module, samples: int = 10, seed: int = 0, kind: Kind = "classification"
    ) -> None:
        super().__init__()
        _check(model, samples)
        self.model = model
        self.kind: Kind = kind
        self.samples = samples
        self.seed = seed

    def draws(self, x: Tensor, samples: int | None = None, *, seed: int = 0) -> Draws:
        """The predictions of single masks.

        Args:
            x: Inputs (N, ...).
            samples: Masks; by default, the module's own number.
            seed: Added to the module's own seed.

        Raises:
            InputError: If there is no sample.
        """
        count = self.samples if samples is None else samples
        _check(self.model, count)
        one = predictive_of(self.model, self.kind)
        passes = []
        for index in range(count):
            with _thinned(self.model, spread_seed(self.seed + seed, index)):
                passes.append(one.draws(x, seed=seed))
        return joined(passes)


@torch.no_grad()
def mc_samples(
    model: nn.Module,
    inputs: Tensor,
    samples: int,
    seed: int = 0,
    batch: int = 500,
    log_p: Callable[[Tensor], Tensor] | None = None,
    *,
    first: int = 0,
) -> Tensor:
    """Log probabilities of single dropout masks, for curves over the number of samples.

    Each example has masks of its own, so that means over examples vary less than those of `MCDropout`. A mask
    follows from the seed, the number of the example, the number of the draw and how many dropouts were passed
    before: neither the cut into batches nor the device changes it. That takes activations with the examples
    along axis 0, each in a row or in as many neighbouring rows (windows of a picture); where rows are
    something else, such as tokens before examples, masks are random too, but the cut into batches matters.

    Args:
        model: A classifier with dropout; put into eval mode, dropout apart.
        inputs: Shape (N, ...).
        samples: Masks per example.
        seed: Seed of the masks.
        batch: Examples at a time.
        log_p: Logits of the model's outputs, such as the logarithm where they are probabilities; default:
            the outputs themselves.
        first: Number of the first example.

    Returns:
        Shape (samples, N, classes). The mean of the first n probabilities is the prediction of n samples.

    Raises:
        InputError: If there is no dropout, no sample, or a dropout whose rows are not those of examples.
    """
    _check(model, samples)
    model.eval()
    parts = []
    for x in torch.split(inputs, batch):
        numbers = np.arange(first, first + len(x))
        first += len(x)
        passes = []
        for draw in range(samples):
            with _thinned_apart(model, seed, draw, numbers):
                z = model(x)
            passes.append((z if log_p is None else log_p(z)).log_softmax(-1))
        parts.append(torch.stack(passes))
    return torch.cat(parts, dim=1)


def _check(model: nn.Module, samples: int) -> None:
    if samples < 1:
        raise InputError(f"Monte Carlo dropout needs at least one sample, not {samples}.")
    if not any(part.p > 0 for part in _dropouts(model)):
        raise InputError(f"{type(model).__name__} has no dropout to sample from.")


def _dropouts(model: nn.Module) -> list[_DropoutNd]:
    return [part for part in model.modules() if isinstance(part, _DropoutNd)]


@contextmanager
def _thinned(model: nn.Module, seed: int) -> Iterator[None]:
    """Within it, each dropout multiplies every example by the same mask, the next one of a seed.

    Masks are made on the CPU, whose numbers do not depend on the device or on the size of the batch.
    """
    parts = _dropouts(model)
    modes = [part.training for part in parts]
    with torch.random.fork_rng(devices=[]), ExitStack() as hooks:
        torch.manual_seed(seed)
        for part in parts:
            part.training = False  # torch's own dropout would draw for each example
            hooks.callback(part.register_forward_hook(_masked).remove)
        try:
            yield
        finally:
            for part, mode in zip(parts, modes, strict=True):
                part.training = mode


def _masked(part: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """What a dropout module would make of its input, were it to draw for one example alone.

    Its output is its input, since it is off. Each kind of dropout is affine in its input (that of alpha has a
    constant term), so that its value at 0 and at 1 says all.
    """
    one = torch.ones((1, *output.shape[1:]), dtype=output.dtype)
    state = torch.get_rng_state()
    shift = _dropped(part, torch.zeros_like(one))
    torch.set_rng_state(state)
    factor = _dropped(part, one) - shift
    return output * factor.to(output.device) + shift.to(output.device)


def _dropped(part: nn.Module, x: Tensor) -> Tensor:
    part.training = True
    try:
        made: Tensor = type(part).forward(part, x)  # not the call, which would run the hook again
    finally:
        part.training = False
    return made


@contextmanager
def _thinned_apart(model: nn.Module, seed: int, draw: int, numbers: NDArray[np.int64]) -> Iterator[None]:
    """Within it, each dropout has a mask for each example of the batch that passes.

    Args:
        model: The model.
        seed: Seed of the masks.
        draw: Which draw.
        numbers: Numbers of the examples.
    """
    parts = _dropouts(model)
    modes = [part.training for part in parts]
    call = 0

    def masked(part: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        nonlocal call
        if len(output) % len(numbers):
            raise InputError(
                f"{type(model).__name__} drops out activations of shape {tuple(output.shape)} for"
                f" {len(numbers)} examples; masks need the examples along axis 0."
            )
        shape = len(output) // len(numbers), *output.shape[1:]
        affine = [_affine(part, shape, output.dtype, s) for s in _seeds(seed, draw, call, numbers)]
        call += 1
        factors, shifts = (torch.cat(values).to(output.device) for values in zip(*affine, strict=True))
        return output * factors + shifts

    with torch.random.fork_rng(devices=[]), ExitStack() as hooks:
        for part in parts:
            part.training = False
            hooks.callback(part.register_forward_hook(masked).remove)
        try:
            yield
        finally:
            for part, mode in zip(parts, modes, strict=True):
                part.training = mode


def _affine(part: nn.Module, shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> tuple[Tensor, Tensor]:
    """Factor and shift that a dropout makes of one example, each of this shape."""
    generator = torch.default_generator  # on the CPU, whose numbers do not depend on the device
    shift = torch.zeros(shape, dtype=dtype)
    if isinstance(part, nn.AlphaDropout | nn.FeatureAlphaDropout):  # others make 0 of 0
        generator.manual_seed(seed)
        shift = _dropped(part, shift)
    generator.manual_seed(seed)
    return _dropped(part, torch.ones(shape, dtype=dtype)) - shift, shift


def _seeds(seed: int, draw: int, call: int, numbers: NDArray[np.int64]) -> list[int]:
    """Seeds of the masks of examples by their numbers.

    Reference:
        Steele et al. (2014), Fast splittable pseudorandom number generators, figure 16 (splitmix64).
    """
    base = np.random.SeedSequence((seed, draw, call)).generate_state(1, np.uint64)
    z = base + (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)  # wraps around
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return [int(s) for s in (z ^ (z >> np.uint64(31))) >> np.uint64(1)]
