"""Deep ensembles in full (Lakshminarayanan, Pritzel & Blundell, NeurIPS 2017).

    python analysis_scripts/deep_ensembles.py [--quick | --full --data DIR]

Trains networks that put out a mean and a variance on random parts of a regression, with and without adversarial
smoothing, the same on squared errors alone, networks on points of a cubic, and classifiers of digits; averages
them, and says which of the paper's findings hold. Run it again to go on where it was stopped.
"""

from pathlib import Path

from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.reference import models
from landscape.reference.data import cubic, diabetes, uci
from landscape.reference.training import AdversarialSmoothing, CrossEntropy, RegressionLoss
from landscape.reference.uncertainty import spread_ensemble
from landscape.studies import Average, Cohort, Data, Figure, Finding, On, Size, Study, effects, kind

ADAM = {"optimizer": "adamw", "lr": 0.01, "schedule": "constant"}
TABLES = {**ADAM, "batch_size": 100, "loss": "gaussian_nll"}
CURVES = {**ADAM, "batch_size": 20, "loss": "gaussian_nll"}
DIGITS = {"optimizer": "adamw", "lr": 0.001, "schedule": "cosine", "batch_size": 100}
PIXELS = {"mean": [0.1307], "std": [0.3081]}
PATCHES = "landscape.reference.data:patches"
AVERAGE = "digits-ensemble"
SETS = {  # lines of nine tenths of each, and inputs
    "concrete": (927, 8),
    "energy": (691, 8),
    "kin8nm": (7373, 8),
    "power-plant": (8611, 4),
    "wine-quality-red": (1439, 11),
    "yacht": (277, 6),
}


def size(tables, epochs, cubics, digits, train, images):
    """A size of the study: `data` are those that a folder is asked for, if one is."""
    fields = {"tables": tables, "epochs": epochs, "cubics": cubics, "digits": digits}
    return Size(data=next(iter(tables.values())), train=train, images=images, **fields)


def diabetes_parts(count):
    """Random tenths of the diabetes data held out."""
    return {f"diabetes-{part}": Data.table(diabetes, 398, 10, part=part) for part in range(count)}


UCI = {
    f"{name}-{part}": Data.table(uci, *shape, name=name, part=part, root="data")
    for name, shape in SETS.items()
    for part in range(20)
}
SIZES = {  # epochs of tables, cubics and digits; random parts of cubics and of digits
    "quick": size(diabetes_parts(2), (3, 10, 2), cubics=2, digits=2, train=100, images=40),
    "default": size(diabetes_parts(20), (40, 200, 20), cubics=10, digits=5, train=1000, images=500),
    "full": size(UCI, (40, 200, 20), cubics=20, digits=5, train=4000, images=1000),
}


def regressions(name, label, data, training, hidden):
    """Networks with a variance, with adversarial smoothing too, and on squared errors; their averages."""
    smoothing = RegressionLoss() + AdversarialSmoothing(0.01)
    net = {"inputs": data.features, "hidden": [hidden]}
    recipes = [
        kind(label, models.gaussian_mlp, net, training),
        kind(f"{label}-adv", models.gaussian_mlp, net, {**training, "objective": smoothing}),
        kind(f"{label}-mse", models.gaussian_mlp, {**net, "variance": 1.0}, training),
    ]
    averages = [
        Average(f"{label}-ensemble", label, DeepEnsemble),
        Average(f"{label}-adv-ensemble", f"{label}-adv", DeepEnsemble),
        Average(f"{label}-mse-ensemble", f"{label}-mse", spread_ensemble),
    ]
    measure = [On("test", "regression_uncertainty", label=label)]
    return Cohort(recipes, data, measure, name, averages=averages, loss="gaussian_nll")


