"""How a study is run: its size, folders, seeds and processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from landscape.errors import InputError, suggest
from landscape.studies.data import Data

__all__ = ["Options", "Size"]

QUICK_SEEDS = 3


class Size(SimpleNamespace):
    """How large a run of a study is: numbers and settings by name, read as attributes.

    All sizes of a study have the same names. During a run, ``seeds`` is the number of training seeds, and
    ``data`` is read from the folder that the command line names.

    Args:
        data: The examples.
        **fields: Whatever else the cohorts, findings and figures of the study ask for.

    Example:
        >>> size = Size(data=Data.digits(train=2000, test=1000), epochs=12)
        >>> size.epochs, size.data.examples
        (12, 2000)
    """

    data: Data
    seeds: int

    def __init__(self, *, data: Data, **fields: Any) -> None:
        super().__init__(data=data, **fields)

    def at(self, options: Options) -> Size:
        """The size as a run sees it."""
        fields = {**vars(self), "data": self.data.at(options.data), "seeds": len(options.seeds)}
        return Size(**fields)


@dataclass(frozen=True)
class Options:
    """What the command line says.

    Attributes:
        size: Name of a size, such as ``quick``, ``default`` or ``full``.
        out: Folder of results; a run that was stopped goes on from there.
        checkpoints: Folder of the trained weights; those that fit are used, the others are trained.
        figures: Folder of the pictures.
        seeds: Training seeds.
        jobs: Processes.
        device: Where to train and analyse; None for the CPU.
        data: Folder of CIFAR or of the UCI sets, for sizes that use it.
        more_seeds: Number of seeds of a second look, see `claims.LOOKS`; None for one look alone.
    """

    size: str
    out: Path
    checkpoints: Path
    figures: Path
    seeds: tuple[int, ...]
    jobs: int
    device: str | None
    data: Path
    more_seeds: int | None = None

    @classmethod
    def read(
        cls,
        name: str,
        sizes: Mapping[str, Size],
        *,
        default_seeds: int,
        least_seeds: int = 2,
        size: str = "default",
        out: Path | None = None,
        checkpoints: Path | None = None,
        figures: Path | None = None,
        seeds: int | None = None,
        jobs: int = 2,
        device: str | None = None,
        data: Path | None = None,
        more_seeds: int | None = None,
    ) -> Options:
        """Fill in what is not given.

        Args:
            name: Of the script: results go to ``landscape-studies/<name>-<size>``.
            sizes: Those of the study.
            default_seeds: Number of seeds unless it is given; a quick run takes three.
            least_seeds: Fewer tell nothing and are refused.
            size: Name of the size.
            out: Folder of results.
            checkpoints: Folder of weights; default: ``OUT/checkpoints``.
            figures: Folder of pictures; default: ``OUT/figures``.
            seeds: Number of seeds.
            jobs: Processes.
            device: Such as ``cuda:0``.
            data: Folder of CIFAR or of the UCI sets; default: ``data``.
            more_seeds: Number of seeds of a second look, if the first decides too little.

        Raises:
            InputError: If there is no such size, or something given cannot be used.
        """
        if size not in sizes:
            raise InputError(f"this study has no size '{size}'; {suggest(size, sizes)}")
        if seeds is not None and seeds < least_seeds:
            raise InputError(
                f"--seeds must be at least {least_seeds}, so that seeds can be compared, not {seeds}."
            )
        count = seeds or (QUICK_SEEDS if size == "quick" else default_seeds)
        if more_seeds is not None and more_seeds <= count:
            raise InputError(
                f"--more-seeds must be more than the {count} seeds of the first look, not {more_seeds}."
            )
        if jobs < 1:
            raise InputError(f"--jobs must be at least 1, not {jobs}.")
        if data is not None and not sizes[size].data.in_folder:
            using = [f"--size {n}" for n, s in sizes.items() if s.data.in_folder]
            raise InputError(
                f"--data is a folder of data, which only {' or '.join(using) or 'no size'} uses."
            )
        out = out or Path("landscape-studies") / f"{name}-{size}"
        return cls(
            size,
            out,
            checkpoints or out / "checkpoints",
            figures or out / "figures",
            tuple(range(count)),
            jobs,
            device,
            data or Path("data"),
            more_seeds,
        )
