"""The manifest of a scanned zoo: checkpoints filled in, builders left to the user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from landscape.errors import InputError
from landscape.store.files import write_bytes
from landscape.text import toml_table, toml_value
from landscape.zoo.spec import Model, ZooSpec

__all__ = ["manifest_template", "write_manifest"]

_PREDICTIVE = """\
# What predicts from several checkpoints is measured beside them by analyses of predictions.
# [[predictives]]
# name = "ensemble"
# builder = "landscape.reference.uncertainty:DeepEnsemble"
# members = "*"\
"""


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
        problem += f"\nallow = {toml_value(list(spec.problem.allow))}"
    blocks = [
        f"# Running this manifest runs the code that its builders name.\nname = {toml_value(spec.name)}",
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
    checkpoints = [_checkpoint(model) for model in spec.models]
    return "\n\n".join(blocks + checkpoints + [_PREDICTIVE] * (len(checkpoints) > 1)) + "\n"


def _checkpoint(model: Model) -> str:
    # A path that begins with ~ is below someone's home.
    path = f"./{model.shown}" if model.shown.startswith("~") else model.shown
    entry: dict[str, Any] = {"name": model.name, "path": path}
    if model.builder is not None:
        entry |= {"builder": model.builder.reference, "kwargs": model.builder.kwargs}
    if model.group:
        entry["group"] = model.group
    if model.seed is not None:
        entry["seed"] = model.seed
    entry |= {key: table for key in ("tags", "metrics") if (table := getattr(model, key))}
    return toml_table("[[checkpoints]]", entry)
