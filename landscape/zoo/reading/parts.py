"""Checkpoints of several files: weights in parts with an index, and adapters with their configuration."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landscape.errors import CheckpointError
from landscape.text import foreign

__all__ = ["INDEX_ENDINGS", "Adapter", "adapter_beside", "files_of", "is_index", "parts_of"]

INDEX_ENDINGS = (".safetensors.index.json", ".bin.index.json")
"""How the names of indices end, as Hugging Face and accelerate write them."""

_LARGEST = 64_000_000
_ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")


@dataclass(frozen=True)
class Adapter:
    """What ``adapter_config.json`` says of the low-rank matrices beside it (PEFT).

    Attributes:
        kind: ``LORA``, or another kind.
        rank: Of the matrices, where no pattern says otherwise.
        alpha: Their scale is alpha / rank.
        by_root: Whether it is alpha / √rank.
        transposed: Whether weights are stored as (in, out).
        ranks: By a pattern of module names, the rank.
        alphas: Likewise alpha.
        base: The model that it was trained on, as the file names it.
    """

    kind: str
    rank: int
    alpha: float
    by_root: bool = False
    transposed: bool = False
    ranks: tuple[tuple[str, int], ...] = ()
    alphas: tuple[tuple[str, float], ...] = ()
    base: str = ""


def is_index(path: Path) -> bool:
    """Whether a file is the index of weights in several files."""
    return path.name.endswith(INDEX_ENDINGS)


def parts_of(index: Path) -> dict[Path, list[str]]:
    """The files that an index names, all in its own folder, and the keys that each holds.

    Raises:
        CheckpointError: If it is no index, or names a file elsewhere.
    """
    table = _json(index)
    entries = table.get("weight_map") if isinstance(table, dict) else None
    if not isinstance(entries, dict) or not entries:
        raise CheckpointError(f"checkpoint '{index}' is no index of weights: it has no weight_map.")
    parts: dict[Path, list[str]] = {}
    for key, name in entries.items():
        if not isinstance(name, str) or Path(name).name != name or name in ("", ".", "..") or "\\" in name:
            raise CheckpointError(
                f"checkpoint '{index}' is refused: it names a file elsewhere ({foreign(name, 60)})."
            )
        parts.setdefault(index.parent / name, []).append(key)
    return parts


def adapter_beside(path: Path) -> Adapter | None:
    """What is said beside an adapter of how it is put on; ``None`` if the file is none.

    Raises:
        CheckpointError: If its configuration cannot be read.
    """
    if path.name not in _ADAPTERS:
        return None
    config = path.with_name("adapter_config.json")
    if not config.is_file():
        return None
    found = _json(config)
    try:
        return Adapter(
            kind=str(found.get("peft_type", "")),
            rank=int(found.get("r") or 1),
            alpha=float(found.get("lora_alpha") or 1.0),
            by_root=found.get("use_rslora") is True,
            transposed=found.get("fan_in_fan_out") is True,
            ranks=tuple((str(k), int(v)) for k, v in (found.get("rank_pattern") or {}).items()),
            alphas=tuple((str(k), float(v)) for k, v in (found.get("alpha_pattern") or {}).items()),
            base=foreign(found.get("base_model_name_or_path") or "", 80),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(f"'{config}' is no configuration of an adapter.") from error


def files_of(path: Path) -> list[Path]:
    """All files that a checkpoint is made of, itself first."""
    try:
        if is_index(path):
            return [path, *sorted(parts_of(path))]
        return [path, path.with_name("adapter_config.json")] if adapter_beside(path) else [path]
    except CheckpointError:  # said where it is read
        return [path]


def _json(path: Path) -> Any:
    try:
        if not path.is_file():
            raise CheckpointError(f"checkpoint '{path}' does not exist.")
        if path.stat().st_size > _LARGEST:
            raise CheckpointError(f"checkpoint '{path}' is refused: it is larger than any index.")
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise CheckpointError(f"checkpoint '{path}' cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"checkpoint '{path}' is damaged: it is no JSON.") from error
