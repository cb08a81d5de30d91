"""The images of a problem in pixels, and what its model makes of other pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from landscape.core.data.batches import Batch, batches_joinable, gather
from landscape.core.data.subsample import plan_pass
from landscape.core.inputs.pixel_scale import PixelScale, image_of
from landscape.core.problem.batchnorm import running_layers
from landscape.core.problem.passes.folding import folding
from landscape.core.problem.passes.pieces import laid_out, pieces
from landscape.core.problem.problem import Problem
from landscape.errors import InputError

__all__ = ["AnswerReader", "Images", "image_parts"]


class AnswerReader(Protocol):
    """What reads answers: `landscape.core.problem.answers.classification.Classification`."""

    def logits(self, values: Tensor, /) -> Tensor:
        """Logits (B, K) of outputs."""

    def right_classes(self, target: Tensor, /) -> Tensor:
        """The one right class of each example (B,)."""

    def counted(self, target: Tensor, classes: int, /) -> Tensor:
        """Which labels count (B,)."""


@dataclass(frozen=True)
class Images:
    """Images of a classifier's data, as pixels on the scale 0 to 1.

    Calling it gives the logits (B, K) of other pixels (B, C, H, W) in place of these; they carry a graph.

    Attributes:
        problem: Whose model it is.
        scale: The way from pixels to what the model gets.
        batch: The examples.
        numbers: Their numbers in the data (B,).
        reader: How answers are read, where they are not one of K classes given by their index.
    """

    problem: Problem
    scale: PixelScale
    batch: Batch
    numbers: Tensor
    reader: AnswerReader | None = None

    @property
    def pixels(self) -> Tensor:
        """The images themselves (B, C, H, W)."""
        return self.scale.to_pixels(image_of(self.batch))

    @property
    def labels(self) -> Tensor:
        """Their classes (B,)."""
        labels: Tensor = self.batch.target
        return labels if self.reader is None else self.reader.right_classes(labels)

    def __call__(self, pixels: Tensor) -> Tensor:
        """Logits (B, K) of pixels (B, C, H, W): log probabilities where the model gives probabilities."""
        with folding(self.problem):
            output, _ = self.problem.output(self._of(pixels))
        return self.problem.reading.log_p(output) if self.reader is None else self.reader.logits(output)

    def losses(self, pixels: Tensor) -> Tensor:
        """The problem's losses (B,) of pixels (B, C, H, W).

        Raises:
            InputError: If the loss only gives batch means.
        """
        with folding(self.problem):
            losses = self.problem.batch_losses(self._of(pixels))
        if losses.ndim == 0:
            raise InputError(
                f"the loss {self.problem.loss_name} gives a mean over the batch; the loss as a function of"
                " an image needs one loss per example, shape (B,)."
            )
        return losses

    def take(self, rows: Tensor) -> Images:
        """Some of them, by their places (n,) here."""
        if len(rows) == len(self.numbers):
            return self
        chosen, numbers = gather([self.batch], rows.cpu()), self.numbers[rows.cpu()]
        return Images(self.problem, self.scale, chosen, numbers, self.reader)

    def _of(self, pixels: Tensor) -> Batch:
        images = image_of(self.batch)
        made = self.batch.replace(images, self.scale.to_inputs(pixels).to(images.dtype))
        return laid_out(self.problem, made)


def image_parts(
    problem: Problem,
    mean: Sequence[float],
    std: Sequence[float],
    count: int,
    reader: AnswerReader | None = None,
) -> tuple[PixelScale, list[Images]]:
    """A fair sample of a problem's images, in parts of the size of its batches.

    Args:
        problem: A classifier of images.
        mean: Per channel, of the normalisation; with `std` empty if the data's own range is to be 0 to 1.
        std: Per channel.
        count: At most so many images: the first of a fixed random order of all.
        reader: How answers are read; ``None`` where they are one of K classes given by their index.

    Returns:
        The scale of pixels, that of all the data, and the images whose label counts.

    Raises:
        InputError: If there are no images, no classes or no labels that count, or examples depend on one
            another.
    """
    scale = PixelScale.of(problem, mean, std)
    if problem.batchnorm == "batch" and running_layers(problem.module):
        raise InputError(
            "with batchnorm='batch' the loss of an image depends on the others of its batch, so it is no"
            " function of the image; take batchnorm='checkpoint'."
        )
    if not batches_joinable(problem.batches):
        raise InputError(
            "this needs batches alike in form that hold only tensors with one entry per example."
        )
    return scale, list(_parts(problem, scale, count, reader))


def _parts(problem: Problem, scale: PixelScale, count: int, reader: AnswerReader | None) -> Iterator[Images]:
    plan = plan_pass(problem.batches, [count if count < problem.examples else None])
    start, found = 0, False
    for batch, (share,) in zip(plan.batches(), plan.shares, strict=True):
        chosen = batch.first(share)
        numbers = plan.orders[0][start : start + share]
        start += share
        if not share:
            continue
        with torch.no_grad():
            output, target = problem.output(chosen.first(1))
        if reader is not None:
            target, output = reader.right_classes(target), reader.logits(output)
        if not (_is_classification(output, target) and isinstance(chosen.target, Tensor)):
            raise InputError(
                "attacks and curvature of images need logits (B, K) with one class index per example; this"
                " is no such classification."
            )
        counts = problem.reading.counts if reader is None else reader.counted
        counted = counts(chosen.target, output.shape[1])
        if bool(counted.any()):
            found = True
            whole = Images(problem, scale, chosen, numbers, reader).take(counted.nonzero()[:, 0])
            yield from _cut(whole)
    if not found:
        raise InputError("no label of the data counts: each is the ignore index or outside the classes.")


def _cut(images: Images) -> Iterator[Images]:
    """The images in parts that a gradient takes at a time."""
    start = 0
    for piece in pieces(images.problem, [images.batch], graph=True):
        yield replace(images, batch=piece, numbers=images.numbers[start : start + piece.size])
        start += piece.size


def _is_classification(output: object, target: object) -> bool:
    return (
        isinstance(output, Tensor)
        and isinstance(target, Tensor)
        and output.ndim == 2
        and output.shape[1] > 1
        and target.ndim == 1
        and not target.is_floating_point()
    )
