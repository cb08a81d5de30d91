"""timm and Hugging Face folders: ``config.json`` beside ``model.safetensors`` or ``pytorch_model.bin``.

A ``config.json`` of timm names its architecture, which becomes the builder ``timm:NAME``: a name that is
looked up in timm's own register, so nothing of the folder is run.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from landscape.errors import CheckpointError
from landscape.zoo.described.bases import adapter_builder
from landscape.zoo.described.transformers import WEIGHTS, transformers_builder
from landscape.zoo.layouts.base import Found, Layout, Scan
from landscape.zoo.layouts.hub_cache import revision_of
from landscape.zoo.layouts.run_metadata import Facts, facts_in_config, facts_in_row
from landscape.zoo.layouts.side_files import json_of
from landscape.zoo.libraries import timm_builder
from landscape.zoo.reading.parts import INDEX_ENDINGS, adapter_beside, files_of
from landscape.zoo.spec import Builder

__all__ = ["HUB"]

_WEIGHTS = WEIGHTS[:2]
_ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")
_SHARDED = re.compile(r"(?:model|pytorch_model)-\d+-of-\d+\.(?:safetensors|bin)")
_STEP = re.compile(r"checkpoint-(\d+)")


def _find(scan: Scan) -> Found:
    found = Found()
    for folder, files in scan.folders().items():
        weights = [files[name] for name in _WEIGHTS if name in files]
        indices = [file for name, file in files.items() if name.endswith(INDEX_ENDINGS)]
        parts = {part for index in indices for part in files_of(index)[1:]}
        found.read |= parts & set(files.values())
        for shard in (f for name, f in files.items() if _SHARDED.fullmatch(name) and f not in parts):
            found.skip(scan, shard, "a part of a model without the index of its parts (*.index.json).")
        config = json_of(files.get("config.json"))
        if indices and config is None:
            config = {}
        adapter = next((files[name] for name in _ADAPTERS if name in files), None)
        if adapter is not None and "adapter_config.json" in files:
            found.read.add(files["adapter_config.json"])
            _take(scan, found, adapter, folder, Facts(_about_adapter(adapter)), adapter_builder(adapter))
        weights += indices
        if not weights or config is None:
            continue
        found.read |= {files[n] for n in ("config.json", "trainer_state.json") if n in files}
        for twin in weights[1:]:
            found.skip(scan, twin, f"the same weights as {weights[0].name} beside it.")
        facts = _facts(config) | _progress(json_of(files.get("trainer_state.json")))
        _take(scan, found, weights[0], folder, facts, _builder(config))
    return found


def _take(scan: Scan, found: Found, file: Path, folder: Path, facts: Facts, builder: Builder | None) -> None:
    """Add the one model of a folder, which is named after it."""
    step = _STEP.fullmatch(folder.name)
    facts = (Facts({"step": int(step[1])}) if step else Facts()) | facts
    label = scan.relative(folder) if folder != scan.root else ""
    revision = revision_of(folder)
    if revision is not None:
        label, facts = revision[0], revision[1] | facts
    found.take(
        scan,
        file,
        label=label,
        given=facts,
        builder=builder,
    )


def _about_adapter(file: Path) -> dict[str, Any]:
    try:
        adapter = adapter_beside(file)
    except CheckpointError:
        return {}
    return {"adapter": adapter.kind, "rank": adapter.rank} if adapter is not None else {}


def _facts(config: dict[str, Any]) -> Facts:
    names = config.get("architectures")
    arch = config.get("architecture") or (names[0] if isinstance(names, list) and names else None)
    return facts_in_config({"arch": arch})


def _progress(state: dict[str, Any] | None) -> Facts:
    """What ``trainer_state.json`` says of the last evaluation."""
    if state is None:
        return Facts()
    # Rows of training and of evaluation take turns and name other numbers: of each, the last one counts.
    rows = state.get("log_history", [])
    history = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    merged: dict[str, Any] = {}
    for row in history:
        merged |= row
    return facts_in_row(merged | {k: state[k] for k in ("epoch", "global_step") if k in state})


def _builder(config: dict[str, Any]) -> Builder | None:
    arguments = config.get("model_args")
    options = dict(arguments) if isinstance(arguments, dict) else {}
    for name in ("num_classes", "global_pool"):
        if name in config:
            options[name] = config[name]
    return timm_builder(config.get("architecture"), options) or transformers_builder(config)


HUB = Layout("hugging face", _find)
