"""Gathering: which figures of single models become panels of one."""

from __future__ import annotations

from dataclasses import replace

from landscape.base.figure import Axis, FigureSpec, Line, Series
from landscape.base.panels import panels_of
from landscape.plotting.gathering import MOST_PANELS, gathered, leading_first, owner

MODELS = ["resnet-s0", "resnet-s1"]


def of(model: str, name: str, title: str = "Loss", label: str = "loss") -> FigureSpec:
    mark = Line([0, 1], [1, 2], Series(model))
    return FigureSpec(name, f"{title}: {model}", Axis("t"), Axis(label), (mark,), f"A cut. Of {model}.")


def test_figures_of_single_models_are_gathered_where_the_first_stood() -> None:
    """Oracle: names, titles and captions written out by hand."""
    whole = FigureSpec("all", "All", Axis("t"), Axis("loss"), ())
    specs = [whole, of("resnet-s0", "loss-1"), of("resnet-s0", "gain-1", "Gain"), of("resnet-s1", "loss-2")]
    found = gathered(specs, MODELS)
    assert [s.name for s in found] == ["all", "loss", "gain-1"]
    loss = found[1]
    assert loss.title == "Loss" and [p.title for p in panels_of(loss)] == MODELS
    assert loss.caption == "A cut. resnet-s0: Of resnet-s0. resnet-s1: Of resnet-s1."


def test_other_figures_stay_as_they_are() -> None:
    """Oracle: other axes, a name without a number, one model twice, more models than have room."""
    for specs in (
        [of("resnet-s0", "loss-1"), of("resnet-s1", "loss-2", label="gain")],
        [of("resnet-s0", "a"), of("resnet-s1", "b")],
        [of("resnet-s0", "loss-1"), of("resnet-s0", "loss-2")],
    ):
        assert gathered(specs, MODELS) == specs
    many = [f"m{i}" for i in range(MOST_PANELS + 1)]
    specs = [of(name, f"loss-{i}") for i, name in enumerate(many)]
    assert gathered(specs, many) == specs


def test_the_figure_that_leads_comes_first() -> None:
    """Oracle: the first, unless one says that it leads."""
    specs = [of("resnet-s0", "a"), of("resnet-s0", "b"), of("resnet-s0", "c")]
    assert leading_first(specs) == specs and leading_first([]) == []
    specs[1] = replace(specs[1], leads=True)
    assert [s.name for s in leading_first(specs)] == ["b", "a", "c"]


def test_the_owner_of_a_figure_is_the_longest_name_that_its_title_ends_in() -> None:
    """Oracle: every name compared with every title, the longest first."""
    names = ["a", "b: a", "x ~ y", "a ~ b: a", ": a", ""]
    titles = [f"{head}: {name}" for head in ("Loss", "Loss: b", "") for name in (*names, "c", "xa")]
    for title in [*titles, "Loss", "a", "Loss:a", ""]:
        longest = sorted(names, key=len, reverse=True)
        expected = next((name for name in longest if title.endswith(f": {name}")), None)
        assert owner(title, set(names)) == expected, title
