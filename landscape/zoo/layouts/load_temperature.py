"""Load-temperature grids: width and batch size (or learning rate, or weight decay) in folder names.

As in the taxonomy of Yang et al. 2021 (arXiv:2107.11228):
``different_knobs_subset_10/bs_16/normal/ResNet18_w8/net_exp_0.pkl``, the states ``net_exp_0_best.pkl`` and
``net_exp_0_early_stopped_model.pkl`` beside it, and the fraction of the data or of noisy labels in
``subset_10`` (1.0) or ``random_label_02`` (0.2).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from landscape.zoo.checkpoint import SUFFIXES, without_ending
from landscape.zoo.layouts.base import Found, Layout, Scan
from landscape.zoo.layouts.names import facts_in_name
from landscape.zoo.layouts.run_metadata import Facts

__all__ = ["LOAD_TEMPERATURE"]

_TEMPERATURES = {"batch_size", "learning_rate", "weight_decay"}
_STATES = ("_early_stopped_model", "_best", "")  # in the order in which the paper prefers them
_RUN = re.compile(r"(?:^|_)exp_(\d+)$")
_FRACTIONS = {
    "data_fraction": re.compile(r"(?:^|[_/])subset_(\d+)(?=$|/)"),
    "label_noise": re.compile(r"(?:^|[_/])random_labels?_(\d+)(?=$|/)"),
}


def _find(scan: Scan) -> Found:
    found = Found()
    runs: dict[Path, dict[str, Path]] = {}
    for file in scan.files:
        tags = facts_in_name(scan.relative(file.parent)).tags
        if file.name.endswith(SUFFIXES) and "width" in tags and _TEMPERATURES & set(tags):
            stem = Path(without_ending(str(file)))
            state = next(s for s in _STATES if stem.name.endswith(s))
            runs.setdefault(stem.with_name(stem.name.removesuffix(state)), {})[state] = file
    common = os.path.commonpath([r.parent for r in runs]) if runs else scan.root
    for run, states in runs.items():
        chosen = next(s for s in _STATES if s in states)
        for state, file in states.items():
            if state != chosen:
                taken = states[chosen].name
                found.skip(scan, file, f"another state of the same run: {taken} is taken, as in the paper.")
        cell = "-".join(run.parent.relative_to(common).parts)
        found.take(scan, states[chosen], group=cell, given=_facts(scan.relative(run)))
    return found


def _facts(run: str) -> Facts:
    stated = {name: pattern.search(run) for name, pattern in _FRACTIONS.items()}
    # The paper's folders leave out the point: 05 stands for 0.5, and 10 for 1.
    fractions = {name: float(f"{m[1][0]}.{m[1][1:] or 0}") for name, m in stated.items() if m}
    number = _RUN.search(run)
    return Facts(fractions, {}, int(number[1]) if number else None)


LOAD_TEMPERATURE = Layout("load-temperature", _find)
