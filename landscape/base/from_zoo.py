"""What a zoo fills of an analysis' inputs: the states of a group's checkpoints, or what else files hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["FromZoo"]


@dataclass(frozen=True)
class FromZoo:
    """An input that an analysis needs under some options, and what a zoo gives it.

    Attributes:
        name: The input: a sequence of states of the model, or a mapping by name of a checkpoint.
        option: The option that asks for it, as a manifest says it.
        each: What one result is about: all checkpoints of a group in the order of training, or each two of
            one builder.
        least: How few checkpoints are enough.
        most: How many it takes at most; 0 for any number.
        main: Whose problem it is: that of the first or of the last of them.
        refused: Why no zoo can fill it; empty if one can.
        what: The weights of the checkpoints; or, of an analysis of groups, what files hold beside them of the
            training of each member, by name: ``optimizer``, ``scheduler``, ``progress`` and ``at``.
    """

    name: str
    option: str
    each: Literal["group", "pair"] = "group"
    least: int = 2
    most: int = 0
    main: Literal["first", "last"] = "last"
    refused: str = ""
    what: Literal["states", "training"] = "states"
