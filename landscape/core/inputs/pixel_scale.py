"""Pixels from 0 to 1, what a model gets in their place, and the one way between the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from landscape.core.data.batches import Batch, tensors_in
from landscape.core.problem.problem import Problem
from landscape.errors import InputError

__all__ = ["PixelScale", "image_of", "image_shape"]


def image_of(batch: Batch) -> Tensor:
    """The images (B, C, H, W) of a batch.

    Raises:
        InputError: Unless exactly one input is a floating tensor with four axes.
    """
    found = [t for _, t in tensors_in(batch.inputs) if t.ndim == 4 and t.is_floating_point()]
    if len(found) != 1:
        raise InputError(
            f"changes of images need one input of shape (B, C, H, W); the batches hold {len(found)} such."
        )
    return found[0]


def image_shape(problem: Problem) -> tuple[int, int, int]:
    """C, H and W of the images.

    Raises:
        InputError: If the batches hold no images, or images of several shapes.
    """
    shapes = {tuple(image_of(batch).shape[1:]) for batch in problem.batches}
    if len(shapes) > 1:
        raise InputError(f"the images differ in shape: {sorted(shapes)}; give images of one shape.")
    channels, height, width = shapes.pop()
    return channels, height, width


@dataclass(frozen=True)
class PixelScale:
    """The normalisation between pixels (0 to 1) and what the model gets: (pixel − mean)/std per channel.

    Attributes:
        mean: Per channel (C,), in pixels.
        std: Per channel (C,), in pixels.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, problem: Problem, mean: Sequence[float], std: Sequence[float]) -> PixelScale:
        """The given normalisation; if none is given, that in which the data's own range is 0 to 1.

        Raises:
            InputError: If only one of mean and std is given, or their lengths do not fit the channels.
        """
        channels = image_shape(problem)[0]
        if not mean and not std:
            images = [image_of(batch) for batch in problem.batches]
            low = min(float(i.min()) for i in images)
            high = max(float(i.max()) for i in images)
            spread = high - low if high > low else 1.0
            return cls((-low / spread,) * channels, (1.0 / spread,) * channels)
        if len(mean) not in (1, channels) or len(std) not in (1, channels):
            raise InputError(
                f"mean and std hold {len(mean)} and {len(std)} numbers; give one or {channels} (the channels)"
                " of each."
            )
        grow = (channels // len(mean), channels // len(std))
        return cls(tuple(mean) * grow[0], tuple(std) * grow[1])

    def to_pixels(self, images: Tensor) -> Tensor:
        """Pixels of the model's inputs."""
        mean, std = self._tensors(images)
        return images * std + mean

    def to_inputs(self, pixels: Tensor) -> Tensor:
        """The model's inputs of pixels."""
        mean, std = self._tensors(pixels)
        return (pixels - mean) / std

    def _tensors(self, like: Tensor) -> tuple[Tensor, Tensor]:
        shape = (-1, 1, 1)
        mean = torch.tensor(self.mean, dtype=like.dtype, device=like.device).view(shape)
        return mean, torch.tensor(self.std, dtype=like.dtype, device=like.device).view(shape)
