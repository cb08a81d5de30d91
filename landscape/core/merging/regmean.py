"""RegMean: the weights of each linear layer whose outputs are nearest to those of all models' layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.curvature.kfac.layer_plan import plan_layers
from landscape.core.curvature.kfac.layer_uses import watched_layers
from landscape.core.merging.states import Weights
from landscape.core.problem.problem import Problem
from landscape.errors import InputError

__all__ = ["input_grams", "regmean"]

KINDS = ("linear", "convolution")

PIECE = 2**23
"""Entries of inputs that are in float64 at a time: those of convolutions are unfolded."""


@under_own_context
def input_grams(problem: Problem) -> dict[str, Tensor]:
    """Sums of xxᵀ over what each linear layer and convolution sees, by the name of its weight.

    Rows x are a layer's inputs at each position of each example, of a convolution its unfolded inputs; the
    matrices are (G, a, a) with G the groups of a convolution (1 otherwise), in float64. Layers whose weight
    is used in ways that hooks do not see have none.

    Args:
        problem: At the point that its model holds.

    Raises:
        InputError: If the model does not put out one tensor with the examples first.
    """
    layers = [layer for layer in plan_layers(problem, apart=False).layers if layer.kind in KINDS]
    names = {layer.name: problem.space.names[layer.members[0]] for layer in layers if layer.weight}
    grams: dict[str, Tensor] = {}
    for batch in problem.batches:
        with torch.enable_grad(), watched_layers(problem) as uses:
            problem.output(batch)
        for use in uses:
            layer = next((la for la in layers if la.weight and use.module in la.modules), None)
            if layer is None:
                continue
            rows = use.inputs(bias=False).flatten(0, 1).movedim(1, 0)  # (G, positions, a)
            name = names[layer.name]
            for piece in torch.split(rows, max(1, PIECE // max(rows[:, 0].numel(), 1)), 1):
                piece = piece.double()
                found = piece.mT @ piece
                grams[name] = grams[name] + found if name in grams else found
    return grams


@torch.no_grad()
def regmean(
    states: Sequence[Weights], grams: Sequence[Weights], *, shrink: float = 0.9
) -> tuple[dict[str, Tensor], list[str]]:
    """For each layer W = (Σᵢ WᵢGᵢ)(Σᵢ Gᵢ)⁻¹, of all other tensors the mean; and which tensors those are.

    W minimises Σᵢ ‖(W − Wᵢ)Xᵢ‖² of the inputs Xᵢ of each model, Gᵢ = XᵢXᵢᵀ. The off-diagonal entries of
    every Gᵢ are first multiplied by ``shrink``. In directions that no model's inputs have it is the mean.

    Args:
        states: The models.
        grams: `input_grams` of each.
        shrink: α in [0, 1]; with 1 the least-squares solution, with 0 a mean weighted by mean squared inputs.

    Raises:
        InputError: If ``shrink`` is no such number.

    Reference:
        Jin et al. (2023), Dataless knowledge fusion by merging weights of language models, equations 2 and
        3 and section 3.3.
    """
    if not 0.0 <= shrink <= 1.0:
        raise InputError(f"shrink of RegMean lies in [0, 1]; got {shrink}.")
    merged, plain = {}, []
    for name, first in states[0].items():
        values = torch.stack([state[name].double() for state in states])
        mean = values.mean(0)
        if any(name not in gram for gram in grams):
            merged[name] = mean.to(first.dtype)
            plain.append(name)
            continue
        groups = grams[0][name].shape[0]
        total: Tensor | float = 0.0
        pulled: Tensor | float = 0.0
        centre = mean.reshape(groups, first.shape[0] // groups, -1)
        for value, gram in zip(values, grams, strict=True):
            G = _shrunk(gram[name].to(value.device), shrink)
            total = total + G
            pulled = pulled + (value.reshape(centre.shape) - centre) @ G
        assert isinstance(total, Tensor)
        # From the mean, so that what no input tells stays there: a pseudoinverse alone would put 0 there.
        step = pulled @ torch.linalg.pinv(total, hermitian=True)
        merged[name] = (centre + step).reshape(first.shape).to(first.dtype)
    return merged, plain


def _shrunk(gram: Tensor, shrink: float) -> Tensor:
    diagonal = torch.diag_embed(gram.diagonal(dim1=-2, dim2=-1))
    return shrink * gram + (1.0 - shrink) * diagonal
