"""What a layout is: a way of finding the checkpoints among the files of a directory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from landscape.errors import CheckpointError, reason
from landscape.zoo.checkpoint import read_checkpoint, without_ending
from landscape.zoo.layouts.beside_weights import why_by_content, why_by_name
from landscape.zoo.layouts.names import facts_in_name
from landscape.zoo.layouts.run_metadata import Facts, facts_in_content
from landscape.zoo.spec import Builder, Model, Skipped

__all__ = ["Found", "Layout", "Scan"]


@dataclass(frozen=True)
class Scan:
    """What a layout may look at.

    Attributes:
        root: The directory being scanned.
        files: Its files that no layout has claimed yet, sorted.
        allow: Names that a pickle may import.
    """

    root: Path
    files: Sequence[Path]
    allow: tuple[str, ...] = ()

    def relative(self, path: Path) -> str:
        """A path below the root, with forward slashes."""
        return path.relative_to(self.root).as_posix()

    def folders(self) -> dict[Path, dict[str, Path]]:
        """The files by folder and name."""
        found: dict[Path, dict[str, Path]] = {}
        for file in self.files:
            found.setdefault(file.parent, {})[file.name] = file
        return found


@dataclass
class Found:
    """What a layout claims; every other file is left to the layouts after it.

    Attributes:
        models: The checkpoints; the names are made unique afterwards.
        skipped: Checkpoints that it leaves out, and why.
        read: Other files that it understood.
        about: Of each checkpoint, the path that it is called after, and the tags that are not read off it.
    """

    models: list[Model] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    read: set[Path] = field(default_factory=set)
    about: dict[Path, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)

    def skip(self, scan: Scan, file: Path, reason: str) -> None:
        """Leave a file out."""
        self.skipped.append(Skipped(scan.relative(file), reason))

    def take(
        self,
        scan: Scan,
        file: Path,
        *,
        group: str = "",
        label: str = "",
        given: Facts | None = None,
        builder: Builder | None = None,
    ) -> None:
        """Add a checkpoint, or skip it if it cannot be read.

        Args:
            scan: Where it was found.
            file: The checkpoint.
            group: Models to be compared with it; by default those that are called alike.
            label: Relative path that it is to be named after; by default its own.
            given: What files beside it say of it; comes before what it says itself, and that before
                what its name says.
            builder: Makes the model, if the layout tells.
        """
        if beside_weights := why_by_name(file.name):
            self.skip(scan, file, beside_weights)
            return
        try:
            # Left on disk: a scan asks what stands beside the weights, and there may be hundreds of files.
            state, rest = read_checkpoint(file, allow=scan.allow, mmap=True)
            beside = facts_in_content(rest)
        except CheckpointError as error:
            self.skip(scan, file, str(error))
            return
        except Exception as error:  # whatever is wrong with one file, the others are there
            self.skip(scan, file, f"it cannot be read: {reason(error)}.")
            return
        if no_model := why_by_content(state, rest):
            self.skip(scan, file, no_model)
            return
        shown = scan.relative(file)
        recorded = beside | (given or Facts())
        facts = facts_in_name(without_ending(shown)) | recorded
        self.about[file] = label or shown, recorded.tags
        self.models.append(
            Model(
                name=label or shown,
                path=file,
                shown=shown,
                builder=builder,
                group=group,
                seed=facts.seed,
                tags=facts.tags,
                metrics=facts.metrics,
            )
        )


@dataclass(frozen=True)
class Layout:
    """A way in which people lay out checkpoints.

    Attributes:
        name: Shown to the user.
        find: Claims files.
    """

    name: str
    find: Callable[[Scan], Found]

    def claim(self, scan: Scan) -> Found:
        """What it finds, its models marked with its name."""
        found = self.find(scan)
        found.models = [replace(m, layout=self.name) for m in found.models]
        return found
