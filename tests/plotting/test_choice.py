"""Figures chosen by name, and by the name of a model."""

from __future__ import annotations

from dataclasses import replace

import pytest

import landscape
from landscape.base.figure import Axis, FigureSpec
from landscape.errors import InputError
from landscape.plotting.choice import choose_figures, figure_names

LABELS = ["vit", "vit-s0"]


def spec(name, title):
    return FigureSpec(name, title, Axis("x"), Axis("y"), ())


SPECS = [
    spec("all", "All of them"),
    spec("loss-1", "Loss surface: vit"),
    spec("loss-2", "Loss surface: vit-s0"),
    spec("block_0_1", "CKA: vit"),
]


def test_names_tell_the_model():
    """Oracle: by hand; of names that end alike the longest is meant."""
    assert figure_names(SPECS, LABELS) == ["all", "loss-vit", "loss-vit-s0", "block-vit"]


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ("loss-1", [1]),
        ("loss-vit-s0", [2]),
        ("loss", [1, 2]),
        ("vit", [1, 3]),
        ("all", [0]),
        ("vit-s0", [2]),
    ],
)
def test_figures_are_chosen_by_name_model_and_beginning(wanted, places):
    """Oracle: by hand."""
    assert choose_figures(SPECS, wanted, LABELS) == [SPECS[i] for i in places]


def test_no_such_figure_names_the_nearest():
    with pytest.raises(InputError, match="no figure 'loss-vitt'; did you mean 'loss-vit'"):
        choose_figures(SPECS, "loss-vitt", LABELS)


def test_results_choose_theirs(make):
    """Oracle: the title of the one figure that is of that model alone."""
    results = {m: make["fourier"](m) for m in ("vit-s0", "resnet-s0")}
    drawn = landscape.plot(results, backend="null", figure="spectrum-resnet-s0")
    assert [s.title for s in drawn.specs] == ["Radial power spectrum of each layer: resnet-s0"]


def test_the_like_of_a_figure_are_chosen_by_their_own_names() -> None:
    """Oracle: names by hand; the name of the group means what stands for it alone."""
    like = [replace(spec(f"block_0_{k}", f"CKA between a and {k}: vit"), choice=str(k)) for k in (1, 2)]
    whole = replace(spec("block_0_0", "CKA within a: vit"), others=tuple(like))
    assert choose_figures([whole], "block_0_2", ["vit"]) == [like[1]]
    assert choose_figures([whole], "vit", ["vit"]) == [whole]
