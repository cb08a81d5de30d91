"""``lesion`` against the same models with the unit replaced by hand."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from cases import CASES, Patches, SelfAttention, images, snapshot
from torch import nn

import landscape
from landscape import Problem
from landscape.core.features.transfer import low_pass
from landscape.errors import InputError
from landscape.reference.models import resnet, vit


def seeded(make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().double().eval()


X, Y = images(13, 16)
VIT = seeded(lambda: vit(depth=2, image=16, classes=3))
RESNET = seeded(lambda: resnet(classes=3))


def losses(model, x=X, y=Y):
    with torch.no_grad():
        return F.cross_entropy(model(x), y, reduction="none")


class Instead(nn.Module):
    """A module whose output is changed."""

    def __init__(self, module, change):
        super().__init__()
        self.module, self.change = module, change

    def forward(self, x):
        return self.change(x, self.module(x))


def by_hand(model, name, change):
    """Losses of a copy of the model with one module's output changed."""
    changed = copy.deepcopy(model)
    parent, _, last = name.rpartition(".")
    owner = changed.get_submodule(parent)
    setattr(owner, last, Instead(owner.get_submodule(last), change))
    return losses(changed)


def tokens_smooth(smooth):
    def change(_, out):
        maps = out[:, 1:].transpose(1, 2).reshape(len(out), -1, 4, 4)
        return torch.cat([out[:, :1], smooth(maps).flatten(2).transpose(1, 2)], 1)

    return change


@pytest.mark.parametrize(
    ("model", "name", "how", "change"),
    [
        (VIT, "blocks.0.attn", "remove", lambda x, out: 0 * out),
        (VIT, "blocks.1.mlp", "remove", lambda x, out: 0 * out),
        (VIT, "blocks.1.mlp", "identity", lambda x, out: x),
        (VIT, "blocks.0", "remove", lambda x, out: x),
        (VIT, "blocks.0.attn", "mean", lambda x, out: out.mean(0, keepdim=True).expand_as(out)),
        (VIT, "blocks.0.attn", "dc", tokens_smooth(lambda m: m.mean((2, 3), keepdim=True).expand_as(m))),
        (VIT, "blocks.0.attn", "lowpass", tokens_smooth(lambda m: low_pass(m, 0.3))),
        (RESNET, "stages.0.0", "remove", lambda x, out: x),
        (RESNET, "stages.1.0.conv1", "remove", lambda x, out: 0 * out),
        (RESNET, "stages.1.0.conv1", "dc", lambda x, out: out.mean((2, 3), keepdim=True).expand_as(out)),
        (RESNET, "stem.conv", "lowpass", lambda x, out: low_pass(out, 0.3)),
    ],
)
def test_a_lesion_is_the_model_with_the_unit_replaced(model, name, how, change):
    """Oracle: a copy with the module wrapped by hand; paired errors in NumPy; uneven batches."""
    problem = Problem(model, "cross_entropy", (X, Y), batch_size=5, weight_decay=0.1)
    ds = landscape.lesion(problem, layers=[name], replacements=[how], cutoff=0.3)
    i = list(ds["unit"].values).index(name)
    difference = (by_hand(model, name, change) - losses(model)).numpy()
    assert abs(difference).max() > 1e-4
    assert float(ds["delta_loss"][i, 0]) == pytest.approx(difference.mean(), rel=1e-9)
    assert float(ds["delta_loss_se"][i, 0]) == pytest.approx(difference.std(ddof=1) / 13**0.5, rel=1e-9)
    assert float(ds["loss"]) == pytest.approx(float(losses(model).mean()), rel=1e-12)


def test_units_come_in_firing_order_with_their_kinds():
    """Oracle: the architecture, written out."""
    ds = landscape.lesion(Problem(VIT, "cross_entropy", (X, Y)), replacements=["remove"])
    assert list(ds["unit"].values) == [
        "patch_embed",
        *(f"blocks.{i}{part}" for i in (0, 1) for part in (".attn", ".mlp", "")),
    ]
    assert list(ds["kind"].values[:4]) == ["downsampling", "attention", "mlp", "block"]


