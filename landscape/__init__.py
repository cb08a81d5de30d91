"""landscape: loss landscapes, similarity and frequency response of whole zoos of trained networks.

Names load on first use, so that ``import landscape`` is quick and does not import torch.

Example:
    >>> import landscape
    >>> "spectrum" in landscape.analyses()
    True
"""

from __future__ import annotations

import importlib
import time
from typing import Any

from landscape._moved import install as _keep_old_paths
from landscape.errors import LandscapeError

__version__ = "0.1.0"

# Code that is changed from here on may be other than what runs.
_IMPORTED_NS = time.time_ns()

_HOMES = {
    # core
    "Problem": "landscape.core.problem.problem",
    "Ranks": "landscape.core.problem.sharding",
    "SymmetricOperator": "landscape.core.linalg.operators",
    "hessian": "landscape.core.curvature.operator",
    "ggn": "landscape.core.curvature.operator",
    "fisher": "landscape.core.curvature.fisher",
    "empirical_fisher": "landscape.core.curvature.fisher",
    "kfac": "landscape.core.curvature.kfac.factors",
    "ekfac": "landscape.core.curvature.kfac.factors",
    "diagonal_ggn": "landscape.core.curvature.kfac.factors",
    "solve": "landscape.core.linalg.solve",
    "logdet": "landscape.core.linalg.solve",
    "xtrace": "landscape.core.linalg.xtrace",
    "influence": "landscape.core.curvature.influence",
    "align": "landscape.core.symmetry.alignment",
    "align_all": "landscape.core.symmetry.universe",
    "find_symmetry": "landscape.core.symmetry.symmetry",
    "merge": "landscape.core.merging.merge",
    "merge_states": "landscape.core.merging.merge",
    "MergeOptions": "landscape.core.merging.merge",
    # registry
    "Analysis": "landscape.base.analysis",
    "Context": "landscape.base.analysis",
    "Cost": "landscape.base.analysis",
    "Metric": "landscape.base.analysis",
    "Params": "landscape.base.analysis",
    "Schema": "landscape.base.schema",
    "Variable": "landscape.base.schema",
    "LandscapeError": "landscape.errors",
    # zoos and results
    "Zoo": "landscape.zoo",
    "scan": "landscape.zoo",
    "plot": "landscape.plotting",
    "report": "landscape.reporting",
    "diff": "landscape.reporting.diff",
    "explore": "landscape.reporting.explore",
    "open": "landscape.store",
    "save": "landscape.store",
    "compare": "landscape.plotting.comparison",
    "table": "landscape.export.frame",
    "findings": "landscape.export.findings",
    "log": "landscape.export.log",
    "tree": "landscape.export.elsewhere",
    "export_store": "landscape.export.elsewhere",
}
_MODULES = ("analyses",)  # a package that can be called
_ROOMS = ("callbacks",)  # a package that users know as such

_keep_old_paths()

__all__ = ["__version__", *_HOMES, *_MODULES, *_ROOMS]


def __getattr__(name: str) -> Any:
    if name in (*_MODULES, *_ROOMS):
        return importlib.import_module(f"landscape.{name}")
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if not name.startswith("_"):
        try:
            return importlib.import_module("landscape.base.registry").find(name)
        except LandscapeError:
            pass
    raise AttributeError(f"module 'landscape' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*__all__, *importlib.import_module("landscape.base.registry").listed()})
