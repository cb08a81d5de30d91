"""``landscape diff``: the words and tables of a difference, and its page."""

from __future__ import annotations

import json

import numpy as np
import pytest
from stored import build
from typer.testing import CliRunner

from landscape.cli.app import app
from landscape.store import ModelRecord, SectionRecord, Snapshot, Store


@pytest.fixture
def store(tmp_path):
    """Two models with four examples each: the first is right on 0 and 1, the second on 1, 2 and 3."""
    home = Store(tmp_path / "results")
    for k, right in enumerate(([1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 1.0])):
        data = {"example": np.arange(4), "example_correct": right, "example_nll": 2.0 - np.array(right)}
        data |= {
            "bound": ["low", "high"],
            "accuracy": np.mean(right),
            "nll": float(np.mean(data["example_nll"])),
        }
        ds = build("calibration", data, "resnet-s0", "calibration")
        home.write(ds.assign_attrs(model=f"m{k}", model_seed=k, tags=json.dumps({}), group="g"), f"k{k}")
    models = tuple(ModelRecord(f"m{k}", "g", k) for k in range(2))
    record = SectionRecord("calibration", "calibration", "calibration", {}, {"m0": "k0", "m1": "k1"})
    home.write_snapshot(Snapshot("z", models, (record,)))
    return home.directory


def call(*words):
    return CliRunner().invoke(app, ["diff", *map(str, words)], env={"COLUMNS": "200"})


def test_numbers_and_examples_are_told_and_a_page_is_written(store, tmp_path):
    """Oracle: right answers by hand; the page names both."""
    said = call(store, "m0", "m1", "-o", tmp_path / "d.html")
    assert said.exit_code == 0, said.output
    assert "They disagree on 3 of 4 examples (calibration): 1 where m0 is right, 2 where m1" in said.output
    assert "accuracy" in said.output and "0.5" in said.output and "0.75" in said.output
    assert "m0 against m1" in (tmp_path / "d.html").read_text("utf-8")
    short = call(store, "m0", "m1", "--rows", 1).output
    assert "more" in short


def test_what_is_not_there_is_said_in_a_sentence(store, tmp_path):
    """Oracle: exit status 2 and the nearest name; the page's name is checked first."""
    gone = call(store, "m0", "m2")
    assert gone.exit_code == 2 and "no model or group 'm2'" in " ".join(gone.output.split())
    assert "both hold" in call(store, "m0", "g").output
    assert ".html" in call(store, "m0", "m1", "-o", tmp_path / "d.pdf").output
