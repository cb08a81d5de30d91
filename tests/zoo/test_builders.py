"""Builders: the user's functions are called, and what goes wrong is a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from landscape.errors import InputError
from landscape.zoo.builders import build_data, build_model, find_analysis, resolve
from landscape.zoo.spec import Builder


def test_models_and_data_are_what_the_functions_return(folder):
    """Oracle: the functions' text."""
    model = build_model(Builder("toy_models:mlp", {"width": 5}), folder.root)
    assert [type(m) for m in model] == [nn.Linear, nn.Tanh, nn.Linear]
    assert model[0].out_features == 5
    inputs, targets = build_data(Builder("toy_data:blobs", {"count": 7}), folder.root)
    assert (inputs.shape, targets.shape) == ((7, 2), (7,))


@pytest.mark.parametrize(
    ("build", "reference", "message"),
    [
        (build_model, "toy_models:nothing", "returned a NoneType, not a torch.nn.Module"),
        (build_model, "toy_models:exiting", "raised SystemExit: bye"),
        (build_model, "toy_models:number", "is a int, not a function"),
        (build_data, "toy_data:nothing", "returned nothing; return the data"),
        (build_data, "toy_data:raising", "raised OSError: disk not mounted"),
    ],
)
def test_mistakes_are_one_sentence(build, reference, message, folder):
    """Oracle: the functions' text."""
    with pytest.raises(InputError, match=message) as caught:
        build(Builder(reference), folder.root)
    assert "\n" not in str(caught.value)


def test_an_analysis_beside_the_manifest_is_found(folder):
    """Oracle: its name; one that is registered needs no folder."""
    assert find_analysis("toys:total", folder.root).name == "total"
    assert find_analysis("spectrum", Path("/nowhere")).name == "spectrum"


def test_libraries_are_for_models_alone(tmp_path):
    """Oracle: ``timm:x`` is the name of a model, but as a loss it is a function of the module ``timm``."""
    with pytest.raises(InputError, match="loss 'timm:no_such_thing'"):
        resolve("timm:no_such_thing", tmp_path, "loss")
