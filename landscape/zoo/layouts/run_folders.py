"""Folders of runs without names, as Hydra and wandb make them: what they record of hyperparameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from landscape.zoo.layouts.base import Found, Scan
from landscape.zoo.layouts.run_metadata import Facts, facts_in_config, facts_in_row, read_flat_yaml
from landscape.zoo.layouts.side_files import json_of, text_of

__all__ = ["beside_run"]

_UP = 3  # folders above a checkpoint in which a run keeps its settings


def beside_run(scan: Scan, file: Path, found: Found) -> Facts:
    """What is recorded of the run of a checkpoint, in its folder or one above it.

    Hydra keeps what was asked for in ``.hydra/overrides.yaml`` (one ``name=value`` a line), wandb the
    settings in ``files/config.yaml`` (``name: {value: ...}``) and the last numbers in ``wandb-summary.json``.

    Args:
        scan: Where the checkpoint was found.
        file: The checkpoint.
        found: Takes the files that were understood.
    """
    folder = file.parent
    for _ in range(_UP):
        facts = _of_hydra(folder) or _of_wandb(scan, folder, found)
        if facts is not None:
            return facts
        if folder == scan.root:
            break
        folder = folder.parent
    return Facts()


def _of_hydra(folder: Path) -> Facts | None:
    text = text_of(folder / ".hydra" / "overrides.yaml", 500_000)
    if text is None:
        return None
    pairs = [line.lstrip("- ").strip("'\"").split("=", 1) for line in text.splitlines() if "=" in line]
    plain = {name.lstrip("+~"): _scalar(value) for name, value in pairs}
    return facts_in_config({k: v for k, v in plain.items() if not k.startswith("hydra")})


def _of_wandb(scan: Scan, folder: Path, found: Found) -> Facts | None:
    home = folder if folder.name == "files" else folder / "files"
    config = home / "config.yaml"
    if not (home.parent.name.startswith(("run-", "offline-run-")) and config.is_file()):
        return None
    side = {config, home / "wandb-summary.json", home / "wandb-metadata.json", home / "requirements.txt"}
    found.read |= side & set(scan.files)
    facts = facts_in_config(_values(config))
    return facts | Facts({}, facts_in_row(json_of(home / "wandb-summary.json") or {}).metrics)


def _values(config: Path) -> dict[str, Any]:
    """The settings of wandb's file, which wraps each in a mapping; what is wandb's own is left out."""
    import yaml

    try:
        content = yaml.load(text_of(config, 500_000) or "", Loader=yaml.BaseLoader)
    except (ValueError, RecursionError, yaml.YAMLError):
        return {}
    if not isinstance(content, dict):
        return {}
    wrapped = {
        k: v["value"] for k, v in content.items() if isinstance(v, dict) and isinstance(v.get("value"), str)
    }
    own = {k: _scalar(v) for k, v in wrapped.items() if k != "_wandb"}
    return own or read_flat_yaml(config)


def _scalar(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
