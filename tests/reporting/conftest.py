"""What several tests of reports draw."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

import landscape


def _similarity(models: list[str]) -> xr.Dataset:
    """A CKA result of models of two layers each, whose similarities are 1 over their distance in the list."""
    units = [(m, layer) for m in models for layer in ("first", "last")]
    place = np.array([models.index(m) for m, _ in units])
    near = 1.0 / (1.0 + np.abs(place[:, None] - place))
    outputs = near[1::2, 1::2]
    each = {"cka": near, "cka_se": 0 * near, "output_cka": outputs, "output_cka_se": 0 * outputs}
    data = {
        **each,
        "unit_a": [f"{m}/{n}" for m, n in units],
        "unit_b": [f"{m}/{n}" for m, n in units],
        "model_a": [m for m, _ in units],
        "model_b": [m for m, _ in units],
        "layer_a": [n for _, n in units],
        "layer_b": [n for _, n in units],
        "model": models,
        "other": models,
        "matched_cka": outputs,
        "matched_layers": np.full(outputs.shape, 2),
        "batches": 4,
        "examples": 64,
        "interval_factor": 3.2,
    }
    cka = landscape.analyses()["cka"]
    return cka.schema.dataset(data, {"parameters": cka.params().model_dump_json()})


@pytest.fixture(scope="session")
def similarity() -> Callable[[list[str]], xr.Dataset]:
    """Makes a CKA result of the models that are named."""
    return _similarity
