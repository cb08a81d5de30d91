"""XTrace until its error is small enough, with what the same products tell of blocks, norm and diagonal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from landscape.core.linalg.hutchinson import TraceEstimate, mean_and_error
from landscape.core.linalg.krylov import finite_product
from landscape.core.linalg.operators import SymmetricOperator
from landscape.core.linalg.reductions import orthonormalise, products, slices
from landscape.core.linalg.xtrace import LeftOut, leave_one_out, low_rank

__all__ = ["LEAST_VECTORS", "adaptive_xtrace"]

LEAST = 12  # probes before the error is believed
LEAST_VECTORS = 4 * LEAST  # that these keep
GROWING = 5  # vectors for each probe where there are more: the last of four is put together of two parts
GROWTH = 1.5  # most of the number of probes, from one look at the error to the next
STEP = 2  # least probes more: looks are few, and few of them stop by luck
BLOCK = 8  # products at a time
BYTES = 2**30  # probes, their products, the basis and its products together
PIECE = 1 << 18  # entries that are turned into float64 at a time


class _Sketch:
    """Gaussian probes Ω, their products Y = QR, and Z = AQ, which grow by columns."""

    def __init__(self, operator: SymmetricOperator, like: Tensor, seed: int, room: int) -> None:
        self._operator = operator
        self._room = room
        self._draw = torch.Generator().manual_seed(seed)
        self.omega = self.Y = self.Q = self.Z = like
        self.R = like.new_zeros(0, 0)

    @property
    def count(self) -> int:
        """Number k of probes."""
        return self.omega.shape[1]

    def grow(self, count: int, report: Callable[[], None]) -> None:
        """Take so many more probes."""
        known = self.count
        # what is multiplied and its product come on top of what is kept
        self._width = max(1, min(BLOCK, (self._room - 4 * (known + count)) // 2))
        fresh = torch.randn(len(self.omega), count, generator=self._draw).to(self.omega)
        image = self._times(fresh, report)
        self.omega = _joined(self.omega, fresh)
        del fresh  # here and below: each of these may take gigabytes
        rest, across = image, torch.zeros(known, count).to(self.R)
        for _ in range(2 if known else 0):  # once more, for what rounding left of the known directions
            part = products(self.Q.T, rest.T)
            rest, across = rest - self.Q @ part, across + part
        self.Y = _joined(self.Y, image)
        del image
        basis, upper = orthonormalise(rest)
        del rest
        zeros = self.R.new_zeros(count, known)
        self.R = torch.cat([torch.cat([self.R, across], 1), torch.cat([zeros, upper], 1)])
        self.Q = _joined(self.Q, basis)
        del basis
        self.Z = _joined(self.Z, self._times(self.Q[:, known:], report))

    def _times(self, V: Tensor, report: Callable[[], None]) -> Tensor:
        image = torch.empty(V.shape, dtype=V.dtype, device=V.device)
        for part in slices(V.shape[1], self._width):
            image[:, part] = finite_product(self._operator, V[:, part])
            report()
        return image


def _joined(left: Tensor, right: Tensor) -> Tensor:
    """Both side by side; no copy if there is nothing on the left."""
    return torch.cat([left, right], 1) if left.shape[1] else right


def adaptive_xtrace(
    operator: SymmetricOperator,
    *,
    rel_se: float,
    most: int,
    sizes: Sequence[int],
    dtype: torch.dtype,
    room: int,
    diagonal: bool = False,
    seed: int = 0,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> TraceEstimate:
    """Estimate the trace of an operator of size n as `landscape.core.linalg.xtrace.xtrace` does.

    Probes are added, as many as the error calls for and at most half as many more each time, until it is at
    most ``rel_se`` of the trace. With Pᵢ = QᵢQᵢᵀ the part Pᵢ A + A Pᵢ − Pᵢ A Pᵢ is exact for each probe i,
    and of the rest M it is μᵢ∘Mμᵢ that tells the diagonal, hence the blocks, whose sum is the trace, and
    ‖Mμᵢ‖² that tells the norm. Their errors are spreads over probes, enlarged as that of the trace is.

    Four vectors of n entries are kept for each probe, up to 1 GiB and what fits into memory, but of 12 probes
    at least, which have to fit.

    Args:
        operator: A.
        rel_se: Standard error asked for, relative to the trace.
        most: Budget of products, fewer than n.
        sizes: Lengths of consecutive diagonal blocks, summing to n.
        dtype: Of the probes.
        room: Vectors that fit into memory, `LEAST_VECTORS` or more.
        diagonal: Whether to return the diagonal too.
        seed: Seed of the probes.
        on_progress: Called with the finished fraction.
    """
    n, before = operator.size, operator.products
    sketch = _Sketch(operator, torch.zeros(n, 0, dtype=dtype, device=operator.device), seed, room)
    limit = min(most // 2, max(LEAST, min(BYTES // (4 * n * dtype.itemsize), room // GROWING)))
    aim = needed = LEAST

    def report() -> None:
        on_progress(min((operator.products - before) / (2 * max(needed, sketch.count)), 1.0))

    while True:
        sketch.grow(min(aim, limit) - sketch.count, report)
        if low_rank(sketch.R):
            return _of_low_rank(sketch, sizes, diagonal, operator.products - before)
        found = leave_one_out(sketch.omega, sketch.Y, sketch.Q, sketch.R, sketch.Z)
        trace = float(found.t.mean())
        converged = found.error <= rel_se * abs(trace)
        if converged or sketch.count >= limit:
            break
        excess = found.error / (rel_se * abs(trace)) if trace else float("inf")
        needed = int(min(limit, sketch.count * excess**2))
        # The error falls at least as 1/k where eigenvalues fall, as 1/√k where they do not.
        aim = int(min(max(sketch.count * excess, sketch.count + STEP), sketch.count * GROWTH))
    on_progress(1.0)
    blocks, norms, entries = _by_probe(sketch, found, sizes, diagonal)
    enlarged = found.error / float(found.t.std() / sketch.count**0.5)
    mean, error = (part * scale for part, scale in zip(mean_and_error(blocks), (1.0, enlarged), strict=True))
    square, square_se = (float(v) for v in mean_and_error(norms))
    frobenius = max(square, 0.0) ** 0.5
    return TraceEstimate(
        trace=trace,
        trace_se=found.error,
        blocks=mean,
        blocks_se=error,
        frobenius=frobenius,
        frobenius_se=enlarged * square_se / (2 * frobenius) if frobenius else square_se,
        diagonal=None if entries is None else entries[0],
        diagonal_se=None if entries is None else entries[1] * enlarged,
        sketch=sketch.count,
        samples=sketch.count,
        products=operator.products - before,
        converged=converged,
        estimator="xtrace",
    )


def _by_probe(
    sketch: _Sketch, found: LeftOut, sizes: Sequence[int], diagonal: bool
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor] | None]:
    """By probe the traces of the blocks (b, k) and ‖A‖_F² (k,); the diagonal and its errors if asked for."""
    S, P, H, weights = found.S, found.P, found.H, found.weights
    HS, curve = H @ S, (S * (H @ S)).sum(0)
    aP = products(sketch.Q.T, sketch.Y.T).double().cpu() - H @ P  # QᵀAμᵢ
    own = (S * aP).sum(0)
    k = sketch.count
    squares, images = torch.zeros(k, dtype=torch.float64), torch.zeros(k, dtype=torch.float64)
    blocks, means, errors = [], [], []
    start = 0
    for size in sizes:
        total = torch.zeros(k, dtype=torch.float64)
        for part in slices(size, max(1, PIECE // max(k, 1))):
            rows = slice(start + part.start, start + part.stop)
            omega, Y, Q, Z = (M[rows].double().cpu() for M in (sketch.omega, sketch.Y, sketch.Q, sketch.Z))
            QS, ZS = Q @ S, Z @ S
            # diag(PᵢA + APᵢ − PᵢAPᵢ), Pᵢ without the direction Qsᵢ
            inner = (Q * (Q @ H)).sum(1)[:, None] - 2 * QS * (Q @ HS) + curve * QS**2
            known = 2 * ((Q * Z).sum(1)[:, None] - QS * ZS) - inner
            rest = Y - Z @ P - Q @ aP + own * QS
            entries = known + weights * (omega - Q @ P) * rest
            total += entries.sum(0)
            squares += weights * rest.square().sum(0)
            images += (Z**2).sum() - (ZS**2).sum(0)
            if diagonal:
                mean, error = mean_and_error(entries)
                means.append(mean)
                errors.append(error)
        blocks.append(total)
        start += size
    # ‖QᵢᵀAQᵢ‖² = ‖H‖² − 2‖Hsᵢ‖² + (sᵢᵀHsᵢ)²
    inside = H.square().sum() - 2 * HS.square().sum(0) + curve**2
    norms = 2 * images - inside + squares
    return torch.stack(blocks), norms, (torch.cat(means), torch.cat(errors)) if diagonal else None


def _of_low_rank(sketch: _Sketch, sizes: Sequence[int], diagonal: bool, products: int) -> TraceEstimate:
    """Everything from the basis alone: it has all of the matrix's range, and nothing is left to sample."""
    entries = (sketch.Q.double() * sketch.Z.double()).sum(1).cpu()
    blocks = torch.stack([part.sum() for part in torch.split(entries, list(sizes))])
    zeros = torch.zeros_like(entries)
    return TraceEstimate(
        trace=float(blocks.sum()),
        trace_se=0.0,
        blocks=blocks,
        blocks_se=torch.zeros_like(blocks),
        frobenius=float(sketch.Z.double().square().sum().sqrt()),
        frobenius_se=0.0,
        diagonal=entries if diagonal else None,
        diagonal_se=zeros if diagonal else None,
        sketch=sketch.count,
        samples=0,
        products=products,
        converged=True,
        estimator="exact",
    )
