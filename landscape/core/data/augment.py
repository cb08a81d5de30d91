"""Random changes of training images, reproducible from a seed: what augmented data means."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from landscape.core.data.batches import Batch, tensors_in
from landscape.errors import InputError, suggest

__all__ = ["Augmentation", "augment_batch", "flip", "shift"]

Augmentation = Literal["shift", "flip", "shift+flip"]
Transform = Callable[[Tensor, torch.Generator], Tensor]

SHIFT = 1 / 8  # of height and width: 4 pixels of 32, as is usual for CIFAR


def shift(
    images: Tensor,
    generator: torch.Generator,
    margin: int | None = None,
    border: Literal["replicate", "constant"] = "replicate",
) -> Tensor:
    """Move each image of (B, C, H, W) by its own random number of whole pixels, repeating its border.

    Up to ``margin`` pixels in each direction; by default an eighth of height and width, at least one pixel
    (He et al. 2016 pad 4 pixels of 32). With ``border="constant"``, zeros move in instead.
    """
    count, channels, height, width = images.shape
    rows_moved, columns_moved = (margin or max(1, round(SHIFT * side)) for side in (height, width))
    padded = functional.pad(images, (columns_moved, columns_moved, rows_moved, rows_moved), mode=border)
    # The numbers come from a generator on the CPU, so that one seed moves images alike on every device.
    draws = [
        torch.randint(0, 2 * most + 1, (count, 1), generator=generator)
        for most in (rows_moved, columns_moved)
    ]
    rows = (draws[0] + torch.arange(height))[:, None, :, None]
    columns = (draws[1] + torch.arange(width))[:, None, None, :]
    which = torch.arange(count)[:, None, None, None], torch.arange(channels)[None, :, None, None]
    return padded[(*which, rows, columns)]


def flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image of (B, C, H, W) left to right with probability one half."""
    mirrored = torch.randint(0, 2, (len(images), 1, 1, 1), generator=generator).bool()
    return torch.where(mirrored.to(images.device), images.flip(-1), images)


def augment_batch(batch: Batch, how: Augmentation | Transform, seed: int, margin: int | None = None) -> Batch:
    """A copy of a batch with its images changed at random.

    Args:
        batch: The batch. All its image tensors (B, C, H, W) of real numbers are changed, each alike.
        how: ``shift``, ``flip``, ``shift+flip``, or a function ``(images, generator) -> images`` of the same
            shape; a function is given every input tensor of real numbers, whatever its shape.
        seed: Seed of the changes.
        margin: Most pixels of a shift, see `shift`.

    Raises:
        InputError: If the batch holds nothing to change, or a function returns another shape.
    """
    if isinstance(how, str) and how not in get_args(Augmentation):
        raise InputError(f"there is no augmentation '{how}'; {suggest(how, get_args(Augmentation))}")
    moved = partial(shift, margin=margin)
    parts: dict[str, tuple[Transform, ...]] = {
        "shift": (moved,),
        "flip": (flip,),
        "shift+flip": (moved, flip),
    }
    transforms = parts[how] if isinstance(how, str) else (how,)
    tensors = [t for _, t in tensors_in(batch.inputs) if t.is_floating_point()]
    if isinstance(how, str):
        # Images of whole numbers only where there are no others: beside images, these are labels or masks.
        images = [t for _, t in tensors_in(batch.inputs) if t.ndim == 4]
        tensors = [t for t in images if t.is_floating_point()] or images
    if not tensors:
        raise InputError(
            f"augmentation needs images of shape (B, C, H, W); the inputs have shape"
            f" {', '.join(str(tuple(t.shape)) for _, t in tensors_in(batch.inputs))}."
        )
    for old in tensors:
        new = old
        generator = torch.Generator().manual_seed(seed)  # tensors of one example change alike
        for transform in transforms:
            new = transform(new, generator)
        if not isinstance(new, Tensor) or new.shape != old.shape:
            raise InputError(
                f"the augmentation turned {tuple(old.shape)} into"
                f" {tuple(new.shape) if isinstance(new, Tensor) else type(new).__name__}; keep the shape."
            )
        batch = batch.replace(old, new.to(old))
    return batch
