"""Adversarial training: the loss of images that were changed to raise it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Generator, Tensor, nn
from torch.nn import functional

from landscape.core.inputs.attacks import fgsm, pgd, random_start
from landscape.core.inputs.norms import Norm
from landscape.core.inputs.pixel_scale import PixelScale
from landscape.errors import InputError, suggest
from landscape.reference.training.objective import Batch, Objective, frozen_statistics

__all__ = ["FGSM", "PGD", "Adversarial"]

Start = Literal["uniform", "zero"]


@dataclass(frozen=True)
class FGSM:
    """One step along the sign of the gradient, or along the gradient for ℓ2.

    Attributes:
        radius: Norm of the perturbation at most, pixels from 0 to 1.
        step: Length of the step in units of the radius.
        start: ``uniform``, a random point of the ball, or ``zero``, the image.
        norm: ``linf`` or ``l2``.

    Reference:
        Goodfellow et al. (2015); random start and step 1.25: Wong et al. (2020), Fast is better than free.
    """

    radius: float
    step: float = 1.25
    start: Start = "uniform"
    norm: Norm = "linf"

    def __post_init__(self) -> None:
        _check("FGSM", self.radius, self.start, self.norm, step=self.step)


@dataclass(frozen=True)
class PGD:
    """Several steps, each back into the ball.

    Attributes:
        radius: Norm of the perturbation at most, pixels from 0 to 1.
        steps: Their number.
        norm: ``linf`` or ``l2``.
        step: Length of each in units of the radius; default: 2.5 / steps.
        start: ``uniform``, a random point of the ball, or ``zero``, the image.

    Reference:
        Madry et al. (2018), Towards deep learning models resistant to adversarial attacks.
    """

    radius: float
    steps: int = 7
    norm: Norm = "linf"
    step: float | None = None
    start: Start = "uniform"

    def __post_init__(self) -> None:
        _check("PGD", self.radius, self.start, self.norm, steps=self.steps, step=self.step or 1.0)


@dataclass(frozen=True)
class Adversarial(Objective):
    """Mean cross-entropy of the images of a batch, each changed to raise it: nats.

    In place of `CrossEntropy`, as published, or beside it: ``0.5 * CrossEntropy() + 0.5 * Adversarial(...)``.
    The network is in training mode in the passes of the attack too, and BatchNorm takes the statistics of
    each. Of mixed examples (mixup, cutmix) the loss is that of both labels, and the attack climbs that of the
    image's own.

    Attributes:
        attack: `FGSM` or `PGD`.
        mean: What was taken off the pixels of each channel to make inputs of them.
        std: What they were divided by.
        update_statistics: Whether the pass on the changed images moves BatchNorm's running statistics. It
            must where no other term makes a pass; beside `CrossEntropy` those of the images may be wanted.

    Raises:
        InputError: If a setting is out of range.
    """

    attack: FGSM | PGD
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    update_statistics: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.attack, FGSM | PGD):
            raise InputError(f"Adversarial: attack is FGSM(...) or PGD(...), not {self.attack!r}.")
        if not self.std or not all(spread > 0 for spread in self.std):
            raise InputError(f"Adversarial: std holds positive numbers, not {list(self.std)}.")
        if len(self.mean) != len(self.std):
            raise InputError(
                f"Adversarial: mean and std hold as many numbers; got {len(self.mean)} and {len(self.std)}."
            )

    def __call__(self, model: nn.Module, batch: Batch, generator: Generator) -> Tensor:
        """The loss of the changed batch."""
        if batch.inputs.ndim != 4 or len(self.std) not in (1, batch.inputs.shape[1]):
            raise InputError(
                f"Adversarial: images (n, C, H, W) with C = {len(self.std)}, or one mean and std for all"
                f" channels, are needed; the inputs have shape {tuple(batch.inputs.shape)}."
            )
        scale = PixelScale(self.mean, self.std)
        pixels = scale.to_pixels(batch.inputs)
        with frozen_statistics(model):
            delta = self.perturbation(model, scale, pixels, batch.targets, generator)
        changed = scale.to_inputs(pixels + delta)
        if self.update_statistics:
            logits = model(changed)
        else:
            with frozen_statistics(model):
                logits = model(changed)
        loss = functional.cross_entropy(logits, batch.targets)
        if batch.share == 1.0:
            return loss
        other = functional.cross_entropy(logits, batch.targets.flip(0))
        return batch.share * loss + (1 - batch.share) * other

    def perturbation(
        self, model: nn.Module, scale: PixelScale, pixels: Tensor, labels: Tensor, generator: Generator
    ) -> Tensor:
        """What the attack adds to pixels (n, C, H, W), a constant."""
        attack = self.attack

        def logits(changed: Tensor) -> Tensor:
            made: Tensor = model(scale.to_inputs(changed))
            return made

        start = None
        if attack.start == "uniform":
            start = random_start(pixels, attack.radius, attack.norm, generator)
        if isinstance(attack, FGSM):
            delta = fgsm(
                logits, pixels, labels, attack.radius, norm=attack.norm, step=attack.step, start=start
            )
        else:
            delta = pgd(
                logits,
                pixels,
                labels,
                attack.radius,
                norm=attack.norm,
                steps=attack.steps,
                step=None if attack.step is None else attack.step * attack.radius,
                objective="cross_entropy",
                start=start,
                keep="last",
            ).delta
        return delta.detach()


def _check(name: str, radius: float, start: str, norm: str, **positive: float) -> None:
    if not radius >= 0:
        raise InputError(f"{name}: radius must be at least 0, not {radius}.")
    for key, value in positive.items():
        if not value > 0:
            raise InputError(f"{name}: {key} must be above 0, not {value}.")
    for what, given, known in (("start", start, get_args(Start)), ("norm", norm, get_args(Norm))):
        if given not in known:
            raise InputError(f"{name} has no {what} '{given}'; {suggest(str(given), known)}")
