"""Names of data: sources are told from functions."""

from __future__ import annotations

import re

import pytest

from landscape.zoo.sources.names import DATA_REFERENCE, FORMS, KINDS, of_files, source_of


def test_every_kind_is_named_in_the_message():
    assert all(f"{kind}:" in FORMS for kind in KINDS)


@pytest.mark.parametrize("name", ["imagefolder:a b/c", "hf:org/name", "npz:x.npz", "my.module:build"])
def test_what_a_manifest_takes(name):
    assert re.match(DATA_REFERENCE, name)


@pytest.mark.parametrize("name", ["imagefolder", "imagefolder:", "folder:a/b", "my module:build"])
def test_what_it_does_not_take(name):
    assert not re.match(DATA_REFERENCE, name)
    assert source_of(name) is None


def test_which_are_paths():
    assert [kind for kind in KINDS if not of_files(kind)] == ["torchvision", "hf"]
