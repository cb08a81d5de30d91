"""Directions and their normalisations, against plain NumPy loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import CASES, ConvNet, generator, images, vectors
from torch import nn

from landscape import Problem
from landscape.core.surfaces.directions import ignored_names, normalize, random_direction
from landscape.errors import InputError

every_case = pytest.mark.parametrize("name", CASES)


def draw(problem, seed=3):
    return torch.randn(problem.size, generator=generator(seed), dtype=torch.float64)


def pieces(problem, vector):
    """Name, weight and direction of each parameter, as NumPy arrays, cut by hand."""
    start = 0
    for name, parameter in problem.module.named_parameters():
        if not parameter.requires_grad:
            continue
        stop = start + parameter.numel()
        yield name, parameter.detach().numpy(), vector.numpy()[start:stop].reshape(parameter.shape)
        start = stop
    assert start == problem.size


@every_case
def test_filters_get_the_norm_of_the_checkpoints_filters(name):
    """Oracle: a loop over output filters in NumPy (Li et al. 2018), whole vectors for tensors of one axis."""
    problem = CASES[name].problem()
    d = draw(problem)
    scaled = normalize(problem, d, "filter", ignore=())
    for (_, w, before), (_, _, after) in zip(pieces(problem, d), pieces(problem, scaled), strict=True):
        if w.ndim < 2:
            expected = before * np.sqrt((w**2).sum()) / np.sqrt((before**2).sum())
        else:
            expected = np.empty_like(before)
            for i in range(len(w)):
                expected[i] = before[i] * np.sqrt((w[i] ** 2).sum()) / np.sqrt((before[i] ** 2).sum())
        np.testing.assert_allclose(after, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("normalization", "rule"),
    [
        ("layer", lambda w, d: d * np.linalg.norm(w) / np.linalg.norm(d)),
        ("parameter", lambda w, d: d * np.abs(w)),
        ("none", lambda w, d: d),
    ],
)
@every_case
def test_other_normalizations(name, normalization, rule):
    """Oracle: NumPy, tensor by tensor."""
    problem = CASES[name].problem()
    d = draw(problem)
    scaled = normalize(problem, d, normalization, ignore=())
    for (_, w, before), (_, _, after) in zip(pieces(problem, d), pieces(problem, scaled), strict=True):
        np.testing.assert_allclose(after, rule(w, before), rtol=1e-12)


@pytest.mark.parametrize("normalization", ["filter", "layer"])
def test_scale_of_the_draw_and_of_the_weights(normalization):
    """Oracle: invariance to the draw's scale; covariance with the scale of the weights."""
    problem = CASES["conv_batchnorm"].problem()
    d = draw(problem)
    base = normalize(problem, d, normalization)
    torch.testing.assert_close(normalize(problem, 7.0 * d, normalization), base, rtol=1e-12, atol=0)
    model = CASES["conv_batchnorm"].model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 3.0
    wide = Problem(model, "cross_entropy", images())
    torch.testing.assert_close(normalize(wide, d, normalization), 3.0 * base, rtol=1e-12, atol=0)


def test_zero_filters_stay_zero_and_nothing_is_divided_by_zero():
    """Oracle: a filter of zero weights does not move; a zero draw stays zero; no NaN."""
    model = nn.Linear(4, 3, bias=False).double()
    with torch.no_grad():
        model.weight[1] = 0.0
    problem = Problem(model, "cross_entropy", vectors())
    d = draw(problem).view(3, 4)
    d[2] = 0.0
    scaled = normalize(problem, d.flatten(), "filter").view(3, 4)
    assert not scaled[1:].any()
    assert float(scaled[0].norm()) == pytest.approx(float(model.weight[0].detach().norm()), rel=1e-12)


# Parameters that do not move

STILL = {
    "mlp": {"0.bias", "2.bias"},
    "conv_batchnorm": {"body.1.weight", "body.1.bias", "body.3.bias", "head.bias"},
    "attention": {"embed.bias", "norm.weight", "norm.bias", "qkv.bias", "out.bias", "head.bias"},
    "multihead": {"attention.in_proj_bias", "attention.out_proj.bias", "head.bias"},
    "tied": {"encoder.bias", "decoder.bias"},
}


@pytest.mark.parametrize("name", STILL)
def test_biases_and_norm_layers_do_not_move_by_default(name):
    """Oracle: the names, written out."""
    problem = CASES[name].problem()
    for normalization in ("filter", "layer", "parameter", "none"):
        moved = normalize(problem, draw(problem), normalization)
        still = {n for n, _, d in pieces(problem, moved) if not d.any()}
        assert still == STILL[name]


