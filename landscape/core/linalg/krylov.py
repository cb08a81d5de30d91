"""An orthonormal basis grown by operator products: the memory of the block Lanczos eigensolver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from landscape.core.linalg.reductions import norms, orthonormalise, products
from landscape.errors import InputError, LandscapeError

if TYPE_CHECKING:
    from landscape.core.linalg.operators import SymmetricOperator

__all__ = ["KrylovBasis", "KrylovState", "check_product", "finite_product", "start_rows", "working_dtype"]

ROTATION_CHUNK = 1 << 16  # entries of each basis vector rotated at a time
BREAKDOWN = 20.0  # directions below BREAKDOWN * eps * ||A|| are rounding, not information


def working_dtype(dtype: torch.dtype) -> torch.dtype:
    """The precision basis vectors are kept in: float64 for float64, else float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def finite_product(operator: SymmetricOperator, V: Tensor) -> Tensor:
    """Return `operator @ V` for V (n, c), in working precision, or raise if it is not finite.

    One column is passed as a vector (n,), for which operators have their cheapest path.

    Raises:
        LandscapeError: the product holds NaN or infinity.
    """
    V = V.to(operator.dtype)
    product = (operator @ V[:, 0])[:, None] if V.shape[1] == 1 else operator @ V
    check_product(product, operator)
    return product.to(working_dtype(operator.dtype))


def check_product(product: Tensor, operator: SymmetricOperator) -> None:
    """Raise a `LandscapeError` if a product of the operator holds NaN or infinity."""
    if not bool(torch.isfinite(product).all()):
        raise LandscapeError(
            f"{type(operator).__name__} of size {operator.size} returned NaN or infinite values: "
            "check that the loss and the parameters are finite, or use float64."
        )


def start_rows(start: Tensor, operator: SymmetricOperator) -> Tensor:
    """Return starting vectors (n,) or (n, c) as rows (c, n) in working precision."""
    rows = start.detach().reshape(start.shape[0], -1).T if start.ndim in (1, 2) else start
    if rows.ndim != 2 or rows.shape[1] != operator.size or not rows.shape[0]:
        raise InputError(
            f"start has shape {tuple(start.shape)}; an operator of size {operator.size} starts "
            f"from ({operator.size},) or ({operator.size}, c)."
        )
    if not bool(torch.isfinite(rows).all()):
        raise InputError("start holds NaN or infinite values: give finite vectors, or none.")
    return rows.to(operator.device, working_dtype(operator.dtype))


@dataclass(frozen=True)
class KrylovState:
    """All that a `KrylovBasis` holds, as plain tensors and numbers, to be saved and resumed.

    Attributes:
        rows: the m expanded and p pending vectors, (n,) each.
        stamps: of each of these a number that no other vector of the basis has or had: what was saved under
            a number need not be saved again.
        projected: coordinates of the m products in these vectors, (m + p, m).
        lost: Gram matrix of what the products hold outside these vectors, (m, m).
        generator: state of the random generator.
        scale: largest norm of a product so far, an estimate of ||A||.
        untried: how many of the pending vectors no product has led to.
        parked: the vectors set aside, (n,) each.
        parked_coupling: their coupling to the expanded vectors of that time, (r, c).
        products: operator products used.
        iterations: operator calls used.
        capacity: the most vectors that are ever stored; 0 if unknown.
    """

    rows: Sequence[Tensor]
    stamps: Sequence[int]
    projected: Tensor
    lost: Tensor
    generator: Tensor
    scale: float
    untried: int
    parked: Sequence[Tensor]
    parked_coupling: Tensor
    products: int
    iterations: int
    capacity: int = 0


