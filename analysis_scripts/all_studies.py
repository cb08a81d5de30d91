"""What predicts generalisation over all studies: the networks of several runs, measured alike.

    python analysis_scripts/all_studies.py [RUN...] [--train NAME[:SIZE]...] -o OUT [--data DIR]

Each RUN is what ``landscape study analysis_scripts/NAME.py --out RUN`` has left of any size, in a folder that
has the name of the script. With ``--train`` the networks of a study, of its default size or another, are
trained here without what else the study does. All are measured on training images alone, with the same
options, and every number is ranked by how it goes with the test accuracy, within studies as well. Run it
again to go on.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import xarray as xr

import landscape
from landscape.core.stats.rank_association import kendall
from landscape.errors import InputError
from landscape.export.pooled import pooled
from landscape.imports import importing_from, resolve
from landscape.studies import On

HERE = Path(__file__).resolve().parent
EXAMPLES = 200
FEWEST = 8  # networks that must have a number for it to be ranked
SETTINGS = ("study", "kind", "width", "weight_decay", "batch_size")
MEASURES = (
    On("train", "measures", {"draws": 4}, examples=EXAMPLES),
    On("train", "weights"),
    On("train", "spectrum", {"k": 1, "which": "LA", "tol": 1e-2}, examples=EXAMPLES),
    On("train", "collapse", examples=EXAMPLES),
)


def measure(named: str, run: Path | None, given: argparse.Namespace) -> Path:
    """Measure the networks of a study: those of a run are not trained again, others are trained first."""
    name, _, size = named.partition(":")
    study = resolve(f"{name}:STUDY", "study", HERE)
    size, seeds, checkpoints = size or "default", study.seeds, None
    if run is not None:
        if not (run / "claims.h5").is_file():
            raise InputError(
                f"{run} is no finished run of a study: it has no claims.h5; let it finish first."
            )
        ended = landscape.open(run / "claims.h5").attrs
        size, seeds, checkpoints = str(ended["size"]), int(ended["seeds"]), run / "checkpoints"

    def alike(size):
        made = study.cohorts(size)
        return [replace(one, measure=MEASURES, averages=()) for one in made]

    out = given.out / name
    same = replace(study, cohorts=alike, findings=(), figures=(), grids=())
    same.run(size=size, seeds=seeds, out=out, checkpoints=checkpoints, data=given.data, jobs=given.jobs)
    return out


def study_tau(table, metrics, outcome: str) -> xr.DataArray:
    """Kendall's τ of each number with the outcome, over all networks of each study."""
    parts = dict(list(table.groupby("model: study")))
    found = [
        [kendall(*part[[metric, outcome]].astype(float).dropna().values.T)[0] for part in parts.values()]
        for metric in metrics
    ]
    return xr.DataArray(found, {"metric": metrics, "study": list(parts)}, ("metric", "study"))


def main() -> None:
    """Measure the networks of all runs, and rank what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", type=Path, help="outputs of studies, each in a folder of its name")
    parser.add_argument("--train", nargs="+", default=[], metavar="NAME[:SIZE]", help="studies without a run")
    parser.add_argument("-o", "--out", type=Path, required=True, help="results")
    parser.add_argument("--data", type=Path, help="folder of CIFAR")
    parser.add_argument("--outcome", default="test_accuracy", help="or test_loss")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes")
    given = parser.parse_args()
    with importing_from(HERE):
        done = [measure(run.resolve().name, run, given) for run in given.runs]
        done += [measure(named, None, given) for named in given.train]
    if not done:
        parser.error("give the output of a study, or --train the name of one")
    table = pooled(done)
    settings = tuple(name for name in SETTINGS if f"model: {name}" in table)
    analysis = landscape.analyses()["generalisation"]
    metrics = ("training: train_loss", *(f"{on.of}: *" for on in MEASURES))
    ranked = analysis(table, settings=settings, metrics=metrics, outcome=f"training: {given.outcome}")
    # Kinds of one name in two studies differ in more than the study: only within each they are compared.
    within = ranked["axis_tau"].sel(axis=ranked["axis"] != "study")
    ranked["psi"] = within.mean("axis").assign_attrs(ranked["psi"].attrs)
    ranked = ranked.isel(metric=(ranked["models"] >= FEWEST).values)
    ranked["study_tau"] = study_tau(table, ranked["metric"].values, f"training: {given.outcome}")
    landscape.save(ranked, given.out / "ranked.h5")
    for spec in analysis.plots({"": ranked}):
        path = given.out / f"all_studies_{spec.name}.png"
        landscape.plot(spec, backend="matplotlib").savefig(path, dpi=160)
    rows = ranked[["tau", "tau_low", "tau_high", "psi", "models"]].to_dataframe()
    signs = ranked["study_tau"]
    rows["studies up"], rows["down"] = (signs > 0).sum("study").values, (signs < 0).sum("study").values
    print(rows.to_string(float_format="{:+.3f}".format))


if __name__ == "__main__":
    main()
