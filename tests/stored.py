"""A store's contents built by hand, in the shape of the analyses' own schemas, with all that can go wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

import landscape
from landscape.store.contents import Contents, Failure, ModelRecord, Section

EVIL = "<script>alert(1)</script>"
MODELS = {"resnet-s0": "resnet", "resnet-s1": "resnet", "vit-s0": "vit", EVIL: "vit"}


def stamp(ds: xr.Dataset, model: str, label: str, **more: Any) -> xr.Dataset:
    """The attributes that the runner and the zoo give a result."""
    analysis = landscape.analyses().get(str(ds.attrs.get("analysis")))
    k = list(MODELS).index(model) if model in MODELS else 0
    return ds.assign_attrs(
        title="title",
        schema_version=1 if analysis is None else analysis.schema.version,
        seed=0,
        created=f"2026-01-02T03:04:0{k}+00:00",
        versions=json.dumps({"landscape": "0.1.0", "torch": "2.13.0"}),
        checkpoint=f"{k}" * 64,
        data="d" * 64,
        loss="cross_entropy",
        weight_decay=5e-4,
        batchnorm="eval",
        examples=512,
        parameters_count=12345,
        device="cpu",
        dtype="float32",
        threads=1,
        wall_time_s=1.5 + k,
        model=model,
        group=MODELS.get(model, ""),
        model_seed=0,
        tags="{}",
        label=label,
        key=f"{k}" * 32,
    ).assign_attrs(**more)


def build(name: str, data: dict[str, Any], model: str, label: str, **more: Any) -> xr.Dataset:
    analysis = landscape.analyses()[name]
    parameters = analysis.params().model_dump_json()
    declared = (*analysis.schema.coords, *analysis.schema.variables)
    sizes = {
        d: n for v in declared if v.name in data for d, n in zip(v.dims, np.shape(data[v.name]), strict=True)
    }
    blank = {"float": 0.0, "int": 0, "bool": False, "str": ""}
    for v in declared:  # what these tests do not look at
        if v.name not in data and not v.optional:
            data[v.name] = np.full([sizes.get(d, 1) for d in v.dims], blank[v.kind])
    ds = analysis.schema.dataset(data, {"analysis": name, "parameters": parameters})
    return stamp(ds, model, label, **more)


def spectrum(model: str, label: str = "spectrum", converged: bool = True, **more: Any) -> xr.Dataset:
    k = list(MODELS).index(model)
    values = np.array([120.0, 40.0, 11.0, 3.0, -0.5]) * (1 + k)
    data = {
        "eigenpair": np.arange(5),
        "eigenvalues": values,
        "residuals": np.abs(values) * 1e-3,
        "converged": converged,
        "complete": True,
        "products": 80,
        "loss": 0.1 + k,
        "gradient_norm": 0.5,
    }
    return build("spectrum", data, model, label, **more)


def line(model: str, label: str = "line", **more: Any) -> xr.Dataset:
    k = list(MODELS).index(model)
    alpha = np.linspace(-1, 1, 21)
    loss = 0.1 + (1 + k) * alpha**2
    if k == 2:
        loss[0] = np.inf
    data = {
        "alpha": alpha,
        "loss": loss,
        "loss_se": np.full(21, 0.05),
        "loss_change_se": 0.05 * np.abs(alpha),
        "data_loss": loss - 0.01,
        "penalty": np.full(21, 0.01),
        "accuracy": np.exp(-(alpha**2)),
        "accuracy_se": np.full(21, 0.02),
        "center_loss": 0.1,
        "direction_norm": 3.0,
        "weight_norm": 4.0,
        "examples": 512,
    }
    return build("line", data, model, label, **more)


def fourier(model: str, label: str = "fourier", layers: int = 20) -> xr.Dataset:
    k = list(MODELS).index(model)
    radius = (np.arange(14) + 0.5) * np.sqrt(0.5) / 14
    depth = np.linspace(0, 1, layers)
    power = 1 - (2 + k + depth[:, None]) * radius
    ratio = -2 + depth + 0.3 * k
    data = {
        "layer": np.array([f"layer{i}" for i in range(layers)]),
        "radius": radius,
        "image": np.arange(3),
        "mode": np.arange(4),
        "bound": np.array(["low", "high"]),
        "depth": depth,
        "module_class": np.array(["Conv2d"] * layers),
        "height": np.full(layers, 8),
        "width": np.full(layers, 8),
        "channels": np.full(layers, 16),
        "corner": radius > 0.5,
        "log_power": power,
        "log_power_interval": np.stack([power - 0.1, power + 0.1]),
        "bin_count": np.full((layers, 14), 5),
        "high_low": ratio,
        "high_low_interval": np.stack([ratio - 0.2, ratio + 0.2]),
        "slope": ratio,
        "slope_se": np.full(layers, 0.1),
        "ac_power": np.ones(layers),
        "image_power": np.ones((layers, 3, 14), dtype=np.float32),
        "log_amplitude": np.zeros((layers, 4)),
        "omega": np.zeros((layers, 4)),
        "delta_log_amplitude": ratio,
        "delta_log_amplitude_se": np.full(layers, 0.1),
    }
    return build("fourier", data, model, label)


def surface(model: str, loss: Any) -> xr.Dataset:
    rows, columns = loss.shape
    data = {
        "x": np.linspace(-1, 1, columns),
        "y": np.linspace(-1, 1, rows),
        "loss": loss,
        "evaluated": np.ones(loss.shape, dtype=bool),
        "direction_norm": np.ones(2),
        "accuracy": np.exp(-loss),
    }
    return build("surface", data, model, "surface")


@pytest.fixture(scope="session")
def contents() -> Contents:
    """Four models, one of an evil name, and every kind of trouble."""
    models = [
        ModelRecord(
            name, group, k % 2, {"width": 8 * (k + 1), "note": "a & b"}, {"test_accuracy": 0.9 + k / 50}
        )
        for k, (name, group) in enumerate(MODELS.items())
    ]
    strange = xr.Dataset({"x": ("t", [1.0, 2.0])}, attrs={"analysis": "not_there", "note": EVIL})
    sections = [
        Section(
            "spectrum",
            "spectrum",
            {"k": 5, "which": "LM"},
            {m: spectrum(m, converged=m != "vit-s0") for m in MODELS},
        ),
        Section("line", "line", {"steps": 21, "low": -1.0}, {m: line(m) for m in MODELS}),
        Section(
            "line with batch statistics",
            "line",
            {"steps": 21},
            {"resnet-s0": line("resnet-s0", batchnorm="train")},
        ),
        Section("fourier", "fourier", {}, {m: fourier(m) for m in list(MODELS)[:3]}),
        Section("plugin", "not_there", {}, {"resnet-s0": stamp(strange, "resnet-s0", "plugin")}),
        Section("empty", "line", {"steps": 5}, {}),
    ]
    failures = [
        Failure("fourier", "fourier", EVIL, "ff", "the image model's <b>layer</b> gives no maps.", "input")
    ]
    return Contents("zoo & <friends>", models, sections, failures, missing=2)


@pytest.fixture(scope="session")
def make() -> dict[str, Callable[..., xr.Dataset]]:
    """The builders of results, by analysis."""
    return {"spectrum": spectrum, "line": line, "fourier": fourier, "surface": surface}


def every_kind() -> xr.Dataset:
    """A dataset with variables and attributes of every kind that a file may hold."""
    return xr.Dataset(
        {
            "f": (("a", "b"), np.array([[1.0, np.nan], [np.inf, -0.0]]), {"units": "m", "long_name": "é"}),
            "i": ("a", np.array([1, 2], dtype=np.int32)),
            "t": ("b", np.array([True, False])),
            "s": ("a", np.array(["x", "longer"])),
            "one": ((), 2.5, {"scale": 3, "pair": np.array([1.0, 2.0])}),
            "flag": ((), np.bool_(True)),
            "word": ((), "text"),
        },
        coords={"a": [0.5, 1.5], "side": ("a", np.array(["l", "r"]))},
        attrs={"analysis": "x", "seed": 3, "list": ["p", "q"]},
    )
