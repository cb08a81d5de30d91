"""The study scripts: their helpers against numbers by hand, and one quick run of each."""

from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import landscape
from landscape.base.figure import Line, Points
from landscape.reference.data import digits
from landscape.reference.training import augment
from landscape.reference.training import checkpoints as files
from landscape.reference.training.loop import TrainResult
from landscape.store import read_contents
from landscape.studies.claims import Claim
from landscape.zoo.problem_options import ProblemOptions
from landscape.zoo.spec import Builder, ZooSpec

SCRIPTS = Path(__file__).parents[2] / "analysis_scripts"
STUDIES = ("taxonomy", "how_do_vits_work", "spatial_smoothing")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch):
    """Import a script by name, as it is when it runs."""
    monkeypatch.syspath_prepend(str(SCRIPTS))

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


@pytest.mark.parametrize("name", STUDIES)
def test_every_size_builds_models_that_take_its_images(script, name: str) -> None:
    """Oracle: a forward pass of the smallest batch; the full setting is built without memory."""
    study = script(name)
    for size, setting in study.SETTINGS.items():
        if name == "taxonomy":
            options = type("O", (), {"size": size})
            recipes = [study.recipe(options, setting, w, 8) for w in setting.widths[:2]]
            side = 32 if size == "full" else setting.images[2]
        else:
            recipes, side = study.recipes(setting), 32 if size == "full" else 28
        for recipe in recipes:
            with torch.device("meta" if size == "full" else "cpu"):
                model = recipe.builder(**recipe.kwargs).eval()
                images = torch.zeros(2, 3 if size == "full" else 1, side, side)
            assert len(model(images)) == 2, (size, recipe.group)


def test_mixed_inputs_are_blends_of_two_examples(script) -> None:
    """Oracle: blends near one half, as Beta(16, 16) gives: mean 1/2, variance 1/132; labels stay."""
    study = importlib.import_module("landscape.studies.study")
    kwargs = {"split": "test", "count": 300}
    x, y = digits(**kwargs)
    blend, labels = study.mixed(study.DIGITS, kwargs)
    again, _ = study.mixed(study.DIGITS, kwargs)
    assert torch.equal(blend, again)
    assert torch.equal(labels, y)
    rng = np.random.default_rng(0)
    share, partner = rng.beta(16, 16, 300), rng.permutation(300)
    assert abs(share.mean() - 0.5) < 4 * (1 / 132 / 300) ** 0.5
    want = share[7] * x[7] + (1 - share[7]) * x[partner[7]]
    torch.testing.assert_close(blend[7], want.float())


def test_mc_dropout_scores(script) -> None:
    """Oracle: probabilities of each mask averaged by hand, in groups; and a variance by hand."""
    analysis = importlib.import_module("landscape.studies.mc_dropout").mc_dropout
    torch.manual_seed(0)
    model = nn.Sequential()
    model.add_module("stages", nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Dropout(0.5)))
    model.add_module("head", nn.Linear(8, 3))
    x, y = torch.randn(20, 1, 4, 4), torch.arange(20) % 3
    problem = landscape.Problem(model, "cross_entropy", (x, y))
    ds = analysis(problem, counts=(1, 2, 4))
    from landscape.core.behaviour.mc_dropout import mc_samples

    seed = int(np.random.SeedSequence((0, 0)).generate_state(1)[0])  # of the first batch
    p = mc_samples(model, x, 4, seed).exp().double()
    rows = torch.arange(20)
    single = torch.stack([-p[i, rows, y].log() for i in range(4)]).mean()
    pairs = torch.stack([-p[i : i + 2].mean(0)[rows, y].log() for i in (0, 2)]).mean()
    np.testing.assert_allclose(ds["nll"].values[:2], [single, pairs], rtol=1e-6)
    # masks of a half: E[z²] = 2 z², (E z)² = z²: variance over mean square is 1/2, up to 4 draws
    assert 0.35 < float(ds["feature_variance"]) < 0.65


