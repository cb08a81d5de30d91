"""Error of a surface of which few points are evaluated: adaptive points against an even grid of as many.

    python benchmarks/adaptive_surface.py [--budget 441] [--nodes 101]

The even grid is drawn twice: piecewise linear, as a plot of it would be, and by SciPy's bicubic spline.
Errors are taken at all nodes of a fine grid, relative to the range of the surface. Four surfaces are formulas
with ridges or a kink; four belong to small networks, trained on 512 digits for a few epochs, along random
directions normalised by filter. ``--nodes`` minus one must be a multiple of the root of ``--budget`` minus
one.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import RectBivariateSpline, RegularGridInterpolator
from torch import nn

import landscape
from landscape.core.surfaces.adaptive_grid import fill, refine
from landscape.reference import models
from landscape.reference.data import digits
from landscape.reference.training import train

Array = NDArray[np.float64]

FORMULAS: dict[str, Callable[[Array, Array], Array]] = {
    "diagonal ridge": lambda x, y: np.exp(-(((x - y) / 0.12) ** 2)) + 0.3 * (x**2 + y**2),
    "oblique ridge": lambda x, y: np.exp(-(((x - 0.7 * y - 0.1) / 0.08) ** 2)) + 0.3 * (x**2 + y**2),
    "kink": lambda x, y: np.abs(x + 0.3 * y - 0.2) + 0.2 * x**2,
    "bent valley": lambda x, y: np.log1p(100 * (y + 0.5 - 1.5 * x**2) ** 2 + (1 - x) ** 2),
}
SGD = {"optimizer": "sgd", "lr": 0.05}
NETWORKS: dict[str, tuple[Callable[[], nn.Module], dict[str, Any]]] = {
    "ResNet": (lambda: models.resnet(width=6, blocks=[1, 1, 1]), {**SGD, "epochs": 8}),
    "VGG": (lambda: models.vgg(width=6, blocks=[1, 1, 1]), {**SGD, "epochs": 8}),
    "ViT": (lambda: models.vit(dim=24, depth=2, heads=2, patch=7), {"lr": 3e-3, "epochs": 10}),
    "MLP": (lambda: models.mlp([784, 48, 48, 10]), {**SGD, "epochs": 15}),
}


def surfaces(nodes: int) -> Iterator[tuple[str, Array]]:
    """Name and losses (nodes, nodes) of each surface, over −1 to 1 along both directions."""
    t = np.linspace(-1, 1, nodes)
    for name, formula in FORMULAS.items():
        yield name, formula(*np.meshgrid(t, t))
    data, held_out = digits("train", count=512), digits("test", count=100)
    for name, (build, training) in NETWORKS.items():
        torch.manual_seed(0)
        model = build()
        with tempfile.TemporaryDirectory() as folder:
            train(model, data, held_out, path=Path(folder) / "weights.safetensors", **training)
        problem = landscape.Problem(model, "cross_entropy", (data[0][:64], data[1][:64]))
        yield name, landscape.surface(problem, steps=nodes, evaluations=None)["loss"].values


def even(z: Array, side: int) -> tuple[Array, Array]:
    """What an even grid of side × side of the nodes says of all: piecewise linear, and bicubic."""
    t = np.linspace(-1, 1, len(z))
    stride = (len(z) - 1) // (side - 1)
    known, values = t[::stride], z[::stride, ::stride]
    linear = RegularGridInterpolator((known, known), values)(np.stack(np.meshgrid(t, t, indexing="ij"), -1))
    return linear, RectBivariateSpline(known, known, values)(t, t)


def main() -> None:
    """Print a row for each surface: largest and root mean square errors, in percent of the range."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budget", type=int, default=441, help="points evaluated")
    parser.add_argument("--nodes", type=int, default=101, help="points of the fine grid along each direction")
    given = parser.parse_args()
    side = math.isqrt(given.budget)
    if side * side != given.budget or (given.nodes - 1) % (side - 1):
        parser.error("--budget must be a square, and its root minus one divide --nodes minus one")
    torch.set_num_threads(1)
    print("| surface | even, linear | even, bicubic | adaptive | bicubic over adaptive |")
    print("|---|---|---|---|---|")
    for name, z in surfaces(given.nodes):
        ours = fill(*refine(z.shape, given.budget, lambda chosen, z=z: z.ravel()[chosen]))
        sides = [100 * np.abs(found - z) / np.ptp(z) for found in (*even(z, side), ours)]
        most, mean = [e.max() for e in sides], [math.sqrt(np.square(e).mean()) for e in sides]
        cells = " | ".join(f"{a:.2f} ({b:.3f})" for a, b in zip(most, mean, strict=True))
        print(f"| {name} | {cells} | {most[1] / most[2]:.1f} ({mean[1] / mean[2]:.1f}) |", flush=True)


if __name__ == "__main__":
    main()
