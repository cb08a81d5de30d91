"""Monte Carlo dropout: a network averaged over its random dropout masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from landscape.core.behaviour.predictive import Draws, Predictive
from landscape.errors import InputError

__all__ = ["MCDropout", "mc_samples"]


class MCDropout(Predictive):
    """The predictive mean of a network over random dropout masks.

    The forward pass gives log mean probabilities, which are logits: cross-entropy, accuracy and calibration
    of this module are those of the averaged prediction. Dropout is on in eval mode too; everything else
    (BatchNorm) is as the mode says. The same seed gives the same masks, whatever else draws numbers. Each
    example has masks of its own, drawn for the batch it stands in: the same batches give the same numbers.

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

    def draws(self, x: Tensor, samples: int | None = None, *, seed: int = 0) -> Draws:
        """The predictions of single masks.

        Args:
            x: Inputs (N, ...).
            samples: Masks per example; by default, the module's own number.
            seed: Added to the module's own seed.

        Raises:
            InputError: If there is no sample.
        """
        count = self.samples if samples is None else samples
        _check(self.model, count)
        with _dropping(self.model, self.seed + seed, x.device):
            return Draws("classification", log_p=_passes(self.model, x, count))


@torch.no_grad()
def mc_samples(
    model: nn.Module,
    inputs: Tensor,
    samples: int,
    seed: int = 0,
    batch: int = 500,
    log_p: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Log probabilities of single dropout masks, for curves over the number of samples.

    Args:
        model: A classifier with dropout; put into eval mode, dropout apart.
        inputs: Shape (N, ...).
        samples: Masks per example.
        seed: Seed of the masks.
        batch: Examples at a time.
        log_p: Logits of the model's outputs, such as the logarithm where they are probabilities; default:
            the outputs themselves.

    Returns:
        Shape (samples, N, classes). The mean of the first n probabilities is the prediction of n samples.

    Raises:
        InputError: If there is no dropout, or no sample.
    """
    _check(model, samples)
    model.eval()
    with _dropping(model, seed, inputs.device):
        parts = [_passes(model, x, samples, log_p) for x in torch.split(inputs, batch)]
    return torch.cat(parts, dim=1)


def _passes(
    model: nn.Module, x: Tensor, samples: int, log_p: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Log probabilities of one pass after another, (samples, N, classes)."""
    outputs = (model(x) for _ in range(samples))
    return torch.stack([(z if log_p is None else log_p(z)).log_softmax(-1) for z in outputs])


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
    # torch's dropout takes no generator, so that the global one is seeded, and put back as it was.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        for part in parts:
            part.training = True
        try:
            yield
        finally:
            for part, mode in zip(parts, modes, strict=True):
                part.training = mode
