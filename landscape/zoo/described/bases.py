"""The models that adapters were trained on: found on this machine by the name that the adapter gives."""

from __future__ import annotations

import contextlib
import importlib
import re
from pathlib import Path
from typing import Any

from landscape.errors import CheckpointError
from landscape.zoo.checkpoint import file_sha256, read_checkpoint
from landscape.zoo.described.transformers import transformers_builder, weights_in
from landscape.zoo.layouts.side_files import json_of
from landscape.zoo.spec import Builder

__all__ = ["adapter_builder", "base_folder"]

_HEAD = re.compile(r"(?:For[A-Z]\w*|Model)$")
_LAST = re.compile(r"\.(?:classifier|score)(?:\.out_proj)?\.weight$")
# What an adapter was trained to do, and the class that PEFT's users load its base with.
_OF_TASK = {
    "SEQ_CLS": "ForSequenceClassification",
    "TOKEN_CLS": "ForTokenClassification",
    "CAUSAL_LM": "ForCausalLM",
}


def base_folder(name: str, beside: Path) -> Path | None:
    """Where the model of that name lies on this machine: a folder, or the local cache; nothing is fetched.

    Args:
        name: As ``adapter_config.json`` has it: a folder, or a name of the hub.
        beside: The folder of the adapter.
    """
    if not name or name.startswith(("\\\\", "//")):  # of a network: a stranger's file is no reason to call it
        return None
    for place in (Path(name), beside / name):
        with contextlib.suppress(OSError, ValueError):
            if place.is_dir() and weights_in(place) is not None:
                return place
    with contextlib.suppress(Exception):  # not installed, or no name of the hub
        hub: Any = importlib.import_module("huggingface_hub")
        config = hub.try_to_load_from_cache(name, "config.json")
        if isinstance(config, str) and weights_in(Path(config).parent) is not None:
            return Path(config).parent
    return None


def adapter_builder(file: Path) -> Builder | None:
    """What makes the model that an adapter was trained on, base weights and all; ``None`` if it is not here.

    Args:
        file: The adapter's weights, with ``adapter_config.json`` beside them.
    """
    about = json_of(file.parent / "adapter_config.json") or {}
    folder = base_folder(str(about.get("base_model_name_or_path") or ""), file.parent)
    config = None if folder is None else json_of(folder / "config.json")
    if folder is None or config is None:
        return None
    builder = transformers_builder(config | _task_of(about, config, file))
    weights = weights_in(folder)
    if builder is None or weights is None:
        return None
    try:
        content = file_sha256(weights)
    except CheckpointError:
        return None
    return Builder(builder.reference, {**builder.kwargs, "weights": str(folder.resolve()), "sha256": content})


def _task_of(about: dict[str, Any], config: dict[str, Any], file: Path) -> dict[str, Any]:
    """The class and the number of classes that the adapter says, where its base is of another task."""
    own = (config.get("architectures") or [""])[0]
    ending = _OF_TASK.get(str(about.get("task_type")), "")
    if not ending or not isinstance(own, str) or own.endswith(ending):
        return {}
    changed: dict[str, Any] = {"architectures": [_HEAD.sub("", own) + ending]}
    try:
        state, _ = read_checkpoint(file, mmap=True)
    except CheckpointError:  # said where it is loaded
        return changed
    rows = [len(t) for name, t in state.items() if _LAST.search(name)]
    if rows and ending != "ForCausalLM":
        changed["id2label"] = {str(i): f"LABEL_{i}" for i in range(rows[0])}
    return changed
