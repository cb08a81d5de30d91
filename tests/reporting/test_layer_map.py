"""The layer map: units of several analyses in one order, in blocks, with what each analysis says."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import numpy as np
import pytest
import xarray as xr

from landscape.reporting import layer_map as module
from landscape.reporting.layer_map import blocks, in_firing_order, layer_map
from landscape.store.contents import Contents, ModelRecord, Section


def unpacked(pack: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(pack)))


def fourier(units: list[str], ratio: list[float]) -> xr.Dataset:
    n = len(units)
    power = np.arange(2.0 * n).reshape(n, 2)
    return xr.Dataset(
        {
            "high_low": ("layer", ratio),
            "high_low_interval": (("bound", "layer"), [np.subtract(ratio, 1), np.add(ratio, 1)]),
            "log_power": (("layer", "radius"), power),
            "log_power_interval": (("bound", "layer", "radius"), [power - 0.5, power + 0.5]),
        },
        {"layer": units, "radius": [0.1, 0.4], "kind": ("layer", ["conv"] * n)}
        | {name: ("layer", [8] * n) for name in ("channels", "height", "width")},
    )


def lesion(units: list[str], rise: list[float]) -> xr.Dataset:
    both = np.column_stack([rise, np.zeros(len(units))])
    return xr.Dataset(
        {
            "delta_loss": (("unit", "replacement"), both),
            "delta_loss_se": (("unit", "replacement"), np.full_like(both, 0.1)),
        },
        {"unit": units, "replacement": ["remove", "dc"]},
    )


def cka() -> xr.Dataset:
    who = [("a", "b.0"), ("b", "b.0"), ("b", "b.1")]
    values = [[1, 0.2, 0.7], [0.2, 1, 0.3], [0.7, 0.3, 1]]
    names = {
        f"{what}_{s}": (f"unit_{s}", [w[i] for w in who])
        for s in "ab"
        for i, what in ((0, "model"), (1, "layer"))
    }
    return xr.Dataset({"cka": (("unit_a", "unit_b"), values)}, names)


@pytest.fixture
def zoo() -> Contents:
    sections = [
        Section("fourier", "fourier", {}, {"a": fourier(["stem", "b.0.conv", "b.0"], [-2.0, 0.5, np.nan])}),
        Section(
            "lesion", "lesion", {}, {"a": lesion(["b.0", "head"], [3.0, 1.0]), "b": lesion(["b.0"], [2.0])}
        ),
        Section("cka", "cka", {}, {"all": cka()}),
    ]
    return Contents("zoo", [ModelRecord(n, "g", 0) for n in "ab"], sections, [], 0)


def test_units_of_several_analyses_in_blocks(zoo: Contents) -> None:
    """Oracle: the values put in, looked up by hand; the interval of a lesion is 1.96 standard errors."""
    found = layer_map(zoo)
    assert found is not None and list(found.packs) == ["a", "b"] and found.total == 2
    rows = unpacked(found.packs["a"])
    assert [(r["name"], [u["name"] for u in r["units"]]) for r in rows] == [
        ("stem", ["stem"]),
        ("b.0", ["b.0.conv", "b.0"]),
        ("head", ["head"]),
    ]
    whole = rows[1]["units"][1]
    assert whole["values"]["high_low"] == [None, None, None]  # unknown stays unknown
    assert whole["values"]["lesion"] == pytest.approx([3.0, 3.0 - 0.196, 3.0 + 0.196])
    assert whole["cka"] == {"b": 0.7} and whole["size"] == [8, 8, 8]
    assert rows[0]["units"][0]["log_power"] == {
        "r": [0.1, 0.4],
        "y": [0, 1],
        "low": [-0.5, 0.5],
        "high": [0.5, 1.5],
    }
    about = json.loads(found.about)
    assert [m["name"] for m in about["measures"]] == ["high_low", "lesion"] and about["cka"]
    low, high = about["measures"][0]["limits"]
    assert low == -high and 1.9 < high <= 2.0  # signed values about zero, by a quantile
    assert about["measures"][1]["limits"][0] == 0


def test_no_map_without_units_and_a_budget_for_many(zoo: Contents, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: without units there is no map; a budget below two packs keeps one and tells of two."""
    assert layer_map(Contents("zoo", zoo.models, zoo.sections[2:], [], 0)) is None
    first = layer_map(zoo)
    assert first is not None
    monkeypatch.setattr(module, "MOST_BYTES", len(first.packs["a"]))
    second = layer_map(zoo)
    assert second is not None and list(second.packs) == ["a"] and second.total == 2


def test_a_result_of_an_older_version_is_left_out(zoo: Contents) -> None:
    """Oracle: without its intervals a spectrum has no value to show, and the rest stays."""
    ds = zoo.sections[0].results["a"].drop_vars("high_low_interval")
    older = [Section("fourier", "fourier", {}, {"a": ds}), *zoo.sections[1:]]
    found = layer_map(Contents("zoo", zoo.models, older, [], 0))
    assert found is not None
    assert [m["name"] for m in json.loads(found.about)["measures"]] == ["lesion"]


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        (["features.0", "features.1", "fc"], {"features": ["features.0", "features.1"], "fc": ["fc"]}),
        (
            ["layer1.0.conv1", "layer1.1.conv1"],
            {"layer1.0": ["layer1.0.conv1"], "layer1.1": ["layer1.1.conv1"]},
        ),
        (["e.layers.block_3.ln", "e.ln"], {"e.layers.block_3": ["e.layers.block_3.ln"], "e": ["e.ln"]}),
        (["stages.1.0.shortcut.conv"], {"stages.1.0": ["stages.1.0.shortcut.conv"]}),
        (["conv1"], {"conv1": ["conv1"]}),
    ],
)
def test_blocks_by_the_first_numbers_of_a_path(units: list[str], expected: dict[str, list[str]]) -> None:
    """Oracle: rows written by hand for the paths of VGG, ResNet and ViT."""
    assert blocks(units) == expected


def test_each_list_keeps_its_order() -> None:
    """Oracle: every list is a subsequence of the whole."""
    lists = [["a", "c"], ["a", "b", "d", "e"], ["b", "c", "e"], []]
    whole = in_firing_order(lists)
    for names in lists:
        assert [n for n in whole if n in names] == names
    assert sorted(whole) == list("abcde")
