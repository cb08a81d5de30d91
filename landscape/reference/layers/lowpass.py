"""Subsampling that first takes out what the coarser grid cannot hold."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal, get_args

import torch
from scipy.signal import firwin
from torch import Tensor, nn
from torch.nn import functional

from landscape.errors import InputError, suggest

__all__ = ["LowPass2d", "LowPassKind", "filter_separably", "kaiser_taps", "kaiser_window"]

LowPassKind = Literal["blur", "flc", "asap", "kaiser"]
PADDINGS = {"zeros": "constant", "circular": "circular", "reflect": "reflect", "replicate": "replicate"}


class LowPass2d(nn.Module):
    """A low-pass filter and subsampling of maps (N, C, H, W), channel by channel, without parameters.

    - ``blur``: the binomial filter [1 2 1]/4 along both axes, then every `stride`-th row and column.
    - ``kaiser``: the same with a Kaiser-windowed sinc of ``taps`` values and ``cutoff`` cycles/pixel.
    - ``flc``: the Fourier modes that the coarser grid can hold, exactly; the map counts as periodic. Modes
      are chosen by their frequencies, so that every size is right; the published code shifts the spectrum by
      half its length before and after the cut, and so gives the output a wave of one period too much where
      the kept length is odd and the map even, such as at 14 → 7.
    - ``asap``: the same after weights √(h(f_y) h(f_x)) with the Hamming window h(f) = 0.54 + 0.46 cos 2πf,
      so that the cut rings less. Here the window is centred on the mean; in the published code it is half a
      mode off.

    Args:
        kind: One of these.
        stride: Rows and columns per row and column of the output, whose size is ⌈H/stride⌉ × ⌈W/stride⌉.
        nyquist: Whether ``flc`` and ``asap`` keep the highest mode of an even output, as published. Half of
            it is aliased: with ``drop`` nothing is.
        cutoff: Of ``kaiser``; default: 1/(2 stride), the highest frequency that the output holds.
        taps: Of ``kaiser``, an odd number; ``auto``: 3 to 7, more for larger maps, as published.
        padding: What lies beyond the edge for ``blur`` and ``kaiser``.

    Raises:
        InputError: If an option is unknown or out of range.

    Reference:
        blur: Zhang (2019), Making convolutional networks shift-invariant again. flc: Grabinski et al. (2022),
        FrequencyLowCut pooling. asap: Grabinski et al. (2023), Fix your downsampling ASAP. kaiser:
        Rodríguez-Muñoz & Torralba (2022), Aliasing is a driver of adversarial attacks.
    """

    def __init__(
        self,
        kind: LowPassKind = "flc",
        stride: int = 2,
        *,
        nyquist: Literal["keep", "drop"] = "keep",
        cutoff: float | None = None,
        taps: int | Literal["auto"] = "auto",
        padding: Literal["zeros", "circular", "reflect", "replicate"] = "zeros",
    ) -> None:
        super().__init__()
        given = {"kind": kind, "nyquist": nyquist, "padding": padding}
        choices = {"kind": get_args(LowPassKind), "nyquist": ("keep", "drop"), "padding": tuple(PADDINGS)}
        for name, known in choices.items():
            if given[name] not in known:
                raise InputError(
                    f"LowPass2d has no {name} '{given[name]}'; {suggest(str(given[name]), known)}"
                )
        if stride < 1:
            raise InputError(f"LowPass2d: stride must be at least 1, not {stride}.")
        if cutoff is not None and not 0 < cutoff <= 0.5:
            raise InputError(f"LowPass2d: cutoff lies above 0 and at most at 0.5 cycles/pixel, not {cutoff}.")
        if taps != "auto" and (taps < 3 or taps % 2 == 0):
            raise InputError(f"LowPass2d: taps is an odd number from 3 on, not {taps}.")
        self.kind, self.stride, self.nyquist, self.padding = kind, stride, nyquist, padding
        self.cutoff = 0.5 / stride if cutoff is None else cutoff
        self.taps = taps

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C, ⌈H/stride⌉, ⌈W/stride⌉)."""
        if self.kind in ("flc", "asap"):
            return self._cut(x)
        if self.kind == "blur":
            return filter_separably(x, x.new_tensor([0.25, 0.5, 0.25]), self.stride, self.padding)
        taps = kaiser_taps(x.shape[-2]) if self.taps == "auto" else self.taps
        return filter_separably(x, x.new_tensor(kaiser_window(taps, self.cutoff)), self.stride, self.padding)

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.kind}, stride={self.stride}"

    def _cut(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        small = x if x.element_size() >= 4 else x.float()  # no Fourier transform in half precision
        modes = torch.fft.fft2(small, norm="forward")
        if self.kind == "asap":
            modes = modes * _hamming(height, modes.real)[:, None] * _hamming(width, modes.real)
        for axis, size in ((-2, height), (-1, width)):
            modes = self._keep(modes, axis, size)
        low: Tensor = torch.fft.ifft2(modes, norm="forward").real.to(x.dtype)
        return low

    def _keep(self, modes: Tensor, axis: int, size: int) -> Tensor:
        """The modes that an output of ⌈size/stride⌉ holds, in its order."""
        kept = -(-size // self.stride)
        if kept == size:
            return modes
        numbers = torch.fft.fftfreq(kept, 1.0 / kept, device=modes.device).round().long()
        chosen = modes.index_select(axis, numbers % size)
        if self.nyquist == "drop" and kept % 2 == 0:
            shape = [1] * modes.ndim
            shape[axis] = kept
            chosen = chosen * (numbers != -(kept // 2)).to(chosen.dtype).view(shape)
        return chosen


def filter_separably(x: Tensor, kernel: Tensor, stride: int = 1, padding: str = "zeros") -> Tensor:
    """Maps (N, C, H, W) filtered along both axes by an odd symmetric kernel, every stride-th place kept."""
    reach, channels = len(kernel) // 2, x.shape[1]
    padded = functional.pad(x, (reach,) * 4, mode=PADDINGS[padding])
    down = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    rows = functional.conv2d(padded, down, stride=(stride, 1), groups=channels)
    along = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    return functional.conv2d(rows, along, stride=(1, stride), groups=channels)


def kaiser_taps(height: int) -> int:
    """Length of the filter for maps of so many rows: 3 up to 14, 5 up to 22, then 7."""
    return min(max(2 * ((height + 1) // 8) + 1, 3), 7)


@lru_cache(maxsize=64)
def kaiser_window(taps: int, cutoff: float) -> tuple[float, ...]:
    """A low-pass filter of sum 1 that passes up to ``cutoff`` cycles/pixel: a windowed sinc.

    At a cutoff of 0.5 there is nothing to take out: the filter is the identity.
    """
    if cutoff >= 0.5:
        return tuple(float(place == taps // 2) for place in range(taps))
    window = firwin(taps, cutoff, width=2.0 * (0.5 - cutoff), fs=1.0)
    return tuple(float(value) for value in window / window.sum())


def _hamming(size: int, like: Tensor) -> Tensor:
    """√(0.54 + 0.46 cos 2πf) at the frequencies of `torch.fft.fft`."""
    f = torch.fft.fftfreq(size, device=like.device, dtype=like.dtype)
    return (0.54 + 0.46 * torch.cos(2.0 * math.pi * f)).sqrt()
