"""The options of ``compression``, and the compressions that they name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from landscape.base.analysis import Params

__all__ = ["METHODS", "CompressionParams", "Way", "ways"]

Share = Annotated[float, Field(ge=0, le=1)]
Bits = Annotated[int, Field(ge=2)]
PruneName = Literal["global", "layer", "random"]
ScaleName = Literal["channel", "tensor"]

METHODS = {
    "global": "pruned by magnitude",
    "layer": "pruned by magnitude, layer by layer",
    "random": "pruned at random",
    "channel": "rounded, one scale a channel",
    "tensor": "rounded, one scale a layer",
}
"""Every way to compress, in words."""


class CompressionParams(Params):
    """Options of ``compression``."""

    shares: tuple[Share, ...] = Field(
        (0.3, 0.5, 0.7, 0.8, 0.9), description="shares of the weights that pruning sets to zero"
    )
    prune: tuple[PruneName, ...] = Field(
        ("global", "random"),
        description="which weights: the smallest of all (global), those of each layer (layer), any (random)",
    )
    bits: tuple[Bits, ...] = Field((8, 6, 5, 4, 3, 2), description="bits that weights are rounded to")
    scales: tuple[ScaleName, ...] = Field(
        ("channel",), description="what has a scale of its own: each output channel, or each weight tensor"
    )
    curvature: bool = Field(True, description="whether to predict the changes by gradient, Hessian and trace")
    layers: bool = Field(True, description="whether to compress each layer alone, too")
    rel_se: float = Field(0.05, gt=0, description="standard error wanted of the trace, relative to it")
    max_products: int = Field(400, ge=16, description="most matrix-vector products for the trace")
    repeats: int = Field(
        0,
        ge=0,
        description="passes that are timed; with 0 no time is measured, which differs from run to run",
    )
    seed: int = Field(0, ge=0, description="seed of the probes of the trace, and of random pruning")

    @model_validator(mode="after")
    def _something(self) -> CompressionParams:
        if not list(ways(self)):
            raise ValueError("there is nothing to do: name shares and prune, or bits and scales")
        if len(set(ways(self))) < len(list(ways(self))):
            raise ValueError("each share, number of bits and way is named once")
        return self


@dataclass(frozen=True)
class Way:
    """A way to compress weights.

    Attributes:
        method: One of `METHODS`.
        amount: The share that is pruned, or the bits.
    """

    method: str
    amount: float

    @property
    def prunes(self) -> bool:
        """Whether weights are pruned, not rounded."""
        return self.method in ("global", "layer", "random")

    @property
    def name(self) -> str:
        """What results call it, such as ``prune 50 % (random)`` or ``4 bits``."""
        usual = self.method in ("global", "channel")
        what = f"prune {100 * self.amount:g} %" if self.prunes else f"{self.amount:g} bits"
        return what if usual else f"{what} ({self.method})"


def ways(params: CompressionParams) -> Iterator[Way]:
    """All that options name: pruning by share, then rounding from many bits to few."""
    for rule in params.prune:
        yield from (Way(rule, share) for share in sorted(params.shares))
    for scale in params.scales:
        yield from (Way(scale, float(bits)) for bits in sorted(params.bits, reverse=True))
