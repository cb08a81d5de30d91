"""The shared pass: units by kind, inputs and outputs, attention weights, errors of one collector."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from cases import CASES, Patches, images, snapshot
from torch import nn

import landscape
from landscape import Problem
from landscape.base.analysis import run_together
from landscape.core.features.collect import collect
from landscape.core.features.collector import Collector
from landscape.core.features.spectra import SpectraCollector
from landscape.core.features.units import Selection
from landscape.core.features.variance import VarianceCollector
from landscape.core.problem.passes import pieces
from landscape.reference.models import resnet, vit


class Notes(Collector):
    """Keeps what it is shown."""

    def __init__(self, *patterns, kinds=(), inputs=False, attention=False, fail_at=None):
        self.selection = Selection(patterns or ("*",), kinds)
        self.inputs = inputs
        self.attention = attention
        self.fail_at = fail_at
        self.names, self.outputs, self.entered, self.weights = [], {}, {}, {}

    def enter(self, unit, inputs):
        self.entered[unit.name] = inputs.tensor.clone()

    def receive(self, name, unit, module, inputs, output):
        if name == self.fail_at:
            raise ZeroDivisionError(name)
        self.names.append(name)
        self.outputs[name] = output.tensor.clone()

    def receive_attention(self, name, examples, rows, weights, layouts):
        self.weights[name] = torch.cat(list(weights))


def problem_of(model, x=None):
    x = torch.randn(5, 1, 16, 16, dtype=torch.float64) if x is None else x
    return Problem(model.double(), "cross_entropy", (x, torch.arange(len(x)) % 3))


def test_each_collector_gets_what_it_wants_in_firing_order():
    """Oracle: the order of the forward pass; the layers by hand; a container that repeats its child."""
    problem = problem_of(CASES["conv_batchnorm"].model(), images(5, 16)[0])
    all_of_it, convs, whole = Notes(), Notes(kinds=("convolution",), inputs=True), Notes("body")
    assert collect(problem, [all_of_it, convs, whole]) == [None] * 3
    assert all_of_it.names == ["body.0", "body.1", "body.2", "body.3", "body.4", "head"]
    assert convs.names == ["body.0", "body.3"]
    assert whole.names == ["body"]
    x = problem.batches[0].inputs
    assert torch.equal(convs.entered["body.0"], x)
    assert torch.equal(convs.entered["body.3"], all_of_it.outputs["body.2"])
    model = problem.module
    assert torch.equal(all_of_it.outputs["body.0"], model.body[0](x))
    assert torch.equal(whole.outputs["body"], model.body(x))


def test_an_input_is_seen_before_it_is_overwritten():
    """Oracle: the convolution's output by hand; the ReLU writes to it."""
    problem = problem_of(CASES["conv_batchnorm"].model(), images(5, 16)[0])
    notes = Notes("body.2", inputs=True)
    collect(problem, [notes])
    with torch.no_grad():
        before = problem.module.body[:2](problem.batches[0].inputs)
    assert (before < 0).any()
    assert torch.equal(notes.entered["body.2"], before)
    assert torch.equal(notes.outputs["body.2"], before.relu())


def test_residual_sums_are_units():
    """Oracle: their number and places in the reference networks; values by the next layer's input."""
    notes = Notes(kinds=("residual_sum",), inputs=True)
    collect(problem_of(vit(depth=2, image=16, classes=3)), [notes])
    assert notes.names == ["blocks.0.+", "blocks.0.+#1", "blocks.1.+", "blocks.1.+#1"]
    both = Notes("blocks.*", kinds=("residual_sum", "norm"), inputs=True)
    collect(problem_of(vit(depth=2, image=16, classes=3)), [both])
    assert torch.equal(both.entered["blocks.0.norm2"], both.outputs["blocks.0.+"])
    notes = Notes(kinds=("residual_sum",))
    collect(problem_of(resnet(classes=3)), [notes])
    assert notes.names == ["stages.0.0.+", "stages.1.0.+", "stages.2.0.+"]


def qkv(model, x):
    tokens = model.embed(x).flatten(2).transpose(1, 2)
    tokens = torch.cat([model.token.expand(len(x), -1, -1), tokens], dim=1)
    b, t, d = tokens.shape
    return model.qkv(model.norm(tokens)).view(b, t, 3, 2, d // 2).permute(2, 0, 3, 1, 4)


def test_fused_attention_shows_its_weights():
    """Oracle: softmax of q kᵀ/√d by hand."""
    problem = problem_of(Patches(), images(5, 16)[0])
    notes = Notes(attention=True)
    collect(problem, [notes])
    with torch.no_grad():
        q, k, _ = qkv(problem.module, problem.batches[0].inputs)
    expected = (q @ k.transpose(-2, -1) / 2**0.5).softmax(-1)
    torch.testing.assert_close(notes.weights["model"], expected, rtol=1e-12, atol=1e-14)


def test_multihead_attention_shows_its_weights():
    """Oracle: the module's own weights on the same rows."""
    problem = CASES["multihead"].problem()
    notes = Notes(attention=True)
    collect(problem, [notes])
    rows = problem.batches[0].inputs.squeeze(1)
    attention = problem.module.attention
    expected = attention(rows, rows, rows, need_weights=True, average_attn_weights=False)[1]
    torch.testing.assert_close(notes.weights["attention"], expected, rtol=1e-12, atol=1e-14)


class Masked(nn.Module):
    """Attention with a mask, fused or written out."""

    def __init__(self, how):
        super().__init__()
        self.attn = nn.Linear(4, 12)
        self.head = nn.Linear(4, 3)
        self.how = how

    def forward(self, x):
        q, k, v = self.attn(x.squeeze(1)).view(len(x), -1, 3, 2, 2).permute(2, 0, 3, 1, 4)
        bias = torch.arange(16, dtype=x.dtype).view(1, 1, 4, 4) / 8
        keep = torch.ones(4, 4, dtype=torch.bool).tril()
        if self.how == "written out":
            out = (q @ k.transpose(-2, -1) * 0.3 + bias).softmax(dim=-1) @ v
        elif self.how == "bias":
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=0.3)
        elif self.how == "boolean":
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=keep)
        else:
            out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        self.value, self.out = v.detach(), out.detach()
        return self.head(out.transpose(1, 2).flatten(2).mean(1))


