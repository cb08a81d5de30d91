"""The analyses of a first run: the cheap ones come first, and each is one that the zoo can have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from landscape.base.registry import find
from landscape.zoo.draft.sections import QUICK, first_sections, is_first_run
from landscape.zoo.problem_options import ProblemOptions
from landscape.zoo.spec import Model, ZooSpec

PAIR = tuple(Model(f"a{i}", Path(f"a{i}"), group="a") for i in range(2))


def names(spec):
    return [s.label for s in first_sections(spec)]


def test_every_one_exists_with_its_options():
    for section in first_sections(ZooSpec("zoo", Path(), PAIR)):
        find(section.analysis).validate(section.options)


def test_quick_ones_come_first():
    found = names(ZooSpec("zoo", Path(), PAIR))
    assert sorted(found, key=lambda n: n not in QUICK) == found
    assert set(QUICK) <= set(found)


def test_what_cannot_be_compared_is_left_out():
    assert names(ZooSpec("zoo", Path(), PAIR[:1])) == ["calibration", "weights", "line", "spectrum"]
    mse = ZooSpec("zoo", Path(), PAIR, problem=ProblemOptions(loss="mse"))
    assert names(mse) == ["weights", "cka", "line", "connectivity", "spectrum"]


def test_a_first_run_is_known_again():
    spec = ZooSpec("zoo", Path(), PAIR, store=Path("results"))
    first = replace(spec, sections=tuple(first_sections(spec)))
    assert is_first_run(first)
    assert not is_first_run(replace(first, sections=first.sections[:2]))
