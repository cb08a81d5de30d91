"""What every analysis must honour, whichever there are: nothing here names one.

The oracle is the declaration itself: whatever an analysis says of its options, result, pictures and
summary must hold for what it does.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import landscape
from landscape.base.analysis import Analysis, Context, Metric, Pair
from landscape.base.figure import FigureSpec, has_errors
from landscape.base.interval import Interval
from landscape.base.panels import panels_of
from landscape.base.params import DATA_BUILDER, FUNCTION
from landscape.base.table import read_columns
from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.imports import REFERENCE
from landscape.plotting.group_summary import models_of, summarize_by_group
from landscape.reference.models import vit
from landscape.reporting import page_of
from landscape.store import Store, read_contents

ANALYSES = sorted(landscape.analyses().items())
each = pytest.mark.parametrize("analysis", [a for _, a in ANALYSES], ids=[n for n, _ in ANALYSES])


def image_problem(seed: int = 0) -> landscape.Problem:
    """A small convolutional classifier with BatchNorm and dropout on 24 images, in uneven batches."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(inplace=True),
            nn.Conv2d(4, 4, 3, padding=1, stride=2),
            nn.GELU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(4, 3),
        )
        x = torch.randn(24, 1, 16, 16, generator=torch.Generator().manual_seed(9))
        y = torch.arange(24) % 3
    return landscape.Problem(model, "cross_entropy", (x, y), weight_decay=1e-3, batch_size=10)


def attention_problem(seed: int = 0) -> landscape.Problem:
    """A small vision transformer on the same images."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = vit(dim=8, depth=2, heads=2, classes=3, image=16)
    images = image_problem()
    return landscape.Problem(model, "cross_entropy", [b.raw for b in images.batches], weight_decay=1e-3)


def measured_grid() -> dict[str, np.ndarray]:
    """A table: what was measured on 30 trainings, over six widths and five batch sizes."""
    load, temperature = (a.ravel() for a in np.meshgrid(2.0 ** np.arange(6), 2.0 ** np.arange(4, 9)))
    rng = np.random.default_rng(0)
    return {
        "width": load,
        "batch_size": temperature,
        "train_loss": 1 / load + 0.01 * rng.random(load.size),
        "test_accuracy": 60 + 5 * np.log2(load) + rng.normal(0, 0.5, load.size),
        "top_eigenvalue": np.where(load < 4, 150.0, 3.0) * (1 + 0.1 * rng.random(load.size)),
        "trace": 1000 / load,
        "mode_connectivity": np.where(temperature < 64, -15.0, 0.0) + rng.normal(0, 0.1, load.size),
        "cka": np.where(load < 16, 0.5, 0.9) + 0.01 * rng.random(load.size),
        "l2_distance": load,
    }


def regression_problem(seed: int = 0) -> landscape.Problem:
    """The means and variances of two numbers for each of the same images."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Flatten(), nn.Linear(256, 5), nn.Tanh(), nn.Linear(5, 4))
    images = torch.cat([b.inputs for b in image_problem().batches])
    y = torch.randn(24, 2, generator=torch.Generator().manual_seed(8))
    return landscape.Problem(model, "gaussian_nll", (images, y), batch_size=10)


def series_problem(seed: int = 0) -> landscape.Problem:
    """A small convolutional classifier of series, in uneven batches."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Conv1d(2, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(30, 3))
    x = torch.randn(24, 2, 12, generator=torch.Generator().manual_seed(9))
    return landscape.Problem(model, "cross_entropy", (x, torch.arange(24) % 3), batch_size=10)


PROBLEMS = {
    "": image_problem,
    "series": series_problem,
    "attention": attention_problem,
    "dropout": image_problem,
    "regression": regression_problem,
}
WITHOUT = {
    "attention": image_problem,
    "dropout": attention_problem,
    "regression": image_problem,
    "series": image_problem,
}


def subject_for(analysis: Analysis) -> object:
    """What an analysis of this scope and these needs looks at."""
    if analysis.scope == "table":
        return read_columns(measured_grid())
    make = PROBLEMS[analysis.needs]
    if analysis.scope == "checkpoint":
        return make()
    if analysis.scope == "pair":
        problem, other = make(), make(1)
        return Pair(problem, problem.module.state_dict(), other.module.state_dict())
    name = "model-spawn0-o" if analysis.name == "spawn_barriers" else "model-"  # it reads siblings off names
    return {f"{name}{seed}": make(seed) for seed in range(3)}


_results: dict[str, xr.Dataset] = {}


SHORT = {
    **{"k": 3, "probes": 2, "max_products": 60, "samples": 4, "epochs": 2, "points": 9},
    **{"restarts": 1, "resamples": 100, "bootstrap": 50, "burn_in": 4},
}
"""What analyses do often, and need not do as often here: what holds of few holds of many."""


def options_of(analysis: Analysis) -> dict[str, object]:
    """Default options, but for how often things are done and a grid of points, which is made coarse."""
    defaults = {name: field.default for name, field in analysis.params.model_fields.items()}
    often = {n for n in SHORT if isinstance(defaults.get(n), int) and defaults[n] > SHORT[n]}
    grid = {"steps": (9, 7)} if isinstance(defaults.get("steps"), tuple) else {}
    return {name: max(SHORT[name], _least(analysis, name)) for name in often} | grid


def _least(analysis: Analysis, name: str) -> int:
    """The smallest value that an option takes, where it says one."""
    bounds = (getattr(m, "ge", None) for m in analysis.params.model_fields[name].metadata)
    return next((int(b) for b in bounds if b is not None), 0)


def result_of(analysis: Analysis) -> xr.Dataset:
    """The analysis' result, computed once for all tests."""
    if analysis.name not in _results:
        _results[analysis.name] = analysis.run(subject_for(analysis), analysis.validate(options_of(analysis)))
    return _results[analysis.name]


