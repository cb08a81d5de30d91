"""Ray Tune, and the model zoos made with it.

A trial is a folder with ``params.json`` (or ``config.json``), a log ``result.json`` (a JSON object per
line) or ``progress.csv``, and folders ``checkpoint_N``. The model zoo datasets of Schürholt et al. 2022
(arXiv:2209.14764) and of the phase transition zoos are laid out in the same way: there the weights are in
``checkpoint_N/checkpoints``, beside ``optimizer``, and ``index_dict.json`` lists the layers.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from landscape.zoo.checkpoint import SUFFIXES
from landscape.zoo.layouts.base import Found, Layout, Scan
from landscape.zoo.layouts.run_metadata import Facts, facts_in_config, facts_in_row, read_rows
from landscape.zoo.layouts.side_files import json_of

__all__ = ["MODEL_ZOO", "RAY_TUNE"]

_CHECKPOINT = re.compile(r"checkpoint_(\d+)")
_SIDE = re.compile(r"optim|sched|\.(?!pt|bin|ckpt)|^(rng|scaler)", re.IGNORECASE)
_ABOUT_TRIAL = ("params.json", "config.json", "params.pkl", "result.json", "progress.csv")
_ABOUT_ZOO = ("index_dict.json", "params.json", "config.json")
_NOT_MEASURED = -999.0  # what the model zoos log for training before the first epoch


def _find(scan: Scan) -> Found:
    """Trials whose weights are in files with a usual ending, or named ``checkpoint`` or ``model``."""
    return _find_trials(scan, lambda name: name.endswith(SUFFIXES) or name in ("checkpoint", "model"))


def _find_zoo(scan: Scan) -> Found:
    """Trials whose weights are in files named ``checkpoints``."""
    found = _find_trials(scan, lambda name: name == "checkpoints")
    if found.models:
        folders = {p for m in found.models for p in m.path.parents if p.is_relative_to(scan.root)}
        found.read |= {f for f in scan.files if f.name in _ABOUT_ZOO and f.parent in folders}
    return found


def _find_trials(scan: Scan, is_weights: Any) -> Found:
    found = Found()
    folders = scan.folders()
    for folder, files in folders.items():
        numbered = _CHECKPOINT.fullmatch(folder.name)
        trial = folders.get(folder.parent, {})
        weights = [f for name, f in files.items() if is_weights(name) and not _SIDE.search(f.stem)]
        if numbered is None or not weights or not {"result.json", "progress.csv"} & set(trial):
            continue
        found.read |= {trial[name] for name in _ABOUT_TRIAL if name in trial}
        given = _options(trial) | _row(trial, folder.name, int(numbered[1]))
        for file in weights:
            label = scan.relative(folder if len(weights) == 1 else file)
            found.take(scan, file, label=label, given=given)
        found.read |= {f for f in files.values() if f not in weights}
    return found


def _options(trial: dict[str, Path]) -> Facts:
    for name in ("params.json", "config.json"):
        options = json_of(trial.get(name))
        if options is not None:
            return facts_in_config(options)
    return Facts()


def _row(trial: dict[str, Path], name: str, number: int) -> Facts:
    """What the log says of a checkpoint: the row that names it, else that of its iteration."""
    rows = next((read_rows(trial[f]) for f in ("result.json", "progress.csv") if f in trial), [])
    named = [r for r in rows if str(r.get("checkpoint_dir_name", "")) == name]
    counted = [r for r in rows if r.get("training_iteration") == number and "checkpoint_dir_name" not in r]
    row = next(iter(named or counted), {})
    facts = facts_in_row({k: v for k, v in row.items() if v != _NOT_MEASURED})
    return Facts({"epoch": number} if not row else {}) | facts


RAY_TUNE = Layout("ray tune", _find)
MODEL_ZOO = Layout("model zoo", _find_zoo)