def classifiers(name, data, training, images):
    """Networks on digits, with and without adversarial smoothing, under rotation and noise."""
    smoothing = CrossEntropy() + AdversarialSmoothing(0.01, "cross_entropy")
    net = {"widths": [784, 200, 200, 200, 10]}
    recipes = [
        kind("digits", models.mlp, net, training),
        kind("digits-adv", models.mlp, net, {**training, "objective": smoothing}),
    ]
    averages = [Average(f"{r.group}-ensemble", r.group, DeepEnsemble) for r in recipes]
    options = {"shifts": ["rotation", "gaussian_noise"], "ood_data": [PATCHES], **PIXELS}
    measure = [On("test", "uncertainty", options, examples=images)]
    return Cohort(recipes, data, measure, name, averages=averages)


def cohorts(size):
    """One cohort for each random part of the data, with as many networks of a kind as there are seeds."""
    tables, curves, digits = (
        {**given, "epochs": epochs}
        for given, epochs in zip((TABLES, CURVES, DIGITS), size.epochs, strict=True)
    )
    folder = Path(size.data.train.kwargs.get("root", "."))
    return [
        *(regressions(n, "table", d.at(folder), tables, 50) for n, d in size.tables.items()),
        *(
            regressions(f"cubic-{p}", "cubic", Data.table(cubic, 20, 1, part=p), curves, 100)
            for p in range(size.cubics)
        ),
        *(
            classifiers(f"digits-{p}", Data.digits(size.train, size.images, seed=p), digits, size.images)
            for p in range(size.digits)
        ),
    ]


def paired(claim, of, effect, more, than, unit="nats", **given):
    """A difference within each random part of the data."""
    return Finding(claim, effect, of, more=more, than=than, unit=unit, by_cohort=True, **given)


def findings(size):
    """Averaging, variances, adversarial smoothing, and what is far from the data."""
    nll, covered, ratio = effects.score("nll"), effects.coverage(0.9), effects.far_over_near(1.0)
    seeds, points = f"{size.seeds} networks", {"unit": "points", "scale": 100}
    shifted, members = effects.shifted("nll"), "table-ensemble"
    smooth, less = "adversarial smoothing", "lowers the NLL"
    return [
        paired(f"an average of {seeds} {less}", "table", nll, "table", members),
        paired("its RMSE is lower", "table", effects.score("rmse"), "table", members, "sd of the target"),
        paired("its CRPS is lower", "table", effects.score("crps"), "table", members, "sd of the target"),
        paired("its 90 % intervals hold more targets", "table", covered, members, "table", **points),
        paired(
            "a variance head has a lower NLL than the spread of networks on squared errors",
            *("table", nll, "table-mse-ensemble", members),
        ),
        paired(f"{smooth} {less} of single networks", "table", nll, "table", "table-adv"),
        paired(f"{smooth} {less} of ensembles", "table", nll, members, "table-adv-ensemble"),
        paired(
            f"{smooth} raises the coverage of 90 % intervals (ensembles)",
            *("table", covered, "table-adv-ensemble", members),
            **points,
        ),
        paired(
            "outside of a cubic's points the spread of an ensemble grows more than that of a network",
            *("cubic", ratio, "cubic-ensemble", "cubic", "of the spread inside"),
        ),
        paired(f"an ensemble {less} of rotated and noisy digits", "uncertainty", shifted, "digits", AVERAGE),
        paired(
            "an ensemble tells photographs from digits better",
            "uncertainty",
            effects.ood_auroc,
            AVERAGE,
            "digits",
            "AUROC",
        ),
        paired(
            f"{smooth} {less} of rotated and noisy digits", "uncertainty", shifted, "digits", "digits-adv"
        ),
    ]


STUDY = Study(
    name="ensembles",
    script=__file__,
    paper="Lakshminarayanan et al. 2017",
    sizes=SIZES,
    cohorts=cohorts,
    findings=findings,
    figures=[
        Figure("table", ("coverage", "ranks", "errors_by_spread"), tag="table"),
        Figure("uncertainty", ("mean_nll", "split", "ood_auroc"), tag="digits"),
    ],
    seeds=5,
)

if __name__ == "__main__":
    STUDY.main()
