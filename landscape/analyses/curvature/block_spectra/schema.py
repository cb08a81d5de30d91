"""What a result of ``block_spectra`` holds."""

from __future__ import annotations

from landscape.analyses._shared.captions import LOSS_UNIT
from landscape.base.schema import Schema, Variable

__all__ = ["SCHEMA"]

_NODES = ("block", "probe", "node")

SCHEMA = Schema(
    version=1,
    coords=(
        Variable("block", ("block",), "diagonal block, in the model's order", "", kind="str"),
        Variable("other", ("other",), "the same blocks, along the other axis", "", kind="str"),
        Variable("probe", ("probe",), "random probe", "", kind="int"),
    ),
    variables=(
        Variable("block_size", ("block",), "number of parameters of the block", kind="int"),
        Variable("nodes", _NODES, "eigenvalues of the block as points; NaN beyond the last", LOSS_UNIT),
        Variable("weights", _NODES, "their weights; they sum to 1 for each block and probe"),
        Variable("exact", ("block",), "whether the points are all the block's eigenvalues", "", "bool"),
        Variable(
            "resolution", ("block",), "distance of eigenvalues below which none are told apart", LOSS_UNIT
        ),
        Variable("largest", ("block",), "largest eigenvalue found of the block", LOSS_UNIT),
        Variable("smallest", ("block",), "smallest eigenvalue found of the block", LOSS_UNIT),
        Variable("block_trace", ("block",), "trace of the block", LOSS_UNIT),
        Variable("block_trace_se", ("block",), "standard error of block_trace; 0 if exact", LOSS_UNIT),
        Variable(
            "js_distance",
            ("block", "other"),
            "Jensen-Shannon distance of the densities of two blocks, 0 to 1, less its bias",
        ),
        Variable("js_distance_low", ("block", "other"), "lower end of its 95 % interval over probes"),
        Variable("js_distance_high", ("block", "other"), "upper end of its 95 % interval over probes"),
        Variable("mean_distance", (), "mean distance of all pairs of blocks; NaN of a single block"),
        Variable("mean_distance_low", (), "lower end of its 95 % interval over probes"),
        Variable("mean_distance_high", (), "upper end of its 95 % interval over probes"),
        Variable("notice", (), "why vectors were not kept orthogonal", "", kind="str", optional=True),
        Variable("converged", (), "whether the outliers taken out are known to tolerance", "", "bool"),
        Variable("products", (), "products with blocks, each a pass over the data", kind="int"),
    ),
)
