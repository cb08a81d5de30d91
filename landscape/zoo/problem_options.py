"""Options of a problem: a manifest's ``[problem]``, flags of the command line, and part of a task's key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, field_validator

from landscape.base.analysis import Params
from landscape.base.validation import found_wrong
from landscape.batchnorm_policy import ProblemPolicy, key_word, normalise
from landscape.errors import InputError, suggest
from landscape.imports import REFERENCE

__all__ = ["LOSS_NAMES", "ProblemOptions"]

# What decides numbers. The others only say how a file is read: the weights that come out are hashed.
_IN_KEYS = ("loss", "weight_decay", "batch_size", "batchnorm", "parameters", "forward", "device")


LOSS_NAMES = (
    "causal_lm",
    "cross_entropy",
    "gaussian_nll",
    "half_squared_error",
    "mse",
    "token_cross_entropy",
)
"""The losses that have a name, here without torch: those of `landscape.core.problem.losses`."""


class ProblemOptions(Params):
    """How a `landscape.Problem` is made of a checkpoint's model: written once, used wherever it is asked for.

    Example:
        >>> ProblemOptions(weight_decay=5e-4, parameters="fc.*").parameters
        ('fc.*',)
    """

    loss: str = Field(
        "cross_entropy",
        description="cross_entropy, mse, gaussian_nll, causal_lm, token_cross_entropy or"
        " package.module:NAME of a function, or of what makes one.",
    )
    weight_decay: float = Field(0.0, ge=0.0, description="λ of the term (λ/2)‖θ‖².")
    batch_size: int = Field(256, ge=1, description="Micro-batch size.")
    batchnorm: Annotated[ProblemPolicy, BeforeValidator(normalise)] = Field(
        "checkpoint",
        description="Statistics of BatchNorm: the checkpoint's running ones, or those of each batch.",
    )
    parameters: tuple[str, ...] | None = Field(
        None, description="Globs over the names of the parameters that form θ; none takes all trainable ones."
    )
    forward: str | None = Field(
        None,
        pattern=REFERENCE,
        description="Function (model, batch) -> output for unusual models, package.module:function.",
    )
    size: str | None = Field(
        None,
        pattern=REFERENCE,
        description="Function batch -> number of examples, for batches such as graphs,"
        " package.module:function.",
    )
    device: str | None = Field(None, description="Where to compute, such as cuda:0.")
    channels_last: bool | None = Field(
        None,
        description="Whether images may lie in memory with their channels last; none: where that is sound.",
    )
    check_derivatives: bool = Field(
        True,
        description="Whether derivatives are held against differences, once, before the first is reported.",
    )
    allow: tuple[str, ...] = Field(
        (), description="Names that pickles may import, such as argparse.Namespace."
    )
    prefix: str = Field(
        "", description="Beginning of the checkpoint's keys that are the model's; others are left out."
    )
    state: str = Field(
        "", description="Which weights of a checkpoint that holds several sets, by a key around them: ema."
    )
    loader: str | None = Field(
        None,
        pattern=REFERENCE,
        description="Function path -> state_dict that reads checkpoints, package.module:function.",
    )
    ignore_keys: tuple[str, ...] = Field(
        (), description="Globs over the checkpoint's keys to leave out, such as *.position_ids."
    )

    @field_validator("parameters", "ignore_keys", mode="before")
    @classmethod
    def _one_glob(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("loss")
    @classmethod
    def _known_loss(cls, value: str) -> str:
        if value not in LOSS_NAMES and not re.match(REFERENCE, value):
            raise ValueError(f"give {', '.join(LOSS_NAMES)} or package.module:function")
        return value

    @classmethod
    def check(cls, given: Mapping[str, Any]) -> ProblemOptions:
        """Check options and fill in defaults.

        Raises:
            InputError: Naming the option, what was given and what is accepted.
        """
        unknown = [name for name in given if name not in cls.model_fields]
        if unknown:
            raise InputError(
                f"a problem has no option '{unknown[0]}'; {suggest(unknown[0], cls.model_fields)}"
            )
        try:
            return cls(**given)
        except ValidationError as error:
            name, wrong = found_wrong(error, cls.model_fields)
            raise InputError(f"option '{name}' of the problem {wrong}.") from error

    def facts(self) -> dict[str, Any]:
        """What of it enters a task's key; a new option may only enter it where it is not at its default."""
        facts = {name: getattr(self, name) for name in _IN_KEYS} | {"batchnorm": key_word(self.batchnorm)}
        given: dict[str, Any] = {"prefix": self.prefix or None}
        given |= {"channels_last": self.channels_last, "size": self.size, "loader": self.loader}
        given |= {"state": self.state or None, "ignore_keys": list(self.ignore_keys) or None}
        given["check_derivatives"] = None if self.check_derivatives else False
        return facts | {name: value for name, value in given.items() if value is not None}
