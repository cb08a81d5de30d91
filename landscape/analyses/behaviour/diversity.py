"""``diversity``: how differently the models of a group predict, and what their average gains by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analyses._shared.captions import error_bars
from landscape.analyses._shared.matrix_figure import matrix
from landscape.analyses.behaviour._answers import ANSWERS, MEANS, check_same_answers, counted, nats, record
from landscape.base.analysis import Analysis, Context, Cost, Metric, Params
from landscape.base.figure import Axis, ColorAxis, FigureSpec, Points, series
from landscape.base.schema import Schema, Variable
from landscape.core.stats.intervals import answered_error, reach

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.problem.problem import Problem

NATS = "nats/example"
PAIR = ("model", "other")
GAINS = {
    "nll": ("negative log-likelihood", NATS, "the Jensen gap"),
    "brier": ("Brier score", "1", "the variance of probabilities over members, summed over classes"),
}


class DiversityParams(Params):
    """Options of ``diversity``: none."""


def _gain(name: str, what: str, unit: str, gap: str) -> tuple[Variable, ...]:
    error = "standard error over examples of"
    return (
        Variable(f"member_{name}", ("model",), f"mean {what} of each model", unit),
        Variable(f"mean_{name}", (), f"mean {what} of the models", unit),
        Variable(f"average_{name}", (), f"{what} of the mean of their probabilities", unit),
        Variable(f"{name}_gain", (), f"mean_{name} less average_{name}, exactly {gap}", unit),
        Variable(f"{name}_gain_se", (), f"{error} {name}_gain", unit),
    )


SCHEMA = Schema(
    version=1,
    coords=(
        Variable("model", ("model",), "model", "", kind="str"),
        Variable("other", ("other",), "other model of a pair", "", kind="str"),
    ),
    variables=(
        Variable("disagreement", PAIR, "share of examples with different most probable classes"),
        Variable("disagreement_se", PAIR, "standard error of disagreement over examples"),
        Variable(
            "relative_disagreement",
            PAIR,
            "disagreement over what independent errors of these accuracies would give",
        ),
        Variable("error_correlation", PAIR, "correlation over examples of being wrong"),
        Variable("kl", PAIR, "mean Kullback-Leibler divergence of other from model", NATS),
        Variable("js", PAIR, "mean Jensen-Shannon divergence", NATS),
        *(variable for name, facts in GAINS.items() for variable in _gain(name, *facts)),
        Variable("member_accuracy", ("model",), "share of right answers of each model"),
        Variable("average_accuracy", (), "share of right answers of the mean of their probabilities"),
        Variable("examples", (), "number of examples", kind="int"),
        *ANSWERS,
    ),
)


def compute(problems: Mapping[str, Problem], params: DiversityParams, context: Context) -> Mapping[str, Any]:
    """Predict once with each model; everything comes from the predictions."""
    from landscape.core.behaviour.calibration import Predictions, predict
    from landscape.core.behaviour.diversity import brier_ambiguity, nll_ambiguity

    made: list[Predictions] = []
    for problem in problems.values():
        made.append(predict(problem))
        check_same_answers("diversity", made[0], made[-1])
        context.progress(len(made) / (len(problems) + 1))
    labels, log_p = made[0].labels, np.stack([m.log_p for m in made])
    data: dict[str, Any] = _pairs(made)
    truth = made[0].truth
    ambiguities = {
        "nll": nll_ambiguity(log_p, labels, truth),
        "brier": brier_ambiguity(log_p, labels, truth),
    }
    for name, parts in ambiguities.items():
        data |= {
            f"member_{name}": np.array([getattr(m, name).mean() for m in made]),
            f"mean_{name}": parts.members.mean(),
            f"average_{name}": parts.average.mean(),
            f"{name}_gain": parts.gain.mean(),
            f"{name}_gain_se": made[0].error(parts.gain),
        }
    average = made[0].with_logits(np.logaddexp.reduce(log_p))
    context.progress(1.0)
    return {
        **data,
        "model": np.array(list(problems)),
        "other": np.array(list(problems)),
        "member_accuracy": np.array([m.correct.mean() for m in made]),
        "average_accuracy": average.correct.mean(),
        "examples": made[0].count,
        **record(made[0]),
    }


def _pairs(made: Sequence[Any]) -> dict[str, Any]:
    """What there is to say of each pair of models."""
    from landscape.core.behaviour.diversity import expected_disagreement, kl_divergence

    names = ("disagreement", "disagreement_se", "relative_disagreement", "error_correlation", "kl", "js")
    data = {name: np.full((len(made), len(made)), np.nan) for name in names}
    classes = made[0].log_p.shape[1]
    for i, a in enumerate(made):
        for j, b in enumerate(made):
            differ = np.where(np.isnan(a.correct + b.correct), np.nan, a.log_p.argmax(1) != b.log_p.argmax(1))
            data["disagreement"][i, j] = differ.mean()
            error = a.error(differ)
            # a model never disagrees with itself, whatever the examples
            data["disagreement_se"][i, j] = error if i == j else answered_error(error, a.count)
            expected = expected_disagreement(a.correct.mean(), b.correct.mean(), classes)
            if i != j and expected > 0:
                data["relative_disagreement"][i, j] = differ.mean() / expected
            data["error_correlation"][i, j] = _correlation(a.correct, b.correct)
            data["kl"][i, j] = kl_divergence(a.log_p, b.log_p).mean()
            middle = np.logaddexp(a.log_p, b.log_p) - np.log(2)
            halves = kl_divergence(a.log_p, middle) + kl_divergence(b.log_p, middle)
            data["js"][i, j] = np.maximum(halves / 2, 0.0).mean()
    return data


def _correlation(a: Any, b: Any) -> float:
    """NaN if one is always right or always wrong."""
    spread = a.std() * b.std()
    return float(((a - a.mean()) * (b - b.mean())).mean() / spread) if spread != 0 else float("nan")


def _half(ds: xr.Dataset, name: str) -> float:
    """Half the 95 % interval of a gain."""
    return reach(int(ds["examples"])) * float(ds[f"{name}_gain_se"])


def plots(datasets: Mapping[str, xr.Dataset]) -> Sequence[FigureSpec]:
    """What averages gain in each group, and matrices of pairs."""
    places = Axis("group", categories=tuple(datasets), limits=(-0.5, len(datasets) - 0.5))
    first = next(iter(datasets.values()))
    figures = []
    for name, (what, unit, gap) in GAINS.items():
        marks = [
            Points(
                [place],
                [float(ds[f"{name}_gain"])],
                series(label, ds),
                [_half(ds, name)],
            )
            for place, (label, ds) in enumerate(datasets.items())
        ]
        figures.append(
            FigureSpec(
                f"{name}_gain",
                f"What the average gains: {what}",
                places,
                Axis(f"gain in {'NLL' if name == 'nll' else what}", nats(datasets) if unit == NATS else unit),
                tuple(marks),
                f"Mean {what} of the models less that of the mean of their probabilities: exactly {gap};"
                f" {counted(first, int(first['examples']))}.",
                error_bars((int(ds["examples"]) for ds in datasets.values()), "over examples", "Bars"),
            )
        )
    colors = {
        "disagreement": ColorAxis("share of examples", limits=(0.0, 1.0)),
        "error_correlation": ColorAxis("correlation", limits=(-1.0, 1.0), kind="diverging"),
        "js": ColorAxis("Jensen-Shannon divergence", NATS),
    }
    for index, (label, ds) in enumerate(datasets.items()):
        axes = ("model", [str(m) for m in ds["model"].values])
        for name, color in colors.items():
            meaning = SCHEMA[name].meaning
            caption = f"{meaning[0].upper()}{meaning[1:]}; {counted(ds, int(ds['examples']))}."
            title = f"{name.replace('_', ' ').replace('js', 'Divergence').capitalize()}: {label}"
            figures.append(matrix(f"{name}_{index}", title, axes, axes, ds[name].values, color, caption))
    return figures


def summary(ds: xr.Dataset) -> Sequence[Metric]:
    """How different the models are, and what that gains."""
    pairs = ~np.eye(ds.sizes["model"], dtype=bool)

    def mean(name: str) -> float:
        values = ds[name].values[pairs]
        return float(values.mean()) if values.size else float("nan")

    return [
        Metric("disagreement", mean("disagreement"), "1", "share of different answers, mean over pairs"),
        Metric("error correlation", mean("error_correlation"), "1", "mean over pairs of models"),
        Metric(
            "NLL gain",
            float(ds["nll_gain"]),
            nats({"": ds}),
            "mean NLL of the models less that of their average",
            error=_half(ds, "nll"),
        ),
        Metric(
            "Brier gain",
            float(ds["brier_gain"]),
            "1",
            "the same of the Brier score",
            error=_half(ds, "brier"),
        ),
    ]


diversity = Analysis(
    name="diversity",
    title="Diversity of predictions",
    description=(
        "How differently the models of a group predict: shares of different answers, also over what"
        " independent errors of these accuracies would give, correlation of errors, Kullback-Leibler and"
        " Jensen-Shannon divergences; and what the average of their probabilities gains by it. The mean NLL"
        " of the models is that of the average plus the Jensen gap, the mean Brier score that of the average"
        " plus the variance of the probabilities (Krogh & Vedelsby 1995), both exactly. Beside"
        " `connectivity` and `cka` of the same group this tells whether models in different basins differ in"
        " what they predict. " + MEANS
    ),
    scope="group",
    params=DiversityParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(forwards=1.0),
)
