"""What `uncertainty` costs over the forward passes that it needs, of one network and of an ensemble.

    python benchmarks/uncertainty.py [--examples 500] [--repeats 4]

Eleven passes (two shifts at five severities, and the images as they are) over digits, bare and by the
analysis, in turn, in seconds of the processor: the ratio of the shortest of each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

import landscape
from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.reference import models
from landscape.reference.data import digits

PASSES = 11
OPTIONS = {"shifts": ("rotation", "gaussian_noise"), "mean": (0.1307,), "std": (0.3081,)}


def clock(call: Callable[[], object]) -> float:
    """Seconds of the processor."""
    began = time.process_time()
    call()
    return time.process_time() - began


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=4)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x, y = digits("test", given.examples)
    networks = [models.resnet(width=8).eval() for _ in range(3)]
    for name, module in (("resnet", networks[0]), ("ensemble of 3", DeepEnsemble(networks))):
        problem = landscape.Problem(module, "cross_entropy", (x, y))

        @torch.no_grad()
        def bare(problem: landscape.Problem = problem, module: torch.nn.Module = module) -> None:
            for _ in range(PASSES):
                for batch in problem.batches:
                    module(batch.inputs)

        small = landscape.Problem(module, "cross_entropy", (x[:20], y[:20]))
        landscape.uncertainty(small, **OPTIONS)  # what is imported and drawn once
        times = []
        for _ in range(given.repeats):
            whole = clock(lambda problem=problem: landscape.uncertainty(problem, **OPTIONS))
            times.append((clock(bare), whole))
        least = [min(column) for column in zip(*times, strict=True)]
        print(f"{name}: {least[0]:.2f} s bare, {least[1]:.2f} s: {least[1] / least[0]:.2f} times")


if __name__ == "__main__":
    main()
