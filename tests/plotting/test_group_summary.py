"""Figures of many models drawn by group, and figures with too much data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from landscape.base.figure import (
    Axis,
    Bars,
    ColorAxis,
    FigureSpec,
    Guide,
    Heatmap,
    Line,
    Points,
    Series,
    Stems,
    Violin,
)
from landscape.plotting.group_summary import models_of, summarize_by_group

MODELS = [f"m{i}" for i in range(10)]
GROUPS = {m: "even" if i % 2 == 0 else "odd" for i, m in enumerate(MODELS)}


def figure(*marks: object, x: Axis | None = None) -> FigureSpec:
    return FigureSpec("f", "F", x or Axis("x"), Axis("y"), tuple(marks), "Caption.")


def test_curves_become_medians_with_quantile_bands() -> None:
    """Oracle: numpy's quantiles over the curves of each group; infinities are gaps, where none is drawn."""
    x = np.linspace(0, 1, 7)
    ys = {m: i + x for i, m in enumerate(MODELS)}
    ys["m0"] = np.where(x > 0.9, np.inf, ys["m0"])
    spec = summarize_by_group(
        figure(Guide(y=0), *(Line(x, y, Series(m)) for m, y in ys.items())), GROUPS, "kind"
    )
    assert isinstance(spec.marks[0], Guide)
    even, odd = spec.marks[1:]
    assert models_of(spec) == ["even", "odd"]
    rows = np.stack([ys[m] for m in MODELS[1::2]])
    np.testing.assert_allclose(odd.y, np.quantile(rows, 0.5, axis=0))
    np.testing.assert_allclose(odd.low, np.quantile(rows, 0.1, axis=0))
    np.testing.assert_allclose(odd.high, np.quantile(rows, 0.9, axis=0))
    np.testing.assert_allclose(even.x, x[:-1])
    np.testing.assert_allclose(even.y, 4 + x[:-1])
    assert (
        spec.caption.startswith("Caption. 10 models.")
        and "medians over the models of each kind" in spec.caption
    )


def test_medians_of_counts_never_rise() -> None:
    """Oracle: every curve of counts falls, so their median does; medians over whichever remain would rise.

    Beyond a curve's largest value its count is 0; at 4.5 three of the five have none left.
    """
    lines = [
        Line(
            np.arange(1.0, top + 1),
            10.0 * top - np.arange(1.0, top + 1),
            Series(f"m{i}"),
            beyond=(np.nan, 0.0),
        )
        for i, top in enumerate((2, 3, 4, 9, 12))
    ]
    groups = {f"m{i}": "all" for i in range(5)}
    (mark,) = summarize_by_group(figure(*lines), groups, "kind").marks
    assert np.asarray(mark.x)[-1] == 12 and np.asarray(mark.y)[-1] == 0
    assert (np.diff(np.asarray(mark.y)) <= 0).all()


def test_medians_only_where_every_model_has_a_value() -> None:
    """Oracle: the ranges that all curves share, by hand; a curve of one point leaves the others theirs."""
    ends = [(0, 6), (1, 8), (2, 9)]
    lines = [
        Line(np.arange(a, b + 1.0), np.arange(a, b + 1.0), Series(f"m{i}")) for i, (a, b) in enumerate(ends)
    ]
    groups = {f"m{i}": "all" for i in range(4)}
    (mark,) = summarize_by_group(figure(*lines), groups, "kind").marks
    assert np.asarray(mark.x).tolist() == [2, 3, 4, 5, 6] == np.asarray(mark.y).tolist()
    single = Line([9.0], [9.0], Series("m3"))
    (mark,) = summarize_by_group(figure(*lines, single), groups, "kind").marks
    assert mark.series.name == "all (3 of 4)" and np.asarray(mark.x).tolist() == [2, 3, 4, 5, 6]
    apart = [Line([float(i)], [1.0], Series(f"m{i}")) for i in range(3)]
    (cloud,) = summarize_by_group(figure(*apart), groups, "kind").marks
    assert isinstance(cloud, Points) and np.asarray(cloud.x).tolist() == [0, 1, 2]


def test_curves_on_places_of_their_own_are_interpolated() -> None:
    """Oracle: straight lines, whose interpolation is exact wherever it is made."""
    rng = np.random.default_rng(0)
    lines = []
    for i, m in enumerate(MODELS):
        x = np.sort(np.append(rng.random(98), [0.0, 1.0]))
        lines.append(Line(x, 2 * x + i, Series(m)))
    even, _ = summarize_by_group(figure(*lines), GROUPS, "kind").marks
    np.testing.assert_allclose(even.y, 2 * np.asarray(even.x) + 4, atol=1e-12)
    assert np.asarray(even.x).size < 200


def test_parts_of_a_model_stay_apart() -> None:
    """Oracle: the legend entries, by hand."""
    marks = [
        Line([0, 1], [i, i], Series(m, label=f"{m}, {part}")) for i, m in enumerate(MODELS) for part in "ab"
    ]
    names = [m.series.name for m in summarize_by_group(figure(*marks), GROUPS, "kind").marks]
    assert names == ["even, a", "even, b", "odd, a", "odd, b"]


def test_few_models_get_a_band_that_holds_them_all() -> None:
    """Oracle: the smallest and the largest of two curves."""
    spec = summarize_by_group(
        figure(Line([0], [1], Series("a")), Line([0], [5], Series("b"))), {"a": "g", "b": "g"}, "kind"
    )
    (mark,) = spec.marks
    assert (mark.low[0], mark.y[0], mark.high[0]) == (1, 3, 5)


