"""Cost of one point of a loss surface: landscape, bare forward passes, loss-landscapes, landscaper.

    python benchmarks/surface.py [--models ResNet-20,ViT] [--examples 512] [--steps 3] [--repeats 9]

The rivals are optional (``pip install --no-deps loss-landscapes landscaper``). All sides get the same
models, examples, points and threads; their losses are compared where their points coincide. Bare passes and
rivals run twice: at their defaults (batches of 256 as they come, channels first; the rivals all examples at
once) and at the micro-batches and memory layout that landscape takes by itself, which is the comparison of
programs: what is then left is BatchNorm folded into its convolution and what a program does beside passes.
Rounds in which each side has its turn are repeated; a ratio is the median of its values by round. Processor
time is taken, which a busy machine disturbs less than the clock. A surface of landscape also measures
standard errors and accuracy at each point, and costs two or three points more than its grid, for its centre.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import importlib
import importlib.util
import io
import statistics
import sys
import time
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import landscape
from landscape.core.data.batches import Batch
from landscape.core.problem.evaluator import Evaluator
from landscape.core.problem.execution import fastest_batch_layout, in_bfloat16, with_batch_layout
from landscape.core.problem.passes.pieces import PassPlan, pieces
from landscape.core.surfaces.plane import Plane, given_plane
from landscape.reference import models

BATCH = 256
BARE_LIMIT = 1.05
DISTANCE = 0.2


@dataclass(frozen=True)
class Task:
    """What every side is given."""

    model: nn.Module
    x: Tensor
    y: Tensor
    problem: landscape.Problem
    plane: Plane
    steps: int

    @property
    def offsets(self) -> range:
        """Grid indices from the centre: the points are θ + i d₁ + j d₂."""
        half = self.steps // 2
        return range(-half, self.steps - half)


Side = Callable[[], np.ndarray]


def rival(name: str) -> types.ModuleType | None:
    """A rival's module; landscaper's without its package, whose plots need more than we do."""
    if name == "loss_landscapes":
        try:
            return importlib.import_module(name)
        except ImportError:
            return None
    if name in sys.modules:
        return importlib.import_module(f"{name}.compute")
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        return None
    package = types.ModuleType(name)
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = package
    try:
        return importlib.import_module(f"{name}.compute")
    except ImportError:
        return None


Cut = list[tuple[Tensor, Tensor]]
"""Inputs and labels by pass."""


def cut(batches: Iterable[Batch]) -> Cut:
    """What each pass takes."""
    return [(b.inputs, b.target) for b in batches]


def mean_loss(model: Callable[[Tensor], Tensor], passes: Cut) -> float:
    """The mean loss, by as many passes."""
    losses = [F.cross_entropy(model(x), y, reduction="none") for x, y in passes]
    return float(torch.cat(losses).mean())


def bare(model: nn.Module, passes: Cut, points: int) -> Side:
    """Forward passes and losses alone, as many as there are points."""

    def run() -> np.ndarray:
        with torch.no_grad():
            for _ in range(points):
                mean_loss(model, passes)
        return np.full((0, 0), np.nan)

    return run


def ours(task: Task, problem: landscape.Problem) -> Side:
    """The points of a surface with all their measures, as `landscape.surface` takes them."""
    evaluator = Evaluator(problem, task.plane)
    return lambda: np.array(
        [[evaluator.values((float(i), float(j)))["loss"] for i in task.offsets] for j in task.offsets]
    )


def loss_landscapes(task: Task, package: types.ModuleType, passes: Cut) -> Side:
    """Their plane through three models: a corner of our grid and the ends of its sides."""
    low = task.offsets[0]
    # their walk takes a step along the second direction before it measures
    corner = moved(task, low, low - 1)
    ends = moved(task, low + task.steps, low - 1), moved(task, low, low - 1 + task.steps)
    base = importlib.import_module("loss_landscapes.metrics").Loss

    class Loss(base):  # type: ignore[misc, valid-type] # their loss, of several passes
        def __call__(self, model_wrapper: nn.Module) -> float:
            return mean_loss(model_wrapper.forward, passes)  # it has no other way to be called

    metric = base(F.cross_entropy, *passes[0]) if len(passes) == 1 else Loss(F.cross_entropy, *passes[0])

    def run() -> np.ndarray:
        start = copy.deepcopy(corner)
        with torch.no_grad():
            found = package.planar_interpolation(start, *ends, metric, steps=task.steps)
        return np.asarray(found).T

    return run


def landscaper(task: Task, module: types.ModuleType, passes: Cut) -> Side:
    """Their plane along directions that their own normalisation leaves as ours are."""
    parameters = list(task.model.parameters())
    directions = [shaped(d, parameters) for d in task.plane.directions]

    def loss(model: nn.Module, data: Cut) -> float:
        return mean_loss(model, data)

    def run() -> np.ndarray:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            found, _ = module.compute_loss_landscape(
                task.model, passes, directions, loss, task.steps, DISTANCE, dim=2, device="cpu"
            )
        return np.asarray(found).T

    return run


def moved(task: Task, i: int, j: int) -> nn.Module:
    """The model at θ + i d₁ + j d₂."""
    model = copy.deepcopy(task.model)
    steps = shaped(i * task.plane.directions[0] + j * task.plane.directions[1], list(model.parameters()))
    with torch.no_grad():
        for parameter, step in zip(model.parameters(), steps, strict=True):
            parameter += step
    return model


def shaped(vector: Tensor, parameters: list[nn.Parameter]) -> list[Tensor]:
    """A flat vector in the shapes of the parameters."""
    parts = torch.split(vector, [p.numel() for p in parameters])
    return [part.view(p.shape).clone() for part, p in zip(parts, parameters, strict=True)]


def make_task(model: nn.Module, examples: int, steps: int) -> Task:
    """Random images and labels; Gaussian directions scaled as landscaper does, tensor by tensor."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(examples, 3, 32, 32, generator=generator)
    y = torch.randint(10, (examples,), generator=generator)
    problem = landscape.Problem(model, "cross_entropy", (x, y), batch_size=BATCH)
    directions = []
    for _ in range(2):
        parts = [torch.randn(p.shape, generator=generator) for p in model.parameters()]
        parts = [d * d.numel() ** 0.5 / d.norm() for d in parts]
        flat = torch.cat([d.reshape(-1) for d in parts])
        directions.append(flat * problem.theta.norm() * DISTANCE / (steps / 2) / flat.norm())
    return Task(model, x, y, problem, given_plane(problem, directions), steps)


