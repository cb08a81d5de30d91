"""The scan: each layout in turn claims files; the rest is accounted for."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from filecmp import cmp
from pathlib import Path
from typing import Any

from landscape.errors import InputError
from landscape.store.files import as_path
from landscape.zoo.checkpoint import SUFFIXES
from landscape.zoo.layouts.base import Layout, Scan
from landscape.zoo.layouts.grouping import grouped
from landscape.zoo.layouts.hub import HUB
from landscape.zoo.layouts.hub_cache import PREFIX, cached
from landscape.zoo.layouts.lightning import LIGHTNING
from landscape.zoo.layouts.load_temperature import LOAD_TEMPERATURE
from landscape.zoo.layouts.plain import PLAIN
from landscape.zoo.layouts.ray_tune import MODEL_ZOO, RAY_TUNE
from landscape.zoo.layouts.timm_run import TIMM_RUN
from landscape.zoo.layouts.trajectory import TRAJECTORY
from landscape.zoo.problem_options import ProblemOptions
from landscape.zoo.spec import Model, Skipped, ZooSpec, unique_names

__all__ = ["LAYOUTS", "scan_directory"]

LAYOUTS: tuple[Layout, ...] = (
    MODEL_ZOO,
    RAY_TUNE,
    TIMM_RUN,
    HUB,
    LOAD_TEMPERATURE,
    LIGHTNING,
    TRAJECTORY,
    PLAIN,
)
"""Tried in order; a more particular layout comes before a more general one."""

TWIN = "the same file"
"""How the reason begins for which a second name of a file is left out."""

_COPY = re.compile(r"(?:^|[-_.])(?:last|latest|best)(?=$|[-_.])", re.IGNORECASE)


def scan_directory(
    directory: str | Path, *, allow: Iterable[str] = (), layouts: Sequence[Layout] | None = None
) -> ZooSpec:
    """Find the checkpoints below a directory; hidden folders are passed over.

    Checkpoints are read as data. No model is needed, and no code is taken from what is found: a builder
    is at most the name of a model that timm knows.

    Args:
        directory: Where to look, with all folders below; or ``hf:ORGANISATION/NAME``, the revisions of a
            repository that are in the cache of the Hugging Face Hub.
        allow: Dotted names that pickles may import, one by one.
        layouts: Tried in order; by default `LAYOUTS`.

    Returns:
        A zoo without data and analyses; ``skipped`` says why files were left out.

    Raises:
        InputError: If there is no such directory.
    """
    root = as_path(directory, "checkpoints").expanduser()
    if str(directory).startswith(PREFIX) and not root.is_dir():
        root = cached(str(directory))
    if not root.is_dir():
        reason = "is not a directory" if root.exists() else "does not exist"
        raise InputError(f"'{directory}' {reason}; give a directory of checkpoints.")
    rest, skipped = _named(_files(root), root)
    models: list[Model] = []
    about: dict[Path, tuple[str, Mapping[str, Any]]] = {}
    for layout in LAYOUTS if layouts is None else layouts:
        found = layout.claim(Scan(root, rest, tuple(allow)))
        models += found.models
        skipped += found.skipped
        about |= found.about
        taken = {m.path for m in found.models} | {root / s.path for s in found.skipped} | found.read
        rest = [f for f in rest if f not in taken]
    models, twins = _without_twins(models)
    names = unique_names([_printable(m.name) for m in models])
    told = [about.get(m.path, (m.shown or m.name, m.tags)) for m in models]
    found_groups = grouped(models, [_printable(label) for label, _ in told], [tags for _, tags in told])
    return ZooSpec(
        name=root.resolve().name,
        folder=root.resolve(),
        models=tuple(
            replace(m, name=name, group=_printable(m.group).replace("/", "-"))
            for m, name in zip(found_groups.models, names, strict=True)
        ),
        problem=ProblemOptions(allow=tuple(allow)),
        skipped=tuple(skipped + twins + _leftovers(rest)),
        notes=found_groups.notes,
    )


def _without_twins(models: list[Model]) -> tuple[list[Model], list[Skipped]]:
    """The models, each file once: ``last`` and ``best`` are often links to other checkpoints, or copies."""
    first: dict[tuple[int, int], Model] = {}
    twins: list[Skipped] = []
    for model in models:
        status = model.path.stat()
        other = first.setdefault((status.st_dev, status.st_ino), model)
        if other is not model:
            twins.append(Skipped(model.shown, f"{TWIN} as {other.shown}."))
    beside: dict[Path, list[Model]] = {}
    for model in first.values():
        if not _COPY.search(model.path.name):
            beside.setdefault(model.path.parent, []).append(model)
    out: list[Model] = []
    for model in first.values():
        original = _copied(model, beside.get(model.path.parent, []))
        if original is None:
            out.append(model)
        else:
            twins.append(Skipped(model.shown, f"{TWIN} as {original.shown}."))
    return out, twins


def _copied(model: Model, models: Iterable[Model]) -> Model | None:
    """The one of some checkpoints that a ``last`` or ``best`` is a copy of, byte for byte; else ``None``."""
    if not _COPY.search(model.path.name):
        return None
    size = model.path.stat().st_size
    same = (m for m in models if m.path.stat().st_size == size and cmp(model.path, m.path, shallow=False))
    return next(same, None)


def _leftovers(files: Sequence[Path]) -> list[Skipped]:
    endings = Counter(f.suffix or "no ending" for f in files)
    known = ", ".join(SUFFIXES)
    return [
        Skipped(f"{count} file{'s' if count > 1 else ''} with {ending}", f"not one of {known}")
        for ending, count in sorted(endings.items())
    ]


def _named(files: Sequence[Path], root: Path) -> tuple[list[Path], list[Skipped]]:
    """Files whose names are texts, which a manifest can hold; and those whose names are not."""
    named: list[Path] = []
    nameless: list[Skipped] = []
    for file in files:
        try:
            str(file).encode()
            named.append(file)
        except UnicodeEncodeError:
            shown = os.fsencode(file.relative_to(root)).decode("utf-8", "backslashreplace")
            nameless.append(Skipped(shown, "its name is no text (UTF-8); rename it."))
    return named, nameless


def _printable(name: str) -> str:
    """A name that a model can have, made from that of a file."""
    return "".join(c if c.isprintable() else "_" for c in name)


def _is_store(folder: Path) -> bool:
    return (folder / "zoo.json").is_file() and (folder / "zoo.h5").is_file()


def _files(root: Path) -> list[Path]:
    found: list[Path] = []
    for folder, below, names in os.walk(root):
        # In place: what is taken off the list is not entered. A store holds results of ours.
        below[:] = sorted(d for d in below if not d.startswith(".") and not _is_store(Path(folder, d)))
        found += [Path(folder) / n for n in sorted(names) if not n.startswith(".")]
    return found
