"""Changed images: the way to pixels and back, noise in a frequency band, single Fourier modes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.core.behaviour.calibration import Predictions
from landscape.core.data.batches import Batch
from landscape.core.features.fourier import EDGE, mode_multiplicity, radial_frequency
from landscape.core.inputs.pixel_scale import PixelScale, image_of, image_shape
from landscape.core.problem.answers.classification import classification_of
from landscape.core.problem.problem import Measure, Problem
from landscape.core.stats.clusters import clustered_change_error
from landscape.core.stats.intervals import answer_error, answered_error, share_error, standard_error

__all__ = [
    "Change",
    "PixelScale",
    "band_mask",
    "band_noise",
    "basis_noise",
    "changed_batches",
    "image_of",
    "image_shape",
    "measure_changed",
    "paired",
    "paired_answers",
    "symmetric_modes",
]

Change = Callable[[Tensor, int], Tensor]
"""``(pixels (B, C, H, W), number of the first example) -> pixels``, on the scale 0 to 1."""


def changed_batches(
    problem: Problem, scale: PixelScale, change: Change, labels: Change | None = None
) -> Iterator[Batch]:
    """The problem's batches with changed images, made one at a time.

    Args:
        problem: A problem on images.
        scale: The way to pixels and back.
        change: What is done to the pixels.
        labels: The same once more, if it moves pixels: labels of pixels then move with them. A label between
            others is that of most of it; one beyond the edge is that at the edge, as of the pixels.
    """
    what = None if labels is None else classification_of(problem)
    start = 0
    for batch in problem.batches:
        images = image_of(batch)
        pixels = change(scale.to_pixels(images), start)
        made = batch.replace(images, scale.to_inputs(pixels).to(images.dtype))
        if labels is not None and what is not None and what.positions and isinstance(batch.target, Tensor):
            last = what.soft and what.kind == "classes" and what.reading.axis == -1
            target = batch.target.movedim(-1, 1) if last else batch.target
            moved = _moved(target, labels, start)
            made = made.replace(batch.target, moved.movedim(1, -1) if last else moved)
        yield made
        start += batch.size


def _moved(target: Tensor, change: Change, start: int) -> Tensor:
    """Maps of labels (B, H, W) or (B, C, H, W), moved as pixels are; labels of tokens (B, T) as they are."""
    if target.ndim < 3:
        return target
    maps = target if target.ndim > 3 else target[:, None]
    if target.is_floating_point() and not bool(((maps == 0) | (maps == 1)).all()):
        return change(maps, start).reshape(target.shape)  # probabilities, between which there are others
    values, places = torch.unique(maps, return_inverse=True)
    # All in one call, which draws once for each image.
    masks = torch.nn.functional.one_hot(places, len(values)).movedim(-1, 2).double()
    moved = change(masks.flatten(1, 2), start).unflatten(1, masks.shape[1:3])  # type: ignore[no-untyped-call]
    found: Tensor = values[moved.argmax(2)]
    return found.reshape(target.shape)


# Noise by frequency


def band_mask(height: int, width: int, center: float, half_width: float) -> tuple[Tensor, int]:
    """M_f: 1 where |2πr − center| ≤ half_width, else 0, with r = √(fx² + fy²); never at r = 0.

    Args:
        height: H.
        width: W.
        center: In rad/pixel.
        half_width: In rad/pixel.

    Returns:
        M_f over the modes of `torch.fft.rfft2` (H, W//2 + 1), and the number of modes of the full transform.
    """
    radius = 2.0 * torch.pi * radial_frequency(height, width)
    inside = ((radius - center).abs() <= half_width + EDGE) & (radius > 0)
    return inside.double(), int((inside * mode_multiplicity(height, width)).sum())


def band_noise(
    shape: Sequence[int], mask: Tensor, rng: np.random.Generator, sigma: float, rms: float | None = None
) -> Tensor:
    """Re F⁻¹(M_f ⊙ F(δ)), δ ~ N(0, σ²) (Park & Kim 2022, Figure 2b), float64.

    Args:
        shape: (B, C, H, W).
        mask: M_f over the modes of `torch.fft.rfft2` (H, W//2 + 1).
        rng: Source of δ. It is used up image by image, so that how the data is cut does not matter.
        sigma: Standard deviation of δ.
        rms: If given, each image's noise is scaled to this root mean square instead; zero stays zero.
    """
    delta = torch.from_numpy(sigma * rng.standard_normal(tuple(shape)))
    noise: Tensor = torch.fft.irfft2(mask * torch.fft.rfft2(delta), s=tuple(shape[-2:]))
    if rms is None:
        return noise
    # A band without modes gives no noise, which no factor can scale.
    size = noise.flatten(1).square().mean(1).sqrt().clamp(min=torch.finfo(torch.float64).tiny)
    scaled: Tensor = noise * (rms / size)[:, None, None, None]
    return scaled


def symmetric_modes(length: int, steps: int) -> NDArray[np.int64]:
    """At most ``steps`` whole numbers k of a Fourier mode, evenly over −K...K, K below the Nyquist mode."""
    most = (length - 1) // 2
    half = np.unique(np.round(np.linspace(0, most, (steps + 1) // 2)).astype(np.int64))
    return np.concatenate([-half[:0:-1], half])


def basis_noise(shape: Sequence[int], mode: tuple[int, int], rng: np.random.Generator, rms: float) -> Tensor:
    """± rms √2 cos(2π(k_y y/H + k_x x/W)), the sign drawn for each image and channel (Yin et al. 2019).

    Args:
        shape: (B, C, H, W).
        mode: (k_y, k_x).
        rng: Source of the signs.
        rms: Root mean square; Yin et al. take the norm 4 for images of 32 × 32, 4/32 = 0.125.
    """
    height, width = shape[-2:]
    y, x = np.arange(height)[:, None] / height, np.arange(width) / width
    wave = np.cos(2.0 * np.pi * (mode[0] * y + mode[1] * x))
    # By its own mean square: that of a cosine is 1/2 except where the mode is its own mirror image.
    wave *= rms / np.sqrt((wave**2).mean())
    signs = rng.integers(0, 2, size=tuple(shape[:2])) * 2.0 - 1.0
    return torch.from_numpy(signs[:, :, None, None] * wave)


# Scores


def paired(
    clean: Tensor | None, changed: Sequence[Tensor | None], *, answers: bool = False
) -> tuple[float, float, float, float]:
    """Mean, its standard error, mean change and its paired standard error over examples.

    Args:
        clean: Values per example (N,) without the change; ``None`` if there are none: all NaN.
        changed: Values per example with the change, one tensor for each draw of it; ``clean`` itself without.
        answers: Whether values are 1 for right and 0 for wrong answers, of which equal ones have an error.
    """
    draws = [values for values in changed if values is not None]
    if clean is None or not draws:
        return (float("nan"),) * 4
    # Draws are averaged within an example first: examples, not draws, are the independent samples.
    mean = torch.stack(draws).mean(0)
    change = mean - clean
    unchanged = any(values is clean for values in draws)
    changed_by = (share_error if answers and not unchanged else standard_error)(change)
    error = (answer_error if answers else standard_error)(mean)
    return float(mean.mean()), error, float(change.mean()), changed_by


def paired_answers(
    clean: Predictions,
    before: NDArray[np.float64],
    made: Predictions,
    values: NDArray[np.float64],
    *,
    answers: bool = False,
) -> tuple[float, float, float, float]:
    """As `paired`, of predictions of which an example may have several answers: errors count examples.

    Args:
        clean: Predictions without the change.
        before: A number for each of their answers.
        made: Predictions with the change; labels that move with pixels may leave other answers.
        values: A number for each of theirs.
        answers: As of `paired`.
    """
    if made.examples is None:
        old = torch.from_numpy(before)
        return paired(old, [old if values is before else torch.from_numpy(values)], answers=answers)
    error = clustered_change_error(values, made.places, before, clean.places)
    mean, own = float(values.mean()), made.error(values)
    if answers:
        own = answered_error(own, made.count)
    return mean, own, mean - float(before.mean()), error


def measure_changed(problem: Problem, scale: PixelScale, change: Change) -> Measure:
    """Loss and accuracy on changed images."""
    return problem.measure(batches=changed_batches(problem, scale, change))
