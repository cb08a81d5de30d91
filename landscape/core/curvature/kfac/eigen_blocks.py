"""Blocks (Q_S ⊗ Q_A) Λ (Q_S ⊗ Q_A)ᵀ of layers, and the block-diagonal operator that they make."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from landscape.core.linalg.operators import SymmetricOperator
from landscape.core.problem.parameters import ParameterSpace
from landscape.errors import InputError

__all__ = ["Damping", "EigenBlock", "KroneckerOperator"]

Damping = Literal["exact", "factored"]
"""``exact`` adds δ to each eigenvalue of a block; ``factored`` adds it to both factors by halves of its root
(Martens & Grosse 2015, section 6.3), as optimisers do, which is another matrix."""


@dataclass(frozen=True)
class EigenBlock:
    """The block of a layer in the basis in which it is diagonal.

    The layer's parameters, weight and bias beside each other, are G matrices of s × a entries (G groups of a
    convolution, else 1): row i is what makes output i of its inputs.

    Attributes:
        name: The layer, or the parameter that has a block of its own.
        kind: ``linear``, ``convolution``, ``embedding`` or ``diagonal``.
        members: Positions of its parameters in θ: the weight, then the bias.
        turned: Whether the weight lies in memory as a × s (embeddings).
        left: Eigenvectors of the outputs' factor (G, s, s); ``None`` for the unit vectors.
        right: Eigenvectors of the inputs' factor (G, a, a); ``None`` for the unit vectors.
        values: Eigenvalues (G, s, a).
        factors: Eigenvalues of the two factors, (G, s) and (G, a), if the eigenvalues are their products.
    """

    name: str
    kind: str
    members: tuple[int, ...]
    turned: bool
    left: Tensor | None
    right: Tensor | None
    values: Tensor
    factors: tuple[Tensor, Tensor] | None = None

    def multiply(self, pieces: Sequence[Tensor]) -> list[Tensor]:
        """The product, by parameter, with vectors given by parameter, (size, k) each."""
        V = self._joined(pieces)
        V = V if self.left is None else self.left.mT @ V
        V = V if self.right is None else V @ self.right
        V = self.values.to(V) * V
        V = V if self.left is None else self.left @ V
        V = V if self.right is None else V @ self.right.mT
        return self._apart(V, [len(p) for p in pieces])

    def damped(self, damping: float, how: Damping) -> Tensor:
        """Eigenvalues (G, s, a) with the damping in them."""
        if how == "exact" or not damping:
            return self.values + damping
        if self.factors is None:
            if self.kind == "diagonal":  # has no factors to share it between
                return self.values + damping
            raise InputError(
                "damping by factors is for KFAC, whose eigenvalues are products; use how='exact' for EKFAC."
            )
        S, A = self.factors
        traces = A.mean(-1, keepdim=True).clamp_min(0), S.mean(-1, keepdim=True).clamp_min(0)
        share = torch.where((traces[0] > 0) & (traces[1] > 0), (traces[0] / traces[1]).sqrt(), 1.0)
        root = math.sqrt(damping)
        return (S + root / share)[..., :, None] * (A + root * share)[..., None, :]

    def _joined(self, pieces: Sequence[Tensor]) -> Tensor:
        """Vectors by parameter as matrices (k, G, s, a)."""
        G, s, _ = self.values.shape
        rows = [piece.T.reshape(piece.shape[1], G, -1) for piece in pieces]
        parts = [r.view(*r.shape[:2], -1, s).mT if self.turned else r.view(*r.shape[:2], s, -1) for r in rows]
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)

    def _apart(self, V: Tensor, sizes: Sequence[int]) -> list[Tensor]:
        """The opposite of `_joined`."""
        G, s, _ = self.values.shape
        parts = torch.split(V, [size // (G * s) for size in sizes], dim=-1)
        return [(p.mT if self.turned else p).reshape(len(V), -1).T for p in parts]


class KroneckerOperator(SymmetricOperator):
    """A block-diagonal matrix of `EigenBlock`, and a multiple of the identity.

    Its eigenvalues are known, so that inverses, roots and determinants of it are exact.

    Args:
        space: The parameters.
        blocks: One block for each layer; together they have every parameter once.
        weight_decay: λ of the λI that is added.

    Attributes:
        layers: The blocks.
        weight_decay: λ.
    """

    def __init__(self, space: ParameterSpace, blocks: Sequence[EigenBlock], weight_decay: float) -> None:
        super().__init__(space.size, space.dtype, space.device)
        self.space = space
        self.layers = tuple(blocks)
        self.weight_decay = weight_decay

    def _apply(self, V: Tensor) -> Tensor:
        pieces = torch.split(V, list(self.space.sizes))
        out: list[Tensor] = list(pieces)
        for block in self.layers:
            products = block.multiply([pieces[i] for i in block.members])
            for i, part in zip(block.members, products, strict=True):
                out[i] = part
        return torch.cat(out) + self.weight_decay * V

    @property
    def kinds(self) -> dict[str, str]:
        """What each layer's block is: Kronecker of a ``linear`` one and so on, or ``diagonal``."""
        return {block.name: block.kind for block in self.layers}

    def layer(self, name: str) -> KroneckerOperator:
        """The block of one layer as an operator on its own parameters, λI included.

        Args:
            name: Its name in ``kinds``.
        """
        block = next((b for b in self.layers if b.name == name), None)
        if block is None:
            raise InputError(f"there is no layer '{name}'; known: {', '.join(self.kinds)}.")
        order = sorted(block.members)
        # of the parameters of this layer alone, in the order of θ
        names = tuple(self.space.names[i] for i in order)
        space = replace(self.space, names=names, shapes=tuple(self.space.shapes[i] for i in order))
        inside = replace(block, members=tuple(order.index(i) for i in block.members))
        return KroneckerOperator(space, [inside], self.weight_decay)

    def eigenvalues(self) -> Tensor:
        """All eigenvalues (P,), descending, float64, λ included."""
        values = torch.cat([b.values.reshape(-1).double().cpu() for b in self.layers])
        return values.sort(descending=True).values + self.weight_decay

    def inverse(self, damping: float = 0.0, *, how: Damping = "exact") -> KroneckerOperator:
        """(Ĝ + λI + δI)⁻¹ as an operator.

        Args:
            damping: δ ≥ 0, in the unit of the eigenvalues.
            how: Where it goes.

        Raises:
            InputError: If the damping is negative, or there is none and the matrix is singular.
        """
        return self._of(lambda values: 1.0 / values, damping, how)

    def root(self, power: float, damping: float = 0.0) -> KroneckerOperator:
        """(Ĝ + λI + δI) to a power, such as −½, by which a Gaussian posterior is drawn from.

        Raises:
            InputError: As `inverse`, for negative powers.
        """
        return self._of(lambda values: values**power, damping, "exact", singular=power > 0)

    def _of(
        self, function: Callable[[Tensor], Tensor], damping: float, how: Damping, singular: bool = False
    ) -> KroneckerOperator:
        blocks = []
        for block in self.layers:
            values = self._damped(block, damping, how)
            if not singular:
                self._check(block, values, damping)
            blocks.append(replace(block, values=function(values), factors=None))
        return KroneckerOperator(self.space, blocks, 0.0)

    def logdet(self, damping: float = 0.0) -> float:
        """Ln det(Ĝ + λI + δI), exact.

        Raises:
            InputError: As `inverse`.
        """
        total = 0.0
        for block in self.layers:
            values = self._damped(block, damping, "exact")
            self._check(block, values, damping)
            total += float(values.log().sum())
        return total

    def _damped(self, block: EigenBlock, damping: float, how: Damping) -> Tensor:
        if not (damping >= 0 and math.isfinite(damping)):
            raise InputError(f"the damping must be a number that is not negative; got {damping}.")
        if how not in ("exact", "factored"):
            raise InputError(f"there is no damping '{how}'; known: exact, factored.")
        return block.damped(self.weight_decay + damping, how)

    def _check(self, block: EigenBlock, values: Tensor, damping: float) -> None:
        least, most = float(values.min()), float(values.max())
        if not least > torch.finfo(torch.float64).eps * most:
            raise InputError(
                f"the block of '{block.name}' is singular with a damping of {damping:g} (eigenvalues from"
                f" {least:.3g} to {most:.3g}): give a larger damping."
            )