def test_effects_of_units_are_read_off_residual_sums(script) -> None:
    """Oracle: numbers put in by hand for two blocks of attention and MLP."""
    read = importlib.import_module("landscape.studies.effects")
    kinds = ["attention", "residual_sum", "mlp", "residual_sum"] * 2
    variance = [9.0, 1.0, 9.0, 2.0, 9.0, 1.0, 9.0, 4.0]
    ds = xr.Dataset(
        {"spatial_variance": ("layer", variance), "gain_high_low": ("layer", [0, -1, 0, 2, 0, -3, 0, 4.0])},
        coords={"kind": ("layer", kinds)},
    )
    assert read.growth_after(ds, "attention") == pytest.approx(np.log(0.5))
    assert read.growth_after(ds, "mlp") == pytest.approx((np.log(2) + np.log(4)) / 2)
    assert read.gain_after(ds, "attention") == pytest.approx(-2)
    assert read.gain_after(ds, "mlp") == pytest.approx(3)
    assert np.isnan(read.gain_after(ds, "convolution"))


def test_the_middle_of_a_network_against_its_ends(script) -> None:
    """Oracle: means by hand; NaN where nothing lies between the ends."""
    read = importlib.import_module("landscape.studies.effects")
    names = ["blocks.0.attn", "blocks.0.mlp", "blocks.1.attn", "blocks.2.attn", "blocks.3.attn"]
    ds = xr.Dataset(
        {"delta_loss": (("unit", "replacement"), [[1.0], [9.0], [4.0], [6.0], [2.0]])},
        coords={"unit": names},
    )
    assert read.middle(ds) == pytest.approx(5 - 1.5)
    assert np.isnan(read.middle(ds.isel(unit=[0, 4])))


def test_ensembles_average_probabilities(script, tmp_path: Path) -> None:
    """Oracle: probabilities averaged by hand from two networks with weights put in by hand."""
    study, ensembles = (
        importlib.import_module("landscape.studies.study"),
        importlib.import_module("landscape.studies.ensembles"),
    )
    recipe = study.Recipe("mlp", _linear, {}, {}, {})
    trained = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        model, path = _linear(), tmp_path / f"{seed}.safetensors"
        files.save_weights(model, path, {})
        trained.append(study.Trained(f"s{seed}", recipe, seed, path, None))
    data = study.Data.digits(10, 50).test
    x, y = digits("test", 50)
    p = torch.stack([nn.functional.softmax(_loaded(t.path)(x).double(), -1) for t in trained])
    rows = torch.arange(len(y))
    both = ensembles.Ensemble(trained, data)
    single = [-q[rows, y].log().mean().item() for q in p]
    np.testing.assert_allclose([both.nll([0]), both.nll([1])], single, rtol=1e-6)
    assert both.nll([0, 1]) == pytest.approx(-p.mean(0)[rows, y].log().mean().item(), rel=1e-6)
    right = [(q.argmax(-1) == y).double().mean().item() for q in (*p, p.mean(0))]
    assert both.gain([0, 1]) == pytest.approx(right[2] - (right[0] + right[1]) / 2)
    drawn = ensembles.figure({"plain": both})
    assert np.asarray(drawn.marks[0].y) == pytest.approx([np.mean(single), both.nll([0, 1])])
    # of a mean over members, the jackknife's numbers are those of the members
    mean_of_logs = both.by_seed(lambda members: float(np.mean([both.nll([m]) for m in members])))
    np.testing.assert_allclose(mean_of_logs, single, rtol=1e-6)


