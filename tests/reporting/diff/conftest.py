"""Two groups of two models each, with results of examples, layers, a surface and a density, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from stored import build

from landscape.store.contents import Contents, ModelRecord, Section

NAMES = {"plain-s0": "plain", "plain-s1": "plain", "smooth-s0": "smooth", "smooth-s1": "smooth"}
LAYERS = ["stem", "block.0", "block.1", "head"]
RIGHT = {
    "plain-s0": [1, 1, 0, 0, 1, 0, 1, 1],
    "plain-s1": [1, 1, 0, 1, 1, 0, 1, 0],
    "smooth-s0": [1, 1, 1, 0, 1, 1, 1, 0],
    "smooth-s1": [1, 1, 1, 1, 1, 0, 1, 1],
}


def _build(name, data, model):
    ds = build(name, data, "resnet-s0", name)
    return ds.assign_attrs(model=model, group=NAMES.get(model, ""))


def calibration(model):
    right = np.array(RIGHT[model], dtype=float)
    nll = np.where(right > 0, 0.1, 2.0) + 0.01 * np.arange(8)
    data = {"example": np.arange(8), "example_correct": right, "example_nll": nll, "bound": ["low", "high"]}
    data |= {"nll": nll.mean(), "nll_interval": [nll.mean() - 0.5, nll.mean() + 0.5]}
    data |= {"accuracy": right.mean(), "accuracy_interval": [right.mean() - 0.2, right.mean() + 0.2]}
    data |= {"bin": [0.5, 1.0], "bin_count": [2, 6], "mass_bin": [0, 1], "mass_bin_count": [4, 4]}
    return _build("calibration", data, model)


def lesion(model):
    k = list(NAMES).index(model)
    change = np.array([[0.1], [0.2 + 0.5 * (k > 1)], [0.3], [0.4 - 0.1 * (k > 1)]]) + 0.01 * (k % 2)
    data = {"unit": LAYERS, "replacement": ["mean"], "delta_loss": change, "depth": np.linspace(0, 1, 4)}
    data |= {"delta_loss_se": np.full((4, 1), 0.02), "kind": ["conv"] * 4, "loss": 0.5}
    return _build("lesion", data, model)


def surface(model):
    k = list(NAMES).index(model)
    x, y = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9))
    data = {"x": x[0], "y": y[:, 0], "loss": 0.1 + (1 + k) * (x**2 + y**2)}
    data |= {
        "evaluated": np.ones((9, 9), dtype=bool),
        "direction_norm": np.ones(2),
        "accuracy": np.exp(-x * x),
    }
    return _build("surface", data, model)


def density(model):
    k = list(NAMES).index(model)
    grid = np.linspace(-1, 8, 60)
    width = 1.0 + 0.3 * k
    value = np.exp(-((grid / width) ** 2))
    data = {"grid": grid, "density": value, "density_se": 0.02 * value}
    data |= {"density_low": value - 0.04, "density_high": value + 0.04}
    data |= {"trace": 10.0 * width, "trace_se": 0.5, "kernel_width": 0.1}
    data |= {"nodes": np.linspace(0, 5 * width, 4)[None], "weights": np.full((1, 4), 0.25)}
    data |= {"iterations": 4, "alpha": np.ones((1, 4)), "beta": np.ones((1, 3))}
    return _build("density", data, model)


def cka(models):
    units = [(m, layer) for m in models for layer in LAYERS]
    value = np.eye(len(units))
    for i, (_, left) in enumerate(units):
        for j, (_, right) in enumerate(units):
            value[i, j] = 1.0 if i == j else 0.9 - 0.2 * abs(LAYERS.index(left) - LAYERS.index(right))
    data = {"unit_a": [f"{m} {n}" for m, n in units], "unit_b": [f"{m} {n}" for m, n in units]}
    for side in "ab":
        data |= {f"model_{side}": [m for m, _ in units], f"layer_{side}": [n for _, n in units]}
    data |= {"cka": value, "cka_se": np.full_like(value, 0.01), "model": models, "other": models}
    return _build("cka", data, "all")


@pytest.fixture(scope="session")
def two_groups() -> Contents:
    """The store: accuracies 5/8, 5/8 of plain and 6/8, 7/8 of smooth."""
    models = [
        ModelRecord(name, group, k % 2, {}, {"test_accuracy": float(np.mean(RIGHT[name]))})
        for k, (name, group) in enumerate(NAMES.items())
    ]
    make = {"calibration": calibration, "density": density, "lesion": lesion, "surface": surface}
    sections = [Section(label, label, {}, {n: of(n) for n in NAMES}) for label, of in make.items()]
    sections.append(Section("cka", "cka", {}, {"all": cka(list(NAMES))}))
    return Contents("two groups", models, sections, [], missing=0)
