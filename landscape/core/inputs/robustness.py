"""What attacks of growing size do to each image, and which frequencies they use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.core.features.fourier import RadialBins, mean_power, power_statistics, spectrum
from landscape.core.inputs.attacks import (
    AttackObjective,
    clipped,
    cross_entropies,
    fgsm,
    nearest_classes,
    pgd,
    random_start,
)
from landscape.core.inputs.boundary import border_on_segment, boundary
from landscape.core.inputs.images import Images
from landscape.core.inputs.norms import Norm, each, size, steepest
from landscape.core.seeds import seeded_generator

__all__ = ["Threat", "attack_images", "image_generator", "perturbation_power", "random_directions"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Threat:
    """What may be done to an image.

    Attributes:
        norm: In which perturbations are small.
        radii: How large they may be, in pixels, rising from 0.
        steps: Steps of PGD.
        restarts: Starts of PGD: the image itself, and random ones.
        objective: What PGD makes large.
        targets: With ``margin``, how many of the nearest classes are tried.
        distance: Whether the least perturbation is looked for.
        seed: Of random starts and directions.
    """

    norm: Norm
    radii: tuple[float, ...]
    steps: int
    restarts: int
    objective: AttackObjective
    targets: int
    distance: bool
    seed: int


def attack_images(
    images: Images,
    threat: Threat,
    attacks: Sequence[str],
    on_radius: Callable[[float], None] = lambda share: None,
) -> dict[str, Array]:
    """Attack images at every radius.

    Args:
        images: The images.
        threat: What may be done to them.
        attacks: Of ``fgsm``, ``pgd`` and ``random``.
        on_radius: Told the share of the work that is done.

    Returns:
        ``right`` (attacks, radii, B): 1 where the answer is right still, of PGD only below the radius where
        it was first changed; NaN where logits are. ``distance`` (B,): norm of the least perturbation found,
        NaN if not looked for; 0 where the answer is wrong, infinite where none was found. ``perturbation``
        (B, C, H, W): that of PGD, at the radius that changes the answer first, else the largest. ``flat``
        (B,): 1 where the gradient of the cross-entropy is zero.
    """
    pixels, labels = images.pixels, images.labels
    with torch.no_grad():
        logits = images(pixels)
    clean, hole = logits.argmax(1) == labels, logits.isnan().any(1)
    right = torch.ones(len(attacks), len(threat.radii), len(labels), dtype=torch.bool, device=pixels.device)
    right &= clean
    found = _Found(torch.zeros_like(pixels), ~clean, torch.zeros_like(pixels[:, 0, 0, 0]))
    found.distance[clean] = torch.inf
    flat = ~fgsm(images, pixels, labels, 1.0, norm=threat.norm, clip=False).flatten(1).any(1)
    directions = random_directions(images, threat.norm, threat.seed)
    nearest = None
    if "pgd" in attacks and threat.objective == "margin":
        nearest = nearest_classes(images, pixels, labels, threat.targets, threat.norm)
    for index, radius in enumerate(threat.radii):
        if radius == 0.0:
            continue
        for row, attack in enumerate(attacks):
            if attack == "pgd":
                _pgd(images, threat, radius, nearest, found)
                right[row, index] = ~found.changed
                continue
            if attack == "fgsm":
                delta = fgsm(images, pixels, labels, radius, norm=threat.norm)
            else:
                delta = clipped(pixels, radius * directions, True)
            with torch.no_grad():
                right[row, index] = images(pixels + delta).argmax(1) == labels
            broken = clean & ~right[row, index]
            norms = size(delta, threat.norm)
            found.distance = torch.minimum(found.distance, norms.where(broken, torch.inf))
        on_radius((index + 1) / (len(threat.radii) + threat.distance))
    if threat.distance and bool(clean.any()):
        rows = clean.nonzero()[:, 0]
        some = images.take(rows)
        border = boundary(some, some.pixels, some.labels, norm=threat.norm, take=some.take).distance
        found.distance[rows] = torch.minimum(found.distance[rows], border)
    distance = found.distance.double().where(~hole, torch.nan).cpu().numpy()
    return {
        "right": right.double().where(~hole, torch.nan).cpu().numpy(),
        "distance": distance if threat.distance else np.full_like(distance, np.nan),
        "perturbation": found.delta.double().cpu().numpy(),
        "flat": flat.double().cpu().numpy(),
    }


@dataclass
class _Found:
    """What PGD has found so far: perturbations, whether they change the answer, least norms that do."""

    delta: Tensor
    changed: Tensor
    distance: Tensor


def _pgd(images: Images, threat: Threat, radius: float, nearest: Tensor | None, found: _Found) -> None:
    """Attack the images whose answer nothing has changed yet; what changed one stays."""
    best = torch.full_like(found.distance, -torch.inf)
    goals: list[Tensor | None] = [None] if nearest is None else list(nearest.unbind(1))
    for start in range(threat.restarts):
        for goal in goals:
            rows = (~found.changed).nonzero()[:, 0]
            if not len(rows):
                return
            some = images.take(rows)
            pixels, labels = some.pixels, some.labels
            # Starts are those of the image and the restart alone, whichever other images are left.
            first = None if start == 0 else _starts(some, threat, radius, start)
            attack = pgd(
                some,
                pixels,
                labels,
                radius,
                norm=threat.norm,
                steps=threat.steps,
                objective=threat.objective,
                targets=None if goal is None else goal[rows],
                start=first,
            )
            with torch.no_grad():
                logits = some(pixels + attack.delta)
            changed = logits.argmax(1) != labels
            value = torch.where(changed, torch.inf, cross_entropies(logits, labels))
            better = value >= best[rows]
            best[rows] = value.where(better, best[rows])
            found.delta[rows] = attack.delta.where(each(better, attack.delta), found.delta[rows])
            found.changed[rows] = changed
            if threat.distance and bool(changed.any()):
                # PGD ends at the surface of its ball, which says more of the ball than of the border
                border = border_on_segment(some, pixels, labels, attack.delta, passes=8)
                norms = size(border, threat.norm).where(changed, torch.inf)
                found.distance[rows] = torch.minimum(found.distance[rows], norms)


def image_generator(seed: int, stream: int, number: int) -> torch.Generator:
    """Random numbers of one image of the data, whatever batch it comes in."""
    return seeded_generator(seed, stream, number)


def _starts(images: Images, threat: Threat, radius: float, start: int) -> Tensor:
    pixels = images.pixels
    drawn = [
        random_start(image[None], radius, threat.norm, image_generator(threat.seed, start, int(number)))
        for image, number in zip(pixels, images.numbers, strict=True)
    ]
    return torch.cat(drawn)


def random_directions(images: Images, norm: Norm, seed: int) -> Tensor:
    """A direction of norm 1 for each image (B, C, H, W), random: signs for ℓ∞, a Gaussian's for ℓ2."""
    shape = images.pixels.shape[1:]
    draws = [
        torch.randn(shape, generator=image_generator(seed, 0, int(n)), dtype=torch.float64)
        for n in images.numbers
    ]
    return steepest(torch.stack(draws), norm).to(images.pixels)


def perturbation_power(perturbation: Array, bins: int) -> tuple[Array, Array, Array]:
    """Power of perturbations by radial frequency, in units of white noise of the same energy.

    Args:
        perturbation: (N, C, H, W).
        bins: Bins of radial frequency from 0 to 1/√2.

    Returns:
        Mean power per mode of each bin over that of all modes, (N, bins): 1 everywhere for white noise, NaN
        for a zero perturbation or an empty bin. Mean frequency of the modes in each bin, cycles/pixel, and
        their number.
    """
    delta = torch.from_numpy(perturbation)
    found = power_statistics(mean_power(spectrum(delta)), delta.shape[-1], RadialBins(bins))
    total = delta.square().flatten(1).mean(1)
    shares = found.power / total.where(total > 0, torch.nan)[:, None]
    return shares.numpy(), found.radii.numpy(), found.counts.numpy()
