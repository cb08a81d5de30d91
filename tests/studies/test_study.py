"""Studies as declarations: the framework on a tiny one, and the scripts of the repository."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau
from study_models import linear

import landscape
from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.errors import InputError
from landscape.export.pooled import pooled
from landscape.imports import resolve
from landscape.reference.training.recipe import Recipe
from landscape.store import read_contents
from landscape.studies import Average, Cohort, Data, Figure, Finding, On, Size, Study, effects
from landscape.studies.claims import Claim, above
from landscape.studies.measured import Measured
from landscape.studies.options import Options

SCRIPTS = Path(__file__).parents[2] / "analysis_scripts"
STUDIES = (
    *("taxonomy", "how_do_vits_work", "spatial_smoothing"),
    *("deep_ensembles", "subnetwork_laplace", "fgsm_overfitting"),
    *("laplace_mixtures", "uncertainty_under_shift", "aliasing", "dign_vat"),
    *("bma_shift", "compression", "distance_aware"),
    *("nomu", "adaptive_smoothing"),
    *("frequency_shortcut", "corruption_training"),
    *("implicit_ensembles", "what_predicts"),
)
LINES = 155
"""Most lines of a script, whatever is in them."""


def _study(name: str) -> Study:
    return resolve(f"{name}:STUDY", "study", SCRIPTS)


def _tiny(tmp_path: Path, **changes: object) -> Study:
    def cohorts(size: Size) -> list[Cohort]:
        training = {"epochs": size.epochs, "lr": 0.1, "batch_size": 20, "optimizer": "sgd"}
        recipes = [Recipe(kind, linear, {}, training, {"kind": kind}) for kind in ("a", "b")]
        return [Cohort(recipes, size.data, [On("test", "calibration", {"bootstrap": 2})])]

    given = {
        "findings": [Finding("a has more", effects.test_loss, "training", more="a", than="b")],
        "figures": [Figure("calibration", "ece", tag="c")],
        **changes,
    }
    return Study(
        name="tiny",
        script=str(tmp_path / "tiny.py"),
        paper="A (2020)",
        sizes={"default": Size(data=Data.digits(40, 20), epochs=1)},
        cohorts=cohorts,
        **given,
    )


def test_a_run_trains_measures_judges_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Oracle: equal recipes: effect 0 and no verdict; files by name; a second run computes nothing."""
    study = _tiny(tmp_path)
    run = study.run(out=tmp_path / "out", seeds=2, jobs=1)
    (claim,) = run.claims
    assert (claim.effect, claim.verdict, claim.paper) == (0.0, "not at this scale", "A (2020)")
    assert landscape.open(tmp_path / "out" / "claims.h5")["claim"].values.tolist() == ["a has more"]
    table = (tmp_path / "out" / "claims.md").read_text("utf-8")
    assert "| a has more | A (2020) | +0 |" in table
    names = sorted(p.name for p in (tmp_path / "out" / "figures").iterdir())
    assert names == ["tiny_c_ece.png", "tiny_captions.md", "tiny_claims.png"]
    captions = (tmp_path / "out" / "figures" / "tiny_captions.md").read_text("utf-8")
    assert captions.startswith("- `tiny_c_ece.png`: Expected calibration error by model. ")
    assert sorted(p.name for p in (tmp_path / "out" / "checkpoints").glob("*.safetensors")) == [
        f"{kind}-s{seed}.safetensors" for kind in "ab" for seed in (0, 1)
    ]
    capsys.readouterr()
    stale = tmp_path / "out" / "figures" / "tiny_old.png"
    stale.touch()
    study.run(out=tmp_path / "out", seeds=2, jobs=1)
    # two: models of equal bits share a result
    assert "test: 0 tasks done, 2 done before, 0 failed" in capsys.readouterr().out
    assert not stale.exists()


def test_a_declaration_that_names_what_is_not_there_is_refused(tmp_path: Path):
    """Oracle: the sentences, before anything is trained."""
    size = Size(data=Data.digits(40, 20), epochs=1, seeds=2)
    cases = {
        "there are no results 'calibrations'": {"figures": [Figure("calibrations")]},
        "there are no models 'c'": {
            "findings": [Finding("x", effects.test_loss, "training", above_zero="c")]
        },
    }
    for sentence, change in cases.items():
        with pytest.raises(InputError, match=sentence):
            _tiny(tmp_path, **change).check(size)
    study = _tiny(tmp_path)
    (cohort,) = study.cohorts(size)
    for change, sentence in (
        ({"first_seed": ("c",)}, "cohort '' has no models 'c'; it has a, b"),
        ({"averages": [Average("m", "d", DeepEnsemble)]}, "has no models 'd'"),
        ({"averages": [Average("m", "a", DeepEnsemble, fit="held")]}, "not 'held'"),
    ):
        with pytest.raises(InputError, match=sentence):
            replace(study, cohorts=lambda size, change=change: [replace(cohort, **change)]).check(size)
    twice = replace(cohort, measure=[*cohort.measure, On("train", "calibration")])
    with pytest.raises(InputError, match="'calibration' are measured on different data"):
        replace(study, cohorts=lambda size: [twice]).check(size)