def compare(name: str, task: Task, repeats: int) -> dict[str, list[float]]:
    """Time all sides in turn and print their medians; returns seconds per point by round."""
    problem, points, model = task.problem, task.steps**2, task.model
    apart = copy.copy(problem)
    apart.passes = PassPlan(folds=[])
    layout = fastest_batch_layout(problem)
    tuned = with_batch_layout(problem, layout)
    given, ours_cut = cut(problem.batches), cut(pieces(problem))
    sides: dict[str, Side] = {
        "bare passes": bare(model, given, points),
        "bare passes, at our cut": bare(model, ours_cut, points),
        "landscape": ours(task, problem),
        "landscape, not folded": ours(task, apart),
        "landscape, tuned": ours(task, tuned),
        "landscape, bfloat16": ours(task, in_bfloat16(problem)),
    }
    for package, make in (("loss_landscapes", loss_landscapes), ("landscaper", landscaper)):
        module = rival(package)
        if module is None:
            print(f"  {package} is not installed: left out")
        else:
            sides[package] = make(task, module, [(task.x, task.y)])
            sides[f"{package}, at our cut"] = make(task, module, ours_cut)
    results = {side: run() for side, run in sides.items()}  # warm-up, and the values
    times: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(repeats):
        for side, run in sides.items():
            start = time.process_time()
            run()
            times[side].append((time.process_time() - start) / points)
    size = f"{problem.size / 1e6:.2f} M parameters"
    print(f"{name}: {size}, {len(task.x)} images of 32 x 32, {task.steps} x {task.steps} points")
    sizes = sorted({len(y) for _, y in ours_cut})
    last = ours_cut[0][0].is_contiguous(memory_format=torch.channels_last)
    print(f"  our cut: micro-batches of {sizes}, channels last: {last}; tuned: {layout.micro_batch or BATCH}")
    print("  side                          ms per point (least ... most)   of bare of landscape largest gap")
    for side, taken in times.items():
        found, exact = results[side], results["landscape, not folded"]
        # loss-landscapes shifts every other line of points by one step, so those are no points of ours
        same = found[:, ::2] - exact[:, ::2] if found.size else np.zeros((0, 0))
        gap = f"{np.abs(same).max():.1e}" if found.size else ""
        print(
            f"  {side:28} {1e3 * statistics.median(taken):9.1f}"
            f" ({1e3 * min(taken):.1f} ... {1e3 * max(taken):.1f})"
            f"  {ratio(times, side, 'bare passes'):7.3f}  {ratio(times, side, 'landscape'):7.3f}  {gap:>12}"
        )
    return times


def ratio(times: dict[str, list[float]], side: str, other: str) -> float:
    """How many times longer a side takes than another: the median over rounds."""
    return statistics.median(a / b for a, b in zip(times[side], times[other], strict=True))


def main() -> int:
    """Run both models; the exit status is 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", default="ResNet-20,ViT")
    parser.add_argument("--examples", type=int, default=512)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    nets = {
        "ResNet-20": models.resnet(width=16, blocks=(3, 3, 3), in_channels=3),
        "ViT": models.vit(dim=96, depth=4, heads=4, patch=4, image=32, in_channels=3),
    }
    missed = []
    for name in options.models.split(","):
        model = nets[name]
        times = compare(name, make_task(model.eval(), options.examples, options.steps), options.repeats)
        cost = ratio(times, "landscape", "bare passes, at our cut")
        print(f"  landscape / bare passes at its cut {cost:.3f} (limit {BARE_LIMIT})\n", flush=True)
        if cost > BARE_LIMIT:
            missed.append(f"{name}: landscape / bare passes at its cut = {cost:.3f}")
    for line in missed:
        print("MISSED", line)
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
