"""Findings of made-up zoos: planted differences, automatic choices, what was not measured."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import landscape
from landscape.errors import InputError
from landscape.export.findings import default_pair, found_in, model_table
from landscape.store.contents import Contents, ModelRecord


def zoo(accuracies: dict[str, list[float]], **more: dict[str, list[float]]) -> Contents:
    """Models of some groups with their accuracies, and other recorded numbers."""
    models = []
    for group, values in accuracies.items():
        for seed, value in enumerate(values):
            metrics = {"test_accuracy": value} | {n: v[group][seed] for n, v in more.items() if group in v}
            models.append(ModelRecord(f"{group}{seed}", group, seed, {}, metrics))
    return Contents("zoo", models, [], [], 0)


def test_a_store_becomes_a_table(store: Path, contents: Contents) -> None:
    """Oracle: the fixture: λ max 120, 240 against 360, 480; accuracies 0.9, 0.92 against 0.94, 0.96."""
    frame = landscape.findings(store)
    assert frame.attrs == {"outcome": "training: test_accuracy", "groups": ("vit", "resnet")}
    row = frame.loc[("spectrum", "λ max")]
    assert (row["mean_1"], row["mean_2"]) == pytest.approx((420.0, 180.0))
    test = stats.ttest_ind([360, 480], [120, 240], equal_var=False)
    assert row["p"] == pytest.approx(test.pvalue) and row["low"] < 0 < row["g"] < row["high"]
    assert row["tau"] == 1.0 and row["analysis"] == "spectrum" and (row["n_1"], row["n_2"]) == (2, 2)
    sizes = frame["g"].abs().dropna().tolist()
    assert sizes == sorted(sizes, reverse=True) and frame["g"].isna().tolist() == sorted(frame["g"].isna())
    turned = landscape.findings(store, outcome="spectrum: λ max", groups=["resnet", "vit"])
    assert turned.loc[("training", "test_accuracy"), "g"] < 0


def test_the_pair_is_the_largest_difference_that_is_decided() -> None:
    """Oracle: by hand; c is farthest, and of a spread so large that nothing is decided."""
    accuracies = {"a": [0.90, 0.901, 0.899], "b": [0.95, 0.951, 0.949], "c": [0.2, 0.99, 0.1]}
    table = model_table(zoo(accuracies))
    assert default_pair(table, table.metrics[0]) == ("b", "a")
    loose = model_table(zoo({"a": [0.5, 0.6], "b": [0.55, 0.65], "c": [0.3, 0.6]}))
    assert default_pair(loose, loose.metrics[0]) == ("b", "c")


def test_of_the_checkpoints_of_a_run_the_last_stands_for_it() -> None:
    """Oracle: the names by hand; models of one epoch each are models; a lone model is no group to prefer."""
    run = [ModelRecord(f"r{e}", "run", 0, {"epoch": e, "lr": 0.1}, {"test_accuracy": 0.1}) for e in (0, 9, 4)]
    kinds = zoo({"a": [0.9, 0.91], "b": [0.8, 0.9]})
    other = ModelRecord("r-other", "run", 1, {"epoch": 2, "lr": 0.1}, {"test_accuracy": 0.2})
    table = model_table(replace(kinds, models=[*kinds.models, *run, other]))
    assert table.models == ("a0", "a1", "b0", "b1", "r9", "r-other")
    table = model_table(replace(kinds, models=[*kinds.models, *run]))
    assert table.models[-1] == "r9"
    assert default_pair(table, table.metrics[0]) == ("a", "b")


def test_many_models_find_what_was_planted_and_hardly_more() -> None:
    """40 models in 5 groups. Oracle: one number follows the accuracy, of 30 of pure noise few are found."""
    rng = np.random.default_rng(0)
    accuracies = {g: list(0.8 + 0.03 * i + 0.005 * rng.normal(size=8)) for i, g in enumerate("abcde")}
    noise = {f"noise {k}": {g: list(rng.normal(size=8)) for g in "abcde"} for k in range(30)}
    flat = {g: [-10 * v + 0.05 * rng.normal() for v in values] for g, values in accuracies.items()}
    found = found_in(model_table(zoo(accuracies, sharpness=flat, **noise)))
    assert found.groups == ("e", "a") and (found.models, found.cells) == (40, 5)
    assert found.rows[0].metric.name == "sharpness" and found.rows[0].q < 1e-6
    assert sum(row.q < 0.05 for row in found.rows[1:]) <= 1
    best = found.rows[0].association
    assert best.tau < -0.7 and best.high < 0 and best.psi == -1.0 and best.models == 40


def test_what_was_not_measured_is_left_out_and_nan_stays() -> None:
    """Oracle: counts by hand, and NaN where one of two was measured as NaN."""
    more = {"only a": {"a": [1.0, 2.0]}, "broken": {"a": [1.0, math.nan], "b": [1.0, 2.0]}}
    found = found_in(model_table(zoo({"a": [0.9, 0.91], "b": [0.8, 0.82]}, **more)))
    by_name = {row.metric.name: row for row in found.rows}
    assert by_name["only a"].difference.counts == (2, 0) and math.isnan(by_name["only a"].difference.g)
    broken = by_name["broken"]
    assert broken.difference.counts == (2, 2) and math.isnan(broken.difference.means[0])
    assert broken.association.models == 3


@pytest.mark.parametrize(
    ("outcome", "groups", "words"),
    [
        ("test_acuracy", None, "did you mean 'test_accuracy'"),
        (None, ["a", "x"], "there is no group 'x'"),
        (None, ["a", "a"], "two different groups"),
    ],
)
def test_wrong_names_are_refused(outcome: str | None, groups: list[str] | None, words: str) -> None:
    """Oracle: the sentence."""
    table = model_table(zoo({"a": [0.9, 0.91], "b": [0.8, 0.82]}))
    with pytest.raises(InputError, match=words):
        found_in(table, outcome, groups)


def test_one_group_has_nothing_to_compare() -> None:
    """Oracle: the sentence."""
    with pytest.raises(InputError, match="this zoo has 1 group"):
        found_in(model_table(zoo({"a": [0.9, 0.91]})))