def test_weight_decay_is_in_landscapes_on_training_examples_alone(tmp_path: Path):
    """Oracle: λ adds itself to every eigenvalue of a Hessian; held-out losses are those without it."""
    size = Size(data=Data.digits(40, 20), epochs=1, seeds=2)
    found = {}
    for decay in (0.0, 0.5):
        study = _tiny(tmp_path)
        (cohort,) = study.cohorts(size)
        measure = [*cohort.measure, On("train", "spectrum", {"k": 2, "tol": 1e-6})]
        changed = replace(cohort, weight_decay=decay, measure=measure)
        study = replace(study, cohorts=lambda size, changed=changed: [changed])
        out = tmp_path / f"{decay:g}"
        study.run(out=out, checkpoints=tmp_path / "weights", seeds=2, jobs=1)
        sections = [s for data in ("train", "test") for s in read_contents(out / "results" / data).sections]
        found[decay] = {section.label: section.results["a-s0"] for section in sections}
    without, with_it = found[0.0], found[0.5]
    shift = with_it["spectrum"]["eigenvalues"].values - without["spectrum"]["eigenvalues"].values
    assert shift == pytest.approx(0.5, rel=1e-4)
    assert float(with_it["calibration"]["nll"]) == float(without["calibration"]["nll"])


@dataclass(frozen=True)
class _Known:
    """A finding whose numbers are given, one per seed."""

    numbers: tuple[float, ...]
    of: str = "calibration"
    kinds: tuple[str, ...] = ()
    by_cohort: bool = False

    def judge(self, measured: Measured, paper: str) -> Claim:
        seeds = len(measured.models(["a"]))
        return above("known", paper, self.numbers[:seeds], level=measured.level)


NEARLY = (1.0, 0.2, 1.4, 0.9, 1.1, 1.0)
"""Three of these decide nothing, and six something: by hand, with Student's factors 6.2 and 3.2."""


