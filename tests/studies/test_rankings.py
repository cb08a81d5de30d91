from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.stats import kendalltau
from study_models import trained

from landscape.reference.training.checkpoints import load_weights, save_weights
from landscape.studies import effects
from landscape.studies.data import Data
from landscape.studies.measured import Measured, Part
from landscape.studies.rankings import Predicts, Ranking, distance_from_start

ACCURACY = {
    (w, d, s): 0.5 + 0.1 * w - 0.04 * d + 0.001 * s for w in (1, 2, 3) for d in (0, 1) for s in (0, 1)
}


def traced(number: float) -> xr.Dataset:
    """A result of ``trace`` that says what its summary reads."""
    facts = {"analysis": "trace", "parameters": json.dumps({}), "schema_version": 1}
    given = dict.fromkeys(("trace", "trace_se", "frobenius", "products", "probes"), number)
    return xr.Dataset({**given, "samples": 9}, attrs=facts)


@pytest.fixture
def measured(tmp_path: Path) -> Measured:
    """Twelve models of three widths and two decays; the trace is minus the accuracy."""
    models, results = [], {}
    for (width, decay, seed), accuracy in ACCURACY.items():
        model = trained(f"w{width}-d{decay}", seed, tmp_path)
        recipe = replace(model.recipe, tags={"width": str(width), "decay": str(decay)})
        model = replace(model, recipe=recipe, result=replace(model.result, test_accuracy=accuracy))
        models.append(model)
        results[model.name] = traced(-accuracy)
    return Measured([Part("zoo", models, Data.digits(40, 20), {"curvature": results})])


def test_every_number_of_every_model_is_ranked_and_judged(measured: Measured) -> None:
    """Oracle: scipy's tau of the numbers that were put in; the interval over cells holds it."""
    ranking = Ranking(
        "ranking",
        "width and decay",
        ("width", "decay"),
        effects.test_accuracy,
        ("zoo",),
        {"width times seed": lambda m: float(m.recipe.tags["width"]) * (m.seed + 1)},
    )
    ranked = measured.tables["ranking"] = ranking.measure(measured)
    rows = ranked.dataset.sel(metric="training: width times seed")
    numbers = [w * (s + 1) for w, _, s in ACCURACY]
    assert float(rows["tau"]) == pytest.approx(kendalltau(numbers, list(ACCURACY.values())).statistic)
    assert int(ranked.dataset["cells"]) == 6 and len(ranked.without) == 2
    claim = Predicts("falls with the trace", "ranking", "curvature: trace", -1).judge(measured, "A (2020)")
    assert claim.effect == pytest.approx(1.0) and claim.high == pytest.approx(1.0)
    assert claim.paper == "A (2020)"
    assert "12 models in 6 cells" in claim.note
    rises = Predicts("rises with it", "ranking", "curvature: trace", 1, granulated=True).judge(measured, "")
    assert rises.effect == pytest.approx(-1.0) and rises.unit.startswith("granulated")


def test_distance_from_the_start_is_that_of_the_weights(tmp_path: Path) -> None:
    """Oracle: weights moved by hand from those of the recipe's seed: √(number of weights) × step."""
    model = trained("a", 0, tmp_path)
    net = model.recipe.build(0)
    count = sum(p.numel() for p in net.parameters())
    with torch.no_grad():
        for p in net.parameters():
            p += 0.5
    save_weights(net, model.path, {})
    load_weights(net, model.path)
    assert distance_from_start(model) == pytest.approx(0.5 * np.sqrt(count), rel=1e-6)
