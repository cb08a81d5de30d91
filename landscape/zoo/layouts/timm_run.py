"""Runs of timm's training script: ``args.yaml``, ``summary.csv`` and ``*.pth.tar`` in one folder."""

from __future__ import annotations

import re
from typing import Any

from landscape.zoo.layouts.base import Found, Layout, Scan
from landscape.zoo.layouts.run_metadata import Facts, facts_in_config, facts_in_row, read_rows, read_yaml
from landscape.zoo.libraries import timm_builder

__all__ = ["TIMM_RUN"]

_USUAL_CHANNELS = 3
_NUMBERED = re.compile(r"checkpoint-(\d+)\.pth\.tar")


def _find(scan: Scan) -> Found:
    """``last`` and ``model_best`` are usually links to numbered files, which come first."""
    found = Found()
    for files in scan.folders().values():
        weights = [f for name, f in files.items() if name.endswith(".pth.tar")]
        if "args.yaml" not in files or not weights:
            continue
        options = read_yaml(files["args.yaml"])
        rows = read_rows(files["summary.csv"]) if "summary.csv" in files else []
        found.read |= {files[n] for n in ("args.yaml", "summary.csv") if n in files}
        for file in sorted(weights, key=lambda f: _NUMBERED.fullmatch(f.name) is None):
            numbered = _NUMBERED.fullmatch(file.name)
            found.take(
                scan,
                file,
                given=facts_in_config(options, known_only=True)
                | (_row(rows, int(numbered[1])) if numbered else Facts()),
                builder=timm_builder(options.get("model"), _arguments(options)),
            )
    return found


def _arguments(options: dict[str, Any]) -> dict[str, Any]:
    """What the script gives ``create_model`` that changes which weights there are, or what they compute."""
    own = options.get("model_kwargs")
    found: dict[str, Any] = dict(own) if isinstance(own, dict) else {}
    if isinstance(options.get("num_classes"), int):
        found["num_classes"] = options["num_classes"]
    if isinstance(options.get("gp"), str):
        found["global_pool"] = options["gp"]
    size = options.get("input_size")
    channels = options.get("in_chans") or (size[0] if isinstance(size, list) and len(size) == 3 else None)
    if isinstance(channels, int) and channels != _USUAL_CHANNELS:
        found["in_chans"] = channels
    return found


def _row(rows: list[dict[str, Any]], epoch: int) -> Facts:
    row = next((r for r in rows if r.get("epoch") == epoch), {})
    return facts_in_row({**row, "epoch": epoch})


TIMM_RUN = Layout("timm", _find)
