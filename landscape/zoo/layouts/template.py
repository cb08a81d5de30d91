"""The manifest of a scanned zoo: checkpoints filled in, builders left to the user."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from landscape.errors import InputError
from landscape.store.files import write_bytes
from landscape.zoo.spec import Model, ZooSpec

__all__ = ["manifest_template", "write_manifest"]


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
    problem = '[problem]\nloss = "cross_entropy"\nweight_decay = 0.0\nbatch_size = 256'
    if spec.problem.allow:
        problem += f"\nallow = {_toml(list(spec.problem.allow))}"
    blocks = [
        f"name = {_toml(spec.name)}",
        "# A function that makes the model, without weights: package.module:function, timm:NAME or\n"
        "# torchvision:NAME. Modules beside this file can be imported.\n"
        "[model]\n"
        'builder = "my_models:build"\n'
        "kwargs = {}",
        "# A function that returns (inputs, targets), a Dataset, a DataLoader or batches. If it makes the\n"
        '# data that recorded metrics were measured on, say so: split = "train", "validation" or "test".\n'
        "[data]\n"
        'builder = "my_data:build"\n'
        "kwargs = {}",
        problem,
        "# One table for each analysis, with its options; `landscape --help` lists them.\n"
        "[analyses.spectrum]\n\n[analyses.line]",
    ]
    return "\n\n".join(blocks + [_checkpoint(model) for model in spec.models]) + "\n"


def _checkpoint(model: Model) -> str:
    lines = ["[[checkpoints]]", f"name = {_toml(model.name)}", f"path = {_toml(model.shown)}"]
    if model.builder is not None:
        lines.append(f"builder = {_toml(model.builder.reference)}")
        lines.append(f"kwargs = {_toml(model.builder.kwargs)}")
    if model.group:
        lines.append(f"group = {_toml(model.group)}")
    if model.seed is not None:
        lines.append(f"seed = {model.seed}")
    lines += [f"{key} = {_toml(table)}" for key in ("tags", "metrics") if (table := getattr(model, key))]
    return "\n".join(lines)


def _toml(value: Any) -> str:
    """A value in TOML."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_toml(str(k))} = {_toml(v)}' for k, v in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)  # nan and inf are TOML too
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
