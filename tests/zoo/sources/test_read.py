"""Data by name, read whole or in part."""

from __future__ import annotations

import numpy as np
import pytest

from landscape.base.params import Params
from landscape.errors import InputError
from landscape.zoo.sources.examples import Named
from landscape.zoo.sources.preprocess import Preprocess
from landscape.zoo.sources.read import facts_of, named_data, with_pixel_scale

PLAIN = {"size": 2, "mean": [0.0], "std": [1.0]}


def test_a_sample_is_part_of_the_whole(photos):
    """Oracle: every picture has a level of its own, which tells its class."""
    whole = named_data("imagefolder:photos", photos.parent, preprocess=PLAIN)
    some = named_data("imagefolder:photos", photos.parent, preprocess=PLAIN, examples=7)
    levels = lambda named: np.round(named.data[0][:, 0, 0, 0] * 255).astype(int)  # noqa: E731
    assert set(levels(some)) < set(levels(whole))
    assert [("ant", "bee", "cat")[y] for y in some.data[1]] == [
        "ant" if v < 100 else "bee" if v < 180 else "cat" for v in levels(some)
    ]
    assert facts_of("imagefolder:photos", some)["data_source"] == "imagefolder:photos, 7 of 24 examples"
    assert facts_of("imagefolder:photos", some)["classes"] == '["ant", "bee", "cat"]'


def test_pictures_need_to_be_told_how(photos):
    with pytest.raises(InputError, match="nothing says how these models want the pictures"):
        named_data("imagefolder:photos", photos.parent)


def test_arrays_columns_and_pictures_of_a_table(photos, tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(6.0).reshape(3, 2), y=np.array([[0], [1], [1]]))
    (x, y), how = named_data("npz:a.npz", tmp_path).data, named_data("npz:a.npz", tmp_path).how
    assert (x.dtype, y.tolist(), how) == (np.float32, [0, 1, 1], None)
    (tmp_path / "t.csv").write_text("a,label\n1,x\n2,y\n")
    x, y = named_data("csv:t.csv", tmp_path).data
    assert (x.tolist(), y.tolist()) == ([[1.0], [2.0]], [0, 1])
    (tmp_path / "p.csv").write_text("file,label\nphotos/cat/0.png,1\nphotos/ant/0.png,0\n")
    x, y = named_data("csv:p.csv", tmp_path, x="file", preprocess=PLAIN).data
    np.testing.assert_allclose(x[:, 0, 0, 0] * 255, [200, 40], atol=1e-3)


def test_what_a_source_does_not_take_is_said(tmp_path):
    with pytest.raises(InputError, match="takes no 'rot'"):
        named_data("torchvision:CIFAR10", tmp_path, rot="x")


def test_inputs_and_targets_of_one_length(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 2)), y=np.zeros(4))
    with pytest.raises(InputError, match="differ in length"):
        named_data("npz:a.npz", tmp_path)


class Scaled(Params):
    """Options with a scale of pixels."""

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


def test_the_pixel_scale_is_that_of_the_data():
    named = Named(None, 1, 1, how=Preprocess(mean=(0.4,), std=(0.2,)))
    assert with_pixel_scale(Scaled(), named) == Scaled(mean=(0.4,), std=(0.2,))
    own = Scaled(mean=(0.1,), std=(0.1,))
    assert with_pixel_scale(own, named) is own
    assert with_pixel_scale(Scaled(), Named(None, 1, 1)) == Scaled()