@pytest.mark.parametrize("how", ["written out", "bias", "boolean", "causal"])
def test_weights_reproduce_the_attention_whatever_its_form(how):
    """Oracle: weights times values are the output of the model's own attention."""
    problem = problem_of(Masked(how), images(5)[0])
    notes = Notes(attention=True)
    collect(problem, [notes])
    model, (weights,) = problem.module, notes.weights.values()
    torch.testing.assert_close(weights @ model.value, model.out, rtol=1e-12, atol=1e-14)


def test_a_collector_that_fails_stops_no_other():
    """Oracle: the others' notes are those of a pass without it; the error is handed back."""
    problem = problem_of(CASES["conv_batchnorm"].model(), images(5, 16)[0])
    good, bad, lost = Notes(), Notes(fail_at="body.1"), Notes("nothing")
    errors = collect(problem, [good, bad, lost])
    assert errors[0] is None
    assert isinstance(errors[1], ZeroDivisionError)
    assert "no layer of ConvNet matches 'nothing'" in str(errors[2])
    alone = Notes()
    collect(problem, [alone])
    assert good.names == alone.names
    assert bad.names == ["body.0"]


@pytest.mark.parametrize("name", ["conv_batchnorm", "transformer_dict", "attention", "multihead"])
def test_nothing_is_left_behind(name):
    """Oracle: a snapshot of hooks and switches, after a pass and after an error of the model."""
    problem = CASES[name].problem()
    before = snapshot(problem.module)
    collect(problem, [Notes(kinds=("residual_sum", "norm"), inputs=True, attention=True)])
    assert snapshot(problem.module) == before
    problem.module.head.forward = lambda x: 1 / 0
    with pytest.raises(ZeroDivisionError):
        collect(problem, [Notes(inputs=True)])
    assert snapshot(problem.module) == before


def test_the_model_computes_the_same_while_watched():
    """Oracle: logits without any tap, bit for bit."""
    problem = problem_of(vit(depth=2, image=16, classes=3))
    notes = Notes("head", kinds=("linear", "residual_sum"), inputs=True, attention=True)
    collect(problem, [notes])
    with torch.no_grad():
        assert torch.equal(notes.outputs["head"], problem.output(problem.batches[0])[0])


@pytest.mark.parametrize("model", [resnet(classes=3), vit(depth=2, image=16, classes=3)])
def test_a_shared_pass_gives_the_bits_of_separate_ones(model):
    """Oracle: each analysis run alone."""
    problem = problem_of(model)
    analyses = [a for a in landscape.analyses().values() if a.collect is not None]
    results = run_together(problem, [(a, a.validate({})) for a in analyses])
    assert len(analyses) > 1
    for analysis, result in zip(analyses, results, strict=True):
        try:
            alone = analysis.run(problem, analysis.validate({}))
        except landscape.LandscapeError as error:
            assert str(result) == str(error)
            continue
        assert alone.drop_attrs().identical(result.drop_attrs()), analysis.name


def test_a_pass_in_pieces_gives_the_numbers_of_one_in_whole_batches(monkeypatch):
    """Oracle: the rows and sums of NumPy on the layer's outputs for each collector's own examples at once."""
    model = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.Flatten(), nn.Linear(3 * 16 * 16, 3))
    x = torch.randn(23, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(pieces, "MAP_BYTES", 1)
    monkeypatch.setattr(pieces, "LEAST_EXAMPLES", 4)
    problem = problem_of(model, x)
    spectra = SpectraCollector(Selection(), 5, None, images=6)
    variance = VarianceCollector(Selection(), None)
    notes = Notes(kinds=("convolution",))
    assert collect(problem, [spectra, variance, notes]) == [None] * 3
    assert notes.outputs["0"].shape[0] < 8  # it was cut
    with torch.no_grad():
        maps = problem.module[0](x).numpy()
    rows = spectra.layers()["0"].rows()
    chosen = maps[spectra.order.sort().values]
    power = np.abs(np.fft.fft2(chosen - chosen.mean((2, 3), keepdims=True), norm="ortho")) ** 2
    np.testing.assert_allclose(rows["ac"], power.sum((2, 3)).mean(1) / 255, rtol=1e-12)
    found = variance.units()["0"]
    by_image = maps.reshape(23, 3, -1).var(-1, ddof=1).mean(1)
    assert found.samples.value == pytest.approx(maps.var(0, ddof=1).mean(), rel=1e-12)
    assert found.samples.count == 23
    assert float(found.space.mean) == pytest.approx(by_image.mean(), rel=1e-12)
    assert float(found.space.error) == pytest.approx(by_image.std(ddof=1) / 23**0.5, rel=1e-12)
