"""NOMU: neural optimization-based model uncertainty (Heiss, Weissteiner et al., ICML 2022).

    python analysis_scripts/nomu.py [--quick | --full]

Trains, on eight random points of curves of one input without noise, a network whose second output is to grow
where it has seen nothing, an ensemble on squared errors and a network with dropout, puts a Gaussian process
beside them, and asks of each where it doubts and what its doubt is worth. Run it again to go on where it
stopped.
"""

import numpy as np
from scipy.stats import spearmanr

from landscape.base.figure import Points, Series
from landscape.core.behaviour.gaussian_scores import best_scale, nll
from landscape.reference import models
from landscape.reference.data.curves import curve
from landscape.reference.uncertainty import Nomu, NomuLoss, gaussian_process, mc_dropout, spread_ensemble
from landscape.studies import Average, Cohort, Data, Figure, Finding, On, Size, Study, kind

POINTS = 8
AWAY = 0.1
"""How far from the nearest point a place is where doubt is to be large."""
FLOOR = 1e-3  # least standard deviation in comparisons of likelihoods, of every method
METHODS = ("nomu", "ensemble", "dropout", "gp")
SIX = ("step", "kink", "abs", "sine", "cubic", "forrester")
LOSS = "gaussian_nll"
ADAM = {"optimizer": "adamw", "lr": 1e-3, "schedule": "constant", "batch_size": POINTS, "loss": LOSS}


def sized(curves, parts, width, epochs, samples):
    """A size: curves and draws of points, width and epochs of all networks, masks of dropout."""
    fields = {"curves": curves, "parts": parts, "width": width, "epochs": epochs, "samples": samples}
    return Size(data=Data.table(curve, 1), **fields)


SIZES = {
    "quick": sized(("kink",), 1, 16, 10, 3),
    "default": sized(SIX, 5, 128, 1024, 100),
    "full": sized((*SIX, "square", "fast-sine", "levy"), 50, 1024, 1024, 100),
}


def cohort(size, name, part):
    """The methods on one curve, seen at one draw of points."""
    # epochs are one step of milliseconds: a state after each would take longer than the training
    training = {**ADAM, "epochs": size.epochs, "save_every": 512}
    net = {"inputs": 1, "hidden": [size.width] * 3, "variance": 1.0}
    recipes = [
        kind("nomu", Nomu, {"inputs": 1, "width": size.width}, {**training, "objective": NomuLoss()}),
        kind("network", models.gaussian_mlp, net, training),
        kind("dropout-net", models.gaussian_mlp, {**net, "dropout": 0.2}, training),
    ]
    masks = {"samples": size.samples, "kind": "regression", "spread": True}
    averages = [
        Average("ensemble", "network", spread_ensemble),
        Average("dropout", "dropout-net", mc_dropout, masks),
        Average("gp", "nomu", gaussian_process, fit="train"),
    ]
    measure = [On("test", "regression_uncertainty", kinds=METHODS)]
    data = Data.table(curve, 1, name=name, part=part, count=POINTS)
    options = {"loss": LOSS, "first_seed": ("nomu", "dropout-net")}
    return Cohort(recipes, data, measure, f"{name}-{part}", averages=averages, **options)


def cohorts(size):
    """Every curve at every draw of points."""
    return [cohort(size, name, part) for part in range(size.parts) for name in size.curves]


def distance(ds):
    """Of the places after the points: how far the nearest point is."""
    x = ds["example_input"].values
    return np.abs(x[POINTS:, None] - x[None, :POINTS]).min(1)


def spread(ds):
    """Predicted standard deviation at the points, and at the places after them."""
    return np.split(ds["example_sd"].values[:, 0], [POINTS])


def doubt_at_points(ds):
    """Mean spread at the points over that away from them (D2)."""
    known, others = spread(ds)
    return float(known.mean() / others[distance(ds) > AWAY].mean())


def doubt_by_distance(ds):
    """Rank correlation of spread and distance (D4)."""
    return float(spearmanr(spread(ds)[1], distance(ds))[0])


def errors(ds):
    """Target less mean at the places after the points."""
    return (ds["example_target"] - ds["example_mean"]).values[POINTS:, 0]


def least_nlpd(ds):
    """Mean negative log density with the factor on all spreads that makes it least."""
    variance = np.maximum(spread(ds)[1], FLOOR) ** 2
    return float(nll(errors(ds), best_scale(errors(ds), variance) ** 2 * variance).mean())


def rmse(ds):
    """Root mean square of the errors."""
    return float(np.sqrt((errors(ds) ** 2).mean()))


SURE = "NOMU is surer at the points than away from them, more than"
GROWS = "its doubt grows with distance more than"
DENSITY, MEAN = "with one factor on its spread NOMU has a lower NLPD than", "NOMU has a smaller error than"
D2, D4 = (doubt_at_points, "of the spread away"), (doubt_by_distance, "Spearman's ρ")
NLPD, RMSE = (least_nlpd, "nats"), (rmse, "of the target's half range")
NAMES = {"dropout": "dropout", "ensemble": "an ensemble of 5", "gp": "a Gaussian process"}
ROWS = [(SURE, D2, -1), (GROWS, D4, 1), (DENSITY, NLPD, -1), (MEAN, RMSE, -1)]


def finding(claim, effect, unit, sign, other):
    """NOMU against another method; positive effects speak for it."""
    more, than = ("nomu", other) if sign > 0 else (other, "nomu")
    of = "regression_uncertainty"
    return Finding(f"{claim} {NAMES[other]}", effect, of, more=more, than=than, unit=unit, by_cohort=True)


def seen(ds):
    """The training points."""
    x, y = ds["example_input"].values[:POINTS], ds["example_target"].values[:POINTS, 0]
    return Points(x, y, Series(label="training points"))


def figures(size):
    """Predictions on one draw of points of a curve by each method, and where all of them doubt."""
    of, last = "regression_uncertainty", size.curves[-1]
    shown = [Figure(of, "curve", (m,), f"{last}_{m}", (f"{last}-0",), beside=seen) for m in METHODS]
    return [*shown, *(Figure(of, "spread", METHODS, name, (f"{name}-0",)) for name in size.curves[:6])]


STUDY = Study(
    name="nomu",
    script=__file__,
    paper="Heiss et al. 2022",
    sizes=SIZES,
    cohorts=cohorts,
    findings=[
        finding(claim, effect, unit, sign, other) for claim, (effect, unit), sign in ROWS for other in NAMES
    ],
    figures=figures,
    seeds=5,
)

if __name__ == "__main__":
    STUDY.main()
