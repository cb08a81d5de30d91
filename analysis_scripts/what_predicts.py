"""What predicts generalisation: every number of landscape against the accuracy on held-out images.

    python analysis_scripts/what_predicts.py [--quick | --size natural --data DIR]

Trains residual networks of five widths with three weight decays, measures each on its training data alone,
and ranks all numbers by how they go with the test accuracy, over all models and setting by setting (Jiang et
al., ICLR 2020; Dziugaite et al., NeurIPS 2020). Run it again to go on where it was stopped.
"""

from collections.abc import Sequence

from landscape.reference import models
from landscape.reference.training.recipe import Recipe
from landscape.studies import Cohort, Data, Figure, On, Predicts, Ranking, Size, Study, effects
from landscape.studies.rankings import distance_from_start
from landscape.studies.settings import SGD

MEASURES = (
    # number, what it is, whether accuracy is said to rise (1) or fall (-1) with it, by whom
    ("training: train_loss", "the training loss", -1, "Dziugaite et al. 2020"),
    ("training: distance from start", "the distance from initialisation", -1, "Nagarajan & Kolter 2019"),
    ("measures: parameters", "the number of parameters", 1, "Neyshabur et al. 2019"),
    ("measures: margin", "the margin", 1, "Jiang et al. 2019"),
    ("measures: path norm", "the path norm", -1, "Neyshabur et al. 2015"),
    ("measures: log spectral", "the product of spectral norms", -1, "Bartlett et al. 2017"),
    ("measures: σ flat", "the noise that all weights bear", 1, "Neyshabur et al. 2017"),
    ("measures: σ relative", "the noise, relative to each weight", 1, "Jiang et al. 2020"),
    ("spectrum: λ max", "the top Hessian eigenvalue", -1, "Keskar et al. 2017"),
    ("trace: trace", "the Hessian trace", -1, "Keskar et al. 2017"),
    ("sharpness: sharpness", "adaptive sharpness", -1, "Kwon et al. 2021"),
    ("sharpness: average sharpness", "adaptive sharpness on average", -1, "Andriushchenko et al. 2023"),
    ("llc: λ̂", "the local learning coefficient", -1, "Lau et al. 2023"),
    ("gradients: GSNR", "the signal-to-noise ratio of gradients", 1, "Liu et al. 2020"),
    ("ntk: kernel alignment", "the alignment of the tangent kernel", 1, "Baratin et al. 2021"),
    ("collapse: NC1", "the spread of features within classes (NC1)", -1, "Papyan et al. 2020"),
    ("intrinsic_dimension: TwoNN, last", "the dimension of the last layer", -1, "Ansuini et al. 2019"),
    ("weights: stable rank / full", "the stable rank of the weights", -1, "Sanyal et al. 2020"),
    ("input_curvature: ‖∇ₓ‖", "the gradient by the pixels", -1, "Novak et al. 2018"),
)
CHEAP = ("training", "measures", "weights", "spectrum", "collapse")
DECAYS = (0.0, 1e-3, 5e-3)
LLC = {"chains": 2, "burn_in": 60, "samples": 100, "step_factors": (1.0,), "localization_factors": (1.0,)}
TRAINING = {**SGD, "schedule": "cosine", "batch_size": 32, "lr": 0.05}
SIZES = {
    "quick": Size(
        data=Data.digits(train=60, test=60, side=14),
        widths=(2, 4),
        decays=(0.0, 5e-3),
        training={**TRAINING, "epochs": 2},
        examples=40,
        dear=False,
        network={"blocks": [1, 1]},
    ),
    "default": Size(
        data=Data.digits(train=500, test=1000, side=14),
        widths=(2, 4, 6, 8, 12),
        decays=DECAYS,
        training={**TRAINING, "epochs": 30},
        examples=200,
        dear=True,
        network={"blocks": [1, 1]},
    ),
    "natural": Size(
        data=Data.natural(train=2000, test=2000),
        widths=(4, 6, 8, 12, 16),
        decays=DECAYS,
        training={**TRAINING, "batch_size": 64, "epochs": 15},
        examples=200,
        dear=True,
        network={"blocks": [1, 1, 1], "in_channels": 3},
    ),
}


def cohorts(size: Size) -> list[Cohort]:
    """All widths with all weight decays."""
    recipes = [cell(size, width, decay) for width in size.widths for decay in size.decays]
    return [Cohort(recipes, size.data, measure(size), name="zoo")]


def cell(size: Size, width: int, decay: float) -> Recipe:
    """A residual network of a width, trained with a weight decay."""
    return Recipe(
        group=f"w{width}-d{decay:g}",
        builder=models.resnet,
        kwargs={"width": width, **size.network},
        training={**size.training, "weight_decay": decay},
        tags={"width": str(width), "weight_decay": f"{decay:g}"},
    )


def measure(size: Size) -> Sequence[On]:
    """What is said to predict generalisation, on training images alone."""
    found = [
        On("train", "measures", {"draws": 4}, examples=size.examples),
        On("train", "weights"),
        On("train", "spectrum", {"k": 3, "which": "LA", "tol": 1e-2}, examples=size.examples),
        On("train", "collapse", examples=size.examples),
    ]
    if not size.dear:
        return found
    few = min(size.examples, 100)
    return [
        *found,
        On("train", "trace", {"rel_se": 0.05, "max_products": 100}, examples=size.examples),
        On("train", "intrinsic_dimension", examples=size.examples),
        On("train", "fourier", examples=size.examples),
        On("train", "transfer", examples=size.examples),
        On("train", "sharpness", {"rel_se": 0.1, "max_products": 60}, examples=few),
        On("train", "gradients", {"k": 3}, examples=few),
        On("train", "ntk", {"k": 3}, examples=few),
        On("train", "llc", LLC, examples=size.examples),
        On("train", "frequency_noise", {"heat_steps": 1}, examples=size.examples),
        On("train", "input_curvature", examples=50),
    ]


def findings(size: Size) -> list[Predicts]:
    """Over all models, and where one setting alone changes."""
    found = []
    for metric, what, sign, paper in MEASURES:
        said = f"test accuracy {'rises' if sign > 0 else 'falls'} with {what}"
        if size.dear or metric.partition(":")[0] in CHEAP:
            found.append(Predicts(said, "ranking", metric, sign, paper=paper))
            found.append(Predicts(f"{said}, one setting at a time", "ranking", metric, sign, True, paper))
    return found


STUDY = Study(
    name="predicts",
    script=__file__,
    paper="Jiang et al. 2020",
    sizes=SIZES,
    cohorts=cohorts,
    grids=[
        Ranking(
            "ranking",
            "width and weight decay",
            ("width", "weight_decay"),
            effects.test_accuracy,
            ("zoo",),
            {"distance from start": distance_from_start},
        )
    ],
    findings=findings,
    figures=[Figure("ranking")],
    seeds=3,
    least_seeds=2,
)

if __name__ == "__main__":
    STUDY.main()
