"""The outline of a distribution, and its drawing."""

import numpy as np
import pytest
from scipy import stats

import landscape
from landscape.base.figure import Axis, FigureSpec, Series, Violin
from landscape.errors import InputError
from landscape.plotting.violin_outline import HALF_WIDTH, violin_outline
from landscape.reporting.csv_data import csv_of

VALUES = np.random.default_rng(0).normal(size=300)


def test_the_outline_is_a_kernel_estimate():
    """Independent: scipy's Gaussian kernel estimate with the same bandwidth, and numpy's quartiles."""
    shape = violin_outline(VALUES, Axis("y"))
    width = 0.9 * min(VALUES.std(), stats.iqr(VALUES) / 1.34) * 300**-0.2
    density = stats.gaussian_kde(VALUES, width / VALUES.std(ddof=1))(shape.y)
    np.testing.assert_allclose(shape.half, HALF_WIDTH * density / density.max(), rtol=1e-6)
    assert (shape.y[0], shape.y[-1]) == (VALUES.min(), VALUES.max())
    np.testing.assert_allclose(shape.quartiles, np.quantile(VALUES, [0.25, 0.5, 0.75]))
    assert shape.count == 300


@pytest.mark.parametrize("scale", ["log", "symlog"])
def test_the_outline_follows_the_scale_of_the_axis(scale):
    """Independent: the linear outline of the values' positions; log axes leave out what is not positive."""
    axis = Axis("y", scale=scale, linthresh=1e-9)
    values = np.exp(VALUES)
    shape, plain = violin_outline(values, axis), violin_outline(VALUES, Axis("y"))
    np.testing.assert_allclose(shape.y, np.exp(plain.y), rtol=1e-9)
    np.testing.assert_allclose(shape.half, plain.half, rtol=1e-6)
    if scale == "log":
        assert violin_outline([*values, -1.0, 0.0, np.nan, np.inf], axis).count == 300


def test_few_values_have_an_outline_or_none():
    """Independent: by inspection."""
    assert violin_outline([], Axis("y")) is None
    assert violin_outline([np.nan, np.inf], Axis("y")) is None
    assert violin_outline([-1.0], Axis("y", scale="log")) is None
    single = violin_outline([2.0, 2.0], Axis("y"))
    assert single.y.tolist() == [2.0]
    assert single.half.tolist() == [HALF_WIDTH]
    assert single.quartiles == (2.0, 2.0, 2.0)


def test_both_back_ends_draw_outline_bar_and_median():
    """Independent: the outline, read back from each library's objects."""
    spec = FigureSpec("f", "t", Axis("x"), Axis("y"), (Violin(1.0, VALUES, Series("a")),))
    shape = violin_outline(VALUES, spec.y)
    body, bar, dot = landscape.plot(spec).data
    np.testing.assert_allclose(body.x, np.concatenate([1 - shape.half, (1 + shape.half)[::-1]]))
    np.testing.assert_allclose(bar.y, [shape.quartiles[0], shape.quartiles[2]])
    assert dot.y[0] == pytest.approx(shape.quartiles[1])
    assert "300" in dot.text[0]
    (axes,) = landscape.plot(spec, backend="matplotlib").axes
    np.testing.assert_allclose(axes.lines[0].get_xdata(), 1 - shape.half)
    assert axes.lines[-1].get_ydata()[0] == pytest.approx(shape.quartiles[1])
    low, high = landscape.plot(spec, backend="null").extents["x"]
    assert (low, high) == (1 - HALF_WIDTH, 1 + HALF_WIDTH)


def test_the_data_hold_every_value():
    """Independent: the values given."""
    spec = FigureSpec(
        "f", "t", Axis("m", categories=("a",)), Axis("y"), (Violin(0, [1.0, 2.0], Series("a")),)
    )
    assert csv_of(spec).splitlines()[1:] == ["a,a,1", "a,a,2"]


def test_a_violin_needs_a_place():
    """Independent: by inspection."""
    with pytest.raises(InputError, match="finite x"):
        Violin(float("nan"), [1.0])
