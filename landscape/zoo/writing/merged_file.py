"""Checkpoints merged into one file, and beside it where it comes from."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.errors import InputError
from landscape.store.files import write_bytes
from landscape.zoo.checkpoint import file_sha256, file_stamp, load_checkpoint
from landscape.zoo.loader import Loader
from landscape.zoo.spec import Model, ZooSpec
from landscape.zoo.task import Setup

if TYPE_CHECKING:
    from landscape.core.merging.merge import Merged, MergeOptions

__all__ = ["ENDINGS", "merge_files", "merge_zoo", "write_merged"]

ENDINGS = (".pt", ".safetensors")
"""Of the files that are written."""

_SIDE = ".merge.json"


def merge_files(
    paths: Sequence[Path],
    method: Any,
    *,
    base: Path | None = None,
    options: MergeOptions | None = None,
    trust_pickle: bool = False,
) -> Merged:
    """Merge checkpoints by their weights alone, without a model or data.

    Args:
        paths: The checkpoints.
        method: As of `landscape.merge_states`.
        base: The checkpoint from which all were trained.
        options: Settings of the methods.
        trust_pickle: Let pickles run code: only for your own files.

    Raises:
        LandscapeError: If a file cannot be read or the models cannot be merged.
    """
    from landscape.core.merging.merge import merge_states

    states = [load_checkpoint(path, trust_pickle=trust_pickle) for path in paths]
    start = None if base is None else load_checkpoint(base, trust_pickle=trust_pickle)
    return merge_states(states, method, base=start, names=[str(p) for p in paths], options=options)


def merge_zoo(
    spec: ZooSpec,
    method: Any,
    *,
    base: Path | None = None,
    align: Any = None,
    batchnorm: Any = "recalibrate",
    options: MergeOptions | None = None,
    trust_pickle: bool = False,
) -> Merged:
    """Merge the checkpoints of a small zoo, with its model and data.

    Args:
        spec: Models of one architecture, with builders and data.
        method: As of `landscape.merge`.
        base: The checkpoint from which all were trained.
        align: How units are put in one order first.
        batchnorm: Where BatchNorm's statistics come from.
        options: Settings of the methods.
        trust_pickle: Let pickles run code: only for your own files.

    Raises:
        LandscapeError: If anything given cannot be used.
    """
    from landscape.core.merging.merge import merge

    assert spec.data is not None
    loader = Loader(Setup(spec.folder, spec.data, spec.problem, spec.folder, trust_pickle))
    loader.check()
    problems = {model.name: loader.passing_problem(_stamped(model)) for model in spec.models}
    start = None
    if base is not None:
        first = spec.models[0]
        start = loader.module(_stamped(Model("base", base, str(base), first.made_by))).state_dict()
    return merge(problems, method, base=start, align=align, batchnorm=batchnorm, options=options)


def _stamped(model: Model) -> Model:
    """The model with its file as it is now: the loader refuses files that changed since."""
    return replace(model, stamp=file_stamp(model.path), sha256=file_sha256(model.path))


def write_merged(
    merged: Merged,
    path: Path,
    sources: Sequence[Path],
    *,
    base: Path | None = None,
    options: MergeOptions | None = None,
    facts: dict[str, Any] | None = None,
) -> Path:
    """Write a state_dict by itself, as any program reads it, and where it comes from into a file beside it.

    Args:
        merged: The model.
        path: A ``.pt`` or ``.safetensors`` file.
        sources: The checkpoints that were merged.
        base: That from which all were trained.
        options: Settings of the methods.
        facts: What else is to be recorded.

    Returns:
        The file beside it, ``<name>.merge.json``.

    Raises:
        InputError: If the ending is another.
        StoreError: If a file cannot be written.
    """
    import torch
    from safetensors.torch import save as as_safetensors

    if path.suffix not in ENDINGS:
        raise InputError(f"a merged checkpoint ends in {' or '.join(ENDINGS)}; got '{path.name}'.")
    state = {
        n: t.detach().cpu().clone(memory_format=torch.contiguous_format) for n, t in merged.state.items()
    }
    if path.suffix == ".safetensors":
        content = as_safetensors(state)
    else:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        content = buffer.getvalue()
    record = {
        "method": merged.method,
        "sources": [{"file": p.name, "sha256": file_sha256(p)} for p in sources],
        "base": None if base is None else {"file": base.name, "sha256": file_sha256(base)},
        "options": {} if options is None else asdict(options),
        "notes": list(merged.notes),
        **(facts or {}),
    }
    beside = path.with_name(path.name + _SIDE)
    write_bytes(path, content)
    write_bytes(beside, (json.dumps(record, indent=2) + "\n").encode())
    return beside
