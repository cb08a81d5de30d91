"""Curves of one input without noise, seen at a few random points: where is a regression to doubt?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from landscape.errors import InputError, suggest

__all__ = ["CURVES", "CurveName", "curve"]

Array = npt.NDArray[np.float64]
Split = Literal["train", "test"]
CurveName = Literal["step", "square", "kink", "abs", "sine", "fast-sine", "cubic", "forrester", "levy"]

SEED = 2022  # never changes: points drawn once stay what they were
GRID = 200
FORRESTER = (-6.020740055766075, 15.829731945974109)  # least and largest value on [0, 1]
LEVY = 15.625  # largest value on [-10, 10], at -10; the least is 0


def _forrester(x: Array) -> Array:
    u = 0.5 * (x + 1.0)
    low, high = FORRESTER
    values = (6.0 * u - 2.0) ** 2 * np.sin(12.0 * u - 4.0)
    return np.asarray(2.0 * (values - low) / (high - low) - 1.0)


def _levy(x: Array) -> Array:
    w = 1.0 + 0.25 * (10.0 * x - 1.0)
    values = np.sin(np.pi * w) ** 2 + (w - 1.0) ** 2 * (1.0 + np.sin(2.0 * np.pi * w) ** 2)
    return np.asarray(2.0 * values / LEVY - 1.0)


CURVES: Mapping[str, Callable[[Array], Array]] = {
    "step": lambda x: np.where(x < 0, -1.0, 1.0),
    "square": lambda x: 2.0 * x**2 - 1.0,
    "kink": lambda x: 2.0 * np.maximum(x, 0.0) - 1.0,
    "abs": lambda x: 2.0 * np.abs(x) - 1.0,
    "sine": lambda x: np.sin(np.pi * x),
    "fast-sine": lambda x: np.sin(2.0 * np.pi * x),
    "cubic": lambda x: x**3,
    "forrester": _forrester,
    "levy": _levy,
}
"""Functions of [−1, 1] to [−1, 1], by name."""


def curve(
    split: Split = "train", name: CurveName = "sine", part: int = 0, count: int = 8
) -> tuple[Tensor, Tensor]:
    """A curve without noise, y = f(x), at random points of [−1, 1].

    Args:
        split: ``"train"``: `count` points, uniform on [−1, 1]. ``"test"``: the same points, then 200 over
            [−1, 1], evenly.
        name: Of the curve, see `CURVES`.
        part: Which points: 0, 1, 2, ... They are the same for all curves.
        count: Number of training points.

    Returns:
        Inputs (n, 1) and targets (n,), float32.

    Raises:
        InputError: If there is no such split or curve, or no point.

    Reference:
        Heiss et al. (2022), NOMU, section 4.1, for the idea and most kinds; Forrester et al. (2008) and
        Levy & Montalvo (1985) for theirs, stretched to [−1, 1].
    """
    for what, given, known in (("split", split, get_args(Split)), ("curve", name, get_args(CurveName))):
        if given not in known:
            raise InputError(f"curve has no {what} {given!r}: {suggest(str(given), known)}")
    if count < 1 or part < 0:
        raise InputError(f"curve: count is at least 1 and part at least 0, not {count} and {part}.")
    x = np.random.default_rng((SEED, part)).uniform(-1.0, 1.0, count)
    if split == "test":
        x = np.concatenate([x, np.linspace(-1.0, 1.0, GRID)])
    return torch.from_numpy(x[:, None]).float(), torch.from_numpy(CURVES[name](x)).float()
