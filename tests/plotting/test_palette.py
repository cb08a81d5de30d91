"""The palette: one look per model, readable by colour-blind readers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from landscape.base.figure import Axis, FigureSpec, Line, Series
from landscape.plotting.palette import DIVERGING, HUES, SEQUENTIAL, Palette, mix, sample

# Machado, Oliveira and Fernandes (2009), severity 1: an independent model of colour blindness.
_BLINDNESS = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def _linear(color: str) -> np.ndarray:
    c = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def _lab(linear: np.ndarray) -> np.ndarray:
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    f = np.cbrt(np.maximum(to_xyz @ linear / [0.9505, 1.0, 1.089], 1e-9))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("kind", _BLINDNESS)
def test_hues_differ_for_every_reader(kind: str) -> None:
    """Oracle: CIELAB distances under a published simulation of colour blindness, not our own choice."""
    seen = [_lab(np.clip(np.array(_BLINDNESS[kind]) @ _linear(h), 0, 1)) for h in HUES]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 15


def test_sequential_map_gets_lighter_all_the_way() -> None:
    """Oracle: CIELAB lightness must rise, so that the map also reads in grey."""
    lightness = [_lab(_linear(sample(SEQUENTIAL, t)))[0] for t in np.linspace(0, 1, 40)]
    assert (np.diff(lightness) > 0).all()


def test_diverging_map_is_lightest_at_zero() -> None:
    """Oracle: CIELAB lightness peaks at the middle, where the value is zero."""
    lightness = [_lab(_linear(sample(DIVERGING, t)))[0] for t in np.linspace(0, 1, 41)]
    assert int(np.argmax(lightness)) == 20


def test_group_shares_a_hue_and_members_differ_twice() -> None:
    """Oracle: the contract of the palette, read off the styles of a zoo of two groups."""
    zoo = {f"{g}{i}": g for g in ("resnet", "vit") for i in range(4)}
    palette = Palette(zoo)
    styles = {m: palette.style(Series(m, g)) for m, g in zoo.items()}
    for group, hue in (("resnet", HUES[0]), ("vit", HUES[1])):
        members = [styles[m] for m, g in zoo.items() if g == group]
        assert len({s.color for s in members}) == len({s.dash for s in members}) == 4
        assert len({s.symbol for s in members}) == 4
        assert all(_is_shade(s.color, hue) for s in members)


def _is_shade(color: str, hue: str) -> bool:
    shares = np.linspace(0, 1, 1001)
    return any(color == mix(hue, end, t) for end in ("#000000", "#ffffff") for t in shares)


def test_a_group_as_a_whole_has_the_hue_of_the_group() -> None:
    """Oracle: the hues themselves, of groups whose results come after those of their members."""
    palette = Palette({f"{g}-s{i}": g for g in ("resnet", "vit") for i in range(3)})
    whole = [palette.style(Series(g, g)) for g in ("resnet", "vit")]
    assert [(w.color, w.dash, w.symbol) for w in whole] == [(hue, "solid", "circle") for hue in HUES[:2]]


def test_models_without_a_group_get_hues_of_their_own() -> None:
    """Oracle: six models, six hues; a group of the same name as a model is another matter."""
    palette = Palette({"a": "", "b": "", "c": "a"})
    assert [palette.style(Series(m)).color for m in "abc"] == list(HUES[:3])


def test_look_does_not_depend_on_the_figure() -> None:
    """Oracle: the same zoo in the same order must give each model the same look, whoever asks first."""
    zoo = {f"m{i}": f"g{i // 3}" for i in range(12)}
    one, other = Palette(zoo), Palette(zoo)
    asked = [other.style(Series(m, g)) for m, g in reversed(zoo.items())]
    assert [one.style(Series(m, g)) for m, g in zoo.items()] == asked[::-1]


def test_many_groups_have_colours_of_their_own() -> None:
    """Oracle: as many colours as groups; of more than six they repeated."""
    zoo = {f"m{i}": f"g{i}" for i in range(20)}
    styles = [Palette(zoo).style(Series(m, g)) for m, g in zoo.items()]
    assert len(set(styles)) == 20 == len({s.color for s in styles})


def test_palette_of_figures_follows_their_marks() -> None:
    """Oracle: the order of first appearance, written out by hand."""
    lines = tuple(Line([0], [0], Series(m, g)) for m, g in (("b", "y"), ("a", "x"), ("b", "y")))
    palette = Palette.of([FigureSpec("f", "", Axis("x"), Axis("y"), lines)])
    assert palette.style(Series("b", "y")).color == HUES[0]
    assert palette.style(Series("a", "x")).color == HUES[1]


def test_an_unknown_model_joins_and_no_model_is_grey() -> None:
    """Oracle: the next free hue, and equal channels within a few levels."""
    palette = Palette({"a": ""})
    assert palette.style(Series("new")).color == HUES[1]
    grey = palette.style(Series()).color
    levels = [int(grey[i : i + 2], 16) for i in (1, 3, 5)]
    assert max(levels) - min(levels) < 25
