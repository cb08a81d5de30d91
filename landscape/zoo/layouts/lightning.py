"""Lightning: ``.ckpt`` files, often below ``lightning_logs/version_N/checkpoints``.

What a file holds beside ``state_dict``: ``hyper_parameters``, ``epoch``, ``global_step``. Beside the
folder of checkpoints lie ``hparams.yaml`` and ``metrics.csv``.
"""

from __future__ import annotations

import re
from pathlib import Path

from landscape.zoo.layouts.base import Found, Layout, Scan
from landscape.zoo.layouts.run_metadata import Facts, facts_in_config, facts_in_row, read_flat_yaml

__all__ = ["LIGHTNING"]

_STATED = re.compile(r"([A-Za-z][A-Za-z_/]*)=(-?\d+(?:\.\d+)?)")


def _find(scan: Scan) -> Found:
    found = Found()
    runs: dict[Path, Facts] = {}
    for file in scan.files:
        if file.suffix != ".ckpt":
            continue
        run = file.parent.parent if file.parent.name == "checkpoints" else file.parent
        if run not in runs:
            runs[run] = _hyper_parameters(scan, run, found)
        stated = {key.strip("_-"): float(value) for key, value in _STATED.findall(file.stem)}
        in_name = Facts({}, facts_in_row(stated).metrics)
        found.take(scan, file, given=runs[run] | in_name)
    return found


def _hyper_parameters(scan: Scan, run: Path, found: Found) -> Facts:
    """What ``hparams.yaml`` of the run says."""
    file = run / "hparams.yaml"
    if file not in scan.files:
        return Facts()
    found.read |= {file, run / "metrics.csv"} & set(scan.files)
    return facts_in_config(read_flat_yaml(file))


LIGHTNING = Layout("lightning", _find)
