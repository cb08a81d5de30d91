"""Runs of timm's training script: ``args.yaml``, ``summary.csv`` and ``*.pth.tar`` in one folder."""

from __future__ import annotations

import re
from typing import Any

from landscape.zoo.layouts.base import Found, Layout, Scan
from landscape.zoo.layouts.run_metadata import Facts, facts_in_config, facts_in_row, read_flat_yaml, read_rows
from landscape.zoo.libraries import timm_builder

__all__ = ["TIMM_RUN"]

_NUMBERED = re.compile(r"checkpoint-(\d+)\.pth\.tar")


def _find(scan: Scan) -> Found:
    """``last`` and ``model_best`` are usually links to numbered files, which come first."""
    found = Found()
    for files in scan.folders().values():
        weights = [f for name, f in files.items() if name.endswith(".pth.tar")]
        if "args.yaml" not in files or not weights:
            continue
        options = read_flat_yaml(files["args.yaml"])
        rows = read_rows(files["summary.csv"]) if "summary.csv" in files else []
        found.read |= {files[n] for n in ("args.yaml", "summary.csv") if n in files}
        chosen = {k: options[k] for k in ("num_classes",) if isinstance(options.get(k), int)}
        for file in sorted(weights, key=lambda f: _NUMBERED.fullmatch(f.name) is None):
            numbered = _NUMBERED.fullmatch(file.name)
            found.take(
                scan,
                file,
                given=facts_in_config(options, known_only=True)
                | (_row(rows, int(numbered[1])) if numbered else Facts()),
                builder=timm_builder(options.get("model"), chosen),
            )
    return found


def _row(rows: list[dict[str, Any]], epoch: int) -> Facts:
    row = next((r for r in rows if r.get("epoch") == epoch), {})
    return facts_in_row({**row, "epoch": epoch})


TIMM_RUN = Layout("timm", _find)
