"""Builders of registered models: a name is looked up, never imported from a zoo.

The libraries stand in for themselves here as small modules with the same functions, so that the tests run
without them; where they are installed, a real model is built too.
"""

from __future__ import annotations

import importlib.util
import sys
import types
import warnings

import pytest
from torch import nn

from landscape.errors import InputError
from landscape.zoo.builders import build_model, resolve
from landscape.zoo.libraries import timm_builder
from landscape.zoo.spec import Builder


def linear(name, **kwargs):
    model = nn.Linear(kwargs.pop("in_chans", 2), kwargs.pop("num_classes", 3))
    model.made_with = (name, kwargs)
    return model


@pytest.fixture
def libraries(monkeypatch):
    """Modules with the functions of timm and torchvision that are used."""
    known = ["resnet18", "vit_tiny.a1_in1k"]
    timm = types.ModuleType("timm")
    timm.is_model = known.__contains__
    timm.list_models = lambda: known
    timm.create_model = linear
    torchvision, models = types.ModuleType("torchvision"), types.ModuleType("torchvision.models")
    torchvision.models = models
    models.list_models = lambda: known
    models.get_model = linear
    for module in (timm, torchvision, models):
        monkeypatch.setitem(sys.modules, module.__name__, module)


def test_registered_names_need_no_code(libraries, tmp_path):
    """Oracle: what the library's own function was called with: no weights, and the manifest's arguments."""
    model = build_model(Builder("timm:vit_tiny.a1_in1k", {"num_classes": 10}), tmp_path)
    assert (model.out_features, model.made_with) == (10, ("vit_tiny.a1_in1k", {"pretrained": False}))
    model = build_model(Builder("torchvision:resnet18", {"num_classes": 5}), tmp_path)
    assert (model.out_features, model.made_with) == (5, ("resnet18", {"weights": None}))


@pytest.mark.parametrize("name", ["create_model", "models.load", "os.system", "list_models"])
def test_other_functions_of_the_library_are_out_of_reach(name, libraries, tmp_path):
    """A configuration in a zoo may name anything, with any arguments: only registered models are made."""
    called = []
    sys.modules["timm"].models = types.SimpleNamespace(load=lambda **kwargs: called.append(kwargs))
    sys.modules["timm"].os = types.SimpleNamespace(system=lambda **kwargs: called.append(kwargs))
    with pytest.raises(InputError, match="timm has no such model"):
        build_model(Builder(f"timm:{name}", {"x": 1}), tmp_path)
    assert called == []


def test_unknown_name(libraries, tmp_path):
    with pytest.raises(InputError, match=r"timm has no such model; did you mean 'resnet18'"):
        resolve("timm:resnet8", tmp_path, "model builder")
    with pytest.raises(InputError, match=r"torchvision has no such model; it knows 2 others"):
        resolve("torchvision:zzz", tmp_path, "model builder")


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_library_that_is_not_installed(library, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setitem(sys.modules, f"{library}.models", None)
    with pytest.raises(InputError, match=f"needs {library}, which is not installed: pip install {library}"):
        resolve(f"{library}:resnet18", tmp_path, "model builder")


@pytest.mark.parametrize("name", [None, 3, "os.system", "a b", "../x", "hf-hub:x/y", "a.b.c", ""])
def test_a_configuration_cannot_name_anything_else(name):
    """Names with paths or several dots are no models; ``os.system`` has one dot and stays a mere name."""
    builder = timm_builder(name, {})
    assert builder is None or builder == Builder("timm:os.system", {})


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_real_library(library, tmp_path):
    """Oracle: the number of parameters that ResNet-18 has with ten classes (He et al. 2016)."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = build_model(Builder(f"{library}:resnet18", {"num_classes": 10}), tmp_path)
    assert sum(p.numel() for p in model.parameters()) == 11_181_642
