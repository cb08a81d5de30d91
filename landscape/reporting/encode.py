"""Encoding: what goes into the page as data, in as few bytes as a picture needs."""

from __future__ import annotations

import base64
import gzip
import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DIGITS", "compact", "packed"]

DIGITS = 6
"""Significant digits of the numbers that are drawn; a screen shows fewer than four."""


def compact(value: Any) -> str:
    """JSON of nested mappings, lists and arrays, numbers with `DIGITS` digits; NaN and infinities are null.

    Example:
        >>> compact({"x": np.array([1 / 3, np.nan, 2.0]), "name": "a"})
        '{"x":[0.333333,null,2.0],"name":"a"}'
    """
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def packed(text: str) -> str:
    """Text as gzip in base64, which a browser unpacks by itself."""
    # Without the time of packing, so that the same store gives the same page.
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), 6, mtime=0)).decode()


_AS_THEY_ARE = frozenset({str, int, bool, type(None)})


def _plain(value: Any) -> Any:
    if type(value) in _AS_THEY_ARE:  # most of a page by number
        return value
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return _nulls(_rounded(value).tolist())
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value


def _nulls(values: Any) -> Any:
    if isinstance(values, list):
        return [_nulls(v) for v in values]
    return values if math.isfinite(values) else None


def _rounded(values: NDArray[Any]) -> NDArray[np.float64]:
    """Rounded to significant digits by whole powers of ten, so that the shortest text is short."""
    v = np.asarray(values, dtype=np.float64)
    size = np.abs(v)
    with np.errstate(all="ignore"):
        power = DIGITS - 1 - np.floor(np.log10(np.where(size > 0, size, 1.0)))
        # Divided where the power is negative: 10**3 is exact, 10**-3 is not, and would show as more digits.
        up, down = 10.0 ** np.clip(power, 0, 300), 10.0 ** np.clip(-power, 0, 300)
        rounded = np.round(v * up / down) / up * down
    return np.where(np.isfinite(rounded), rounded, v)
