"""Local and global structure of loss landscapes over load and temperature (Yang et al., NeurIPS 2021).

    python analysis_scripts/taxonomy.py [--quick | --size natural --data DIR | --full]

Trains residual networks of many widths with many batch sizes, and with several shares of random labels;
measures each cell as the paper does; sorts the cells into phases with `landscape.taxonomy`; and says which
of the paper's findings hold. Run it again to go on where it was stopped.
"""

from collections.abc import Sequence
from functools import partial

from landscape.reference import models
from landscape.reference.training.recipe import Recipe
from landscape.studies import Cohort, Data, Figure, On, Size, Study
from landscape.studies.phases import COLUMNS, PICTURES, BestPhase, Correlation, Grid
from landscape.studies.settings import SGD

# at a constant rate, so that the batch size acts as a temperature to the end
CONSTANT = {**SGD, "schedule": "constant"}
usual = partial(Size, curve_epochs=50, examples=200, products=200)  # `examples`: of which Hessians are taken
SIZES = {
    "quick": Size(
        data=Data.digits(train=40, test=40, side=7),
        widths=(2, 4),  # load of the first grid
        batches=(8, 40),  # batch sizes: temperature of the first grid
        noise_widths=(2, 4),  # load of the second grid; shares of random labels are its temperature
        noises=(0.0, 0.5),
        noise_batch=16,
        training={**CONSTANT, "epochs": 2, "lr": 0.05},
        curve_epochs=1,
        examples=16,
        products=16,
        network={"blocks": [1]},
    ),
    "default": usual(
        data=Data.digits(train=500, test=1000, side=14),
        widths=(1, 2, 4, 8, 16, 24),
        batches=(8, 16, 32, 64, 128),
        noise_widths=(2, 4, 8, 16),
        noises=(0.0, 0.25, 0.5),
        noise_batch=32,
        training={**CONSTANT, "epochs": 60, "lr": 0.1},
        network={"blocks": [1, 1]},
    ),
    "natural": Size(
        data=Data.natural(train=1000, test=1000),
        widths=(1, 2, 4, 6, 8),
        batches=(16, 32, 64, 128),
        **dict.fromkeys(("noise_widths", "noises"), ()),  # no second grid
        noise_batch=0,
        training={**CONSTANT, "epochs": 40, "lr": 0.1},
        curve_epochs=12,
        examples=100,
        products=60,
        network={"blocks": [1, 1, 1], "in_channels": 3},
    ),
    "full": usual(
        data=Data.cifar(10),
        widths=(1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128),
        batches=(16, 19, 24, 27, 32, 44, 64, 92, 128, 180, 256, 364, 512, 724, 1024),
        noise_widths=(1, 2, 4, 8, 16, 32, 64, 128),
        noises=(0.0, 0.1, 0.2, 0.3, 0.4, 0.5),
        noise_batch=128,
        training={**CONSTANT, "epochs": 150, "lr": 0.05},
        network={"blocks": [2, 2, 2, 2], "in_channels": 3},
    ),
}


def cohorts(size: Size) -> list[Cohort]:
    """The grid of width and batch size; and one of width for each share of label noise."""
    first = [cell(size, width, batch) for width in size.widths for batch in size.batches]
    second = {
        noise: [cell(size, width, size.noise_batch, label_noise=noise) for width in size.noise_widths]
        for noise in size.noises
    }
    return [
        Cohort(first, size.data, measure(size), name="batch"),
        *(
            Cohort(recipes, size.data.noisy(noise), measure(size), name=noise_cohort(noise))
            for noise, recipes in second.items()
        ),
    ]


def noise_cohort(noise: float) -> str:
    """The name of the cohort of a share of label noise."""
    return f"noise-{noise:g}"


def cell(size: Size, width: int, batch: int, **tags: float) -> Recipe:
    """A residual network of a width, trained with a batch size."""
    return Recipe(
        group=f"w{width}-b{batch}",
        builder=models.resnet,
        kwargs={"width": width, **size.network},
        training={**size.training, "batch_size": batch},
        tags={"width": str(width), "batch_size": str(batch), **{k: str(v) for k, v in tags.items()}},
    )


def measure(size: Size) -> Sequence[On]:
    """As in the paper: Hessians of training examples without weight decay; similarity on mixup inputs."""
    curve = {"method": "bezier", "steps": 9, "refine": 1, "resamples": 100, "epochs": size.curve_epochs}
    curve["weight_decay"] = size.training["weight_decay"]
    return [
        On("train", "spectrum", {"k": 1, "which": "LA", "tol": 1e-2}, examples=size.examples),
        On("train", "trace", {"rel_se": 0.05, "max_products": size.products}, examples=size.examples),
        On("train", "connect", curve),
        On("mixup", "cka", {"layers": ("head",)}, examples=1000),
        On("mixup", "similarity", {"layers": ("head",), "sample": 64}, examples=64),
    ]


def grids(size: Size) -> list[Grid]:
    """One table for each grid that a size has."""
    noisy = tuple(noise_cohort(noise) for noise in size.noises)
    found = [Grid("batch", "width and batch size", "width", "batch_size", COLUMNS, ("batch",))]
    if noisy:
        found.append(Grid("noise", "width and label noise", "width", "label_noise", COLUMNS, noisy))
    return found


def findings(size: Size) -> list[Correlation | BestPhase]:
    """The same of every grid."""
    return [
        finding
        for grid in (one.name for one in grids(size))
        for finding in (
            Correlation("falls with the size of the mode connectivity", grid, "|mode_connectivity|", -1),
            Correlation("rises with the CKA of outputs", grid, "cka", 1),
            Correlation("falls with the top Hessian eigenvalue", grid, "log_top_eigenvalue", -1),
            Correlation("falls with the Hessian trace", grid, "log_trace", -1),
            BestPhase(grid),
        )
    ]


STUDY = Study(
    name="taxonomy",
    script=__file__,
    paper="Yang et al. 2021",
    sizes=SIZES,
    cohorts=cohorts,
    grids=grids,
    findings=findings,
    figures=lambda size: [Figure(grid.name, PICTURES) for grid in grids(size)],
    seeds=3,
    least_seeds=3,
)

if __name__ == "__main__":
    STUDY.main()
