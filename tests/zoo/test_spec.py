"""Values of a zoo: names that are unique, seeds in names, and a model from scan to store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from landscape.errors import InputError
from landscape.store import ModelRecord
from landscape.zoo.spec import Builder, Model, check_name, parse_seed, unique_names


def test_names_are_unique():
    assert unique_names(["a/x.pt", "b/x.pt", "b/y.pt"]) == ["a-x", "b-x", "b-y"]
    assert unique_names(["x.pt", "x.pth"]) == ["x.pt", "x.pth"]
    assert unique_names(["a-x.pt", "a/x.pt"]) == ["a-x", "x"]
    assert len(set(unique_names(["a-x.pt", "a/x.pt", "x.pt"]))) == 3
    assert unique_names([]) == []


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        ("resnet-s0", 0),
        ("seed3", 3),
        ("x_seed_12", 12),
        ("x.seed=4.best", 4),
        ("runs/s7/last", 7),
        ("resnet18", None),
        ("steps100", None),
        ("vits8", None),
        ("x", None),
    ],
)
def test_seeds_in_names(name, seed):
    assert parse_seed(name) == seed


def test_a_model_is_recorded_without_what_only_a_run_needs():
    """Oracle: the fields that ``zoo.json`` has had from the start."""
    model = Model(
        "m", Path("/far/away/m.pt"), "m.pt", Builder("a:b"), "g", 1, {"width": 8}, {"acc": 0.5}, "plain"
    )
    assert model.record() == ModelRecord("m", "g", 1, {"width": 8}, {"acc": 0.5}, "m.pt")
    assert Model("m", Path("/far/away/m.pt")).record().path == "m.pt"


def test_names_and_groups_do_not_enter_a_key():
    """Oracle: a renamed model must keep its results; other weights, or another builder, must not."""
    model = Model("m", Path("m.pt"), builder=Builder("a:b", {"width": 8}), sha256="0" * 64)
    assert model.facts() == {"checkpoint": "0" * 64, "builder": "a:b", "kwargs": {"width": 8}}
    assert replace(model, name="n", group="h", tags={"x": 1}, path=Path("n.pt")).facts() == model.facts()
    assert replace(model, sha256="1" * 64).facts() != model.facts()
    assert replace(model, state="ema").facts() == model.facts() | {"state": "ema"}
    assert replace(model, prefix="net.").facts() == model.facts() | {"prefix": "net."}
    with pytest.raises(InputError, match="model 'm' has no builder"):
        replace(model, builder=None).facts()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\nb"])
def test_names_that_cannot_be_groups_of_hdf5(name):
    """Oracle: what HDF5 takes for a path."""
    with pytest.raises(InputError, match="cannot be the name of a model"):
        check_name("model", name)
    assert check_name("model", "a ~ b.c") == "a ~ b.c"
