"""ReLUs that let more through, or that alias less."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from landscape.errors import InputError
from landscape.reference.layers.lowpass import PADDINGS, filter_separably, kaiser_taps, kaiser_window

__all__ = ["FilteredReLU", "QuantileReLU"]


class QuantileReLU(nn.Module):
    """``ReLU(x + ReLU(−Q))`` with Q the q-quantile of each map: a share q, to one pixel, is cut off.

    It filters nothing; maps of which less than a share q is negative are left to the ReLU alone.

    Args:
        quantile: The share q.

    Raises:
        InputError: If it is not between 0 and 1.

    Reference:
        Rodríguez-Muñoz & Torralba (2022), Aliasing is a driver of adversarial attacks; q = 0.4 in their code.
    """

    def __init__(self, quantile: float = 0.4) -> None:
        super().__init__()
        if not 0 <= quantile <= 1:
            raise InputError(f"QuantileReLU: quantile is a share, not {quantile}.")
        self.quantile = quantile

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        return functional.relu(shifted(x, self.quantile))


class FilteredReLU(nn.Module):
    """A ReLU at a finer grid: up-sampling, low-pass, ReLU, low-pass, subsampling.

    A ReLU makes frequencies that its grid cannot hold and that come back as others. On the finer grid there
    is room for them, and the second filter takes them out. As published, the filter's cutoff is also below
    the highest frequency of the original grid, so that the layer blurs.

    Args:
        up: How much finer the grid is along each axis.
        cutoff: Of both filters, in cycles per pixel of the finer grid; default: 1/(4 up), half of what the
            original grid holds.
        taps: Length of the filters, an odd number; ``None``: 3 to 7 by the height of the map.
        quantile: Share q of `QuantileReLU` before all; ``None`` for a plain ReLU.
        padding: What lies beyond the edge: ``zeros``, ``circular``, ``reflect`` or ``replicate``.

    Raises:
        InputError: If a number is out of range.

    Reference:
        Rodríguez-Muñoz & Torralba (2022); their published net has up = 2 and quantile = 0.4.
    """

    def __init__(
        self,
        up: int = 2,
        cutoff: float | None = None,
        taps: int | None = None,
        quantile: float | None = 0.4,
        padding: str = "zeros",
    ) -> None:
        super().__init__()
        if up < 1:
            raise InputError(f"FilteredReLU: up must be at least 1, not {up}.")
        if cutoff is not None and not 0 < cutoff <= 0.5:
            raise InputError(f"FilteredReLU: cutoff lies above 0 and at most at 0.5, not {cutoff}.")
        if taps is not None and (taps < 3 or taps % 2 == 0):
            raise InputError(f"FilteredReLU: taps is an odd number from 3 on, not {taps}.")
        if quantile is not None and not 0 <= quantile <= 1:
            raise InputError(f"FilteredReLU: quantile is a share, not {quantile}.")
        if padding not in PADDINGS:
            raise InputError(f"FilteredReLU has no padding '{padding}'; known: {', '.join(PADDINGS)}.")
        self.up, self.taps, self.quantile, self.padding = up, taps, quantile, padding
        self.cutoff = 0.25 / up if cutoff is None else cutoff

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        if self.quantile is not None:
            x = shifted(x, self.quantile)
        taps = kaiser_taps(x.shape[-2]) if self.taps is None else self.taps
        kernel = x.new_tensor(kaiser_window(taps, self.cutoff))
        fine = functional.relu(filter_separably(_spread(x, self.up), self.up * kernel, 1, self.padding))
        return filter_separably(fine, kernel, self.up, self.padding)


def shifted(x: Tensor, quantile: float) -> Tensor:
    """Maps raised until at most a share ``quantile`` of each lies below 0; those that are there stay."""
    maps = x.flatten(2) if x.element_size() >= 4 else x.flatten(2).float()  # no quantiles in half precision
    level = torch.quantile(maps, quantile, dim=-1).to(x.dtype)
    return x + functional.relu(-level)[:, :, None, None]


def _spread(x: Tensor, up: int) -> Tensor:
    """Zeros between the pixels: (N, C, up H, up W)."""
    n, channels, height, width = x.shape
    fine = x.new_zeros(n, channels, height, up, width, up)
    fine[:, :, :, 0, :, 0] = x
    return fine.reshape(n, channels, height * up, width * up)