def test_a_block_that_changes_the_shape_cannot_be_skipped():
    """Oracle: NaN for it, numbers for its convolutions."""
    ds = landscape.lesion(Problem(RESNET, "cross_entropy", (X, Y)), layers=["stages.1.*"])
    change = ds["delta_loss"].sel(replacement="remove")
    assert np.isnan(change.sel(unit="stages.1.0"))
    assert np.isfinite(change.sel(unit="stages.1.0.conv1"))


@pytest.mark.parametrize("head", [0, 3])
def test_a_head_without_output_projection_is_removed(head):
    """Oracle: zero columns of the output projection, which see this head alone."""
    problem = Problem(VIT, "cross_entropy", (X, Y), batch_size=5)
    ds = landscape.lesion(problem, kinds=["attention"], heads=True, replacements=["remove", "dc"])
    changed = copy.deepcopy(VIT)
    with torch.no_grad():
        changed.blocks[1].attn.proj.weight[:, 12 * head : 12 * head + 12] = 0.0
    expected = float((losses(changed) - losses(VIT)).mean())
    found = ds["delta_loss"].sel(unit=f"blocks.1.attn head {head}")
    assert float(found.sel(replacement="remove")) == pytest.approx(expected, rel=1e-9)
    assert np.isnan(found.sel(replacement="dc"))
    assert (ds["kind"].values == "head").sum() == 8


def test_heads_of_multihead_attention_are_removed():
    """Oracle: zero columns of its output projection."""
    model = CASES["multihead"].model().eval()
    assert isinstance(model, SelfAttention)
    x, y = images(13)
    problem = Problem(model, "cross_entropy", (x, y))
    ds = landscape.lesion(problem, kinds=["attention"], heads=True)
    changed = copy.deepcopy(model)
    with torch.no_grad():
        changed.attention.out_proj.weight[:, 2:] = 0.0
    expected = float((losses(changed, x, y) - losses(model, x, y)).mean())
    found = ds["delta_loss"].sel(unit="attention head 1", replacement="remove")
    assert float(found) == pytest.approx(expected, rel=1e-9)


def test_accuracy_changes_are_paired():
    """Oracle: the fraction of examples right, by hand."""
    problem = Problem(VIT, "cross_entropy", (X, Y))
    ds = landscape.lesion(problem, layers=["blocks.0.attn"], replacements=["remove"])
    changed = copy.deepcopy(VIT)
    changed.blocks[0].attn = Instead(changed.blocks[0].attn, lambda x, out: 0 * out)
    with torch.no_grad():
        now, before = ((m(X).argmax(1) == Y).double().numpy() for m in (changed, VIT))
    assert float(ds["accuracy"]) == pytest.approx(before.mean())
    assert float(ds["delta_accuracy"][0, 0]) == pytest.approx((now - before).mean(), abs=1e-12)
    se = (now - before).std(ddof=1) / 13**0.5
    assert float(ds["delta_accuracy_se"][0, 0]) == pytest.approx(se, abs=1e-12)


@pytest.mark.parametrize("name", ["conv_batchnorm", "transformer_dict", "multihead"])
def test_the_model_is_whole_again(name):
    """Oracle: a snapshot, and the loss bit for bit."""
    problem = CASES[name].problem()
    before, loss = snapshot(problem.module), problem.loss()
    landscape.lesion(problem, heads=True, replacements=["remove", "identity", "mean", "dc"])
    assert snapshot(problem.module) == before
    assert problem.loss() == loss


def test_text_transformers_can_be_lesioned():
    """Oracle: an encoder layer skipped by hand."""
    model = CASES["transformer_dict"].model().eval()
    problem = CASES["transformer_dict"].problem()
    ds = landscape.lesion(problem, layers=["encoder.layers.0"], replacements=["remove"])
    data = problem.batches[0].inputs
    with torch.no_grad():
        skipped = F.cross_entropy(model.head(model.embed(data["ids"]).mean(1)), problem.batches[0].target)
    assert float(ds["delta_loss"][0, 0] + ds["loss"]) == pytest.approx(float(skipped), rel=1e-9)


def test_nothing_to_replace_is_refused():
    """Oracle: the sentence; and a model whose attention has no module has no attention unit."""
    with pytest.raises(InputError, match=r"Sequential has no unit matching \* of the kinds block"):
        landscape.lesion(CASES["mlp"].problem())
    with pytest.raises(InputError, match="has no unit"):
        landscape.lesion(Problem(Patches().double(), "cross_entropy", images()), kinds=["attention"])
