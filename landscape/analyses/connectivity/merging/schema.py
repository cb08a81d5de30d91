"""What a ``merging`` result holds."""

from __future__ import annotations

from landscape.analyses._shared.captions import LOSS_UNIT
from landscape.base.schema import Schema, Variable

__all__ = ["SCHEMA"]

_EACH = ("split", "entry")

SCHEMA = Schema(
    version=1,
    coords=(
        Variable("split", ("split",), "data it was measured on", "", "str"),
        Variable("entry", ("entry",), "member, ensemble or merge", "", "str"),
    ),
    variables=(
        Variable("kind", ("entry",), "member, ensemble, or merge", "", "str"),
        Variable("loss", _EACH, "mean loss, without weight decay", LOSS_UNIT),
        Variable("loss_se", _EACH, "its standard error over examples", LOSS_UNIT),
        Variable("accuracy", _EACH, "share of right answers"),
        Variable("accuracy_se", _EACH, "its standard error over examples"),
        Variable("loss_change", _EACH, "loss less the mean of the members' losses", LOSS_UNIT),
        Variable("loss_change_se", _EACH, "its standard error, paired by example", LOSS_UNIT),
        Variable("note", ("entry",), "where a method fell back to the mean, or why it failed", "", "str"),
        Variable("distance", ("entry",), "mean distance of the weights from those of the members"),
        Variable("examples", ("split",), "number of examples", kind="int"),
        Variable("batchnorm", (), "where BatchNorm statistics come from", "", "str"),
    ),
)
