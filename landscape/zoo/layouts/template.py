"""The manifest of a scanned zoo: checkpoints filled in, and what is not known left to the user."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from landscape.errors import InputError
from landscape.store.files import write_bytes
from landscape.text import toml_table, toml_value
from landscape.zoo.problem_options import ProblemOptions
from landscape.zoo.spec import Model, SectionSpec, ZooSpec

__all__ = ["manifest_template", "write_manifest"]

_PREDICTIVE = """\
# What predicts from several checkpoints is measured beside them by analyses of predictions.
# [[predictives]]
# name = "ensemble"
# builder = "landscape.reference.uncertainty:DeepEnsemble"
# members = "*"\
"""
_MODEL = """\
# A function that makes the model, without weights: package.module:function, timm:NAME,
# torchvision:NAME or transformers:CLASS. Modules beside this file can be imported."""
_DATA = """\
# A function that returns (inputs, targets), a Dataset, a DataLoader or batches; or data by name, such as
# imagefolder:DIR. If it makes the data that recorded metrics were measured on, say so: split = "train",
# "validation" or "test"."""
_ANALYSES = "# One table for each analysis, with its options; `landscape --help` lists them."


def write_manifest(spec: ZooSpec, path: str | Path) -> Path:
    """Write a manifest with the checkpoints filled in, and what is not known left to the user.

    Raises:
        InputError: If there are no checkpoints, or the file exists.
        StoreError: If it cannot be written.
    """
    path = Path(path)
    if not spec.models:
        raise InputError(f"'{spec.folder}' holds no checkpoints to write a manifest for.")
    if path.exists():
        raise InputError(f"'{path}' exists already; move it away or edit it.")
    write_bytes(path, manifest_template(spec, path.parent).encode())
    return path


def manifest_template(spec: ZooSpec, home: Path | None = None) -> str:
    """The text of a manifest for a scanned zoo.

    Args:
        spec: The zoo; builders, data and analyses may be known or not.
        home: The folder in which the manifest is to be; ``None`` for that of the zoo.
    """
    head: dict[str, Any] = {"name": spec.name}
    if home is not None and home.resolve() != spec.folder:
        head["folder"] = _relative(spec.folder, home.resolve())
    if spec.store is not None:
        head["store"] = _relative(spec.store, spec.folder)
    builders = [m.builder for m in spec.models]
    shared = (
        builders[0]
        if builders and builders[0] is not None and builders.count(builders[0]) == len(builders)
        else None
    )
    blocks = [
        toml_table("# Running this manifest runs the code that its builders name.", head),
        _model(spec, shared is not None),
        _data(spec),
        _problem(spec.problem),
        _ANALYSES + "\n" + "\n\n".join(map(_section, spec.sections or _USUAL)),
    ]
    checkpoints = [_checkpoint(model, spec, shared is None) for model in spec.models]
    more = [_PREDICTIVE] * (len(checkpoints) > 1)
    return "\n\n".join([b for b in blocks if b] + checkpoints + more) + "\n"


_USUAL = (SectionSpec("spectrum", "spectrum"), SectionSpec("line", "line"))


def _model(spec: ZooSpec, shared: bool) -> str:
    """The table of the model, where there is one of all, or one is still to be named."""
    if not shared:
        if all(m.builder is not None for m in spec.models) and spec.data is not None:
            return ""
        return toml_table(f"{_MODEL}\n[model]", {"builder": "my_models:build", "kwargs": {}})
    first = spec.models[0]
    entry: dict[str, Any] = {"builder": first.made_by.reference, "kwargs": first.made_by.kwargs}
    if _same_preprocess(spec):
        entry["preprocess"] = first.preprocess
    return toml_table(f"{_MODEL}\n[model]", entry)


def _same_preprocess(spec: ZooSpec) -> bool:
    first = spec.models[0].preprocess
    return bool(first) and all(m.preprocess == first for m in spec.models)


def _data(spec: ZooSpec) -> str:
    if spec.data is None:
        return toml_table(f"{_DATA}\n[data]", {"builder": "my_data:build", "kwargs": {}})
    kwargs = dict(spec.data.kwargs)
    entry: dict[str, Any] = {"builder": spec.data.reference}
    entry |= {"examples": kwargs.pop("examples")} if "examples" in kwargs else {}
    entry |= dict(kwargs.pop("preprocess", {}))
    entry |= {"kwargs": kwargs} if kwargs else {}
    if spec.split is not None:
        entry["split"] = spec.split
    return toml_table(f"{_DATA}\n[data]", entry)


def _problem(problem: ProblemOptions) -> str:
    table: dict[str, Any] = {n: getattr(problem, n) for n in ("loss", "weight_decay", "batch_size")}
    if problem.allow:
        table["allow"] = list(problem.allow)
    return toml_table("[problem]", table)


def _section(section: SectionSpec) -> str:
    own: dict[str, Any] = {"analysis": section.analysis} if section.analysis != section.label else {}
    own |= {"models": list(section.models)} if section.models != ("*",) else {}
    own |= {"examples": section.examples} if section.examples is not None else {}
    own |= {"together": True} if section.together else {}
    return toml_table(f"[analyses.{_quoted(section.label)}]", {**own, **section.options})


def _quoted(label: str) -> str:
    return (
        label
        if label.replace("_", "").replace("-", "").isalnum() and label.isascii()
        else str(toml_value(label))
    )


def _checkpoint(model: Model, spec: ZooSpec, builder: bool) -> str:
    # A path that begins with ~ is below someone's home.
    shown = model.shown if spec.folder / model.shown == model.path else _relative(model.path, spec.folder)
    entry: dict[str, Any] = {"name": model.name, "path": f"./{shown}" if shown.startswith("~") else shown}
    if builder and model.builder is not None:
        entry |= {"builder": model.builder.reference, "kwargs": model.builder.kwargs}
    entry |= {name: value for name in ("group", "run") if (value := getattr(model, name))}
    if model.seed is not None:
        entry["seed"] = model.seed
    tables: Mapping[str, Any] = {key: table for key in ("tags", "metrics") if (table := getattr(model, key))}
    entry |= tables
    if model.preprocess and not (not builder and _same_preprocess(spec)):
        entry["preprocess"] = model.preprocess
    return toml_table("[[checkpoints]]", entry)


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # on two drives of Windows
        return str(path)
