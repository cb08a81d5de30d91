"""``receptive_field`` on networks whose fields are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import images
from torch import nn

import landscape
from landscape import Problem
from landscape.errors import InapplicableError, InputError
from landscape.reference.models import vit


def boxes(count):
    layers = []
    for _ in range(count):
        layers.append(nn.Conv2d(1, 1, 3, padding=1, bias=False).double())
        nn.init.ones_(layers[-1].weight)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 3)).double()


def test_boxes():
    """Oracle: variance 2n/3 per axis, support 2n + 1, whatever the batches."""
    for size in (5, 2):
        ds = landscape.receptive_field(
            Problem(boxes(5), "cross_entropy", images(5, 19), batch_size=size), kinds=("convolution",)
        )
        assert list(ds["layer"].values) == list("01234")
        np.testing.assert_allclose(ds["variance"].sel(axis="height"), 2 * np.arange(1, 6) / 3)
        np.testing.assert_allclose(ds["support"].sel(axis="width"), 2 * np.arange(1, 6) + 1)
        np.testing.assert_allclose(ds["field"].sum(("y", "x")), 1)
        np.testing.assert_allclose(ds["side"].sel(share=0.99)[0], 3)
        assert int(ds["images"]) == 5


def test_layers_are_thinned_evenly():
    """Oracle: first, middle and last of five."""
    problem = Problem(boxes(5), "cross_entropy", images(2, 19))
    ds = landscape.receptive_field(problem, kinds=("convolution",), most_layers=3)
    assert list(ds["layer"].values) == ["0", "2", "4"]


def test_tokens():
    """Oracle: patches are cut before anything mixes them, and attention sees all of the image."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = vit(dim=8, depth=1, heads=2, classes=3, image=16, patch=4).double()
    problem = Problem(model, "cross_entropy", images(3, 16))
    ds = landscape.receptive_field(problem)
    layers = list(ds["layer"].values)
    first = layers.index(next(n for n in layers if "patch" in n))
    last = layers.index(next(n for n in layers if n.endswith("attn")))
    np.testing.assert_allclose(ds["support"][first], 4)
    np.testing.assert_allclose(ds["support"][last], 16)
    rows = np.flatnonzero(ds["field"].values[first].sum(1))
    assert list(rows) == [8, 9, 10, 11]  # the third of four patches, behind the centre


def test_pictures_of_all_models_are_on_one_scale():
    """Oracle: two models of two and three layers: two rows, three columns, one colour axis."""
    small, large = (
        landscape.receptive_field(Problem(boxes(n), "cross_entropy", images(2, size)), kinds=("convolution",))
        for n, size in ((2, 9), (3, 18))
    )
    figure = landscape.receptive_field.plots({"small": small, "large": large})[0]
    (mark,) = figure.marks
    assert figure.x.categories == ("0.0", "0.5", "1.0") and figure.y.categories == ("small", "large")
    assert mark.z.shape == (18 + 1 + 18, 18 + 1 + 18 + 1 + 18)
    assert np.isnan(mark.z[18]).all() and np.isfinite(mark.z[:18, :18]).all()
    assert landscape.plot(figure, backend="matplotlib") is not None


def test_what_has_no_maps_is_refused():
    flat = Problem(nn.Linear(4, 3), "cross_entropy", (torch.zeros(2, 4), torch.tensor([0, 1])))
    with pytest.raises(InputError, match="one input of shape"):
        landscape.receptive_field(flat)
    with pytest.raises(InapplicableError, match="has maps"):
        landscape.receptive_field(Problem(boxes(1), "cross_entropy", images(2, 9)), kinds=("attention",))
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(98, 3)).double()
    with pytest.raises(InputError, match="batchnorm='checkpoint'"):
        landscape.receptive_field(Problem(model, "cross_entropy", images(3, 9), batchnorm="batch"))
