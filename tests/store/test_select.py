"""Selection: models of a store by patterns of names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from landscape.errors import InputError
from landscape.store import read_contents
from landscape.store.select import matches, only, results_of


def test_a_name_matches_any_pattern_and_without_patterns_always():
    """Oracle: the rules of shell patterns, read by eye."""
    assert matches("vit-s0", ["resnet-*", "vit-s?"])
    assert not matches("vit-s10", ["vit-s?"])
    assert not matches("VIT-s0", ["vit-*"])
    assert matches("anything", [])


def test_only_keeps_models_results_and_failures_alike(store):
    """Oracle: the contents of the fixture, by eye."""
    contents = read_contents(store.directory)
    assert only(contents, []) is contents
    chosen = only(contents, ["m1", "m2"])
    assert [m.name for m in chosen.models] == ["m1", "m2"]
    assert list(chosen.sections[0].results) == ["m1"]
    assert [f.model for f in chosen.failures] == ["m2"]
    with pytest.raises(InputError, match="no result is of a model like m3 or x"):
        only(contents, ["m3", "x"])  # m3 is known, but has no result


def test_results_are_found_by_label_or_analysis(store):
    """Oracle: the contents of the fixture; what is not there is named with the nearest."""
    contents = read_contents(store.directory)
    for name in ("my toy", "toys:toy"):
        section, results = results_of(contents, name, ["m0"])
        assert (section.label, list(results)) == ("my toy", ["m0"])
    named = replace(contents.sections[0], label="toys:toy")  # a later section of that label comes first
    section, _ = results_of(replace(contents, sections=[*contents.sections, named]), "toys:toy", [])
    assert section is named
    with pytest.raises(InputError, match="no analysis 'mytoy'; did you mean 'my toy'"):
        results_of(contents, "mytoy", [])
    with pytest.raises(InputError, match="'my toy' has no results of models like x"):
        results_of(contents, "my toy", ["x"])