class KrylovBasis:
    """Orthonormal vectors V (expanded) and P (pending) with A V = V H + P B, always.

    V has m vectors, whose products are known; P has p vectors, whose products are not. To expand
    a pending vector costs one product and appends what the product holds outside the basis as a
    new pending vector (none at a breakdown). When P is empty, any directions may take its place:
    a block start, a warm start, the way on from a breakdown and the search for missed copies are
    one operation. Without restarts and with p = 1 this is the Lanczos method; with p = b block
    Lanczos; `restart` is the thick restart of Wu and Simon (2000, SIAM J. Matrix Anal. Appl. 22,
    602-616).

    Every product is orthogonalised twice against the whole basis and all coefficients are kept
    (not only the tridiagonal ones), so residual norms count the rounding and the asymmetry of
    the operator too. Basis vectors are rows, so that blocks are contiguous and the work is
    matrix-matrix; they keep the working precision of the operator, projections are float64.

    Args:
        operator: the symmetric operator A.
        capacity: the most vectors that are ever stored (m + p), at n values each.
        seed: seed of the random directions.
        state: what an earlier `state()` returned, to continue from it.
    """

    def __init__(
        self,
        operator: SymmetricOperator,
        capacity: int,
        *,
        seed: int = 0,
        state: KrylovState | None = None,
    ) -> None:
        self.operator = operator
        self.capacity = capacity
        self.expanded = 0
        self.pending = 0
        self.products = 0
        self.iterations = 0
        self._dtype = working_dtype(operator.dtype)
        self._rows = torch.empty(capacity, operator.size, dtype=self._dtype, device=operator.device)
        # One row more than there are vectors: `tridiagonal` reads the coupling to the next vector even of a
        # full basis, where it is zero.
        self._projected = torch.zeros(capacity + 1, capacity, dtype=torch.float64)
        self._lost = torch.zeros(capacity, capacity, dtype=torch.float64)
        self._new_stamp = count().__next__
        self._stamps = [0] * capacity
        self._scale = 0.0
        self._untried = 0
        self._generator = torch.Generator().manual_seed(seed)
        self._forget_parked()
        if state is not None:
            self._load(state)

    @property
    def filled(self) -> int:
        """Number of stored vectors, expanded and pending."""
        return self.expanded + self.pending

    @property
    def parked(self) -> int:
        """Number of vectors set aside by `park`."""
        return len(self._parked)

    def inject(self, vectors: Tensor) -> int:
        """Make directions (c, n) the pending block, which must be empty; return how many were new.

        Directions that depend on the basis or on each other are left out.
        """
        lengths = norms(vectors, keepdim=True)
        unit = vectors[lengths[:, 0] > 0] / lengths[lengths[:, 0] > 0]
        if not len(unit):
            return 0
        _, fresh, _ = self._split(unit, scale=1.0)
        self._append(fresh)
        self._untried = len(fresh)
        return len(fresh)

    def inject_random(self, count: int) -> int:
        """Make up to `count` random directions, orthogonal to the basis, the pending block."""
        count = min(count, self.operator.size - self.filled)
        if count < 1:
            return 0
        noise = torch.randn(count, self.operator.size, generator=self._generator)
        return self.inject(noise.to(self._rows))

    def expand(self, count: int) -> None:
        """Multiply the first `count` pending vectors with the operator, in one call."""
        first, last, filled = self.expanded, self.expanded + count, self.filled
        images = finite_product(self.operator, self._rows[first:last].T).T
        self._scale = max(self._scale, float(norms(images).max()))
        inside, fresh, outside = self._split(images, scale=self._scale)
        # Column j holds the coordinates of A v_j: in the vectors that were there, then in the fresh ones.
        T = self._projected
        T[:filled, first:last] = inside
        T[filled : filled + len(fresh), first:last] = outside
        self._append(fresh)
        self.expanded += count
        self.pending -= count
        self._untried = max(0, self._untried - count)
        self.products += count
        self.iterations += 1

    def ritz(self, among: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return Ritz values (m,) ascending, their coordinates (m, m) and residual norms (m,).

        Residual norms are those of A u - theta u, from the stored coefficients, with no product.

        Args:
            among: use the first so many expanded vectors only; all by default.
        """
        m = self.expanded if among is None else among
        # ‖A u − θu‖² in three parts: within the basis (rounding and asymmetry), along pending vectors (the
        # residual of Lanczos proper), and outside of both, of which only norms are left: `_lost`, and the
        # parked vectors, which are no longer orthonormal once directions have been taken out of them.
        T = self._projected[: self.filled, :m]
        theta, S = torch.linalg.eigh((T[:m] + T[:m].T) / 2)
        rest = T @ S
        rest[:m] -= S * theta
        outside = self._lost[:m, :m].clone()
        c = self._parked_coupling.shape[1]
        # c may be less than m: vectors expanded since `park` have no coupling to the parked ones.
        outside[:c, :c] += self._parked_coupling.T @ self._parked_gram() @ self._parked_coupling
        return theta, S, (rest.square().sum(0) + (S * (outside @ S)).sum(0).clamp_min(0)).sqrt()

    def vectors(self, S: Tensor) -> Tensor:
        """Return the vectors (n, c) with coordinates S (m, c) in the first m expanded vectors."""
        return self._rows[: len(S)].T @ S.to(self._rows)

    def sort_pending(self, S: Tensor) -> None:
        """Rotate the pending block so that its first vectors hold most of the residuals of S (m, c).

        As long as injected directions wait for their first product, they stay first instead.
        """
        if self._untried:
            return
        m, filled = self.expanded, self.filled
        coupling = self._projected[m:filled, :m]
        # Row i of coupling @ S is what pending vector i holds of the residuals, so the left singular vectors
        # are the orthonormal combinations that hold the most of them, in falling order.
        rotation = torch.linalg.svd(coupling @ S, full_matrices=True).U
        coupling.copy_(rotation.T @ coupling)
        self._rotate(rotation, m, filled)

    def restart(self, S: Tensor) -> None:
        """Replace the m expanded vectors by those with orthonormal coordinates S (m, c), c <= m."""
        m, p, kept = self.expanded, self.pending, S.shape[1]
        images = self._projected[: m + p, :m] @ S
        H = S.T @ images[:m]
        outside = images[:m] - S @ H  # rounding only, if S are Ritz vectors
        lost = S.T @ self._lost[:m, :m] @ S + outside.T @ outside
        self._rotate(S, 0, m)
        self._rows[kept : kept + p] = self._rows[m : m + p].clone()  # cloned, since the two may overlap
        self._stamps[kept : kept + p] = self._stamps[m : m + p]
        self._projected.zero_()
        self._projected[:kept, :kept] = H
        self._projected[kept : kept + p, :kept] = images[m:]
        self._lost.zero_()
        self._lost[:kept, :kept] = lost
        self.expanded = kept

    def park(self, limit: int) -> None:
        """Set the pending block aside, to grow the basis in other directions without restarts.

        New directions need not be orthogonal to parked vectors; what is found along them moves
        from the parked vectors to the basis, so that residuals stay exact. Of more than `limit`
        vectors, those that matter least to the expanded ones are dropped, and residuals keep
        counting their norm.
        """
        m = self.expanded
        self._untried = 0  # else the pending block would not be sorted
        self.sort_pending(torch.eye(m, dtype=torch.float64))
        coupling = self._projected[m : self.filled, :m]
        self._lost[:m, :m] += coupling[limit:].T @ coupling[limit:]
        self._parked = self._rows[m : self.filled][:limit].clone()
        self._parked_coupling = coupling[:limit].clone()
        coupling.zero_()
        self.pending = 0

    def unpark(self) -> None:
        """Return the parked vectors to the pending block."""
        # Parked vectors have lost their parts along later directions, so they are made orthonormal again;
        # R, which undoes that, takes their coupling along: (RC)ᵀQ = Cᵀ(parked).
        c = self._parked_coupling.shape[1]
        _, fresh, R = self._split(self._parked, scale=1.0)
        coupling = R @ self._parked_coupling
        self._forget_parked()
        self._projected[self.filled : self.filled + len(fresh), :c] = coupling
        self._append(fresh)

    def tridiagonal(self, first: int) -> tuple[Tensor, Tensor]:
        """Return the diagonal and the subdiagonal, (c,) each, of the chain grown from vector `first`.

        The last entry of the subdiagonal couples to the pending vector (zero after a breakdown).
        """
        m = self.expanded
        chain = self._projected[first : m + 1, first:m]
        return chain.diagonal().clone(), chain.diagonal(-1).clone()

    def state(self, *, copy: bool = True) -> KrylovState:
        """Return everything needed to continue with the same bits.

        Args:
            copy: whether to copy the vectors; else they change with the next call of the basis.
        """
        m, filled = self.expanded, self.filled

        def kept(rows: Tensor) -> list[Tensor]:
            return [row.clone() if copy else row for row in rows]

        return KrylovState(
            rows=kept(self._rows[:filled]),
            stamps=self._stamps[:filled],
            projected=self._projected[:filled, :m].clone(),
            lost=self._lost[:m, :m].clone(),
            generator=self._generator.get_state(),
            scale=self._scale,
            untried=self._untried,
            parked=kept(self._parked),
            parked_coupling=self._parked_coupling.clone(),
            products=self.products,
            iterations=self.iterations,
            capacity=self.capacity,
        )

    def _load(self, state: KrylovState) -> None:
        filled, m = state.projected.shape
        size = len(state.rows[0]) if filled else self.operator.size
        if size != self.operator.size or filled > self.capacity:
            raise InputError(
                f"The saved Lanczos state holds {filled} vectors of {size} values, but the run has "
                f"room for {self.capacity} vectors of {self.operator.size}: resume with the "
                "operator and settings it was saved with."
            )
        for into, row in zip(self._rows, state.rows, strict=False):  # one at a time: they may be on disk
            into.copy_(row)
        self._stamp(0, filled)
        self._projected[:filled, :m] = state.projected
        self._lost[:m, :m] = state.lost
        self._generator.set_state(state.generator)
        self.expanded, self.pending = m, filled - m
        self._scale, self._untried = state.scale, state.untried
        self._parked = torch.empty(len(state.parked), size).to(self._rows)
        for into, row in zip(self._parked, state.parked, strict=True):
            into.copy_(row)
        self._parked_coupling = state.parked_coupling.clone()
        self.products, self.iterations = state.products, state.iterations

    def _append(self, fresh: Tensor) -> None:
        """Add orthonormal directions (r, n) to the pending block, taking them out of parked ones."""
        first, last = self.filled, self.filled + len(fresh)
        self._rows[first:last] = fresh
        self._stamp(first, last)
        self.pending += len(fresh)
        if len(self._parked):
            # A V = V H + P B + (parked) C stays true: what a parked vector holds along a fresh direction is
            # counted in the fresh direction's row from now on.
            along = products(fresh, self._parked)
            self._parked -= along.T @ fresh
            c = self._parked_coupling.shape[1]
            self._projected[first:last, :c] += along.double().cpu() @ self._parked_coupling

    def _stamp(self, first: int, last: int) -> None:
        """Note that rows[first:last] are others now."""
        self._stamps[first:last] = [self._new_stamp() for _ in range(first, last)]

    def _forget_parked(self) -> None:
        self._parked = self._rows[:0].clone()
        self._parked_coupling = torch.zeros(0, 0, dtype=torch.float64)

    def _parked_gram(self) -> Tensor:
        return products(self._parked, self._parked).double().cpu()

    def _split(self, W: Tensor, *, scale: float) -> tuple[Tensor, Tensor, Tensor]:
        """Split W (c, n) into its part in the basis and r <= c new orthonormal directions.

        Returns coefficients C (filled, c), directions Q (r, n) and R (r, c), such that
        W = C^T basis + R^T Q. Two passes: the second, on normalised directions, restores
        orthogonality to rounding ("twice is enough"). Directions under the rounding of the
        first are dropped through a singular value decomposition.
        """
        # Wᵀ = basisᵀC + Q1 R1 and Q1 = basisᵀC2 + Q2 R2, hence Wᵀ = basisᵀ(C + C2 R1) + Q2 (R2 R1). Where W
        # has dependent columns, QR fills Q1 with arbitrary directions, even along the basis: the second
        # pass takes those parts out, and R2 R1 shows that they carry nothing.
        basis = self._rows[: self.filled]
        C = products(basis, W)
        Q1, R1 = orthonormalise(W.T - basis.T @ C)
        C2 = products(basis, Q1.T)
        Q2, R2 = orthonormalise(Q1 - basis.T @ C2)
        R1, C2 = R1.double().cpu(), C2.double().cpu()
        U, s, Vh = torch.linalg.svd(R2.double().cpu() @ R1, full_matrices=False)
        rank = int((s > BREAKDOWN * torch.finfo(self._dtype).eps * scale).sum())
        rank = min(rank, self.operator.size - self.filled)  # rounding must not exceed the space
        # of one column U is a sign: in place, since a vector may take gigabytes
        Q = Q2 @ U[:, :rank].to(Q2) if len(U) != 1 else Q2[:, :rank].mul_(float(U))
        return C.double().cpu() + C2 @ R1, Q.T, s[:rank, None] * Vh[:rank]

    def _rotate(self, rotation: Tensor, first: int, last: int) -> None:
        """Overwrite rows[first:] by rotation^T rows[first:last], in chunks of little memory."""
        # In place: the product of a chunk is formed before it is written, and columns are independent.
        rotation = rotation.to(self._rows)
        kept = rotation.shape[1]
        for start in range(0, self.operator.size, ROTATION_CHUNK):
            chunk = self._rows[first:last, start : start + ROTATION_CHUNK]
            self._rows[first : first + kept, start : start + ROTATION_CHUNK] = rotation.T @ chunk
        self._stamp(first, first + kept)
