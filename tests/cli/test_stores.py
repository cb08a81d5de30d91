"""What `show`, `figure` and `open` say of a whole store."""

from __future__ import annotations

import pytest

import landscape
from landscape.errors import StoreError


def test_a_store_tells_what_is_there(invoke, folder):
    """Oracle: two models, a line of each, and a failure, by construction."""
    folder.add("m0")
    folder.add("m1", seed=1)
    folder.add("gone", save=False)
    invoke("run", folder.write("[analyses.line]\nsteps = 3"), "--no-report")
    store = folder.root / "results"
    said = invoke("show", store).output
    assert "line: m0, m1" in said and "line of gone failed" in said
    listed = invoke("figure", store)
    assert listed.exit_code == 0, listed.output
    assert "line loss: Loss along a direction" in listed.output
    assert "loss: Loss along a direction" in invoke("figure", store, "-a", "line").output
    with pytest.raises(StoreError, match="opens one of its results: line/m0, line/m1"):
        landscape.open(store)
    assert landscape.open(store, "line/m1").attrs["model"] == "m1"
