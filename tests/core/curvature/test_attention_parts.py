"""Query, key and value of attention as rows of parameters."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import landscape
from landscape.core.curvature.attention_parts import attention_blocks
from landscape.core.curvature.operator import hessian
from landscape.errors import InputError
from landscape.reference.models import vit


class Attends(nn.Module):
    """torch's attention over four tokens."""

    def __init__(self, **options):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True, **options)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.attention(x, x, x, need_weights=False)[0].mean(1))


def problem(**options):
    torch.manual_seed(0)
    x, y = torch.randn(5, 4, 4).double(), torch.arange(5) % 2
    return landscape.Problem(Attends(**options).double(), "cross_entropy", (x, y), check_derivatives=False)


def test_heads_of_a_fused_projection():
    """Oracle: rows and columns of the whole Hessian: torch puts queries first, each head by head."""
    subject = problem()
    H = hessian(subject)
    dense = H.dense()
    found = attention_blocks(H, heads=True)
    names = [n for n in found if n.startswith("attention.in_proj_weight")]
    assert names[:3] == [f"attention.in_proj_weight[{p}]" for p in ("query 0", "query 1", "key 0")]
    assert len(names) == 6
    start = 8 * 2  # of key 0: two heads of queries, two rows of four each
    rows = slice(start + 0, start + 8)
    torch.testing.assert_close(found[names[2]].dense(), dense[rows, rows])
    assert sum(block.size for block in found.values()) == subject.size


def test_whole_projections():
    """Oracle: a third of the fused rows each."""
    found = attention_blocks(hessian(problem()), heads=False)
    assert [found[f"attention.in_proj_weight[{k}]"].size for k in ("query", "key", "value")] == [16] * 3


class Separate(nn.Module):
    """Attention with three projections, as transformers name them."""

    def __init__(self):
        super().__init__()
        self.num_heads = 2
        self.query, self.key, self.value = (nn.Linear(4, 4) for _ in range(3))

    def forward(self, x):
        return self.query(x) + self.key(x) * self.value(x)


def test_projections_of_their_own():
    """Oracle: each of the three has two heads of two rows; the reference transformer's are fused."""
    x, y = torch.randn(3, 4), torch.randn(3, 4)
    found = attention_blocks(hessian(landscape.Problem(Separate(), "mse", (x, y))), heads=True)
    assert [*found][:2] == ["query.weight[query 0]", "query.weight[query 1]"]
    assert [block.size for block in found.values()] == 3 * [8, 8, 2, 2]
    model = vit(depth=1, image=8, patch=4, dim=4, heads=2, classes=3)
    image = landscape.Problem(model, "cross_entropy", (torch.randn(3, 1, 8, 8), torch.arange(3)))
    assert sum("qkv.weight[" in name for name in attention_blocks(hessian(image), heads=True)) == 6


def test_models_without_attention_are_told():
    """Oracle: by inspection."""
    plain = landscape.Problem(nn.Linear(2, 2), "mse", (torch.zeros(3, 2), torch.zeros(3, 2)))
    with pytest.raises(InputError, match="no attention"):
        attention_blocks(hessian(plain), heads=True)
