"""Directions from images and the loss along them."""

import numpy as np
import pytest
import torch
from cases import CASES, images
from torch.nn import functional

from landscape import Problem
from landscape.core.inputs.directions import first_direction, loss_along, second_direction
from landscape.core.inputs.images import image_parts
from landscape.core.inputs.norms import size


def part():
    model, (x, y) = CASES["conv_batchnorm"].model(), images(12)
    return model.eval(), x, y, image_parts(Problem(model, "cross_entropy", (x, y)), (0.5,), (0.25,), 12)[1][0]


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_directions_have_norm_one_and_go_uphill(norm):
    """Oracle: the norm; no direction of that norm climbs faster than fgsm's, and the Fisher one climbs."""
    _, _, _, found = part()
    at = found.pixels.requires_grad_()
    losses = functional.cross_entropy(found(at), found.labels, reduction="sum")
    slope = torch.autograd.grad(losses, at)[0]
    kinds = {
        k: first_direction(found, k, 0.1, norm, 0) for k in ("fgsm", "gradient", "pgd", "fisher", "random")
    }
    kinds |= {k + "2": second_direction(found, k, norm, 0) for k in ("random", "random_sign")}
    climbs = {k: (d * slope).flatten(1).sum(1) for k, d in kinds.items()}
    for kind, direction in kinds.items():
        torch.testing.assert_close(size(direction, norm), torch.ones(12, dtype=torch.float64))
        assert (climbs[kind] <= climbs["fgsm"] + 1e-12).all()
    assert (climbs["fisher"] >= 0).all()
    torch.testing.assert_close(
        functional.cosine_similarity(kinds["gradient"].flatten(1), slope.flatten(1)), torch.ones(12).double()
    )
    assert kinds["random_sign2"].abs().flatten(1).std(1).max() < 1e-12
    assert not torch.equal(kinds["random"], kinds["random2"])


def test_losses_are_those_of_images_changed_by_hand():
    """Oracle: the caller's model in plain torch on each point; the tangent by torch's gradient."""
    model, x, y, found = part()
    first, second = (
        first_direction(found, "gradient", 0.1, "l2", 0),
        second_direction(found, "random", "l2", 0),
    )
    steps, plane = (0.0, 0.3, 0.6), ((0.0, 0.5), (-0.2, 0.0, 0.2))
    got = loss_along(found, first, second, 0.6, steps, plane, norm="l2", clip=False, seed=0)

    def at(pixels):
        z = model((pixels - 0.5) / 0.25)
        return functional.cross_entropy(z, y, reduction="none"), (z.argmax(1) != y).double()

    pixels = (x * 0.25 + 0.5).requires_grad_()
    slope = torch.autograd.grad(at(pixels)[0].sum(), pixels)[0]
    bends = []
    for i, a in enumerate(steps):
        losses, wrong = at(pixels + a * first)
        np.testing.assert_allclose(got["losses"][i], losses.detach())
        np.testing.assert_array_equal(got["wrong"][i], wrong)
        bends.append((losses - at(pixels)[0] - a * (slope * first).flatten(1).sum(1)).abs().detach())
    np.testing.assert_allclose(got["linearity"], torch.stack(bends).amax(0), atol=1e-12)
    for i, a in enumerate(plane[0]):
        for j, b in enumerate(plane[1]):
            losses, wrong = at(pixels + a * first + b * second)
            np.testing.assert_allclose(got["plane_losses"][i, j], losses.detach())
            np.testing.assert_array_equal(got["plane_wrong"][i, j], wrong)
    assert (np.abs(got["cosine"]) <= 1 + 1e-12).all()
