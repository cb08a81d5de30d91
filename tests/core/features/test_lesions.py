"""Lesions against the model with the unit replaced by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import images, snapshot
from torch import nn

from landscape import Problem
from landscape.core.features.lesions import find_sites, lesion, lesion_head
from landscape.core.features.units import Selection


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.same = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.same(self.act(self.conv(x))).mean((2, 3)))


def problem_of(model, size=4):
    x, y = images(6, size)
    return Problem(model.double(), "cross_entropy", (x, y), batch_size=4)


def by_hand(problem, how):
    """Logits with `same` replaced."""
    model, x = problem.module, torch.cat([b.inputs for b in problem.batches])
    before = model.act(model.conv(x))
    out = model.same(before)
    replaced = {
        "remove": torch.zeros_like(out),
        "identity": before,
        "mean": out.mean(0, keepdim=True).expand_as(out),
        "dc": out.mean((2, 3), keepdim=True).expand_as(out),
    }[how]
    return model.head(replaced.mean((2, 3)))


@pytest.mark.parametrize("how", ["remove", "identity", "mean", "dc"])
@torch.no_grad()
def test_a_unit_is_replaced(how):
    """Oracle: the forward pass written out with the unit replaced; afterwards the model is as before."""
    problem = problem_of(Net())
    sites, _ = find_sites(problem, Selection(), None, means=True, heads=False)
    before = snapshot(problem.module)
    site = sites["same"]
    assert site.keeps_shape and site.possible(how)
    with lesion(problem, site, how, 0.25):
        found = torch.cat([problem.output(b)[0] for b in problem.batches])
    torch.testing.assert_close(found, by_hand(problem, how), rtol=1e-12, atol=1e-14)
    assert snapshot(problem.module) == before


@torch.no_grad()
@pytest.mark.parametrize("how", ["remove", "mean", "dc", "lowpass"])
@torch.no_grad()
def test_the_next_layer_may_write_to_what_it_gets(how):
    """Oracle: the layer after `conv` works in place; a copy of the model in which it does not."""
    losses = []
    for inplace in (True, False):
        torch.manual_seed(0)
        model = Net()
        model.act = nn.ReLU(inplace=inplace)
        problem = problem_of(model)
        sites, _ = find_sites(problem, Selection(), None, means=True, heads=False)
        with lesion(problem, sites["conv"], how, 0.25):
            losses.append(problem.loss())
    assert losses[0] == losses[1]


def test_an_input_written_over_is_still_passed_on():
    """Oracle: the convolution's output, which the in-place ReLU would overwrite."""
    problem = problem_of(Net())
    sites, _ = find_sites(problem, Selection(("act",)), None, means=False, heads=False)
    with lesion(problem, sites["act"], "identity", 0.25):
        found = problem.output(problem.batches[0])[0]
    model = problem.module
    expected = model.head(model.same(model.conv(problem.batches[0].inputs)).mean((2, 3)))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def test_what_makes_no_sense_is_not_possible():
    """Oracle: by hand: a layer that changes its shape has no identity, a vector no spatial mean."""
    sites, _ = find_sites(problem_of(Net()), Selection(), None, means=False, heads=False)
    assert not sites["conv"].possible("identity") and not sites["head"].possible("dc")
    assert not sites["same"].possible("mean") and sites["same"].possible("lowpass")


class Attention(nn.Module):
    def __init__(self, fused):
        super().__init__()
        self.attn = nn.MultiheadAttention(4, 2, batch_first=True) if fused else Written()
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = x.squeeze(1)
        x = self.attn(x, x, x, need_weights=False)[0] if hasattr(self.attn, "num_heads") else self.attn(x)
        return self.head(x.mean(1))


class WrittenAttention(nn.Module):
    """Attention with a softmax of its own."""

    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(4, 12), nn.Linear(4, 4)

    def forward(self, x, without=None):
        q, k, v = self.qkv(x).view(len(x), -1, 3, 2, 2).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1)).softmax(-1)
        if without is not None:
            weights = weights.index_fill(1, torch.tensor(without), 0.0)
        return self.out((weights @ v).transpose(1, 2).flatten(2))


Written = WrittenAttention


@pytest.mark.parametrize("fused", [True, False])
@torch.no_grad()
def test_one_head_is_silenced(fused):
    """Oracle: the output projection without the head's columns; or its weights set to zero by hand."""
    problem = problem_of(Attention(fused))
    _, heads = find_sites(problem, Selection(), None, means=False, heads=True)
    assert heads == {"attn": 2}
    model, x = problem.module, problem.batches[0].inputs
    with lesion_head(problem, "attn", 1):
        found = problem.output(problem.batches[0])[0]
    if fused:
        projection = model.attn.out_proj.weight.clone()
        model.attn.out_proj.weight[:, 2:] = 0.0
        expected = model(x)
        model.attn.out_proj.weight.copy_(projection)
    else:
        expected = model.head(model.attn(x.squeeze(1), without=[1]).mean(1))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    assert not torch.allclose(found, model(x))


class Named(nn.Module):
    """Calls its middle part by keyword, as models of text do."""

    def __init__(self):
        super().__init__()
        self.conv, self.act = nn.Conv2d(1, 2, 3, padding=1), Scaled()
        self.head = nn.Linear(2, 3)

    def forward(self, x):
        return self.head(self.act(scale=2.0, x=self.conv(x)).mean((2, 3)))


class Scaled(nn.Module):
    """Multiplies."""

    def forward(self, x, scale):
        return scale * x.tanh()


@torch.no_grad()
def test_an_input_given_by_name_is_passed_on():
    """Oracle: the model without its middle part, by hand."""
    problem = problem_of(Named())
    sites, _ = find_sites(problem, Selection(("act",)), None, means=False, heads=False)
    assert sites["act"].keeps_shape
    with lesion(problem, sites["act"], "identity", 0.25):
        found = problem.output(problem.batches[0])[0]
    model = problem.module
    expected = model.head(model.conv(problem.batches[0].inputs).mean((2, 3)))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


class TwoScales(nn.Module):
    """One convolution for an image and for its half."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1)

    def forward(self, x):
        return sum(self.conv(s).mean((2, 3)) for s in (x, nn.functional.avg_pool2d(x, 2)))


def test_a_unit_shared_by_branches_of_unlike_size_has_no_mean_and_no_one_map():
    """Oracle: it puts out maps of two sizes, so that only its removal, zeros of each, makes sense."""
    problem = problem_of(TwoScales())
    selection = Selection(("conv",), ("convolution",))
    sites, _ = find_sites(problem, selection, None, means=True, heads=False)
    possible = {how for how in ("remove", "identity", "mean", "dc", "lowpass") if sites["conv"].possible(how)}
    assert possible == {"remove"}
    with lesion(problem, sites["conv"], "remove", 0.1):
        assert problem.measure().loss == pytest.approx(np.log(3.0), abs=1e-12)
