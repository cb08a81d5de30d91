"""Attention weights and sums seen at torch's functions, against the functions themselves."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import nn

from landscape.core.features import function_hooks
from landscape.core.features.function_hooks import FunctionTap, attention_weights


def queries(heads=2, keys=2):
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(3, h, 5, 4, generator=generator, dtype=torch.float64) for h in (heads, keys))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"is_causal": True},
        {"scale": 0.3},
        {"attn_mask": torch.arange(25.0, dtype=torch.float64).view(5, 5) / 9},
        {"attn_mask": torch.ones(3, 1, 5, 5, dtype=torch.bool).tril()},
        {"enable_gqa": True},
    ],
)
@pytest.mark.parametrize("chunk", [1, 1 << 22])
def test_weights_are_what_attention_does_to_unit_values(options, chunk, monkeypatch):
    """Oracle: torch's own attention with the identity as values gives its weights."""
    monkeypatch.setattr(function_hooks, "_CHUNK", chunk)
    q, k = queries(2, 1 if options.get("enable_gqa") else 2)
    unit = torch.eye(5, dtype=torch.float64).expand(3, k.shape[1], 5, 5)
    expected = F.scaled_dot_product_attention(q, k, unit, **options)
    torch.testing.assert_close(torch.cat(list(attention_weights(q, k, unit, **options))), expected)
    first = torch.cat(list(attention_weights(q, k, unit, **options, rows=2)))
    torch.testing.assert_close(first, expected[:2])


@pytest.mark.parametrize("masked", [True, False])
def test_multihead_weights_are_the_modules_own(masked, monkeypatch):
    """Oracle: the module asked for its weights; with a mask by example it is not cut."""
    monkeypatch.setattr(function_hooks, "_CHUNK", 1)
    module = nn.MultiheadAttention(6, 2, batch_first=True).double()
    x = torch.randn(4, 5, 6, dtype=torch.float64)
    mask = torch.zeros(4, 5, dtype=torch.bool)
    mask[1, 3:] = True
    given = {"key_padding_mask": mask} if masked else {}
    found = []
    tap = FunctionTap(lambda rows, weights: found.extend(weights(3)), None, lambda: False)
    with torch.no_grad(), tap:
        module(x, x, x, need_weights=False, **given)
    expected = module(x, x, x, average_attn_weights=False, **given)[1]
    torch.testing.assert_close(torch.cat(found), expected[:3])


def test_sums_of_features_are_reported_before_they_are_written():
    """Oracle: the operands by hand; other shapes, and what happens while quiet, are not reported."""
    seen = []

    def on_sum(a, b, call):
        seen.append((a.clone(), b.clone()))
        return call()

    quiet = False
    a, b = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    before = a.clone()
    with FunctionTap(None, on_sum, lambda: quiet):
        a += b
        _ = a + torch.randn(4)
        quiet = True
        _ = a + b
    assert len(seen) == 1 and torch.equal(seen[0][0], before) and torch.equal(a, before + b)


def test_only_a_softmax_over_square_scores_is_attention():
    """Oracle: shapes: a softmax over classes, or over another axis, is none."""
    found = []
    scores = torch.randn(2, 2, 3, 3)
    with FunctionTap(lambda rows, weights: found.append(rows), None, lambda: False):
        scores.softmax(-1)
        torch.softmax(scores, dim=1)
        F.softmax(torch.randn(2, 5), dim=-1)
        F.softmax(torch.randn(2, 2, 3, 4), dim=-1)
    assert found == [2]