def test_each_kind_can_be_ignored_alone():
    """Oracle: the names, written out."""
    module = ConvNet()
    biases = {"body.1.bias", "body.3.bias", "head.bias"}
    assert ignored_names(module, ["bias"]) == biases
    assert ignored_names(module, ["norm"]) == {"body.1.weight", "body.1.bias"}
    assert ignored_names(module, []) == set()


def test_positions_and_class_tokens_are_still_by_default():
    """Oracle: names as timm, torchvision, Hugging Face and CLIP have them, and others that look alike."""
    tables = ["pos_embed", "encoder.pos_embedding", "embeddings.position_embeddings.weight", "cls_token"]
    tables += ["positional_embedding", "class_token", "class_embedding", "reg_token", "wpe.weight"]
    tables += ["layers.0.attn.relative_position_bias_table", "vit.embeddings.mask_token"]
    others = ["position.weight", "tokens.weight", "classifier.weight", "wte.weight", "composed.weight"]
    module = nn.Module()
    for name in (*tables, *others):
        *parents, last = name.split(".")
        part = module
        for parent in parents:
            if not hasattr(part, parent):
                part.add_module(parent, nn.Module())
            part = getattr(part, parent)
        part.register_parameter(last, nn.Parameter(torch.ones(2, 2)))
    assert ignored_names(module, ["position"]) == set(tables)
    assert ignored_names(module, ["*.weight", "bias"]) == {
        n for n in (*tables, *others) if n.endswith("weight")
    }
    with pytest.raises(InputError, match=r"no parameter of Module matches ignore 'poss\*'"):
        ignored_names(module, ["poss*"])


def test_a_plain_vit_moves_all_but_its_tables():
    """Oracle: the names of the reference model's parameters, written out."""
    from landscape.reference.models import vit

    x = torch.randn(4, 1, 8, 8, generator=generator(0))
    model = vit(image=8, patch=4, dim=8, depth=1, heads=2, classes=3)
    problem = Problem(model, "cross_entropy", (x, torch.zeros(4).long()))
    d = random_direction(problem)
    still = {n for n, _, piece in pieces(problem, d) if not piece.any()}
    assert {"pos_embed", "cls_token"} <= still
    former = random_direction(problem, ignore=("bias", "norm"))
    alike = {n for n, _, piece in pieces(problem, former - d) if piece.any()}
    assert alike == {"pos_embed", "cls_token"}


def test_biases_of_recurrent_layers_are_biases():
    """Oracle: torch's names for them."""
    assert ignored_names(nn.LSTM(2, 3), ["bias"]) == {"bias_ih_l0", "bias_hh_l0"}


def test_unknown_names_are_refused():
    """Oracle: the sentence names the nearest."""
    problem = CASES["mlp"].problem()
    with pytest.raises(InputError, match="no normalization 'filtr'; did you mean 'filter'"):
        random_direction(problem, "filtr")
    with pytest.raises(InputError, match="matches ignore 'biases'; did you mean 'bias'"):
        random_direction(problem, ignore=["biases"])
    with pytest.raises(InputError, match="does not fit"):
        normalize(problem, torch.zeros(3), "filter")


# Draws


def test_a_seed_is_a_direction():
    """Oracle: the same bits again, other bits for another seed; the global generator is not used."""
    problem = CASES["mlp"].problem()
    state = torch.get_rng_state()
    first = random_direction(problem, seed=5)
    assert torch.equal(random_direction(problem, seed=5), first)
    assert not torch.equal(random_direction(problem, seed=6), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_precision_does_not_change_the_direction():
    """Oracle: the float64 draw, rounded."""
    wide = CASES["mlp"].problem()
    x, y = vectors()
    narrow = Problem(CASES["mlp"].model().float(), "cross_entropy", (x.float(), y))
    assert torch.equal(
        random_direction(narrow, "none", ignore=()), random_direction(wide, "none", ignore=()).float()
    )


def test_draws_are_standard_normal():
    """Oracle: mean 0 and variance 1 within five standard errors of 40,000 draws."""
    problem = Problem(nn.Linear(200, 200, bias=False), "mse", (torch.zeros(1, 200), torch.zeros(1, 200)))
    d = random_direction(problem, "none").double()
    assert abs(float(d.mean())) < 5 / 200
    assert abs(float(d.var()) - 1) < 5 * (2 / 40000) ** 0.5
