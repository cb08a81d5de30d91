"""Predictive averaging: Monte Carlo dropout and deep ensembles, as modules that any analysis takes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from landscape.errors import InputError

__all__ = ["DeepEnsemble", "MCDropout", "mc_samples"]


class MCDropout(nn.Module):
    """The predictive mean of a network over random dropout masks.

    The forward pass gives log mean probabilities, which are logits: cross-entropy, accuracy and calibration
    of this module are those of the averaged prediction. Dropout is on in eval mode too; everything else
    (BatchNorm) is as the mode says. The same seed gives the same masks, whatever else draws numbers.

    Args:
        model: A classifier with dropout.
        samples: Masks per example.
        seed: Seed of the masks of a call.

    Raises:
        InputError: If there is no dropout, or no sample.

    Reference:
        Gal & Ghahramani (2016), Dropout as a Bayesian approximation.
    """

    def __init__(self, model: nn.Module, samples: int = 10, seed: int = 0) -> None:
        super().__init__()
        _check(model, samples)
        self.model = model
        self.samples = samples
        self.seed = seed

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs (N, ...) to log probabilities (N, classes)."""
        with _dropping(self.model, self.seed, x.device):
            return _log_mean([self.model(x).log_softmax(-1) for _ in range(self.samples)])


class DeepEnsemble(nn.Module):
    """Networks whose predicted probabilities are averaged.

    The forward pass gives log mean probabilities, which are logits.

    Args:
        members: Classifiers with the same classes.

    Raises:
        InputError: If there are none.

    Reference:
        Lakshminarayanan et al. (2017), Simple and scalable predictive uncertainty, section 2.4.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        if not members:
            raise InputError("a deep ensemble needs at least one member.")
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs (N, ...) to log probabilities (N, classes)."""
        return _log_mean([member(x).log_softmax(-1) for member in self.members])


@torch.no_grad()
def mc_samples(model: nn.Module, inputs: Tensor, samples: int, seed: int = 0, batch: int = 500) -> Tensor:
    """Log probabilities of single dropout masks, for curves over the number of samples.

    Args:
        model: A classifier with dropout; put into eval mode, dropout apart.
        inputs: Shape (N, ...).
        samples: Masks per example.
        seed: Seed of the masks.
        batch: Examples at a time.

    Returns:
        Shape (samples, N, classes). The mean of the first n probabilities is the prediction of n samples.

    Raises:
        InputError: If there is no dropout, or no sample.
    """
    _check(model, samples)
    model.eval()
    with _dropping(model, seed, inputs.device):
        parts = [
            torch.stack([model(x).log_softmax(-1) for _ in range(samples)])
            for x in torch.split(inputs, batch)
        ]
    return torch.cat(parts, dim=1)


def _log_mean(parts: list[Tensor]) -> Tensor:
    return torch.logsumexp(torch.stack(parts), dim=0) - math.log(len(parts))


def _check(model: nn.Module, samples: int) -> None:
    if samples < 1:
        raise InputError(f"Monte Carlo dropout needs at least one sample, not {samples}.")
    if not any(part.p > 0 for part in _dropouts(model)):
        raise InputError(f"{type(model).__name__} has no dropout to sample from.")


def _dropouts(model: nn.Module) -> list[_DropoutNd]:
    return [part for part in model.modules() if isinstance(part, _DropoutNd)]


@contextmanager
def _dropping(model: nn.Module, seed: int, device: torch.device) -> Iterator[None]:
    """Turn dropout on, with random numbers of its own."""
    parts = _dropouts(model)
    modes = [part.training for part in parts]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        for part in parts:
            part.training = True
        try:
            yield
        finally:
            for part, mode in zip(parts, modes, strict=True):
                part.training = mode
