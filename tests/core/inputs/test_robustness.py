"""Attacks of growing size: random numbers of an image are its own, and power is that of white noise."""

import numpy as np
import pytest
import torch
from cases import CASES, images

from landscape import Problem
from landscape.core.inputs.images import image_parts
from landscape.core.inputs.norms import size
from landscape.core.inputs.robustness import Threat, attack_images, perturbation_power, random_directions

RADII = (0.0, 0.01, 0.05, 0.1, 0.2)


def parts_of(sizes, n=24):
    model, (x, y) = CASES["conv_batchnorm"].model(), images(n)
    return image_parts(Problem(model, "cross_entropy", (x, y), batch_size=sizes), (), (), n)[1]


def threat(**changes):
    options = {"steps": 5, "restarts": 2, "objective": "margin", "targets": 2, "distance": True, "seed": 0}
    return Threat("l2", RADII, **options | changes)


def test_the_cut_into_batches_does_not_matter():
    """Oracle: the same attack on other parts; draws belong to images, not to batches."""
    found = {}
    for sizes in (24, 7):
        pieces = [attack_images(p, threat(), ("fgsm", "pgd", "random")) for p in parts_of(sizes)]
        found[sizes] = {
            k: np.concatenate([p[k] for p in pieces], 2 if k == "right" else 0) for k in pieces[0]
        }
    for name, value in found[24].items():
        np.testing.assert_allclose(found[7][name], value, atol=1e-9)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_random_directions_have_norm_one(norm):
    """Oracle: the norm; and other images and seeds get other ones."""
    (part,) = parts_of(24)
    directions = random_directions(part, norm, 0)
    torch.testing.assert_close(size(directions, norm), torch.ones(24, dtype=torch.float64))
    assert not torch.equal(directions[0], directions[1])
    assert not torch.equal(directions, random_directions(part, norm, 1))


def test_what_is_found_is_consistent():
    """Oracle: each number against the others: what changed an answer within r lies no further than r."""
    (part,) = parts_of(24)
    found = attack_images(part, threat(), ("fgsm", "pgd", "random"))
    right, distance = found["right"], found["distance"]
    clean = part(part.pixels).argmax(1) == part.labels
    assert 0 < clean.sum() < 24 or clean.all()
    np.testing.assert_array_equal(right[:, 0], np.broadcast_to(clean.numpy(), (3, 24)))
    np.testing.assert_array_equal(distance == 0, ~clean.numpy())
    assert (np.diff(right[1], axis=0) <= 0).all()  # pgd, over the radius
    for index, radius in enumerate(RADII):
        changed = (right[:, index] == 0).any(0)
        assert (distance[changed] <= radius + 1e-12).all()
    moved = torch.from_numpy(found["perturbation"])
    at_last = part(part.pixels + moved).argmax(1) == part.labels
    np.testing.assert_array_equal(at_last.numpy(), right[1, -1] == 1)
    bare = attack_images(part, threat(distance=False), ("random",))
    assert np.isnan(bare["distance"]).all() and not bare["perturbation"].any()


def test_power_of_white_noise_is_one():
    """Oracle: white noise; one Fourier mode holds all energy; no perturbation has no spectrum."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2000, 1, 12, 10))
    power, frequency, modes = perturbation_power(noise, 8)
    error = power.std(0) / 2000**0.5
    assert (np.abs(power.mean(0) - 1) < 5 * error)[modes > 0].all()
    assert modes.sum() == 119 and (np.diff(frequency[modes > 0]) > 0).all()
    assert np.isnan(perturbation_power(np.zeros((1, 1, 12, 10)), 8)[0]).all()
