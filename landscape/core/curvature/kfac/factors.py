"""KFAC and EKFAC: the Gauss-Newton matrix layer by layer, as products of small factors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.curvature.checks import check_jacobian, check_loss_curvature
from landscape.core.curvature.kfac.eigen_blocks import EigenBlock, KroneckerOperator
from landscape.core.curvature.kfac.layer_plan import Layer, Plan, plan_layers
from landscape.core.curvature.kfac.layer_uses import LayerUse, watched_layers
from landscape.core.curvature.kfac.loss_roots import Roots, backward_columns
from landscape.core.data.batches import Batch
from landscape.core.problem.derivatives.gradient import check_gradient
from landscape.core.problem.problem import Problem
from landscape.errors import InputError

__all__ = ["MOST_PASSES", "Setting", "diagonal_ggn", "ekfac", "kfac"]

Setting = Literal["expand", "reduce"]
"""What positions that share a weight are: examples of their own (each token has a loss), or parts of one
example (Eschenhagen et al. 2023, section 3)."""

MOST_PASSES = 20_000
"""Backward passes through single examples, for parameters that are in no layer with a block of its own."""

BYTES = 2**27
"""Of gradients by example that are in memory at a time."""


@under_own_context
def kfac(
    problem: Problem,
    *,
    setting: Setting = "expand",
    roots: Roots = "exact",
    samples: int = 1,
    seed: int = 0,
) -> KroneckerOperator:
    """The Gauss-Newton matrix as a block Ĝ = S ⊗ A for each layer, weight decay λI added, of size P.

    A is the second moment of what a layer gets, S that of the loss's slopes in what it puts out. Exact for
    one linear layer under a squared error. Linear layers, convolutions (of groups as well), embeddings
    (whose A is diagonal); of norms' scales, and of all parameters that no layer uses as its weight or bias,
    the diagonal of the Gauss-Newton matrix itself. Weight and bias of a layer are one block. A layer that is
    called several times, or whose weight two layers share, has all of its calls as positions.

    Args:
        problem: The problem, on one rank.
        setting: What positions that share a weight are.
        roots: ``"exact"``, one backward pass for each output; ``"mc"``, ``samples`` random ones; or
            ``"empirical"``, gradients at the data's own targets (the empirical Fisher matrix).
        samples: Random passes, of ``"mc"``.
        seed: Their seed.

    Raises:
        InputError: If outputs or layers do not keep the examples apart, BatchNorm has the statistics of the
            batch, the loss is not convex, or an option is wrong.

    Reference:
        Martens & Grosse (2015), Optimizing neural networks with Kronecker-factored approximate curvature,
        section 3; Grosse & Martens (2016) for convolutions; Eschenhagen et al. (2023) for shared weights.

    Example:
        >>> model = torch.nn.Linear(2, 1, bias=False)
        >>> problem = Problem(model, "half_squared_error", (torch.eye(2), torch.zeros(2, 1)))
        >>> kfac(problem).dense().tolist()
        [[0.5, 0.0], [0.0, 0.5]]
    """
    return _Fit(problem, roots, samples, seed).kronecker(setting)


@under_own_context
def ekfac(
    problem: Problem,
    *,
    setting: Setting = "expand",
    roots: Roots = "exact",
    samples: int = 1,
    seed: int = 0,
) -> KroneckerOperator:
    """`kfac` with eigenvalues of its own: Λᵢⱼ = E (qᵢᵀ ∇ qⱼ)² over gradients ∇ by example, in KFAC's basis.

    Of all matrices with these eigenvectors the nearest to each layer's block in the Frobenius norm. One
    pass over the data more.

    Args:
        problem: As of `kfac`.
        setting: That of the basis.
        roots: As of `kfac`.
        samples: As of `kfac`.
        seed: As of `kfac`.

    Raises:
        InputError: As `kfac`.

    Reference:
        George et al. (2018), Fast approximate natural gradient descent in a Kronecker-factored eigenbasis.
    """
    fit = _Fit(problem, roots, samples, seed)
    return fit.corrected(fit.kronecker(setting))


@under_own_context
def diagonal_ggn(
    problem: Problem, *, roots: Roots = "exact", samples: int = 1, seed: int = 0
) -> KroneckerOperator:
    """The diagonal of the Gauss-Newton matrix, weight decay λI added, as such an operator.

    Args:
        problem: As of `kfac`.
        roots: As of `kfac`.
        samples: As of `kfac`.
        seed: As of `kfac`.

    Raises:
        InputError: As `kfac`.
    """
    fit = _Fit(problem, roots, samples, seed)
    bare = [replace(b, left=None, right=None, factors=None) for b in fit.empty_blocks()]
    return fit.corrected(KroneckerOperator(problem.space, bare, problem.weight_decay))


@dataclass
class _Moments:
    """Sums over the data for one layer."""

    inputs: Tensor | None = None
    slopes: Tensor | None = None
    positions: int = 0

    def add_inputs(self, moment: Tensor, positions: int) -> None:
        self.inputs = moment if self.inputs is None else self.inputs + moment
        self.positions += positions

    def add_slopes(self, moment: Tensor) -> None:
        self.slopes = moment if self.slopes is None else self.slopes + moment


class _Fit:
    """Passes over the data of a problem."""

    def __init__(self, problem: Problem, roots: Roots, samples: int, seed: int) -> None:
        if not isinstance(problem, Problem):
            raise InputError(f"KFAC is made of a Problem; got a {type(problem).__name__}.")
        if roots not in ("exact", "mc", "empirical"):
            raise InputError(f"there are no roots '{roots}'; known: empirical, exact, mc.")
        if samples < 1:
            raise InputError(f"the number of samples must be at least 1; got {samples}.")
        if problem.batchnorm == "batch":
            raise InputError("KFAC needs gradients by example; take batchnorm='checkpoint'.")
        problem.vouch(check_gradient, check_jacobian, check_loss_curvature)
        self.problem = problem
        self.roots: Roots = roots
        self.samples, self.seed = samples, seed
        self.plan: Plan = plan_layers(problem)
        self._rest: dict[int, Tensor] | None = None

    def kronecker(self, setting: Setting) -> KroneckerOperator:
        """One pass for the factors."""
        if setting not in ("expand", "reduce"):
            raise InputError(f"there is no setting '{setting}'; known: expand, reduce.")
        moments = {layer.name: _Moments() for layer in self.plan.layers}
        for fired, uses, gradients in self._passes():
            for layer, places in fired:
                here = [uses[i] for i in places]
                into = moments[layer.name]
                if gradients is None:
                    if layer.kind != "norm":
                        into.add_inputs(*_input_moment(layer, here, setting))
                    continue
                slopes = [gradients[i] for i in places]
                if layer.kind == "norm":
                    into.add_slopes(
                        layer.of_scale(here, slopes).square().sum(0, dtype=torch.float64)[None, None]
                    )
                    continue
                rows = layer.slopes(here, slopes)
                rows = (
                    rows.sum(1, keepdim=True) if setting == "reduce" and layer.kind != "embedding" else rows
                )
                into.add_slopes(torch.einsum("btgi,btgj->gij", rows, rows).double())
        blocks = [self._block(layer, moments[layer.name]) for layer in self.plan.layers]
        return KroneckerOperator(self.problem.space, blocks + self._others(), self.problem.weight_decay)

    def corrected(self, operator: KroneckerOperator) -> KroneckerOperator:
        """One pass for the eigenvalues in the operator's basis."""
        blocks = {b.name: b for b in operator.layers}
        sums = {name: torch.zeros_like(b.values) for name, b in blocks.items()}
        layers = {layer.name for layer in self.plan.layers}
        for fired, uses, gradients in self._passes():
            if gradients is None:
                continue
            for layer, places in fired:
                block = blocks[layer.name]
                here, slopes = [uses[i] for i in places], [gradients[i] for i in places]
                sums[layer.name] += _squares(layer, block, here, slopes)
        known = {name: values / self.problem.examples for name, values in sums.items()}
        made = [
            replace(b, values=known[b.name] if b.name in layers else b.values, factors=None)
            for b in operator.layers
        ]
        return KroneckerOperator(self.problem.space, made, self.problem.weight_decay)

    def empty_blocks(self) -> list[EigenBlock]:
        """Blocks of zeros in the unit vectors, and the others."""
        blocks = []
        for layer in self.plan.layers:
            weight = self.problem.space.shapes[layer.members[0]]
            entries = sum(self.problem.space.sizes[i] for i in layer.members)
            groups = getattr(layer.modules[0], "groups", 1)
            outputs = (
                1 if layer.kind == "norm" else weight[1] if layer.kind == "embedding" else weight[0] // groups
            )
            zeros = torch.zeros(groups, outputs, entries // (groups * outputs), dtype=torch.float64)
            kind = "diagonal"
            turned = layer.kind == "embedding"
            blocks.append(EigenBlock(layer.name, kind, layer.members, turned, None, None, zeros))
        return blocks + self._others()

    def _passes(
        self,
    ) -> Iterator[tuple[list[tuple[Layer, list[int]]], list[LayerUse], list[Tensor] | None]]:
        """Layers, uses and gradients in their outputs: of each batch without gradients, then by column."""
        start = 0
        for batch in self.problem.batches:
            with torch.enable_grad(), watched_layers(self.problem) as uses:
                output, target = self.problem.output(batch)
            fired = self.plan.by_layer(uses)
            yield fired, uses, None
            leaves = [u.output for u in uses]
            if output.requires_grad and leaves:
                for column in self._columns(output, target, batch, start):
                    found = torch.autograd.grad(output, leaves, column, retain_graph=True, allow_unused=True)
                    yield (
                        fired,
                        uses,
                        [torch.zeros_like(o) if g is None else g for g, o in zip(found, leaves, strict=True)],
                    )
            start += batch.size

    def _columns(self, output: Tensor, target: Tensor, batch: Batch, start: int) -> Iterator[Tensor]:
        return backward_columns(
            self.problem,
            output,
            target,
            batch,
            start,
            self.roots,
            self.samples,
            self.seed,
        )

    def _block(self, layer: Layer, moments: _Moments) -> EigenBlock:
        """The block of a layer from its sums."""
        N = self.problem.examples
        if moments.slopes is None:
            raise InputError(
                f"the loss {self.problem.loss_name} has no curvature in the outputs, so that KFAC is zero."
            )
        if layer.kind == "norm":
            values = moments.slopes[None] / N
            return EigenBlock(
                layer.name, "diagonal", layer.members, False, None, None, values[0].reshape(1, 1, -1)
            )
        assert moments.inputs is not None
        S, left = _eigen(moments.slopes / N)
        inputs = moments.inputs / moments.positions
        A, right = (inputs, None) if layer.kind == "embedding" else _eigen(inputs)
        values = S[..., :, None] * A[..., None, :]
        turned = layer.kind == "embedding"
        dtype = self.problem.dtype
        bases = left.to(dtype), None if right is None else right.to(dtype)
        return EigenBlock(layer.name, layer.kind, layer.members, turned, *bases, values, (S, A))

    def _others(self) -> list[EigenBlock]:
        """Diagonal blocks of the parameters in no layer, by a backward pass per example and column."""
        if self._rest is None:
            self._rest = self._example_by_example()
        names = self.problem.space.names
        return [
            EigenBlock(names[i], "diagonal", (i,), False, None, None, values.reshape(1, 1, -1))
            for i, values in self._rest.items()
        ]

    def _example_by_example(self) -> dict[int, Tensor]:
        problem, others = self.problem, self.plan.others
        sums = {
            i: torch.zeros(problem.space.sizes[i], dtype=torch.float64, device=problem.device) for i in others
        }
        leaves = [problem.parameters[i] for i in others]
        start = passes = 0
        for batch in problem.batches if others else []:
            for one in batch.split(1):
                with torch.enable_grad():
                    output, target = problem.output(one)
                if len(output) != 1:
                    raise InputError(
                        "the data come in batches that cannot be taken apart into single examples."
                    )
                columns = self._columns(output, target, one, start) if output.requires_grad else iter(())
                start += 1
                for column in columns:
                    passes += 1
                    found = torch.autograd.grad(output, leaves, column, retain_graph=True, allow_unused=True)
                    for i, gradient in zip(others, found, strict=True):
                        if gradient is not None:
                            sums[i] += gradient.reshape(-1).double().square()
                if start == 1:
                    self._check_passes(passes)
        return {i: total / problem.examples for i, total in sums.items()}

    def _check_passes(self, each: int) -> None:
        total = each * self.problem.examples
        if total > MOST_PASSES:
            names = [self.problem.space.names[i] for i in self.plan.others]
            raise InputError(
                f"parameter '{names[0]}' ({len(names)} in all) is in no layer that has a Kronecker block, and"
                f" its diagonal takes {total} backward passes by example (the limit is {MOST_PASSES}): give"
                " fewer examples, roots='mc', or choose the others with parameters=."
            )


def _input_moment(layer: Layer, uses: Sequence[LayerUse], setting: Setting) -> tuple[Tensor, int]:
    """Second moment of a batch's inputs (G, a, a), of an embedding its diagonal (1, V), and its rows."""
    rows = layer.rows(uses)
    if layer.kind == "embedding":
        counts = layer.one_hot(rows, torch.zeros((), dtype=torch.float64, device=rows.device)).sum((0, 1, 2))
        return counts[None], rows.numel()
    rows = rows.mean(1, keepdim=True) if setting == "reduce" else rows
    return torch.einsum("btgi,btgj->gij", rows, rows).double(), rows.shape[0] * rows.shape[1]


def _squares(
    layer: Layer, block: EigenBlock, uses: Sequence[LayerUse], gradients: Sequence[Tensor]
) -> Tensor:
    """Sum over examples of the squares of their gradients in the block's basis (G, s, a)."""
    if layer.kind == "norm":
        return layer.of_scale(uses, gradients).square().sum(0, dtype=torch.float64).reshape(1, 1, -1)
    total = torch.zeros_like(block.values)
    rows, slopes = layer.rows(uses), layer.slopes(uses, gradients)
    step = max(1, BYTES // (block.values.numel() * slopes.element_size()))
    for first in range(0, len(slopes), step):
        a, g = rows[first : first + step], slopes[first : first + step]
        a = layer.one_hot(a, g) if layer.kind == "embedding" else a
        g = g if block.left is None else torch.einsum("btgs,gsi->btgi", g, block.left)
        a = a if block.right is None else torch.einsum("btga,gai->btgi", a, block.right)
        total += torch.einsum("btgs,btga->bgsa", g, a).double().square().sum(0)
    return total


def _eigen(moment: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (G, n) and vectors (G, n, n) of a second moment."""
    values, vectors = torch.linalg.eigh((moment + moment.mT) / 2)
    return values.clamp_min(0), vectors
