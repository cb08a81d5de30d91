"""Cost of a point of a path against bare passes, and alignment against rebasin.

    python benchmarks/connectivity.py [--examples 512] [--points 5] [--repeats 7]

A point under ``checkpoint`` should cost no more than 1.05 bare forward passes; under ``recalibrate`` a
bare pass with batch statistics comes on top, which is what updating BatchNorm takes. A ratio is the median
of its values over rounds in which each side has its turn. Processor time is taken, which a busy machine
disturbs less than the clock.

The rival is optional (``pip install --no-deps rebasin torchview graphviz``). Both sides align the same two
models; the moved model must give the outputs it gave before; the barrier on the line to it is measured by
landscape for both. A pair of ResNet-18 (11 million parameters, random weights, statistics of one pass) is
aligned by turns, for its time alone.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import statistics
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import landscape
from landscape.core.connectivity.curve import straight
from landscape.core.connectivity.end_states import curve_evaluator
from landscape.core.problem.batchnorm import running_layers
from landscape.core.symmetry.alignment import align
from landscape.reference import models
from landscape.reference.data import digits

BATCH = 256
LIMIT = 1.05

Data = list[tuple[Tensor, Tensor]]


def trained(build: Callable[[], nn.Module], seed: int, data: Data, steps: int = 60) -> nn.Module:
    """A model after some steps of Adam: enough for a barrier, not for a finding."""
    torch.manual_seed(seed)
    model = build()
    solver = torch.optim.Adam(model.parameters(), 3e-3)
    for step in range(steps):
        x, y = data[step % len(data)]
        solver.zero_grad()
        F.cross_entropy(model(x), y).backward()
        solver.step()
    return model.eval()


@torch.no_grad()
def bare(model: nn.Module, data: Data) -> float:
    """Mean loss in plain torch: one forward pass over the data."""
    return sum(float(F.cross_entropy(model(x), y, reduction="sum")) for x, y in data)


@torch.no_grad()
def bare_statistics(model: nn.Module, data: Data) -> None:
    """The pass that updates BatchNorm in plain torch."""
    layers = running_layers(model)
    for part in layers:
        part.train()
    for x, _ in data:
        model(x)
    for part in layers:
        part.eval()


def cost(name: str, build: Callable[[], nn.Module], data: Data, points: int, repeats: int) -> list[bool]:
    """Compare both policies with bare passes; whether each target was met."""
    a, b = (trained(build, seed, data, 10) for seed in (0, 1))
    problem = landscape.Problem(a, "cross_entropy", data)
    space = problem.space
    path = straight(space.flatten(dict(a.named_parameters())), space.flatten(dict(b.named_parameters())))
    places = [(i + 0.5) / points for i in range(points)]
    runs = {
        policy: curve_evaluator(problem, path, a.state_dict(), b.state_dict(), policy=policy)
        for policy in ("checkpoint", "recalibrate")
    }
    sides: dict[str, Callable[[], None]] = {
        "bare": lambda: [bare(a, data) for _ in places],
        "bare statistics": lambda: [bare_statistics(a, data) for _ in places],
        "checkpoint": lambda: [runs["checkpoint"].measure(t) for t in places],
        "recalibrate": lambda: [runs["recalibrate"].measure(t) for t in places],
    }
    rounds: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(repeats + 1):
        for side, run in sides.items():
            start = time.process_time()
            run()
            if turn:  # the first round warms up
                rounds[side].append(time.process_time() - start)
    keep = statistics.median(k / b for k, b in zip(rounds["checkpoint"], rounds["bare"], strict=True))
    both = [b + s for b, s in zip(rounds["bare"], rounds["bare statistics"], strict=True)]
    recalibrate = statistics.median(r / b for r, b in zip(rounds["recalibrate"], both, strict=True))
    print(f"{name:12s} checkpoint / bare pass {keep:6.3f}", end="   ")
    print(f"recalibrate / (bare + statistics) {recalibrate:6.3f}")
    return [keep <= LIMIT, recalibrate <= LIMIT]


def barrier(problem: landscape.Problem, a: nn.Module, state: dict[str, Tensor]) -> float:
    """The largest gap of the training loss to the chord."""
    ds = landscape.connect(problem, a.state_dict(), state, steps=11, refine=1, resamples=100)
    return float(ds["barrier_chord"].sel(path="line", split="train", quantity="loss"))


def rival() -> object | None:
    """The package rebasin, or the reason why it is left out."""
    try:
        return importlib.import_module("rebasin")
    except ImportError as error:
        print(f"rebasin left out: {error}")
        return None


def compare_alignment(name: str, build: Callable[[], nn.Module], data: Data, package: object | None) -> None:
    """Align a model to another of the same kind, and to a copy of itself, by both packages."""
    a, b = (trained(build, seed, data) for seed in (0, 1))
    problem = landscape.Problem(a, "cross_entropy", data)
    x = data[0][0]
    print(f"{name}: barrier as trained {barrier(problem, a, b.state_dict()):.3f}")
    start = time.process_time()
    found = align(a, a.state_dict(), b.state_dict(), inputs=x)
    report(name, "landscape", time.process_time() - start, problem, a, b, found.state, x)
    if package is None:
        return
    moved = copy.deepcopy(b)
    start = time.process_time()
    try:
        descent = package.PermutationCoordinateDescent(copy.deepcopy(a), moved, x)  # type: ignore[attr-defined]
        descent.rebasin()
    except Exception as error:  # whatever it raises is its result
        print(f"  rebasin    failed: {type(error).__name__}: {' '.join(str(error).split())[:150]}")
        return
    report(name, "rebasin", time.process_time() - start, problem, a, b, moved.state_dict(), x)


def compare_large(package: object | None, repeats: int) -> None:
    """Time to align two networks of 11 million parameters, in alternated rounds."""

    def made(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        model = models.resnet(width=64, blocks=[2, 2, 2, 2], in_channels=3)
        with torch.no_grad():
            model.train()(torch.randn(64, 3, 32, 32))
        return model.eval()

    a, b, x = made(0), made(1), torch.randn(8, 3, 32, 32)
    sides: dict[str, Callable[[], dict[str, Tensor]]] = {
        "landscape": lambda: align(a, a.state_dict(), b.state_dict(), inputs=x).state
    }
    if package is not None:

        def rebasin() -> dict[str, Tensor]:
            moved = copy.deepcopy(b)
            package.PermutationCoordinateDescent(copy.deepcopy(a), moved, x).rebasin()  # type: ignore[attr-defined]
            return moved.state_dict()

        sides["rebasin"] = rebasin
    spent: dict[str, list[float]] = {side: [] for side in sides}
    print(f"ResNet-18: {sum(p.numel() for p in a.parameters())} parameters")
    for _ in range(repeats):
        for side, run in sides.items():
            start = time.process_time()
            state = run()
            spent[side].append(time.process_time() - start)
            if len(spent[side]) == repeats:
                moved = copy.deepcopy(b)
                moved.load_state_dict(state)
                with torch.no_grad():
                    change = float((moved(x) - b(x)).abs().max() / b(x).abs().max())
                low, high = min(spent[side]), max(spent[side])
                print(
                    f"  {side:10s} {statistics.median(spent[side]):6.2f} s ({low:.2f} to {high:.2f})"
                    f"   outputs changed by {change:.1e}"
                )


@torch.no_grad()
def report(
    name: str,
    side: str,
    seconds: float,
    problem: landscape.Problem,
    a: nn.Module,
    b: nn.Module,
    state: dict[str, Tensor],
    x: Tensor,
) -> None:
    """Print time, change of outputs and barrier of one alignment."""
    moved = copy.deepcopy(b)
    moved.load_state_dict(state)
    change = float((moved.eval()(x) - b(x)).abs().max() / b(x).abs().max())
    print(
        f"  {side:10s} {seconds:6.2f} s   outputs changed by {change:.1e}"
        f"   barrier {barrier(problem, a, state):.3f}"
    )


def main() -> int:
    """Print both comparisons; fail if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--examples", type=int, default=512)
    parser.add_argument("--points", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(1)
    x, y = digits("train", given.examples)
    data = [(x[i : i + BATCH], y[i : i + BATCH]) for i in range(0, len(x), BATCH)]
    kinds: dict[str, Callable[[], nn.Module]] = {
        "mlp": lambda: models.mlp(),
        "resnet": lambda: models.resnet(width=8),
        "vit": lambda: models.vit(dim=48, depth=4, heads=3, patch=7),
    }
    judged = ["resnet", "vit"]  # a pass of the MLP takes a millisecond: any fixed cost shows
    met = [ok for n in judged for ok in cost(n, kinds[n], data, given.points, given.repeats)]
    package = rival()
    for name, build in kinds.items():
        compare_alignment(name, build, data, package)
    compare_large(package, min(given.repeats, 3))
    if not all(met):
        print(f"a point costs more than {LIMIT} of the bare passes it needs")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