@each
def test_what_an_option_names_is_marked(analysis: Analysis):
    """Oracle: the JSON schema of the options: the pattern of ``package.module:function``, the word kwargs.

    Data whose content is not in the key of a result, and code that is not looked up, would be found by none.
    """
    fields = analysis.params.model_fields
    written = analysis.params.model_json_schema()["properties"]
    named = {n for n in fields if json.dumps(REFERENCE)[1:-1] in json.dumps(written[n])}
    named |= {n for n, f in fields.items() if "package.module:function" in (f.description or "")}
    marked = {n for n, f in fields.items() if {DATA_BUILDER, FUNCTION} & {str(m) for m in f.metadata}}
    assert named == marked
    arguments = {f"{n}_kwargs" for n in marked} | {f"{n.removesuffix('_data')}_kwargs" for n in marked}
    assert {n for n in fields if n.endswith("kwargs")} <= arguments


@each
def test_result_holds_what_the_schema_declares(analysis: Analysis) -> None:
    ds = result_of(analysis)
    analysis.schema.check(ds)
    for name, variable in ds.variables.items():
        assert variable.attrs["long_name"], name
        assert "units" in variable.attrs, name
    assert ds.attrs["analysis"] == analysis.name
    assert ds.attrs["schema_version"] == analysis.schema.version
    assert json.loads(ds.attrs["parameters"]) == json.loads(
        analysis.validate(options_of(analysis)).model_dump_json()
    )
    assert all(isinstance(v, str | int | float) for v in ds.attrs.values())


@each
def test_what_takes_predictives_looks_at_predictions_alone(analysis: Analysis) -> None:
    """Oracle: the same result of an ensemble of one model, twice, as of the model, up to rounding."""
    if analysis.takes != "predictive":
        return
    problem = PROBLEMS[analysis.needs]()
    kind = "regression" if analysis.needs == "regression" else "classification"
    loss, data = problem.loss_name, [b.raw for b in problem.batches]
    twice = landscape.Problem(DeepEnsemble([problem.module, problem.module], kind), loss, data)
    plain = landscape.Problem(problem.module, loss, data)
    options = analysis.validate(options_of(analysis))
    found, want = analysis.run(twice, options), analysis.run(plain, options)
    for name in ("nll", "accuracy", "loss"):
        if name in want:
            np.testing.assert_allclose(found[name], want[name], rtol=1e-5)


@each
def test_same_seed_gives_the_same_bits(analysis: Analysis) -> None:
    again = analysis.run(subject_for(analysis), analysis.validate(options_of(analysis)))
    xr.testing.assert_identical(again.drop_attrs(), result_of(analysis).drop_attrs())


@each
def test_what_the_caller_gives_is_untouched(analysis: Analysis) -> None:
    if analysis.scope == "table":
        table = measured_grid()
        analysis(table)
        assert list(table) == list(measured_grid())
        assert all(np.array_equal(table[name], column) for name, column in measured_grid().items())
        return
    model = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten())
    if analysis.needs == "dropout":
        model.append(nn.Dropout(0.5))
    model.append(nn.Linear(3 * 64, 3)).train()
    if analysis.needs == "attention":
        model = vit(dim=8, depth=1, heads=2, patch=2, classes=3, image=8).train()
    if analysis.needs == "series":
        model = nn.Sequential(nn.Flatten(2), nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(124, 3)).train()
    data = (torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(1)), torch.arange(8) % 3)
    loss = "cross_entropy"
    if analysis.needs == "regression":
        model.append(nn.Linear(3, 4)).train()
        loss, data = "gaussian_nll", (data[0], torch.randn(8, 2))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    problem = landscape.Problem(model, loss, data)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    subjects = {
        "checkpoint": (problem,),
        "pair": (problem, state, state),
        "group": ({"spawn0-a": problem, "spawn0-b": problem},),
    }
    analysis(*subjects[analysis.scope], **options_of(analysis))
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(m.training for m in model.modules())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@each
def test_file_opens_in_xarray_and_h5py(analysis: Analysis, tmp_path: Path) -> None:
    ds = result_of(analysis)
    path = tmp_path / "result.h5"
    landscape.save(ds, path)
    with xr.open_dataset(path, engine="h5netcdf") as plain:
        assert set(plain.variables) == set(ds.variables)
        for name in ds.variables:
            assert plain[name].dims == ds[name].dims
            np.testing.assert_array_equal(plain[name].values, ds[name].values)
            assert plain[name].attrs["units"] == ds[name].attrs["units"]
    with h5py.File(path) as raw:
        assert {str(n) for n in ds.data_vars} <= set(raw)
        assert raw.attrs["analysis"] == analysis.name
    xr.testing.assert_identical(landscape.open(path), ds)


