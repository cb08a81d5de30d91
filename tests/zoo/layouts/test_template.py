"""Manifests written for a scanned zoo: read again, they say the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

import landscape
from landscape.errors import InputError
from landscape.zoo.layouts import manifest_template, write_manifest
from landscape.zoo.manifest import read_manifest


def test_manifest_names_what_was_found(directory):
    """Oracle: reading it again gives the same checkpoints; the builders are left to the user."""
    zoo = landscape.scan(directory)
    path = zoo.write_manifest()
    assert path == directory / "zoo.toml"
    spec = read_manifest(path)
    assert spec.name == 'my "zoo"'
    keep = [(m.name, m.path.resolve(), m.group, m.seed) for m in zoo.spec.models]
    assert [(m.name, m.path.resolve(), m.group, m.seed) for m in spec.models] == keep
    assert {m.builder.reference for m in spec.models} == {"my_models:build"}
    with pytest.raises(InputError, match="exists already"):
        write_manifest(zoo.spec, path)
    with pytest.raises(InputError, match="there is no module 'my_models'"):
        landscape.Zoo(spec).run()


def test_nothing_to_find(tmp_path):
    zoo = landscape.scan(tmp_path)
    assert zoo.models == []
    with pytest.raises(InputError, match="holds no checkpoints"):
        zoo.write_manifest()
    with pytest.raises(InputError, match="does not exist"):
        landscape.scan(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is not a directory"):
        landscape.scan(tmp_path / "file")


def test_the_manifest_says_all_that_was_found(spec, of_layout, facts, tmp_path):
    """Oracle: reading the manifest again."""
    again = read_manifest(write_manifest(spec, tmp_path / "zoo.toml"))
    assert [(m.name, *facts(m)) for m in again.models] == [(m.name, *facts(m)) for m in spec.models]
    timm = next(m for m in again.models if m.name == of_layout("timm")[0].name)
    assert timm.builder.reference == "timm:resnet18"
    assert timm.builder.kwargs["num_classes"] == 10
    assert again.problem.allow == ("argparse.Namespace",)


def test_the_predictive_in_comments_can_be_used(directory):
    """Oracle: the manifest reader, once the comment signs are gone; one checkpoint gets no such lines."""
    zoo = landscape.scan(directory)
    path = zoo.write_manifest()
    text, marker = path.read_text("utf-8"), "# [[predictives]]"
    start = text.index(marker)
    path.write_text(text[:start] + text[start:].replace("# ", ""), "utf-8")
    (predictive,) = read_manifest(path).predictives
    assert len(predictive.of(zoo.spec.models)) == len(zoo.models) > 1
    assert marker not in manifest_template(replace(zoo.spec, models=zoo.spec.models[:1]))
