"""HSIC and centred kernel alignment of Gram matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.core.linalg.reductions import products

__all__ = [
    "Estimator",
    "Kernel",
    "center",
    "feature_cka",
    "gram",
    "hsic",
    "jackknife",
    "normalized",
    "rounding",
    "u_center",
]

Array = NDArray[np.float64]
Estimator = Literal["unbiased", "biased"]

ROUNDING = 16.0
"""What is left of a difference after this many roundings of its terms is nothing."""


@dataclass(frozen=True)
class Kernel:
    """The similarity of two examples within one layer.

    Attributes:
        name: ``linear``: ⟨x, y⟩; ``rbf``: exp(−‖x − y‖²/2σ²).
        bandwidth: σ as a multiple of the median distance within the batch.
    """

    name: Literal["linear", "rbf"] = "linear"
    bandwidth: float = 1.0


def gram(features: Tensor, kernel: Kernel | None = None) -> Tensor:
    """The Gram matrix (n, n) of features (n, p), whose batch mean is taken off first.

    HSIC does not see the mean, but single precision does: a mean much larger than the spread would leave
    nothing of it. The RBF form is taken in float64 and less 1, which centring removes anyway, so that
    large σ lose nothing.
    """
    if kernel is None or kernel.name == "linear":
        x = features - features.mean(0)
        K = products(x, x)
        if _is_clear(K, features):
            return K
        x = _without_constants(x, features)
        return products(x, x)
    x = features.double() - features.double().mean(0)
    x = _without_constants(x, features)
    inner = x @ x.T
    norms = inner.diagonal()
    # ‖x − y‖² = ‖x‖² + ‖y‖² − 2⟨x, y⟩
    squares = (norms[:, None] + norms - 2.0 * inner).clamp(min=0.0)  # rounding may leave −ε
    sigma = kernel.bandwidth * _median(squares[~torch.eye(len(x), dtype=torch.bool, device=x.device)].sqrt())
    return torch.expm1(squares / (-2.0 * sigma**2))


def rounding(features: Tensor) -> float:
    """What one operation on features rounds by, relative to its result."""
    return torch.finfo(features.dtype).eps if features.is_floating_point() else 0.0


def _is_clear(K: Tensor, features: Tensor) -> bool:
    """Whether the Gram matrix of centred features is what it would be without the constant ones, to rounding.

    A bound that costs one look at the features, where each feature's own spread takes two. Not on a device,
    which would have to be waited for.
    """
    if features.device.type != "cpu" or not features.numel():
        return False
    eps, (least, most) = rounding(features), features.aminmax()
    # A constant feature leaves at most ROUNDING roundings of its size, and their squares in each entry.
    left = features.shape[1] * (ROUNDING * eps * max(-float(least), float(most))) ** 2
    return left <= eps * float(K.diagonal().mean())


def _without_constants(x: Tensor, features: Tensor) -> Tensor:
    """Centred features ``x``, exactly 0 in a column of ``features`` that is constant but for rounding."""
    # A unit that puts out one large constant would else keep the rounding of its mean, which after the ratio
    # is a similarity like any other.
    constant = x.abs().amax(0) <= ROUNDING * rounding(features) * features.abs().amax(0)
    return x.masked_fill_(constant, 0.0)


def _median(values: Tensor) -> Tensor:
    """The median, of an even number the mean of the middle two; torch's takes the lower one."""
    values = values.sort().values
    return (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2


def u_center(K: Tensor) -> Tensor:
    """U-centred matrices Ã (..., n, n): ⟨Ã, B̃⟩/(n(n−3)) is the unbiased HSIC₁.

    Song et al. (2012); Székely & Rizzo (2014). With m = rowsum/(n−2) − total/(2(n−1)(n−2)) of the matrix
    without its diagonal, m is taken off rows and columns; the diagonal is zero.
    """
    n = K.shape[-1]
    # The unbiased estimator leaves pairs of an example with itself out, before and after centring.
    K = K.clone()
    K.diagonal(dim1=-2, dim2=-1).zero_()
    rows = K.sum(-1)
    mean = rows / (n - 2) - rows.sum(-1, keepdim=True) / (2 * (n - 1) * (n - 2))
    K -= mean[..., :, None] + mean[..., None, :]
    K.diagonal(dim1=-2, dim2=-1).zero_()
    return K


def center(K: Tensor) -> Tensor:
    """HKH (..., n, n), H = I − 11ᵀ/n: ⟨HKH, HLH⟩/(n−1)² is the biased HSIC₀ (Gretton et al. 2005)."""
    rows = K.mean(-1)
    return K - rows[..., :, None] - rows[..., None, :] + rows.mean(-1)[..., None, None]


def hsic(grams: Tensor, estimator: Estimator, eps: float | Tensor | None = None) -> Array:
    """HSIC (L, L) between Gram matrices (L, n, n) of the same n examples, in float64.

    A matrix of which centring leaves no more than rounding counts as 0: its ratio is 0/0, and not whatever
    the roundings are to each other. So it is in the unbiased form with a single active example.

    Args:
        grams: The Gram matrices.
        estimator: ``unbiased`` HSIC₁ or ``biased`` HSIC₀.
        eps: By how much the features were rounded, one number or one per matrix (L,). Default: as the Gram
            matrices are.
    """
    n = grams.shape[-1]
    eps = rounding(grams) if eps is None else eps
    grams = grams.double()
    if estimator == "unbiased":
        # ⟨Ã, B̃⟩ of all pairs at once, as one matrix product of the flattened matrices
        centred, scale = u_center(grams), n * (n - 3)
    else:
        centred, scale = center(grams), (n - 1) ** 2
    V = centred.flatten(1)
    nothing = V.norm(dim=1) <= ROUNDING * eps * grams.flatten(1).norm(dim=1)
    V.masked_fill_(nothing[:, None], 0.0)
    hsic: Array = (V @ V.T / scale).cpu().numpy()
    return hsic


def feature_cka(
    x: Tensor, y: Tensor, *, estimator: Estimator = "unbiased", kernel: Kernel | None = None
) -> float:
    """CKA of two sets of features (n, p) and (n, q) of the same n examples, as one batch.

    Kornblith et al. (2019), equation 6; unbiased as in Nguyen et al. (2021), equation 3. Not clamped: the
    unbiased form may be slightly negative.

    Example:
        >>> x = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
        >>> round(feature_cka(x, 3.0 * x + 10.0), 6)
        1.0
    """
    grams = torch.stack([gram(f, kernel).double() for f in (x, y)])
    eps = torch.tensor([rounding(f) for f in (x, y)], dtype=torch.float64, device=grams.device)
    return float(normalized(hsic(grams, estimator, eps))[0, 1])


def normalized(hsic: Array) -> Array:
    """CKA (..., L, L) from HSIC (..., L, L); NaN where a unit's own HSIC is not positive. Not clamped."""
    own = np.diagonal(hsic, axis1=-2, axis2=-1)
    with np.errstate(invalid="ignore"):
        scale = np.sqrt(np.where(own > 0, own, np.nan))
    ratio: Array = hsic / (scale[..., :, None] * scale[..., None, :])
    return ratio


def jackknife(blocks: Array) -> tuple[Array, Array]:
    """CKA (L, L) of summed HSIC (blocks, L, L), and its standard error by leaving out one block at a time.

    With a single block there is no error to be had: NaN.
    """
    total = blocks.sum(0)
    count = len(blocks)
    if count < 2:
        return normalized(total), np.full_like(total, np.nan)
    mean, squares = np.zeros_like(total), np.zeros_like(total)
    for index, block in enumerate(blocks):  # Welford: no second array of all blocks
        value = normalized(total - block)
        step = value - mean
        mean += step / (index + 1)
        squares += step * (value - mean)
    return normalized(total), np.sqrt((count - 1) / count * squares)