def test_statistics_of_the_network_without_dropout(script, tmp_path: Path) -> None:
    """Oracle: moments of the layer's inputs by hand, and cross-entropy; a second call only reads."""
    studies, settle = (
        importlib.import_module("landscape.studies.study"),
        importlib.import_module("landscape.studies.recalibrate"),
    )
    options = SimpleNamespace(checkpoints=tmp_path, device=None)
    study = SimpleNamespace(options=options, say=lambda text: None)
    data = studies.Data.digits(100, 50)
    recipe = studies.Recipe("norm", _normalised, {}, {"augment": "shift"}, {})
    path = tmp_path / "norm-s0.safetensors"
    torch.manual_seed(0)
    files.save_weights(_normalised(), path, {"identity": {"a": 1}})
    result = TrainResult(0.0, 0.0, 0.0, 0.0, 7, 1.0)
    model = studies.Trained("norm-s0", recipe, 0, path, result)
    (settled,) = settle.without_dropout(study, [model], data)
    network, old = _normalised().eval(), files.load_file(path)
    files.load_weights(network, settled.path)
    x, y = studies.load(data.train)
    images = augment.augmentation("shift", x)(x, torch.Generator().manual_seed(0)).flatten(1)
    seen = images @ old["1.weight"].T + old["1.bias"]
    torch.testing.assert_close(network[3].running_mean, seen.mean(0))
    torch.testing.assert_close(network[3].running_var, seen.var(0, correction=0), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(network[4].weight.data, old["4.weight"])
    logits = (x.flatten(1) @ old["1.weight"].T + old["1.bias"] - seen.mean(0)) / (
        seen.var(0, correction=0) + 1e-5
    ).sqrt() @ old["4.weight"].T + old["4.bias"]
    loss = nn.functional.cross_entropy(logits, y).item()
    assert settled.result.train_loss == pytest.approx(loss, rel=1e-4)
    held_out, truth = studies.load(data.test)
    with torch.no_grad():
        logits = network(held_out)
    assert settled.result.test_loss == pytest.approx(nn.functional.cross_entropy(logits, truth).item())
    assert settled.result.test_accuracy == (logits.argmax(1) == truth).double().mean().item()
    assert (settled.result.epochs, settled.name) == (7, "norm-s0")
    before = settled.path.stat().st_mtime_ns
    assert settle.without_dropout(study, [model], data) == [settled]
    assert settled.path.stat().st_mtime_ns == before
    files.save_weights(_normalised(), path, {"identity": {"a": 1}})  # trained anew, to other bits
    settle.without_dropout(study, [model], data)
    assert settled.path.stat().st_mtime_ns > before


def _normalised() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 5), nn.Dropout(0.5), nn.BatchNorm1d(5), nn.Linear(5, 10)
    )


def _linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def _loaded(path: Path) -> nn.Module:
    model = _linear()
    files.load_weights(model, path)
    return model


def test_forest_of_claims(script) -> None:
    """Oracle: an effect of 2 with t interval 1 to 3 stands at 2 half-widths; first claim on top."""
    claims = [
        Claim("a", "p", 2.0, 1.5, 2.5, 1.0, 3.0, "", 3, "reproduced"),
        Claim("b", "p", -1.0, -1.0, -1.0, np.nan, np.nan, "", 1, "not at this scale"),
    ]
    spec = importlib.import_module("landscape.studies.forest").forest(claims, "t")
    assert spec.y.categories == ("b", "a")
    first = next(m for m in spec.marks if isinstance(m, Points) and m.series.name == "reproduced")
    assert (first.x.tolist(), first.y.tolist()) == ([2.0], [1.0])
    line = next(m for m in spec.marks if isinstance(m, Line) and m.series.name == "reproduced")
    assert line.x.tolist() == [1.0, 3.0]
    landscape.plot(spec, backend="matplotlib").draw_without_rendering()


def test_lead_of_the_best_phase(script) -> None:
    """Oracle: means by hand; NaN where IV-B has one cell, or there is no other phase."""
    study = script("taxonomy")
    loads = [1.0, 2.0, 3.0, 4.0]
    part = xr.Dataset(
        {"test_accuracy": ("cell", [90.0, 86.0, 80.0, 60.0])},
        coords={"load": ("cell", loads), "temperature": ("cell", [1.0] * 4)},
    )
    phase = dict(zip([(load, 1.0) for load in loads], ["IV-B", "IV-B", "I", "II"], strict=True))
    assert study.lead(part, phase) == 8.0
    # two cells of IV-B drawn twice: 86, 88 or 90, with probabilities 1/4, 1/2, 1/4
    assert study.lead_interval(part, phase) == (6.0, 10.0)
    assert np.isnan(study.lead(part, {**phase, (2.0, 1.0): "I"}))
    assert np.isnan(study.lead(part, dict.fromkeys(phase, "IV-B")))


