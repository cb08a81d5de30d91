"""What a result of ``distance_awareness`` holds."""

from __future__ import annotations

from landscape.base.schema import Schema, Variable

__all__ = ["SCHEMA"]

SCHEMA = Schema(
    version=1,
    coords=(
        Variable(
            "pair_kind", ("pair_kind",), "what is paired with an example", "", kind="str", optional=True
        ),
        Variable("quantile", ("quantile",), "quantile of the expansion", optional=True),
        Variable("layer", ("layer",), "layer, in firing order", "", kind="str", optional=True),
        Variable("other", ("other",), "other data", "", kind="str", optional=True),
        Variable("space", ("space",), "where distances are taken", "", kind="str", optional=True),
        Variable("by", ("by",), "what doubt is read off", "", kind="str", optional=True),
        Variable("point_data", ("point",), "other data that the point is of", "", kind="str", optional=True),
    ),
    variables=(
        Variable("expansion", ("pair_kind", "pair"), "‖h − h′‖/‖x − x′‖ of a pair", optional=True),
        Variable(
            "expansion_quantile",
            ("pair_kind", "quantile"),
            "quantile of it over pairs of a kind",
            optional=True,
        ),
        Variable(
            "expansion_spread",
            ("pair_kind",),
            "its 99 % over its 1 % quantile; 1 for a map that keeps distances up to a factor",
            unbounded=True,
            optional=True,
        ),
        Variable("pair_distance", ("pair_kind",), "mean distance ‖x − x′‖ of the kind", optional=True),
        Variable(
            "jacobian_largest", ("image",), "largest singular value of ∂h/∂x at an example", optional=True
        ),
        Variable(
            "jacobian_smallest",
            ("image",),
            "smallest singular value of ∂h/∂x, of as many as the smaller of inputs and features",
            optional=True,
        ),
        Variable(
            "jacobian_resolved",
            ("image",),
            "whether the smallest one is more than rounding and residual",
            "",
            kind="bool",
            optional=True,
        ),
        Variable("layer_norm", ("layer",), "spectral norm of the layer's linear map", optional=True),
        Variable(
            "log_norm_product",
            (),
            "ln of the product of these norms, those after the features included: bounds ln of every"
            " expansion of the outputs of a chain of them without shortcuts and BatchNorm",
            optional=True,
        ),
        Variable(
            "spearman",
            ("other", "space", "by"),
            "rank correlation of doubt (1 − confidence, entropy, score) and distance to the nearest example",
            optional=True,
        ),
        Variable("point_input_distance", ("point",), "distance to the nearest example", optional=True),
        Variable(
            "point_feature_distance", ("point",), "the same between features; NaN without", optional=True
        ),
        Variable("point_entropy", ("point",), "entropy of the prediction", "nats", optional=True),
        Variable("point_confidence", ("point",), "probability of the most probable class", optional=True),
        Variable("point_score", ("point",), "the method's own score; NaN if it has none", optional=True),
        Variable("features", (), "number of features; 0 for a predictive of several draws", kind="int"),
        Variable("examples", (), "number of examples", kind="int"),
    ),
)
