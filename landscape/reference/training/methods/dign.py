"""DiGN: predictions that stay the same under noise of diverse strength; and noise as augmentation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from landscape.errors import InputError
from landscape.reference.training.objective import Batch, CrossEntropy, Objective, frozen_statistics

__all__ = ["NoiseAugmentation", "NoiseConsistency"]


@dataclass(frozen=True)
class NoiseConsistency(Objective):
    """The divergence between predictions on an image and on noisy copies of it.

    The mean over images and copies of KL(p(x) ‖ p(x + σε)), nats, with ε standard normal and σ uniform on
    (0, `deviation`), drawn anew for each image and copy. Gradients flow through both predictions. For a small
    deviation it is share · (deviation²/6) · tr F, with F the Fisher information of the prediction about the
    input, so that it penalises the trace of F.

    The published objective is ``CrossEntropy() + 0.2 * NoiseConsistency()``; the paper's variant with AugMix
    adds a third term, which is not part of this one. Noise is added to inputs as the network takes them and
    not clamped, as in the published code.

    Attributes:
        deviation: Largest standard deviation of the noise, in units of pixels on the scale 0 to 1 if `std` is
            given, else in units of the inputs.
        samples: Noisy copies of each image.
        share: Share of the entries of an image that get noise, drawn for each copy.
        std: What the pixels of each channel were divided by to make inputs of them.
        update_statistics: Whether noisy passes move BatchNorm's running statistics too, as in the published
            code. Otherwise those are of the images themselves, which the network is judged on.

    Raises:
        InputError: If a number is out of range.

    Reference:
        Tsiligkaridis & Tsiligkaridis (2023), Diverse Gaussian noise consistency regularization for robustness
        and uncertainty calibration, IJCNN; settings of their code.
    """

    deviation: float = 1.2
    samples: int = 3
    share: float = 0.2
    std: tuple[float, ...] = (1.0,)
    update_statistics: bool = False

    def __post_init__(self) -> None:
        _check(self)
        if self.samples < 1:
            raise InputError(f"NoiseConsistency: samples must be at least 1, not {self.samples}.")

    def __call__(self, model: nn.Module, batch: Batch, generator: Generator) -> Tensor:
        """The mean divergence over the batch and its copies."""
        clean = batch.outputs(model).log_softmax(-1)
        total = clean.new_zeros(())
        for _ in range(self.samples):
            noisy_inputs = batch.inputs + _noise(self, batch.inputs, generator)
            if self.update_statistics:
                outputs = model(noisy_inputs)
            else:
                with frozen_statistics(model):
                    outputs = model(noisy_inputs)
            total = total + (clean.exp() * (clean - outputs.log_softmax(-1))).sum(-1).mean()
        return total / self.samples


@dataclass(frozen=True)
class NoiseAugmentation(Objective):
    """The mean cross-entropy of noisy copies in place of the images.

    What `NoiseConsistency` is compared with. Noise is as there, σ uniform on (0, `deviation`) for each image.
    The noisy pass is the only one, so that BatchNorm's running statistics are those of noisy maps. Of mixed
    examples, see `CrossEntropy`.

    Attributes:
        deviation: Largest standard deviation of the noise, in units of pixels on the scale 0 to 1 if `std` is
            given, else in units of the inputs.
        share: Share of the entries of an image that get noise.
        std: What the pixels of each channel were divided by to make inputs of them.

    Raises:
        InputError: If a number is out of range.

    Reference:
        Tsiligkaridis & Tsiligkaridis (2023), where it is called GN.
    """

    deviation: float = 1.2
    share: float = 1.0
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        _check(self)

    def __call__(self, model: nn.Module, batch: Batch, generator: Generator) -> Tensor:
        """The loss of the noisy batch."""
        noisy = batch.inputs + _noise(self, batch.inputs, generator)
        return CrossEntropy()(
            model, Batch(noisy, batch.targets, batch.rows, batch.progress, batch.share), generator
        )


def _check(objective: NoiseConsistency | NoiseAugmentation) -> None:
    """Refuse settings that are no noise."""
    name = type(objective).__name__
    if not objective.deviation >= 0:
        raise InputError(f"{name}: deviation must be at least 0, not {objective.deviation}.")
    if not 0 < objective.share <= 1:
        raise InputError(f"{name}: share lies above 0 and at most at 1, not {objective.share}.")
    if not objective.std or not all(spread > 0 for spread in objective.std):
        raise InputError(f"{name}: std holds positive numbers, not {list(objective.std)}.")


def _noise(objective: NoiseConsistency | NoiseAugmentation, inputs: Tensor, generator: Generator) -> Tensor:
    """Noise for each input (n, ...), drawn on the CPU, so that the device does not decide the numbers."""
    kind, each = inputs.dtype, (len(inputs), *(1,) * (inputs.ndim - 1))
    sigma = objective.deviation * torch.rand(each, generator=generator, dtype=kind)
    noise = sigma * torch.randn(inputs.shape, generator=generator, dtype=kind)
    if objective.share < 1:
        noise = noise * (torch.rand(inputs.shape, generator=generator) < objective.share)
    if len(objective.std) > 1 and (inputs.ndim < 2 or inputs.shape[1] != len(objective.std)):
        raise InputError(
            f"{type(objective).__name__}: std has {len(objective.std)} channels, but the inputs have shape"
            f" {tuple(inputs.shape)}."
        )
    std = torch.tensor(objective.std, dtype=inputs.dtype).view(-1, *(1,) * (inputs.ndim - 2))
    return (noise / std).to(inputs.device)
