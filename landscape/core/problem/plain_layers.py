"""Layers of the private copy made plain: their gradients are those of the loss, and they write nothing.

Some layers take short cuts that serve training: sparse gradients, gradients divided by how often a token
occurs, or none for the padding token; weights cut to a norm in the forward pass. The risk L(θ) is a function
of all its parameters, and what autograd gives has to be its derivative. Values are the same up to rounding.
"""

from __future__ import annotations

from functools import partial

import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

__all__ = ["make_plain"]


def make_plain(model: nn.Module) -> None:
    """Change the layers of a private copy in place."""
    for module in model.modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            module.sparse = module.scale_grad_by_freq = False
        if isinstance(module, nn.RNNBase):
            vars(module)["flatten_parameters"] = _leave  # it would move the weights
        # a forward pass of its own may read these options in ways of its own
        if isinstance(module, nn.Embedding) and type(module).forward is nn.Embedding.forward:
            vars(module)["forward"] = partial(_look_up, module)
        if isinstance(module, nn.EmbeddingBag) and type(module).forward is nn.EmbeddingBag.forward:
            vars(module)["forward"] = partial(_look_up_bags, module)


def _leave() -> None:
    """Leave the weights where they are: views of one flat vector."""


def _look_up(table: nn.Embedding, input: Tensor) -> Tensor:
    """The rows of a table, the padding token's one of them like any other."""
    return F.embedding(input, _cut(table))


def _look_up_bags(
    table: nn.EmbeddingBag,
    input: Tensor,
    offsets: Tensor | None = None,
    per_sample_weights: Tensor | None = None,
) -> Tensor:
    return F.embedding_bag(
        input,
        _cut(table),
        offsets,
        mode=table.mode,
        per_sample_weights=per_sample_weights,
        include_last_offset=table.include_last_offset,
        padding_idx=table.padding_idx,
    )


def _cut(table: nn.Embedding | nn.EmbeddingBag) -> Tensor:
    """The rows, longer ones scaled down to ``max_norm`` as `torch.nn.functional.embedding` does in place."""
    weight: Tensor = table.weight
    if table.max_norm is None:
        return weight
    norms = weight.norm(table.norm_type, dim=1, keepdim=True)
    longer = norms > table.max_norm
    one = norms.new_ones(())
    # rows that are not longer take no part: the norm of a row of zeros has no derivative
    scale: Tensor = (table.max_norm / (norms.where(longer, one) + 1e-7)).where(longer, one)
    return weight * scale
