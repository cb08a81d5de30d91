"""Deep ensembles in full (Lakshminarayanan, Pritzel & Blundell, NeurIPS 2017).

    python analysis_scripts/deep_ensembles.py [--quick | --full --data DIR]

Trains networks that put out a mean and a variance on random parts of a regression, with and without
adversarial smoothing, the same on squared errors alone, networks on points of a cubic, and classifiers of
digits; averages them, and says which of the paper's findings hold. Run it again to go on where it stopped.
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
CURVES = {**ADAM, "batch_size": 5, "loss": "gaussian_nll"}
DIGITS = {"optimizer": "adamw", "lr": 0.001, "schedule": "cosine", "batch_size": 100}
PIXELS = {"mean": [0.1307], "std": [0.3081]}
PATCHES = "landscape.reference.data:patches"
AVERAGE = "digits-ensemble"
FEATURES = {"concrete": 8, "energy": 8, "kin8nm": 8, "power-plant": 4, "wine-quality-red": 11, "yacht": 6}


def sized(tables, epochs, parts, train, images):
    """A size of the study: epochs of tables, cubics and digits; random parts of cubics and of digits."""
    data = next(iter(tables.values()))  # says whether there is a folder to name
    return Size(data=data, tables=tables, epochs=epochs, parts=parts, train=train, images=images)


def diabetes_parts(count):
    """Random tenths of the diabetes data held out."""
    return {f"diabetes-{part}": Data.table(diabetes, 10, part=part) for part in range(count)}


UCI = {
    f"{name}-{part}": Data.table(uci, features, name=name, part=part, root="data")
    for name, features in FEATURES.items()
    for part in range(20)
}
SIZES = {
    "quick": sized(diabetes_parts(2), (3, 4, 2), (2, 2), train=100, images=40),
    "default": sized(diabetes_parts(20), (40, 80, 20), (10, 5), train=1000, images=500),
    "full": sized(UCI, (40, 80, 20), (20, 5), train=4000, images=1000),
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
    pairs = zip((TABLES, CURVES, DIGITS), size.epochs, strict=True)
    tables, curves, digits = ({**given, "epochs": epochs} for given, epochs in pairs)
    made, folder = [], Path(size.data.train.kwargs.get("root", "."))
    for name, data in size.tables.items():
        made.append(regressions(name, "table", data.at(folder), tables, 50))
    for part in range(size.parts[0]):
        data = Data.table(cubic, 1, part=part)
        made.append(regressions(f"cubic-{part}", "cubic", data, curves, 100))
    for part in range(size.parts[1]):
        data = Data.digits(size.train, size.images, seed=part)
        made.append(classifiers(f"digits-{part}", data, digits, size.images))
    return made


def findings(size):
    """Averaging, variances, adversarial smoothing, and what is far from the data; each part has its own."""
    nll, rmse, crps = map(effects.score, ("nll", "rmse", "crps"))
    covered, ratio, shifted = effects.coverage(0.9), effects.far_over_near(1.0), effects.shifted("nll")
    one, several, smoothed = "table", "table-ensemble", "table-adv-ensemble"
    average, smooth = f"an average of {size.seeds} networks", "adversarial smoothing"
    spread, photographs = "the spread of networks on squared errors", effects.ood_auroc
    sd, share, more = "sd of the target", "of targets", "raises the coverage of 90 % intervals"
    far = f"outside of a cubic's points the spread of {average} grows more than that of one"
    other = f"{average} tells photographs from digits better than one"
    tables = [
        (f"{average} has a lower NLL than one", nll, one, several, "nats"),
        (f"{average} has a lower RMSE than one", rmse, one, several, sd),
        (f"{average} has a lower CRPS than one", crps, one, several, sd),
        (f"{average} {more}", covered, several, one, share),
        (
            f"{average} with variances has a lower NLL than {spread}",
            nll,
            "table-mse-ensemble",
            several,
            "nats",
        ),
        (f"{smooth} lowers the NLL of single networks", nll, one, "table-adv", "nats"),
        (f"{smooth} lowers the NLL of averages", nll, several, smoothed, "nats"),
        (f"{smooth} {more} of single networks", covered, "table-adv", one, share),
        (f"{smooth} {more} of averages", covered, smoothed, several, share),
    ]
    digits = [
        (f"{average} has a lower NLL on rotated and noisy digits", shifted, "digits", AVERAGE, "nats"),
        (f"{smooth} lowers the NLL on these", shifted, "digits", "digits-adv", "nats"),
        (other, photographs, AVERAGE, "digits", "AUROC"),
    ]
    cubics = [(far, ratio, "cubic-ensemble", "cubic", "of the spread inside")]
    return [
        Finding(claim, effect, of, more=more, than=than, unit=unit, by_cohort=True)
        for of, rows in (("table", tables), ("cubic", cubics), ("uncertainty", digits))
        for claim, effect, more, than, unit in rows
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