def test_a_table_without_a_seed_has_none_of_its_pairs(script) -> None:
    """Oracle: by hand for three seeds, whose pairs are 0-1, 1-2 and 2-0."""
    study = script("taxonomy")
    names = ("test_accuracy", *study.OF_PAIRS)
    columns = {"replicate": np.array([0.0, 1.0, 2.0]), **{n: np.array([10.0, 11.0, 12.0]) for n in names}}
    left = study.without(columns, 0)
    assert left["test_accuracy"].tolist() == [11.0, 12.0]
    np.testing.assert_array_equal(left["cka"], [11.0, np.nan])
    np.testing.assert_array_equal(study.without(columns, 1)["cka"], [np.nan, 12.0])
    assert columns["cka"].tolist() == [10.0, 11.0, 12.0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--seeds", "2"], "--seeds must be at least 3"),
        (["--jobs", "0"], "--jobs must be at least 1"),
        (["--data", "here"], "only --full uses"),
    ],
)
def test_command_lines_that_cannot_work_are_refused(
    script, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments, sentence
) -> None:
    """Oracle: argparse's status 2, and the sentence."""
    options = importlib.import_module("landscape.studies.options").options
    monkeypatch.setattr(sys, "argv", ["study.py", *arguments])
    with pytest.raises(SystemExit) as stopped:
        options("taxonomy", "", least=3)
    assert stopped.value.code == 2
    assert sentence in capsys.readouterr().err


def test_hessians_see_images_as_trained_on(script) -> None:
    """Oracle: the margin read off images that the trainer's own augmentation moved."""
    study = importlib.import_module("landscape.studies.study")
    images = torch.arange(28.0).expand(400, 1, 28, 28)
    generator = torch.Generator().manual_seed(0)
    moves = {int(m) for m in (augment.shift(images, generator)[:, 0, 0, 14] - 14)}
    assert study.augmented({"augment": "shift"}) == {"augment": "shift", "margin": max(moves)}
    assert study.augmented({"augment": "crop_flip"}) == {"augment": "shift+flip", "margin": 4}


def test_each_seed_has_mini_batches_of_its_own(script, tmp_path: Path) -> None:
    """Oracle: the examples in the results: as many as asked for, alike for models of one seed alone."""
    study = importlib.import_module("landscape.studies.study")
    sections = study.spectra((0, 1), {"augment": "shift"}, 3, 100)
    recipe = study.Recipe("mlp", _linear, {}, {}, {})
    models = []
    for group in ("a", "b"):
        for seed in (0, 1):
            path = tmp_path / f"{group}-s{seed}.safetensors"
            files.save_weights(_linear(), path, {})
            result = TrainResult(0.0, 0.0, 0.0, 0.0, 1, 1.0)
            models.append(study.Trained(path.stem, replace(recipe, group=group), seed, path, result))
    spec = ZooSpec(
        "test",
        SCRIPTS,
        tuple(replace(m.spec(), builder=Builder(f"{__name__}:_linear", {})) for m in models),
        study.Data.digits(100, 50).train,
        ProblemOptions(),
        tuple(sections),
    )
    assert not landscape.Zoo(spec).run(store=tmp_path / "store").failed
    found = {s.label: s.results for s in read_contents(tmp_path / "store").sections}
    joined = study.together(found, "batch_spectra")
    assert sorted(joined) == ["a-s0", "a-s1", "b-s0", "b-s1"]
    seen = {name: ds["example"].values for name, ds in joined.items()}
    assert all(rows.shape == (3, 16) for rows in seen.values())
    np.testing.assert_array_equal(seen["a-s0"], seen["b-s0"])
    np.testing.assert_array_equal(seen["a-s1"], seen["b-s1"])
    assert (seen["a-s0"] != seen["a-s1"]).any()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", STUDIES)
def test_quick_run_from_end_to_end_and_again(name: str, tmp_path: Path) -> None:
    """Oracle: the table of claims; a second run finds everything done and writes the same table."""
    command = [sys.executable, str(SCRIPTS / f"{name}.py"), "--quick", "--out", str(tmp_path)]
    first = subprocess.run(command, capture_output=True, text=True, check=True)
    table = (tmp_path / "claims.md").read_text("utf-8")
    assert table.count("not at this scale") >= 5
    assert "failed" not in table
    assert " 0 failed" in first.stdout
    claims = landscape.open(tmp_path / "claims.h5")
    assert len(claims["claim"]) == table.count("\n| ")  # all lines but the two of the header
    assert list((tmp_path / "figures").glob("*.png"))
    second = subprocess.run(command, capture_output=True, text=True, check=True)
    assert " 0 tasks done" in second.stdout
    assert (tmp_path / "claims.md").read_text("utf-8") == table
