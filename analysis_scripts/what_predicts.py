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

DECAYS = (0.0, 1e-3, 5e-3)
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
        training={**TRAINING, "epochs": 30, "augment": "none"},
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
    cheap = [
        On("train", "measures", {"draws": 4}, examples=size.examples),
        On("train", "weights"),
        On("train", "spectrum", {"k": 3, "which": "LA", "tol": 1e-2}, examples=size.examples),
        On("train", "trace", {"rel_se": 0.05, "max_products": 100}, examples=size.examples),
        On("train", "collapse", examples=size.examples),
        On("train", "intrinsic_dimension", examples=size.examples),
        On("train", "fourier", examples=size.examples),
        On("train", "transfer", examples=size.examples),
    ]
    dear = [
        On("train", "sharpness", {"rel_se": 0.1, "max_products": 60}, examples=size.examples),
        On("train", "gradients", examples=size.examples),
        On("train", "ntk", examples=size.examples),
        On("train", "structure", examples=size.examples),
        On(
            "train",
            "llc",
            {"chains": 2, "step_factors": (1.0,), "localization_factors": (1.0,)},
            examples=size.examples,
        ),
        On("train", "posterior_mass", examples=size.examples),
        On("train", "frequency_noise", {"heat_steps": 1}, examples=size.examples),
        On("train", "input_curvature", examples=50),
    ]
    return cheap + (dear if size.dear else [])


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
    findings=[
        Predicts(
            "test accuracy falls with the top eigenvalue",
            "ranking",
            "spectrum: λ max",
            -1,
            paper="Keskar et al. 2017",
        ),
    ],
    figures=[Figure("ranking")],
    seeds=3,
    least_seeds=2,
)

if __name__ == "__main__":
    STUDY.main()