def test_bars_and_stems_at_shared_places_become_curves_and_others_clouds() -> None:
    """Oracle: medians by hand; stems at places of their own stay single points that name their model."""
    bars = [Bars([1, 2], [i, 2 * i], Series(m)) for i, m in enumerate(MODELS)]
    even, _ = summarize_by_group(figure(*bars), GROUPS, "kind").marks
    assert isinstance(even, Line) and list(even.y) == [4, 8] and even.markers
    stems = [Stems([i + 0.5], [1.0], Series(m)) for i, m in enumerate(MODELS)]
    even, _ = summarize_by_group(figure(*stems), GROUPS, "kind").marks
    assert isinstance(even, Points) and even.texts == tuple(MODELS[::2])


def test_what_errors_of_single_models_mean_goes_with_them() -> None:
    """Oracle: the marks that are left: a median's band is no standard error, points have none."""
    x, e = np.arange(3.0), np.ones(3)
    lines = [Line(x, x, Series(m), x - e, x + e) for m in MODELS]
    points = [Points(x, x + i, Series(m), e) for i, m in enumerate(MODELS)]
    for marks in (lines, points):
        alone = replace(figure(*marks), errors="Standard errors.")
        assert alone.whole_caption == "Caption. Standard errors."
        assert "Standard errors." not in summarize_by_group(alone, GROUPS, "kind").whole_caption
        other = Line(x, x, Series("other"), x - e, x + e)
        mixed = summarize_by_group(replace(alone, marks=(*marks, other)), GROUPS, "kind")
        assert mixed.whole_caption.endswith("Marks without a kind keep theirs. Standard errors.")


def test_a_single_model_stays_as_it_is() -> None:
    """Oracle: the figure itself; its colours by depth and its errors say what they did."""
    spec = figure(Line([0, 1], [0, 1], Series("m0", label="layer"), color_value=0.5), Guide(y=0))
    assert summarize_by_group(spec, GROUPS, "kind") is spec


def test_an_axis_of_models_becomes_one_of_groups() -> None:
    """Oracle: each point stands near the place of its group; violins are pooled."""
    axis = Axis("model", categories=tuple(MODELS), limits=(-0.5, 9.5))
    points = [Points([i], [float(i)], Series(m)) for i, m in enumerate(MODELS)]
    spec = summarize_by_group(figure(*points, x=axis), GROUPS, "kind")
    assert spec.x.categories == ("even", "odd") and spec.x.limits == (-0.5, 1.5)
    assert [set(np.round(m.x)) for m in spec.marks] == [{0.0}, {1.0}]
    violins = [Violin(float(i), [i, i + 1], Series(m)) for i, m in enumerate(MODELS)]
    even, _ = summarize_by_group(figure(*violins, x=axis), GROUPS, "kind").marks
    assert even.x == 0 and np.asarray(even.y).size == 10
    # a group that has no model here gets no place, whatever its rank
    more = {"else": "elsewhere", **GROUPS}
    spec = summarize_by_group(figure(*points, x=axis), more, "kind")
    assert spec.x.categories == ("even", "odd") and spec.x.limits == (-0.5, 1.5)
    assert [set(np.round(m.x)) for m in spec.marks] == [{0.0}, {1.0}]


def test_pairs_are_not_called_models() -> None:
    """Oracle: the words of the caption, for two pairs of models of one group."""
    lines = [Line([0.0, 1.0], [k, k], Series(f"a{k} ~ b{k}")) for k in range(2)]
    spec = summarize_by_group(figure(*lines), {"a0 ~ b0": "a", "a1 ~ b1": "a"}, "group")
    assert "2 pairs of models. Lines are medians over the pairs of each group" in spec.caption


def test_two_readings_of_a_model_stand_side_by_side_in_its_group() -> None:
    """Oracle: the clouds of one group do not overlap along the axis, and the outlines stay outlines."""
    axis = Axis("model", categories=tuple(MODELS), limits=(-0.5, 9.5))
    points = [Points([i], [float(i)], Series(m)) for i, m in enumerate(MODELS)]
    points += [Points([i], [1.0], Series(m, "", f"{m}: own"), hollow=True) for i, m in enumerate(MODELS)]
    marks = summarize_by_group(figure(*points, x=axis), GROUPS, "kind").marks
    assert [(m.series.name, m.hollow) for m in marks] == [
        ("even", False),
        ("even, own", True),
        ("odd", False),
        ("odd, own", True),
    ]
    for place, first, second in ((0, *marks[:2]), (1, *marks[2:])):
        assert place - 0.25 <= np.min(first.x) and np.max(first.x) < np.min(second.x)
        assert np.max(second.x) <= place + 0.25


def test_what_belongs_to_no_known_model_stays() -> None:
    """Oracle: the marks themselves."""
    field = Heatmap([0, 1], [0, 1], np.zeros((2, 2)), ColorAxis("z"))
    spec = figure(field, Line([0, 1], [0, 1], Series("", label="ideal")))
    assert summarize_by_group(spec, GROUPS, "kind") == spec


def test_more_bands_than_can_be_told_apart_are_left_out() -> None:
    """Oracle: by hand: six groups keep their bands, of seven the medians alone are drawn."""
    for count, banded in ((6, True), (7, False)):
        models = {f"m{i}": f"g{i % count}" for i in range(2 * count)}
        lines = [Line([0.0, 1.0], [float(i), 1.0], Series(m)) for i, m in enumerate(models)]
        spec = summarize_by_group(figure(*lines), models, "kind")
        assert [m.low is not None for m in spec.marks] == [banded] * count
        np.testing.assert_allclose([m.y[0] for m in spec.marks], [i + count / 2 for i in range(count)])
        assert ("percentile" in spec.caption) == banded and ("no spread is drawn" in spec.caption) != banded
