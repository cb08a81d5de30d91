"""Products side by side: landscape, JAX, curvlinops, PyHessian, hessian-eigenthings, plain double backward.

    python benchmarks/curvature.py [--models resnet,vit,vit-s] [--examples 256] [--batch 64] [--repeats 5]
                                   [--parts products,memory] [--one] [--without JAX]

Rivals are optional; those that are missing or fail are named and skipped:

    pip install jax
    pip install --no-deps pyhessian hessian-eigenthings curvlinops-for-pytorch backpack-for-pytorch \
        einconv einops linear_operator jaxtyping wadler_lindig tqdm

All sides get the same model, data, loss, batches, vectors and one thread. Repeats of all sides alternate,
so that a slow spell of the machine hits all alike; medians of processor time are compared, in seconds per
product and in two units: g, a gradient by a plain loop of forward and backward passes over the batches, and
g*, one by landscape in the micro-batches and the layout of its products, with BatchNorm folded: what the
machine can do with that network. Errors are relative to double backward in float64. Peak memory is the
resident set's growth during products, each side in a process of its own.
"""

from __future__ import annotations

import argparse
import copy
import resource
import statistics
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import torch
from curvature_sides import (
    SIDES,
    Columns,
    K,
    Task,
    gradient,
    made,
    make_task,
    ours,
    own_gradient,
    parser_of,
    plain,
    seconds,
)


def products(task: Task, repeats: int, blocks: bool = True, without: str = "") -> None:
    """Cost of one product, alone and in a block of K, and its error."""
    V = task.vectors()
    v = V[:, :1]
    sides = made(task, [name for name in SIDES if not without or without not in name])
    fast_gradient = own_gradient(task)
    fast_gradient()  # the first one chooses how data are cut and laid out
    runs: dict[tuple[str, int], Callable[[], Any]] = {
        ("gradient", 1): lambda: gradient(task),
        ("own gradient", 1): fast_gradient,
    }
    for name, side in sides.items():
        runs[name, 1] = lambda side=side: side(v)
        if blocks and not isinstance(side, Columns):
            runs[name, K] = lambda side=side: side(V)
    times: dict[tuple[str, int], list[float]] = {key: [] for key in runs}
    for _ in range(repeats):
        for (name, width), run in runs.items():
            times[name, width].append(seconds(run) / width)
    unit, own = (statistics.median(times[name, 1]) for name in ("gradient", "own gradient"))
    double = Task(copy.deepcopy(task.model).double(), task.x.double(), task.y, task.batch)
    exact = {
        "GGN": ours(double, matrix="ggn")(v.double()),
        "Hessian": plain(double)(v.double()),
    }
    print(f"  one gradient: g = {unit:.3f} s, g* = {own:.3f} s")
    heads = ["one vector", f"per vector, block of {K}"][: 1 + blocks]
    print(f"  {'':30s} {' '.join(f'{head:>27s}' for head in heads)}   error")
    for name, side in sides.items():
        costs = [
            statistics.median(times.get((name, width), times[name, 1])) for width in (1, K)[: 1 + blocks]
        ]
        reference = exact["GGN" if name.startswith("GGN") else "Hessian"]
        error = float((side(v).double() - reference).norm() / reference.norm())
        cells = " ".join(f"{c:8.4f} s {c / unit:5.2f} g {c / own:5.2f} g*" for c in costs)
        print(f"  {name:30s} {cells}   {error:.0e}")


# Memory


def resident() -> int:
    """Peak resident bytes of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure_memory(task: Task, name: str) -> None:
    """In a process of its own: growth of the resident set over three products with a block."""
    if name == "gradient":
        run: Callable[[], Any] = lambda: gradient(task)  # noqa: E731
    else:
        side, V = SIDES[name](task), task.vectors()
        run = lambda: side(V)  # noqa: E731
    before = resident()
    for _ in range(3):
        run()
    print(resident() - before)


def memory(arguments: argparse.Namespace, model: str) -> None:
    """Peak memory of every side."""
    print(f"  peak memory over three products with a block of {K}:")
    for name in ("gradient", *SIDES):
        command = [sys.executable, __file__, "--models", model, "--measure", name]
        command += ["--examples", str(arguments.examples), "--batch", str(arguments.batch)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            print(f"  {name:30s} failed: {run.stderr.strip().splitlines()[-1][:80]}")
        else:
            print(f"  {name:30s} {int(run.stdout.split()[-1]) / 2**20:8.0f} MiB")


def main() -> None:
    """Run the parts asked for."""
    parser = parser_of(__doc__, "resnet,vit", ("products", "memory"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--without", default="", help="leave out sides of this name: JAX compiles for minutes"
    )
    parser.add_argument("--one", action="store_true", help="single vectors alone, no blocks")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # rivals warn
    for name in arguments.models.split(","):
        task = make_task(name, arguments.examples, arguments.batch)
        if arguments.measure:
            measure_memory(task, arguments.measure)
            return
        print(f"{name}: {task}")
        if "products" in arguments.parts:
            products(task, arguments.repeats, blocks=not arguments.one, without=arguments.without)
        if "memory" in arguments.parts:
            memory(arguments, name)


if __name__ == "__main__":
    main()
