"""Options that analyses of several families take, each said once: a type with its limits and description.

They are types and not base classes of `Params`, since analyses take different ones, with defaults of their
own, and the order of an analysis' options, in its help and in the JSON of its results, is its own too.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from landscape.base.analysis import NEW_OPTION

__all__ = ["BootstrapSeed", "PixelMean", "PixelStd", "PrefixTokens", "TokenGrid"]

PrefixTokens = Annotated[
    int | None,
    Field(ge=0, description="tokens before the patch grid; none = the fewest that leave a square"),
]

TokenGrid = Annotated[
    tuple[Annotated[int, Field(ge=2)], Annotated[int, Field(ge=2)]] | None,
    Field(
        description="height and width of the grid that the tokens after the prefix are; none = found, if they"
        " come of pictures"
    ),
    NEW_OPTION,
]

BootstrapSeed = Annotated[int, Field(ge=0, description="seed of the bootstrap")]

PixelMean = Annotated[
    tuple[float, ...],
    Field(description="pixel means of the normalisation to undo; none = the data's range becomes 0 to 1"),
]

PixelStd = Annotated[
    tuple[float, ...], Field(description="pixel standard deviations of the normalisation to undo")
]
