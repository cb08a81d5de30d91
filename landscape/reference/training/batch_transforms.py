"""Changes of whole mini-batches that change targets too, as `batch_spectra` takes them in a manifest.

Each is ``(images, targets, generator, **options) -> (images, targets)`` and draws from the generator alone.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional

from landscape.errors import InputError
from landscape.reference.training.augment import AugmentName, augmentation, mix

__all__ = ["as_in_training"]


def as_in_training(
    images: Tensor,
    targets: Tensor,
    generator: Generator,
    *,
    classes: int,
    augment: AugmentName | None = None,
    mixup: float = 0.8,
    cutmix: float = 1.0,
    label_smoothing: float = 0.0,
    low: float = 0.0,
    high: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, W) and classes (N,) as `landscape.reference.training.train` feeds them to a model.

    Args:
        images: A mini-batch.
        targets: Its classes.
        generator: Source of all random numbers.
        classes: How many classes there are.
        augment: ``"shift"``, ``"crop_flip"``, ``"rand_crop_flip"`` (RandAugment) or None.
        mixup: Parameter α of mixup; 0 for none.
        cutmix: The same of cutmix; 0 for none. With both, one of them is drawn.
        label_smoothing: Share of each target that is spread evenly over all classes.
        low: Least value of a pixel, for RandAugment.
        high: Largest value of a pixel.

    Returns:
        The images, and probabilities of classes (N, classes) in their number format.

    References:
        Park & Kim (2022), 'How do vision transformers work?', who measure Hessians on data changed so; Zhang
        et al. (2018), mixup; Yun et al. (2019), CutMix; Cubuk et al. (2020), RandAugment.
    """
    if targets.ndim != 1 or targets.is_floating_point():
        raise InputError(f"as_in_training takes classes (N,), not targets of shape {tuple(targets.shape)}.")
    bounds = torch.tensor([low, high], dtype=images.dtype).view(2, 1, 1, 1).expand(2, images.shape[1], 1, 1)
    change = augmentation(augment, bounds)
    moved = images if change is None else change(images, generator)
    mixed, share = mix(moved, mixup, cutmix, generator)
    sharp = functional.one_hot(targets, classes).to(images.dtype)
    soft = sharp * (1 - label_smoothing) + label_smoothing / classes
    return mixed, share * soft + (1 - share) * soft.flip(0)