@pytest.mark.parametrize(
    ("numbers", "seeds"), [(NEARLY, 6), ((1.0, 1.01, 0.99, *NEARLY), 3), ((-1.0, 1.0, 0.1, *NEARLY), 3)]
)
def test_a_second_look_is_taken_where_it_may_decide(
    numbers: tuple[float, ...], seeds: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Oracle: numbers that three seeds nearly decide, decide, and decide nothing of; the rule by hand."""
    study = _tiny(tmp_path, findings=[_Known(numbers)])
    run = study.run(out=tmp_path / "out", seeds=3, jobs=1, more_seeds=6)
    (claim,) = run.claims
    assert (claim.seeds, claim.level) == (seeds, 0.975)
    assert claim.verdict == ("not at this scale" if numbers[0] < 0 else "reproduced")
    table = landscape.open(tmp_path / "out" / "claims.h5")
    assert (table.attrs["seeds"], table.attrs["more_seeds"]) == (seeds, 6)
    text = (tmp_path / "out" / "claims.md").read_text("utf-8")
    assert "| bootstrap 97.5 % | t 97.5 % |" in text
    assert f"The last look was at {seeds} seeds; there could be one at 6." in text
    assert len(list((tmp_path / "out" / "checkpoints").glob("*.safetensors"))) == 2 * seeds
    if seeds == 6:  # stopped after it and begun again, it comes to the same and computes nothing
        capsys.readouterr()
        again = study.run(out=tmp_path / "out", seeds=3, jobs=1, more_seeds=6)
        assert again.claims == run.claims
        said = capsys.readouterr().out
        assert said.count("test: 0 tasks done") == 2


def test_a_study_without_findings_measures_alone(tmp_path: Path):
    """Oracle: the files: results, and a table of claims that has none."""
    _tiny(tmp_path, findings=[], figures=[]).run(out=tmp_path / "out", seeds=2, jobs=1)
    assert len((tmp_path / "out" / "claims.md").read_text("utf-8").splitlines()) == 2
    assert landscape.open(tmp_path / "out" / "claims.h5").sizes["claim_number"] == 0
    assert not list((tmp_path / "out" / "figures").glob("*.png"))
    assert len(landscape.table(tmp_path / "out" / "results" / "test")) == 4


def test_more_seeds_of_findings_over_parts_of_the_data_are_refused(tmp_path: Path):
    """Oracle: the sentence, before anything is trained."""
    study = _tiny(tmp_path, findings=[_Known(NEARLY, by_cohort=True)])
    with pytest.raises(InputError, match="--more-seeds decides nothing, since every finding is over random"):
        study.run(out=tmp_path / "out", seeds=3, more_seeds=6)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", STUDIES)
def test_every_size_builds_models_that_take_its_images(name: str):
    """Oracle: a forward pass of the smallest batch; the full setting is built without memory."""
    study = _study(name)
    for label, size in study.sizes.items():
        options = Options.read(name, study.sizes, default_seeds=study.seeds, size=label)
        at = size.at(options)
        study.check(at)
        groups: set[str] = set()
        for cohort in study.cohorts(at):
            for recipe in cohort.recipes:
                if recipe.group in groups or (name == "taxonomy" and len(groups) == 3):
                    continue
                groups.add(recipe.group)
                with torch.device("meta" if label == "full" else "cpu"):
                    model = recipe.builder(**recipe.kwargs).eval()
                    images = torch.zeros(2, *cohort.data.shape)
                assert len(model(images)) == 2, (label, recipe.group)


@pytest.mark.parametrize("name", STUDIES)
def test_all_sizes_have_the_same_names(name: str):
    """Oracle: a finding or cohort that reads a name in one size must find it in all."""
    first, *others = (set(vars(size)) for size in _study(name).sizes.values())
    assert all(names == first for names in others)


def test_scripts_are_declarations():
    """Oracle: the lines of each file, all of them; no private module beside a script."""
    paths = sorted(SCRIPTS.glob("*.py"))
    assert {*STUDIES, "all_studies", "store_figures"} == {p.stem for p in paths}
    for path in paths:
        assert len(path.read_text("utf-8").splitlines()) <= LINES, path.name


@pytest.mark.slow
@pytest.mark.study
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", STUDIES)
def test_quick_run_from_end_to_end(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Oracle: the table of claims. That a second run computes nothing is tested above, on a tiny study.

    As few seeds as the study takes: more would test nothing more. In this process, since every further one
    imports torch anew; but one study runs as its page says, with two workers, between which results pass.
    """
    study = _study(name)
    if name == "fgsm_overfitting":
        given = ["--quick", "--seeds", str(study.least_seeds), "--jobs", "2", "--out", str(tmp_path)]
        done = subprocess.run(
            [sys.executable, str(SCRIPTS / f"{name}.py"), *given], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        said = done.stdout
    else:
        study.run(size="quick", seeds=study.least_seeds, jobs=1, out=tmp_path)
        said = capsys.readouterr().out
    table = (tmp_path / "claims.md").read_text("utf-8")
    assert table.count("not at this scale") >= 5
    assert "failed" not in table
    assert " 0 failed" in said
    claims = landscape.open(tmp_path / "claims.h5")
    assert len(claims["claim"]) == table.count("\n| ")  # all lines but the two of the header
    assert list((tmp_path / "figures").glob("*.png"))


@pytest.mark.slow
@pytest.mark.study
@pytest.mark.timeout(1200)
def test_networks_of_two_runs_are_measured_alike_and_ranked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Oracle: scipy's τ of the pooled table; weights of a run are left as they are, others are trained."""
    run = tmp_path / "dign_vat"
    resolve("dign_vat:STUDY", "study", SCRIPTS).run(size="quick", seeds=2, jobs=1, out=run)
    weights = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/checkpoints/*.safetensors")}
    out = tmp_path / "all"
    main = resolve("all_studies:main", "function", SCRIPTS)
    monkeypatch.setattr(
        *(sys, "argv"),
        ["x", str(run), "--train", "aliasing:quick", "-o", str(out), "--outcome", "test_loss"],
    )
    main()
    assert weights == {p: p.stat().st_mtime_ns for p in tmp_path.glob("*/checkpoints/*.safetensors")}
    trained = len(list(out.glob("aliasing/checkpoints/*.safetensors")))
    ranked, table = landscape.open(out / "ranked.h5"), pooled([out / n for n in ("dign_vat", "aliasing")])
    assert len(weights) and trained and len(table) == len(weights) + trained
    for metric in ("training: train_loss", "spectrum: λ max"):
        want = kendalltau(table[metric].astype(float), table["training: test_loss"].astype(float)).statistic
        np.testing.assert_allclose(ranked["tau"].sel(metric=metric), want)
        for study, part in table.groupby("model: study"):
            want = kendalltau(part[metric].astype(float), part["training: test_loss"].astype(float)).statistic
            np.testing.assert_allclose(ranked["study_tau"].sel(metric=metric, study=study), want)
    assert {str(name).partition(":")[0] for name in ranked["metric"].values} == {
        *("training", "measures", "weights", "spectrum", "collapse")
    }
    assert (out / "all_studies_tau.png").is_file()


def test_networks_of_no_study_are_not_ranked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Oracle: the sentence."""
    main = resolve("all_studies:main", "function", SCRIPTS)
    monkeypatch.setattr(sys, "argv", ["x", "-o", str(tmp_path / "all")])
    with pytest.raises(SystemExit):
        main()
    assert "give the output of a study, or --train the name of one" in capsys.readouterr().err


def test_a_run_that_did_not_finish_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Oracle: the sentence."""
    main = resolve("all_studies:main", "function", SCRIPTS)
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path / "aliasing"), "-o", str(tmp_path / "all")])
    with pytest.raises(InputError, match="aliasing is no finished run of a study"):
        main()
