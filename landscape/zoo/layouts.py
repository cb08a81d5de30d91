"""Layouts: what a directory of checkpoints holds, made out without running anything in it."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from landscape.errors import CheckpointError, InputError
from landscape.store.files import write_bytes
from landscape.zoo.checkpoint import SUFFIXES, read_state
from landscape.zoo.spec import ModelSpec, Skipped, ZooSpec, parse_seed, unique_names

__all__ = ["LAYOUTS", "Layout", "manifest_template", "scan_directory", "write_manifest"]

Layout = Callable[[Path, Sequence[Path]], tuple[list[ModelSpec], list[Skipped]]]
"""``(root, files) -> (models, skipped)``. Files in neither list are left to the next layout."""


def plain(root: Path, files: Sequence[Path]) -> tuple[list[ModelSpec], list[Skipped]]:
    """Every file that holds a state_dict is a model; its group is its folder."""
    good: list[Path] = []
    skipped: list[Skipped] = []
    for file in files:
        if file.suffix not in SUFFIXES:
            continue
        try:
            read_state(file, mmap=True)
        except CheckpointError as error:
            skipped.append(Skipped(str(file.relative_to(root)), str(error)))
        else:
            good.append(file)
    shown = [file.relative_to(root).as_posix() for file in good]
    models = [
        ModelSpec(
            name=name,
            path=file,
            shown=path,
            group="-".join(Path(path).parent.parts),
            seed=parse_seed(path.removesuffix(file.suffix)),
        )
        for file, path, name in zip(good, shown, unique_names(shown), strict=True)
    ]
    return models, skipped


LAYOUTS: tuple[Layout, ...] = (plain,)
"""Tried in order; a more particular layout comes before a more general one."""


def scan_directory(directory: str | Path) -> ZooSpec:
    """Find the checkpoints below a directory; hidden folders are passed over.

    Checkpoints are read as data. No model is needed, and no builder is taken from what is found.

    Args:
        directory: Where to look, with all folders below.

    Returns:
        A zoo without builders and analyses; ``skipped`` says why files were left out.

    Raises:
        InputError: If there is no such directory.
    """
    root = Path(directory).expanduser()
    if not root.is_dir():
        reason = "is not a directory" if root.exists() else "does not exist"
        raise InputError(f"'{directory}' {reason}; give a directory of checkpoints.")
    rest = _files(root)
    models: list[ModelSpec] = []
    skipped: list[Skipped] = []
    for layout in LAYOUTS:
        found, left_out = layout(root, rest)
        models += found
        skipped += left_out
        taken = {m.path for m in found} | {root / s.path for s in left_out}
        rest = [f for f in rest if f not in taken]
    endings = Counter(f.suffix or "no ending" for f in rest)
    known = ", ".join(SUFFIXES)
    skipped += [
        Skipped(f"{count} file{'s' if count > 1 else ''} with {ending}", f"not one of {known}")
        for ending, count in sorted(endings.items())
    ]
    folder = root.resolve()
    return ZooSpec(folder.name, folder, tuple(models), skipped=tuple(skipped))


def _files(root: Path) -> list[Path]:
    found: list[Path] = []
    for folder, below, names in os.walk(root):
        below[:] = sorted(d for d in below if not d.startswith("."))
        found += [Path(folder) / n for n in sorted(names) if not n.startswith(".")]
    return found


def write_manifest(spec: ZooSpec, path: str | Path) -> Path:
    """Write a manifest with the checkpoints filled in, and the builders left to the user.

    Raises:
        InputError: If there are no checkpoints, or the file exists.
        StoreError: If it cannot be written.
    """
    path = Path(path)
    if not spec.models:
        raise InputError(f"'{spec.folder}' holds no checkpoints to write a manifest for.")
    if path.exists():
        raise InputError(f"'{path}' exists already; move it away or edit it.")
    write_bytes(path, manifest_template(spec).encode())
    return path


def manifest_template(spec: ZooSpec) -> str:
    """The text of a manifest for a scanned zoo."""
    blocks = [
        f"name = {_text(spec.name)}",
        "# A function that makes the model, without weights: package.module:function.\n"
        "# Modules beside this file can be imported.\n"
        "[model]\n"
        'builder = "my_models:build"\n'
        "kwargs = {}",
        "# A function that returns (inputs, targets), a Dataset, a DataLoader or batches.\n"
        "[data]\n"
        'builder = "my_data:build"\n'
        "kwargs = {}",
        '[problem]\nloss = "cross_entropy"\nweight_decay = 0.0\nbatch_size = 256',
        "# One table for each analysis, with its options; `landscape --help` lists them.\n"
        "[analyses.spectrum]\n\n[analyses.line]",
    ]
    for model in spec.models:
        lines = ["[[checkpoints]]", f"name = {_text(model.name)}", f"path = {_text(model.shown)}"]
        if model.group:
            lines.append(f"group = {_text(model.group)}")
        if model.seed is not None:
            lines.append(f"seed = {model.seed}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _text(value: str) -> str:
    """A TOML string: JSON's escapes are TOML's too."""
    return json.dumps(value)