@each
@pytest.mark.parametrize("backend", ["plotly", "matplotlib"])
def test_figures_have_labels_captions_and_draw(analysis: Analysis, backend: str) -> None:
    ds = result_of(analysis)
    figures = list(analysis.plots({"one": ds}))
    assert figures, "an analysis shows at least one figure"
    names = [f.name for f in figures]
    assert len(set(names)) == len(names)
    for figure in figures:
        assert isinstance(figure, FigureSpec)
        assert figure.title
        assert figure.caption.endswith(".")
        assert figure.x.label
        assert figure.y.label
        assert all(panel.marks for panel in panels_of(figure))
        assert landscape.plot(figure, backend=backend) is not None
    assert list(analysis.plots({"one": ds, "two": ds}))


ABOUT_ERRORS = re.compile(r"\b(bars|bands:|error bars|intervals?|standard errors)\b", re.IGNORECASE)
"""Words on error bars and bands."""


@each
def test_errors_are_told_of_single_models_and_of_no_others(analysis: Analysis) -> None:
    """Oracle: the marks. Drawn together models lose their errors, so no sentence may speak of these."""
    ds = result_of(analysis)
    for figure in analysis.plots({"one": ds, "two": ds}):
        assert not ABOUT_ERRORS.search(figure.caption), "what errors mean belongs in FigureSpec.errors"
        if any(has_errors(m) for m in figure.marks):
            assert ABOUT_ERRORS.search(figure.whole_caption) and str(figure.errors).endswith(".")
            assert isinstance(figure.errors, Interval), "one typed field says what bars and bands are"
        together = summarize_by_group(figure, {"one": "both", "two": "both"}, "kind")
        if not {"one", "two"} <= set(models_of(figure)):
            assert together is figure
        else:
            assert not ABOUT_ERRORS.search(together.whole_caption)


@each
def test_summary_is_numbers_with_meaning(analysis: Analysis) -> None:
    metrics = list(analysis.summary(result_of(analysis)))
    assert metrics
    assert len({m.name for m in metrics}) == len(metrics)
    for metric in metrics:
        assert isinstance(metric, Metric)
        assert metric.meaning
        assert metric.unit
        assert isinstance(metric.value, float | int | bool | str)


@each
def test_progress_rises_to_one(analysis: Analysis) -> None:
    seen: list[float] = []
    analysis.run(
        subject_for(analysis), analysis.validate(options_of(analysis)), Context(progress=seen.append)
    )
    assert seen, "long work reports its progress"
    assert all(0.0 <= f <= 1.0 for f in seen)
    assert seen[-1] > 0.5


@each
def test_cost_is_finite_and_positive_unless_no_model_is_asked(analysis: Analysis) -> None:
    cost = analysis.cost(analysis.validate({}))
    passes = cost.forwards + cost.gradients + cost.example_gradients + cost.seconds_per_million
    assert passes >= 0
    assert (passes == 0) == (analysis.scope == "table")
    assert math.isfinite(passes)


@each
def test_a_subject_without_what_is_needed_is_refused(analysis: Analysis) -> None:
    if analysis.needs:
        with pytest.raises(landscape.LandscapeError, match=analysis.name):
            analysis.run(WITHOUT[analysis.needs](), analysis.validate({}))


@each
def test_options_are_documented_and_refused_when_unknown(analysis: Analysis) -> None:
    assert analysis.name in landscape.__dir__()
    assert getattr(landscape, analysis.name) is analysis
    for name, field in analysis.params.model_fields.items():
        assert field.description
        assert name in (analysis.__doc__ or "")
    with pytest.raises(landscape.LandscapeError, match="no option 'nonsense'"):
        analysis.validate({"nonsense": 1})


def test_results_of_every_analysis_are_reported(tmp_path: Path) -> None:
    """Oracle: the registry; each result of a store is drawn, summed up and defined, whatever its scope."""
    store = Store(tmp_path / "store")
    found = landscape.analyses()
    for analysis in found.values():
        store.write(result_of(analysis), "0" * 32)
    page = page_of(read_contents(store.directory))
    assert [s.label for s in page.sections] == sorted(found)
    for section in page.sections:
        assert section.problems == (), (section.label, section.problems)
        assert section.figures and section.numbers is not None and section.definitions is not None
        assert section.title.startswith(found[section.label].title)
    text = landscape.report(store.directory).read_text("utf-8")
    assert "not installed here" not in text
    assert landscape.taxonomy.title in text
