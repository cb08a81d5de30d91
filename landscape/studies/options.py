"""The command line of the studies."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from landscape.errors import LandscapeError

__all__ = ["Options", "options", "run"]


@dataclass(frozen=True)
class Options:
    """What the command line says.

    Attributes:
        size: ``quick``, ``default`` or ``full``.
        out: Folder of results; a run that was stopped goes on from there.
        checkpoints: Folder of the trained weights; those that fit are used, the others are trained.
        figures: Folder of the pictures.
        seeds: Training seeds.
        jobs: Processes.
        device: Where to train and analyse; None for the CPU.
        data: Folder of CIFAR, for ``full``.
    """

    size: str
    out: Path
    checkpoints: Path
    figures: Path
    seeds: tuple[int, ...]
    jobs: int
    device: str | None
    data: Path


def options(name: str, summary: str, seeds: int = 3, least: int = 2) -> Options:
    """Read the command line of a study, whose default is so many seeds; a quick run takes three.

    Fewer than ``least`` seeds tell nothing and are refused.
    """
    parser = argparse.ArgumentParser(description=summary)
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_true", help="a few minutes; for tests, not for findings")
    sizes.add_argument("--full", action="store_true", help="the paper's setting on CIFAR; needs a GPU")
    parser.add_argument("--out", type=Path, help=f"default: landscape-studies/{name}-SIZE")
    parser.add_argument("--checkpoints", type=Path, help="default: OUT/checkpoints")
    parser.add_argument("--figures", type=Path, help="default: OUT/figures")
    parser.add_argument("--seeds", type=int, help=f"number of training seeds; default: {seeds}, quick: 3")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--device", help="such as cuda:0")
    parser.add_argument("--data", type=Path, help="folder of CIFAR, for --full; default: data")
    given = parser.parse_args()
    if given.seeds is not None and given.seeds < least:
        parser.error(f"--seeds must be at least {least}, so that seeds can be compared, not {given.seeds}")
    if given.jobs < 1:
        parser.error(f"--jobs must be at least 1, not {given.jobs}")
    if given.data is not None and not given.full:
        parser.error("--data is the folder of CIFAR, which only --full uses")
    size = "quick" if given.quick else "full" if given.full else "default"
    out = given.out or Path("landscape-studies") / f"{name}-{size}"
    return Options(
        size,
        out,
        given.checkpoints or out / "checkpoints",
        given.figures or out / "figures",
        tuple(range(given.seeds or (3 if given.quick else seeds))),
        given.jobs,
        given.device,
        given.data or Path("data"),
    )


def run(main: Callable[[], None]) -> None:
    """Run a study; an error of ours is one sentence."""
    try:
        main()
    except LandscapeError as error:
        sys.exit(f"error: {error}")
