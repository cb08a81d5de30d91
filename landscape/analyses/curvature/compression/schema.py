"""What ``compression`` measures."""

from __future__ import annotations

from landscape.analyses._shared.captions import LOSS_UNIT
from landscape.base.schema import Schema, Variable

__all__ = ["SCHEMA"]

EACH = ("perturbation",)
BOTH = ("perturbation", "layer")
FORESEEN = {
    "first": "first-order change g·δ",
    "second": "second-order change ½δᵀHδ",
    "predicted": "loss change foreseen, g·δ + ½δᵀHδ",
}

SCHEMA = Schema(
    version=1,
    coords=(
        Variable("perturbation", EACH, "what is done to the weights", "", kind="str"),
        Variable("method", EACH, "how: global, layer, random (pruning), channel, tensor", "", kind="str"),
        Variable("amount", EACH, "share of the weights that is pruned, or bits of a weight"),
        Variable("layer", ("layer",), "weight that is compressed, in the model's order", "", kind="str"),
    ),
    variables=(
        Variable("loss", (), "mean loss of the whole model on the data, without weight decay", LOSS_UNIT),
        Variable("accuracy", (), "accuracy of the whole model"),
        Variable("loss_change", EACH, "change of the mean loss", LOSS_UNIT),
        Variable("loss_change_se", EACH, "standard error of loss_change, paired by example", LOSS_UNIT),
        Variable("accuracy_change", EACH, "change of the accuracy"),
        Variable("accuracy_change_se", EACH, "standard error of accuracy_change, paired by example"),
        Variable("distance", EACH, "norm of the change δ of the weights", "weight"),
        *(Variable(name, EACH, what, LOSS_UNIT, optional=True) for name, what in FORESEEN.items()),
        Variable(
            "predicted_trace", EACH, "loss change by the trace alone, ½ tr(H)‖δ‖²/P", LOSS_UNIT, optional=True
        ),
        Variable(
            "predicted_layer_trace",
            EACH,
            "loss change by the traces of the layers, ½ Σ tr(H_l)‖δ_l‖²/n_l (HAWQ)",
            LOSS_UNIT,
            optional=True,
        ),
        Variable("ratio", EACH, "loss_change over predicted; NaN where that is 0", optional=True),
        Variable("layer_loss_change", BOTH, "change with one layer compressed", LOSS_UNIT, optional=True),
        Variable(
            "layer_loss_change_se",
            BOTH,
            "standard error of layer_loss_change, paired by example",
            LOSS_UNIT,
            optional=True,
        ),
        Variable("layer_distance", BOTH, "norm of the change of one layer", "weight"),
        *(
            Variable(f"layer_{name}", BOTH, f"{what}, of one layer", LOSS_UNIT, optional=True)
            for name, what in FORESEEN.items()
        ),
        Variable(
            "layer_predicted_trace",
            BOTH,
            "loss change by the trace of the layer, ½ tr(H_l)‖δ_l‖²/n_l (HAWQ)",
            LOSS_UNIT,
            optional=True,
        ),
        Variable("layer_size", ("layer",), "entries of the weight", kind="int"),
        Variable("trace", (), "trace of the Hessian, without weight decay", LOSS_UNIT, optional=True),
        Variable("trace_se", (), "standard error of trace; 0 if exact", LOSS_UNIT, optional=True),
        Variable("layer_trace", ("layer",), "trace of the layer's diagonal block", LOSS_UNIT, optional=True),
        Variable("layer_trace_se", ("layer",), "standard error of layer_trace", LOSS_UNIT, optional=True),
        Variable("parameters", (), "parameters of the whole model", kind="int"),
        Variable("nonzero", EACH, "parameters that are not zero", kind="int"),
        Variable("dense_multiply_adds", (), "multiply-adds of the whole model", "1/example"),
        Variable("multiply_adds", EACH, "multiply-adds with weights that are not zero", "1/example"),
        Variable("dense_bytes", (), "size of the parameters of the whole model", "byte"),
        Variable("bytes", EACH, "size of the parameters when they are coded", "byte"),
        Variable(
            "seconds", (), "time of a forward pass, median over passes; NaN if not measured", "s/example"
        ),
    ),
)
