"""Query, key and value of attention as parts of parameters, in all or by head."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from landscape.core.curvature.blocks import DiagonalBlock, Entries
from landscape.core.curvature.operator import CurvatureOperator
from landscape.core.linalg.operators import SymmetricOperator
from landscape.errors import InputError

__all__ = ["attention_blocks"]

FUSED = ("in_proj_weight", "in_proj_bias", "qkv.*", "to_qkv.*", "query_key_value.*")
"""Parameters of an attention module, by name within it, that hold queries, keys and values in this order."""

SINGLE = {
    "query": ("q_proj*", "query.*", "to_q.*", "wq.*", "q.*", "q_lin.*"),
    "key": ("k_proj*", "key.*", "to_k.*", "wk.*", "k.*", "k_lin.*"),
    "value": ("v_proj*", "value.*", "to_v.*", "wv.*", "v.*", "v_lin.*"),
}
"""Those that hold one of them."""


def attention_blocks(whole: CurvatureOperator, *, heads: bool) -> dict[str, SymmetricOperator]:
    """Diagonal blocks of each parameter tensor, those of attention cut into query, key and value.

    A module is attention if it has a number of heads (``num_heads`` or ``heads``) and projections of known
    names. Fused ones are read as torch's and timm's are: queries first, then keys, then values, each head by
    head.

    Args:
        whole: The operator, of size P.
        heads: Whether the parts are cut by head, too.

    Returns:
        Operators by name, such as ``attn.qkv.weight[key 0]``, in the order of θ.

    Raises:
        InputError: If no attention is found.
    """
    problem = whole.problem
    cuts = {p: parts for module in problem.module.modules() for p, parts in _parts(module, heads)}
    by_identity = dict(problem.module.named_parameters())
    found: dict[str, SymmetricOperator] = {}
    cut = 0
    for position, name in enumerate(problem.space.names):
        block = DiagonalBlock(whole, [position])
        parts = cuts.get(by_identity[name])
        if parts is None:
            found[name] = block
            continue
        cut += 1
        rows = problem.space.shapes[position][0]
        entries = torch.arange(block.size).view(rows, -1)
        for part, at in parts:
            found[f"{name}[{part}]"] = Entries(block, entries[at].reshape(-1))
    if not cut:
        raise InputError(
            f"{type(problem.module).__name__} has no attention whose query, key and value are known by their"
            " names among the chosen parameters; take by='parameter' or by='module'."
        )
    return found


def _parts(module: nn.Module, by_head: bool) -> Iterator[tuple[nn.Parameter, list[tuple[str, Tensor]]]]:
    """Parameters of an attention module, and the names and rows of their parts."""
    count: Any = getattr(module, "num_heads", getattr(module, "heads", None))
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        return
    for name, parameter in module.named_parameters():
        if name.count(".") > 1 or not parameter.ndim:
            continue
        rows = len(parameter)
        kinds = [kind for kind, globs in SINGLE.items() if any(fnmatchcase(name, g) for g in globs)]
        if any(fnmatchcase(name, g) for g in FUSED):
            kinds = list(SINGLE)
        if not kinds or rows % (len(kinds) * (count if by_head else 1)):
            continue
        each = torch.arange(rows).chunk(len(kinds))
        parts = []
        for kind, at in zip(kinds, each, strict=True):
            if by_head:
                parts += [(f"{kind} {h}", piece) for h, piece in enumerate(at.view(count, -1))]
            else:
                parts.append((kind, at))
        yield parameter, parts
