"""Scales: symlog values and ticks, log colours, and numbers as a reader expects them.

Plotly has no symlog axis, so it is given transformed values; both back ends place the same ticks.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "from_symlog",
    "log_ticks",
    "narrow_log_ticks",
    "number",
    "round_ticks",
    "symlog",
    "symlog_ticks",
    "with_error",
]

Array = NDArray[np.float64]

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def symlog(values: ArrayLike, linthresh: float) -> Array:
    """Linear up to ``±linthresh``, base-10 logarithmic beyond: odd, continuous, a unit per decade.

    Args:
        values: Any shape. NaN stays NaN.
        linthresh: Where the scale turns; it is mapped to ±1.

    Example:
        >>> symlog([-100.0, -1.0, 0.0, 0.5, 1000.0], linthresh=1.0).tolist()
        [-3.0, -1.0, 0.0, 0.5, 4.0]
    """
    v = np.asarray(values, dtype=np.float64)
    size = np.abs(v) / linthresh
    beyond = np.copysign(1.0 + np.log10(np.maximum(size, 1.0)), v)
    return np.where(size <= 1.0, v / linthresh, beyond)


def from_symlog(positions: ArrayLike, linthresh: float) -> Array:
    """The inverse of `symlog`."""
    p = np.asarray(positions, dtype=np.float64)
    size = np.abs(p)
    beyond = np.copysign(10.0 ** (np.maximum(size, 1.0) - 1.0), p)
    return linthresh * np.where(size <= 1.0, p, beyond)


def symlog_ticks(low: float, high: float, linthresh: float, most: int = 9) -> list[float]:
    """Tick values between ``low`` and ``high`` for a symlog axis: zero and powers of ten.

    Where the linear part fills the axis, ticks are equally spaced round numbers; where there are fewer than
    three powers of ten, 2 and 5 times them are ticks too.
    """
    reach = max(abs(low), abs(high))
    # With slack, or the rounding of a logarithm would drop the tick at an end of the axis.
    first = math.ceil(math.log10(linthresh) - 1e-9)
    last = math.floor(math.log10(reach) + 1e-9) if reach > 0 else first - 1
    if last <= first and reach <= 2 * linthresh:
        return round_ticks(low, high, most)
    sides = (low < 0) + (high > 0)
    stride = max(1, math.ceil((last - first + 1) * sides / max(most - 1, 1)))
    powers = [10.0**k for k in range(last, first - 1, -stride)]
    slack = 1e-9 * reach

    def within(sizes: list[float]) -> list[float]:
        ticks = sorted([-s for s in sizes] + [0.0] + sizes)
        return [t for t in ticks if low - slack <= t <= high + slack]

    ticks = within(powers)
    if len(ticks) < 3 or last <= first:
        ticks = within([f * p for p in powers for f in (1, 2, 5)])
    return ticks if len(ticks) > 2 else round_ticks(low, high, most)


def log_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Tick values between two positive numbers: powers of ten, or round numbers if they are few.

    Example:
        >>> log_ticks(0.5, 2000.0)
        [1.0, 10.0, 100.0, 1000.0]
    """
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    if last <= first:
        return round_ticks(low, high, most)
    stride = max(1, math.ceil((last - first + 1) / most))
    return [10.0**k for k in range(first, last + 1, stride)]


def narrow_log_ticks(low: float, high: float) -> list[float] | None:
    """Ticks at 1, 2 and 5 times powers of ten for an axis of fewer than two decades; else ``None``.

    Example:
        >>> narrow_log_ticks(0.3, 3.0), narrow_log_ticks(0.3, 30.0)
        ([0.5, 1.0, 2.0], None)
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    if math.log10(high) - math.log10(low) >= 2 - 1e-9:
        return None
    # Read from text: 5 * 10.0**-6 and its like are off in their last bit, which labels would show.
    ticks = [t for k in powers for f in (1, 2, 5) if low <= (t := float(f"{f}e{k}")) <= high]
    return ticks if len(ticks) > 1 else round_ticks(low, high, 6)


def number(value: float) -> str:
    """A tick or table number: plain where short, else with a power of ten.

    Example:
        >>> [number(v) for v in (0.0, -0.25, 1200.0, 1e-5, -3e8)]
        ['0', '−0.25', '1200', '10⁻⁵', '−3·10⁸']
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    sign = "−" if value < 0 else ""
    size = abs(value)
    if size == 0:
        return "0"
    if 1e-3 <= size < 1e5:
        text = f"{size:.4g}"
        return sign + (f"{size:.0f}" if "e" in text else text)
    mantissa, exponent = f"{size:.3e}".split("e")
    factor = mantissa.rstrip("0").rstrip(".")
    power = "10" + str(int(exponent)).translate(_SUPERSCRIPTS)
    return sign + (power if factor == "1" else f"{factor}·{power}")


def with_error(value: float, error: float) -> str:
    """A number with half its interval in two digits, and as many of its own as these leave.

    Example:
        >>> with_error(0.91234, 0.0212), with_error(-123456.0, 2300.0), with_error(3.2e-7, 1.5e-8)
        ('0.912 ± 0.021', '(−1.235 ± 0.023)·10⁵', '(3.2 ± 0.15)·10⁻⁷')
    """
    size = max(abs(value), error)
    power = math.floor(math.log10(size)) if not 1e-3 <= size < 1e5 else 0
    value, error = value / 10.0**power, error / 10.0**power
    digits = max(0, 1 - math.floor(math.log10(error)))
    text = f"{number(round(value, digits))} ± {number(float(f'{error:.2g}'))}"
    return f"({text})·10{str(power).translate(_SUPERSCRIPTS)}" if power else text


def round_ticks(low: float, high: float, most: int) -> list[float]:
    """Equally spaced multiples of 1, 2 or 5 times a power of ten."""
    span = high - low
    if not span > 0:
        return [low]
    rough = span / max(most - 1, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= rough * (1 - 1e-9))
    return [k * step for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
