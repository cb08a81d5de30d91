"""Symmetric operators: something of size n that multiplies vectors and blocks of vectors.

Algorithms (Lanczos, quadrature, trace estimation) take an operator and know nothing of networks; a
subclass implements one product and nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.linalg.reductions import project_out
from landscape.errors import InputError
from landscape.text import facts_html

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

__all__ = ["DenseOperator", "SymmetricOperator"]


class SymmetricOperator(ABC):
    """A symmetric linear map on R^n, known by its products.

    Operators add (``A + B``), scale (``2 * A``), shift (`shift`), project (`deflate`) and
    take other units (`rescale`).

    Attributes:
        size: n.
        dtype: The dtype it computes in.
        device: The device it computes on.
        products: Number of single-vector products so far.

    Example:
        >>> A = DenseOperator(torch.tensor([[2.0, 1.0], [1.0, 3.0]]))
        >>> (A.shift(-1.0) @ torch.tensor([1.0, 0.0])).tolist()
        [1.0, 1.0]
    """

    def __init__(self, size: int, dtype: torch.dtype, device: torch.device) -> None:
        self.size = size
        self.dtype = dtype
        self.device = device
        self.products = 0

    @abstractmethod
    def _apply(self, V: Tensor) -> Tensor:
        """The product with a block (n, k), k >= 1; returns (n, k)."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return (self.size, self.size)

    @under_own_context
    def __matmul__(self, v: Tensor) -> Tensor:
        """The product with a vector (n,) or a block of vectors (n, k), of the same shape.

        Raises:
            InputError: If the first axis is not of length n.
        """
        v = torch.from_numpy(v) if isinstance(v, np.ndarray) and v.dtype.kind in "biuf" else v
        if not isinstance(v, Tensor):
            raise InputError(f"{type(self).__name__} multiplies tensors; got a {type(v).__name__}.")
        if v.ndim not in (1, 2) or v.shape[0] != self.size:
            raise InputError(
                f"{type(self).__name__} of size {self.size} multiplies ({self.size},) or"
                f" ({self.size}, k); got {tuple(v.shape)}."
            )
        block = v.detach().to(self.device, self.dtype)
        block = block.clone() if block.is_inference() else block  # else autograd could not save it
        block = block if v.ndim == 2 else block[:, None]
        if block.shape[1] == 0:
            return block.clone()
        self.products += block.shape[1]
        product = self._apply(block)
        return product if v.ndim == 2 else product[:, 0]

    def __repr__(self) -> str:
        kind = str(self.dtype).removeprefix("torch.")
        return f"{self._kind()}(size={self.size}, {kind} on {self.device})"

    def _repr_html_(self) -> str:
        facts = {
            "size": f"{self.size} × {self.size}",
            "computed": f"{str(self.dtype).removeprefix('torch.')} on {self.device}",
            "products so far": self.products,
        }
        return facts_html(self._kind(), facts, "Multiplies vectors (n,) and blocks (n, k): A @ v.")

    def _kind(self) -> str:
        return type(self).__name__.lstrip("_")

    def __add__(self, other: SymmetricOperator) -> SymmetricOperator:
        if other.size != self.size:
            raise InputError(f"operators of sizes {self.size} and {other.size} cannot be added.")
        return _Composed(self, lambda V: self @ V + (other @ V).to(self.device, self.dtype))

    def __mul__(self, factor: float) -> SymmetricOperator:
        return _Composed(self, lambda V: factor * (self @ V))

    __rmul__ = __mul__

    def __sub__(self, other: SymmetricOperator) -> SymmetricOperator:
        return self + (-1.0) * other

    def shift(self, sigma: float) -> SymmetricOperator:
        """A + σI: every eigenvalue moves by σ."""
        return _Composed(self, lambda V: self @ V + sigma * V)

    def deflate(self, Q: Tensor) -> SymmetricOperator:
        """(I − QQᵀ) A (I − QQᵀ) for orthonormal columns Q (n, m): eigenpairs in Q become zero."""
        Q = Q.to(self.device, self.dtype)

        return _Composed(self, lambda V: project_out(Q, self @ project_out(Q, V)))

    def rescale(self, t: Tensor) -> SymmetricOperator:
        """TAT for T = diag(t), t (n,): A in parameters measured in units of t."""
        column = t.to(self.device, self.dtype)[:, None]
        return _Composed(self, lambda V: column * (self @ (column * V)))

    def dense(self, block: int = 64) -> Tensor:
        """The whole matrix (n, n), by products with unit vectors. For tiny n and for tests."""
        columns = []
        for start in range(0, self.size, block):
            width = min(block, self.size - start)
            E = torch.zeros(self.size, width, dtype=self.dtype, device=self.device)
            E[torch.arange(start, start + width), torch.arange(width)] = 1.0
            columns.append(self @ E)
        return torch.cat(columns, dim=1)

    def to_scipy(self) -> LinearOperator:
        """A `scipy.sparse.linalg.LinearOperator` over NumPy arrays of the same precision."""
        import numpy as np
        from scipy.sparse.linalg import LinearOperator

        kind = torch.zeros((), dtype=self.dtype).numpy().dtype

        def product(v: Any) -> Any:
            array = np.ascontiguousarray(v, dtype=kind)
            return (self @ torch.from_numpy(array)).cpu().numpy()

        return LinearOperator(
            self.shape, matvec=product, rmatvec=product, matmat=product, rmatmat=product, dtype=kind
        )


class _Composed(SymmetricOperator):
    """An operator made from others by a rule."""

    def __init__(self, like: SymmetricOperator, rule: Callable[[Tensor], Tensor]) -> None:
        super().__init__(like.size, like.dtype, like.device)
        self._rule = rule

    def _apply(self, V: Tensor) -> Tensor:
        return self._rule(V)


class DenseOperator(SymmetricOperator):
    """The operator of a symmetric matrix (n, n).

    Raises:
        InputError: If the matrix is not square or not symmetric.
    """

    def __init__(self, matrix: Tensor) -> None:
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise InputError(f"a dense operator needs a square matrix; got {tuple(matrix.shape)}.")
        scale = float(matrix.abs().max()) if matrix.numel() else 0.0
        if scale and float((matrix - matrix.T).abs().max()) > 1e-4 * scale:
            raise InputError("a dense operator needs a symmetric matrix.")
        super().__init__(matrix.shape[0], matrix.dtype, matrix.device)
        self.matrix = matrix

    def _apply(self, V: Tensor) -> Tensor:
        return self.matrix @ V
