"""Cost of the shared pass of the feature analyses, in bare forward passes; and that memory stays flat.

    python benchmarks/features.py [--examples 512] [--repeats 7]

`landscape.base.analysis.run_together` carries out fourier, transfer, feature_variance and, for the
transformer, attention_response in one pass over the data, as the zoo runner does. By default they look at a
random sample of 128 images (option `images`); the last line of a table looks at all. A bare forward pass is
the same model on all images in the same batches without a loss. Rounds in which each side has its turn are
repeated; a ratio is the median of its values by round. Processor time is taken, which a busy machine
disturbs less than the clock.

Memory is the peak of a process of its own, with glibc told to give large blocks back when they are freed
(MALLOC_MMAP_THRESHOLD_): left alone it keeps some 60 to 170 MiB of freed feature maps, more or less by
chance, which says nothing of what is held. By default memory is flat; a look at all images keeps rows for
each.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

import landscape
from landscape.base.analysis import Analysis, Params, run_together
from landscape.core.features.collect import OWN_SHARE
from landscape.core.features.fourier import transformed
from landscape.core.features.hooks import watch_outputs
from landscape.core.features.map_layout import MapLayouts
from landscape.core.problem.passes.pieces import cut
from landscape.reference import models

LIMIT = 1.6
GROWTH_MIB = 16.0  # by default
PER_IMAGE_KIB = 64.0  # of a look at all images: the rows of fourier and transfer, 20 to 30 KiB, once copied
BATCH = 128
SIZES = (128, 1024)
Asked = list[tuple[Analysis, Params]]


def build(name: str) -> nn.Module:
    """ResNet-20 of 272,474 parameters, or a vision transformer with 8 x 8 patches and a class token."""
    torch.manual_seed(0)
    if name == "resnet":
        return models.resnet(width=16, blocks=(3, 3, 3), in_channels=3).eval()
    return models.vit(dim=96, depth=6, heads=4, patch=4, image=32, in_channels=3).eval()


def problem_of(name: str, examples: int) -> landscape.Problem:
    """The model on random images of 32 x 32."""
    x = torch.randn(examples, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return landscape.Problem(
        build(name), "cross_entropy", (x, torch.zeros(examples, dtype=torch.long)), batch_size=BATCH
    )


def asked(name: str, **options: int) -> Asked:
    """The analyses that share a pass."""
    chosen = [landscape.fourier, landscape.transfer, landscape.feature_variance]
    chosen += [landscape.attention_response] if name == "vit" else []
    return [(analysis, analysis.validate(options)) for analysis in chosen]


def bare(problem: landscape.Problem) -> Callable[[], None]:
    """Forward passes alone."""

    def run() -> None:
        with torch.no_grad():
            for batch in problem.batches:
                problem.output(batch)

    return run


def least(problem: landscape.Problem) -> Callable[[], None]:
    """What a spectrum of every map cannot do without: its transform and one look at that, in pieces."""
    convolves = any(isinstance(part, nn.Conv2d) for part in problem.module.modules())

    def run() -> None:
        for batch in problem.batches:
            for piece in cut(problem, batch, share=OWN_SHARE):
                layouts = MapLayouts(pictures=convolves)

                def receive(
                    name: str, output: Tensor, layouts: MapLayouts = layouts, n: int = piece.size
                ) -> None:
                    layout = layouts.find(output, n)
                    if layout is not None:
                        torch.view_as_real(transformed(layout.to_maps(output))).square().mean(1)

                with torch.no_grad(), watch_outputs(problem.module, receive):
                    problem.output(piece)

    return run


def shared(problem: landscape.Problem, pairs: Asked) -> Callable[[], None]:
    """The analyses in one pass; an error in one of them is raised."""

    def run() -> None:
        for result in run_together(problem, pairs):
            if isinstance(result, Exception):
                raise result

    return run


def compare(name: str, examples: int, repeats: int) -> float:
    """Print the cost of each analysis alone and of all together; returns that of all by default."""
    problem = problem_of(name, examples)
    default = asked(name)
    sides = {"bare forward pass": bare(problem)}
    sides |= {f"{a.name} alone": shared(problem, [(a, p)]) for a, p in default}
    sides["all together, default options"] = shared(problem, default)
    sides["transforms of every image alone"] = least(problem)
    sides["all together, every image"] = shared(problem, asked(name, images=examples))
    for run in sides.values():
        run()  # warm-up
    times: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(repeats):
        for side, run in sides.items():
            start = time.process_time()
            run()
            times[side].append(time.process_time() - start)
    print(f"{name}, {examples} images of 32 x 32 in batches of {BATCH}, {torch.get_num_threads()} thread(s),")
    print(f"{repeats} interleaved rounds: median processor time, and median ratio (least ... most)")
    ratios = {}
    for side, taken in times.items():
        each = [a / b for a, b in zip(taken, times["bare forward pass"], strict=True)]
        ratios[side] = statistics.median(each)
        print(
            f"  {side:32} {statistics.median(taken):7.3f} s  {ratios[side]:5.2f}"
            f" ({min(each):.2f} ... {max(each):.2f})"
        )
    return ratios["all together, default options"]


def peak(name: str, examples: int, limit: bool) -> float:
    """Peak memory in MiB of a process of its own that runs all analyses, without the images."""
    problem = problem_of(name, examples)
    images = sum(batch.inputs.nbytes for batch in problem.batches) / 2**20
    shared(problem, asked(name) if limit else asked(name, images=examples))()
    status = Path("/proc/self/status").read_text()  # ru_maxrss would count the parent's peak too
    return int(status.split("VmHWM:")[1].split()[0]) / 1024 - images


def memory(name: str, limit: bool) -> float:
    """Print the peak memory at two numbers of images; returns the difference in MiB."""
    os.environ["MALLOC_MMAP_THRESHOLD_"] = str(2**17)  # for the processes that are started
    found = []
    for examples in SIZES:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found.append(pool.apply(peak, (name, examples, limit)))
    print(f"{name}, peak memory of a process that runs all {'by default' if limit else 'on every image'}:")
    for examples, value in zip(SIZES, found, strict=True):
        print(f"  {examples:5} images {value:8.1f} MiB")
    return found[1] - found[0]


def main() -> int:
    """Print all tables; status 1 if a target is missed."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--models", nargs="+", choices=["resnet", "vit"], default=["resnet", "vit"])
    options.add_argument("--examples", type=int, default=512)
    options.add_argument("--repeats", type=int, default=7)
    options.add_argument("--threads", type=int, default=1)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    costs = {name: compare(name, given.examples, given.repeats) for name in given.models}
    missed = max(costs.values()) > LIMIT
    for name in given.models:
        flat, every = memory(name, True), memory(name, False)
        each = 1024 * every / (SIZES[1] - SIZES[0])
        print(f"{name}: {costs[name]:.2f} bare passes; memory grows by {flat:.1f} MiB by default, and by")
        print(f"{each:.0f} KiB per image if it looks at every image")
        missed |= flat > GROWTH_MIB or each > PER_IMAGE_KIB
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
