"""Problem: the right numbers, the same bits, an untouched model, and one clear sentence when it cannot."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from cases import (
    CASES,
    ConvNet,
    Sentence,
    Tied,
    images,
    mlp,
    regression,
    sentences,
    snapshot,
    uneven,
    vectors,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import landscape
from landscape import Problem
from landscape.errors import InputError

every_case = pytest.mark.parametrize("name", CASES)

CALLS = {
    "loss": lambda p: p.loss(),
    "gradient": lambda p: p.gradient(),
    "gradient elsewhere": lambda p: p.gradient(p.theta + 0.1),
    "measure elsewhere": lambda p: p.measure(p.theta + 0.1),
    "provenance": lambda p: p.provenance(),
    "hessian": lambda p: landscape.hessian(p) @ torch.ones(p.size, 2),
    "ggn": lambda p: landscape.ggn(p) @ torch.ones(p.size),
    "spectrum": lambda p: landscape.spectrum(p, k=2, max_products=6),
    "line": lambda p: landscape.line(p, steps=3),
}


def seeded(make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().double()


# The numbers


@every_case
def test_loss_and_gradient_are_those_of_plain_torch(name):
    """Oracle: plain torch on the whole data at once, with its own mean and its own backward."""
    risk, theta = CASES[name].risk()
    theta.requires_grad_()
    expected = risk(theta)
    (gradient,) = torch.autograd.grad(expected, theta)
    problem = CASES[name].problem(batch_size=5)
    assert problem.size == len(theta)
    assert torch.equal(problem.theta, theta)
    assert problem.loss() == pytest.approx(expected.item(), rel=1e-13)
    torch.testing.assert_close(problem.gradient(), gradient, rtol=1e-11, atol=1e-14)


@every_case
def test_gradient_is_the_slope_of_the_loss(name):
    """Oracle: central differences of ``measure`` along a random direction, away from the checkpoint."""
    problem = CASES[name].problem(weight_decay=0.1)
    g = torch.Generator().manual_seed(1)
    theta = problem.theta + 0.01 * torch.randn(problem.size, generator=g, dtype=torch.float64)
    d = torch.randn(problem.size, generator=g, dtype=torch.float64)
    h = 1e-5
    slope = (problem.measure(theta + h * d).loss - problem.measure(theta - h * d).loss) / (2 * h)
    assert float(problem.gradient(theta) @ d) == pytest.approx(slope, rel=1e-7, abs=1e-9)


@given(st.lists(st.integers(1, 13), min_size=1, max_size=13), st.sampled_from(sorted(CASES)))
@settings(max_examples=25, deadline=None)
def test_any_cut_into_batches_gives_the_same(cuts, name):
    """Oracle: the whole data as one batch; sums are divided once, so uneven batches are exact."""
    sizes = []
    for cut in cuts:
        sizes.append(min(cut, 13 - sum(sizes)))
    sizes = [s for s in [*sizes, 13 - sum(sizes)] if s]
    case = CASES[name]
    whole = case.problem(weight_decay=0.01)
    parts = Problem(case.model(), case.loss, uneven(case.data(), sizes), weight_decay=0.01)
    assert parts.examples == 13
    assert parts.loss() == pytest.approx(whole.loss(), rel=1e-13)
    torch.testing.assert_close(parts.gradient(), whole.gradient(), rtol=1e-11, atol=1e-14)


@every_case
def test_weight_decay_is_half_lambda_times_the_squared_norm(name):
    """Oracle: (λ/2)‖θ‖² and λθ in NumPy, added to the problem without weight decay."""
    plain, decayed = CASES[name].problem(), CASES[name].problem(weight_decay=0.3)
    theta = plain.theta.numpy()
    measure = decayed.measure()
    assert measure.penalty == pytest.approx(0.15 * np.sum(theta**2), rel=1e-14)
    assert measure.data_loss == plain.loss()
    assert measure.loss == measure.data_loss + measure.penalty
    torch.testing.assert_close(decayed.gradient(), plain.gradient() + 0.3 * plain.theta, rtol=0, atol=1e-14)


def test_a_scalar_loss_gives_the_values_of_a_loss_per_example():
    """Oracle: torch's mean loss and its losses per example are the same function."""
    data, model = vectors(), mlp().double()
    each = Problem(model, lambda o, t: F.cross_entropy(o, t, reduction="none"), data, batch_size=5)
    mean = Problem(model, lambda o, t: F.cross_entropy(o, t), data, batch_size=5)
    assert mean.loss() == pytest.approx(each.loss(), rel=1e-14)
    torch.testing.assert_close(mean.gradient(), each.gradient(), rtol=1e-12, atol=1e-15)
    v = torch.linspace(-1, 1, mean.size, dtype=torch.float64)
    for operator in (landscape.hessian, landscape.ggn):
        torch.testing.assert_close(operator(mean) @ v, operator(each) @ v, rtol=1e-12, atol=1e-15)
    assert mean.measure().losses is None
    assert mean.measure().accuracy == each.measure().accuracy


def test_measure_keeps_losses_and_answers_per_example():
    """Oracle: NumPy on the logits."""
    model, (x, y) = mlp().double(), vectors()
    measure = Problem(model, "cross_entropy", (x, y), batch_size=4).measure()
    z = model(x).detach().numpy()
    losses = np.log(np.exp(z).sum(1)) - z[np.arange(13), y.numpy()]
    np.testing.assert_allclose(measure.losses, losses, rtol=1e-13)
    assert measure.losses.dtype == torch.float64
    np.testing.assert_array_equal(measure.correct, z.argmax(1) == y.numpy())
    assert measure.accuracy == pytest.approx(np.mean(z.argmax(1) == y.numpy()))
    assert math.isnan(Problem(nn.Linear(4, 1).double(), "mse", regression()).measure().accuracy)


# The same bits, and nothing touched


@every_case
def test_repetition_gives_the_same_bits(name):
    """Oracle: the first time; another problem of the same model; a problem that worked in between."""
    problem, other = CASES[name].problem(batch_size=5), CASES[name].problem(batch_size=5)
    v = torch.linspace(-1, 1, problem.size)

    def numbers(p):
        return [p.loss(), p.gradient().tolist(), (landscape.hessian(p) @ v).tolist(), p.fingerprint()]

    first = numbers(problem)
    problem.measure(problem.theta + 1.0)
    problem.gradient(problem.theta - 1.0)
    assert numbers(problem) == first
    assert numbers(other) == first


@every_case
@pytest.mark.parametrize("call", CALLS)
def test_the_callers_model_is_untouched(name, call):
    """Oracle: a snapshot of bits, identities, modes, gradients, hooks and the random state."""
    case = CASES[name]
    model = case.model()
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 7.0)
    before = snapshot(model)
    problem = Problem(model, case.loss, case.data(), batch_size=5)
    CALLS[call](problem)
    assert snapshot(model) == before
    hooks = [h for m in problem.module.modules() for h in (*m._forward_hooks, *m._forward_pre_hooks)]
    assert not hooks


@pytest.mark.parametrize("batchnorm", ["eval", "train"])
def test_batchnorm_buffers_of_the_private_copy_stay_too(batchnorm):
    """Oracle: the bits of the buffers before, after everything that runs the model."""
    problem = Problem(seeded(ConvNet), "cross_entropy", images(), batchnorm=batchnorm, batch_size=7)
    before = {n: b.clone() for n, b in problem.module.named_buffers()}
    assert len(before) == 3
    for call in CALLS.values():
        call(problem)
    landscape.fourier(problem)
    assert all(torch.equal(b, before[n]) for n, b in problem.module.named_buffers())


class Fails(nn.Module):
    """Raises from the second of its next calls on, once armed."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
        self.left = 10**6

    def forward(self, x):
        self.left -= 1
        if self.left <= 0:  # and at every call after it: probes of a strategy may try again
            raise RuntimeError("power cut")
        return self.net(x)


@pytest.mark.parametrize("call", [*(c for c in CALLS if c != "provenance"), "fourier"])
def test_an_exception_leaves_model_and_checkpoint_as_they_were(call):
    """Oracle: snapshots of the caller's model, of the private copy and of global switches."""
    model = seeded(Fails).train()
    before = snapshot(model)
    problem = Problem(model, "cross_entropy", images(), batch_size=5)
    private, loss = snapshot(problem.module), problem.loss()
    problem.module.left = 2
    with pytest.raises(RuntimeError, match="power cut"):
        (CALLS | {"fourier": landscape.fourier})[call](problem)
    assert snapshot(model) == before
    assert snapshot(problem.module) == private
    problem.module.left = 10**6
    assert problem.loss() == loss


def test_a_later_change_of_the_callers_model_does_not_matter():
    """Oracle: the loss before, bit for bit; chosen and frozen parameters and buffers alike."""
    model = seeded(ConvNet)
    model.body[0].requires_grad_(False)
    problem = Problem(model, "cross_entropy", images())
    before = problem.loss()
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor += 1
    assert problem.loss() == before


def test_at_restores_the_checkpoint_bit_for_bit():
    """Oracle: the parameters' bits before; also after an exception inside."""
    problem = CASES["mlp"].problem()
    before = problem.space.flatten(problem.parameters)
    with pytest.raises(ZeroDivisionError), problem.at(problem.theta * 3):
        assert torch.equal(problem.space.flatten(problem.parameters), problem.theta * 3)
        raise ZeroDivisionError
    assert torch.equal(problem.space.flatten(problem.parameters), before)
    assert torch.equal(problem.theta, before)


# Modes and layers


def test_dropout_is_off_without_changing_the_callers_mode():
    """Oracle: the same layers without dropout."""
    with_dropout = CASES["dropout"].model()
    without = nn.Sequential(with_dropout[0], with_dropout[1], with_dropout[3])
    problem = Problem(with_dropout, "cross_entropy", vectors())
    assert problem.loss() == Problem(without, "cross_entropy", vectors()).loss()
    assert with_dropout[2].training


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_batchnorm_uses_running_or_batch_statistics(mode):
    """Oracle: BatchNorm written out in NumPy; in train mode each batch has its own statistics."""
    norm = nn.BatchNorm1d(4).double()
    norm.running_mean.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4]))
    norm.running_var.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    model = nn.Sequential(norm, nn.Linear(4, 1, bias=False)).double()
    x, y = regression()
    problem = Problem(model, "mse", (x, y), batchnorm=mode, batch_size=7)
    total, w = 0.0, model[1].weight.detach().numpy()[0]
    for part in (slice(0, 7), slice(7, 13)):
        xb, yb = x[part].numpy(), y[part].numpy()
        mean, var = (
            (xb.mean(0), xb.var(0))
            if mode == "train"
            else (norm.running_mean.numpy(), norm.running_var.numpy())
        )
        out = (xb - mean) / np.sqrt(var + norm.eps) @ w
        total += ((out - yb[:, 0]) ** 2).sum()
    assert problem.loss() == pytest.approx(total / 13, rel=1e-12)
    assert problem.provenance()["batchnorm"] == {"eval": "checkpoint", "train": "batch"}[mode]


def test_train_mode_batchnorm_is_differentiated_through_its_statistics():
    """Oracle: central differences of the loss, which moves the batch statistics along."""
    problem = Problem(seeded(ConvNet), "cross_entropy", images(), batchnorm="train", batch_size=7)
    d = torch.randn(problem.size, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    h = 1e-5
    theta = problem.theta
    slope = (problem.measure(theta + h * d).loss - problem.measure(theta - h * d).loss) / (2 * h)
    assert float(problem.gradient() @ d) == pytest.approx(slope, rel=1e-6)


def test_padding_is_treated_alike_in_loss_and_gradient():
    """Oracle: the loss with a graph. Torch's fused encoder, taken without one, zeroes padded tokens."""
    problem = Problem(seeded(Sentence), "cross_entropy", sentences())
    with_graph = sum(problem.batch_loss(b) for b in problem.batches) / problem.examples
    assert problem.loss() == pytest.approx(with_graph.item(), rel=1e-13)


def test_tied_weights_count_once_and_gather_both_gradients():
    """Oracle: plain torch's backward on the tied model; the tie survives the private copy."""
    model = seeded(Tied)
    x, y = vectors()
    F.cross_entropy(model(x), y).backward()
    problem = Problem(model, "cross_entropy", (x, y))
    assert problem.size == 16 + 4 + 4
    assert problem.module.decoder.weight is problem.module.encoder.weight
    torch.testing.assert_close(
        problem.space.unflatten(problem.gradient())["encoder.weight"],
        model.encoder.weight.grad,
        rtol=1e-12,
        atol=1e-15,
    )


def test_frozen_parameters_are_left_out_and_others_can_be_chosen():
    """Oracle: sizes counted by hand; gradients as slices of the full gradient."""
    full = CASES["mlp"].problem()
    slices = full.space.unflatten(full.gradient())
    assert CASES["frozen"].problem().size == 5 * 3 + 3
    for globs, names in (("2.*", ["2.weight", "2.bias"]), (["*.bias"], ["0.bias", "2.bias"])):
        problem = CASES["mlp"].problem(parameters=globs)
        assert list(problem.space.names) == names
        expected = torch.cat([slices[n].reshape(-1) for n in names])
        torch.testing.assert_close(problem.gradient(), expected, rtol=1e-12, atol=1e-15)


def test_gradients_do_not_depend_on_the_callers_grad_mode():
    """Oracle: the same bits as with gradients enabled."""
    problem = CASES["mlp"].problem()
    v = torch.ones(problem.size, dtype=torch.float64)
    expected = problem.gradient(), landscape.hessian(problem) @ v, landscape.ggn(problem) @ v
    with torch.no_grad():
        found = problem.gradient(), landscape.hessian(problem) @ v, landscape.ggn(problem) @ v
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_parameters_the_loss_does_not_depend_on_have_zero_gradient_and_curvature():
    """Oracle: mathematics. Where they are all that was chosen, that is said."""

    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.spare = mlp(), nn.Linear(2, 2)

        def forward(self, x):
            return self.net(x)

    problem = Problem(seeded(Unused), "cross_entropy", vectors(), weight_decay=0.5)
    spare = problem.space.unflatten(problem.gradient())["spare.weight"]
    theta = problem.space.unflatten(problem.theta)["spare.weight"]
    assert torch.equal(spare, 0.5 * theta)
    v = torch.ones(problem.size, dtype=torch.float64)
    for operator in (landscape.hessian, landscape.ggn):
        product = problem.space.unflatten(operator(problem) @ v)["spare.bias"]
        assert product.tolist() == [0.5, 0.5]
    alone = Problem(seeded(Unused), "cross_entropy", vectors(), parameters="spare.*", weight_decay=0.5)
    with pytest.raises(InputError, match=r"no gradient in any .* does not use these parameters"):
        alone.gradient()


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))),
        lambda: nn.Sequential(nn.utils.parametrizations.orthogonal(nn.Linear(4, 4)), nn.Linear(4, 3)),
        lambda: nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3))),
        lambda: Scaled(),
        lambda: Recurrent(),
        lambda: Cached(),
    ],
    ids=["weight_norm", "orthogonal", "spectral_norm", "scalar parameter", "lstm", "cached activations"],
)
def test_unusual_models_work_like_plain_torch(make):
    """Oracle: plain torch in evaluation mode; central differences of the gradient for the Hessian."""
    model = seeded(make)
    x, y = vectors()
    model(x)  # leaves cached activations behind
    plain = copy.deepcopy(model) if not isinstance(model, Cached) else seeded(make)
    loss = F.cross_entropy(plain.eval()(x), y)
    gradient = torch.autograd.grad(loss, list(plain.parameters()))
    problem = Problem(model, "cross_entropy", (x, y), batch_size=5)
    assert problem.loss() == pytest.approx(loss.item(), rel=1e-12)
    expected = torch.cat([g.reshape(-1) for g in gradient])
    torch.testing.assert_close(problem.gradient(), expected, rtol=1e-10, atol=1e-13)
    v = torch.linspace(-1, 1, problem.size, dtype=torch.float64)
    h = 1e-5
    differences = (problem.gradient(problem.theta + h * v) - problem.gradient(problem.theta - h * v)) / (
        2 * h
    )
    torch.testing.assert_close(landscape.hessian(problem) @ v, differences, rtol=1e-5, atol=1e-8)


class Scaled(nn.Module):
    """A scalar parameter, such as a learned temperature."""

    def __init__(self):
        super().__init__()
        self.net, self.temperature = mlp(), nn.Parameter(torch.tensor(0.7))

    def forward(self, x):
        return self.net(x) * self.temperature.exp()


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(2, 3, batch_first=True), nn.Linear(3, 3)

    def forward(self, x):
        return self.head(self.lstm(x.view(-1, 2, 2))[0][:, -1])


class Cached(nn.Module):
    """Keeps its last activations, which carry a graph and cannot be deep-copied."""

    def __init__(self):
        super().__init__()
        self.net, self.last = mlp(), None

    def forward(self, x):
        self.last = self.net(x)
        return self.last


# Forms of model, data and forward


@pytest.mark.parametrize(
    "forward",
    [
        lambda model, batch: model(batch[0]),
        lambda model, x: model(x),
        lambda model, batch: (model(batch[0]), batch[1]),
        lambda model, x: model(x.clone()),
    ],
    ids=["batch", "inputs", "output and target", "inputs by method"],
)
def test_a_custom_forward_takes_the_batch_or_the_inputs(forward):
    """Oracle: the problem without it."""
    problem = CASES["mlp"].problem(forward=forward, batch_size=5)
    assert problem.loss() == CASES["mlp"].problem(batch_size=5).loss()


def test_a_forward_may_change_targets_and_compute_the_loss_itself():
    """Oracle: plain torch."""
    x, y = vectors()
    model = mlp().double()
    problem = Problem(
        model,
        lambda loss, _: loss,
        [{"x": x, "label": y}],
        forward=lambda m, b: F.cross_entropy(m(b["x"]), b["label"]),
    )
    assert problem.loss() == pytest.approx(F.cross_entropy(model(x), y).item(), rel=1e-14)
    flipped = Problem(model, "cross_entropy", (x, y), forward=lambda m, b: (m(b[0]), 2 - b[1]))
    assert flipped.loss() == pytest.approx(F.cross_entropy(model(x), 2 - y).item(), rel=1e-14)


def test_an_output_with_logits_is_unwrapped():
    """Oracle: the plain output."""

    class Output:
        def __init__(self, logits):
            self.logits = logits

    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp()

        def forward(self, x):
            return Output(self.net(x))

    model = seeded(Wrapped)
    assert (
        Problem(model, "cross_entropy", vectors()).loss()
        == Problem(model.net, "cross_entropy", vectors()).loss()
    )


def test_a_compiled_model_is_unwrapped():
    """Oracle: the model inside, which has second derivatives; the compiled one has none."""
    model = mlp().double()
    compiled = Problem(torch.compile(model, backend="eager"), "cross_entropy", vectors())
    plain = Problem(model, "cross_entropy", vectors())
    assert compiled.space.names == plain.space.names
    assert compiled.loss() == plain.loss()
    v = torch.ones(plain.size)
    assert torch.equal(landscape.hessian(compiled) @ v, landscape.hessian(plain) @ v)


def test_dtype_converts_model_and_data():
    """Oracle: the same model converted by hand."""
    model, (x, y) = mlp(), vectors()
    problem = Problem(model, "cross_entropy", (x.float(), y), dtype=torch.float64)
    assert (problem.dtype, problem.theta.dtype, problem.gradient().dtype) == (torch.float64,) * 3
    assert problem.loss() == pytest.approx(
        F.cross_entropy(copy.deepcopy(model).double()(x.float().double()), y).item(), rel=1e-14
    )
    assert model[0].weight.dtype == torch.float32


def test_infinite_masks_among_the_buffers_are_no_damage():
    """Oracle: text models keep −inf attention masks as buffers; the loss is finite."""

    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp()
            self.register_buffer("mask", torch.full((4, 4), -math.inf).triu(1))

        def forward(self, x):
            return self.net(x @ torch.softmax(self.mask, 1).T)

    assert math.isfinite(Problem(seeded(Masked), "cross_entropy", vectors()).loss())


def test_nan_loss_stays_nan():
    """Oracle: NaN in, NaN out; infinity in, infinity out."""
    x, y = regression()
    for value in (math.nan, math.inf):
        y[3] = value
        problem = Problem(nn.Linear(4, 1).double(), "mse", (x, y))
        assert not math.isfinite(problem.loss())
        assert int((~torch.isfinite(problem.measure().losses)).sum()) == 1


# Identity


def test_fingerprints_follow_content_alone():
    """Oracle: each single change of a weight, a buffer or an example must show, and nothing else."""
    base = CASES["conv_batchnorm"].problem().fingerprint()
    assert CASES["conv_batchnorm"].problem(weight_decay=1.0).fingerprint() == base
    model = CASES["conv_batchnorm"].model()
    model.body[1].running_mean[0] += 1e-9
    changed = Problem(model, "cross_entropy", images()).fingerprint()
    assert changed[0] != base[0]
    assert changed[1] == base[1]
    x, y = images()
    y[0] = 2
    other = Problem(CASES["conv_batchnorm"].model(), "cross_entropy", (x, y)).fingerprint()
    assert other[0] == base[0]
    assert other[1] != base[1]


def test_provenance_is_strings_and_numbers_and_tells_choices_apart():
    """Oracle: types; and two problems over different parameters of one size must differ."""
    facts = CASES["mlp"].problem(weight_decay=0.1).provenance()
    assert all(type(v) in (str, int, float) for v in facts.values())
    assert facts["examples"] == 13
    assert facts["parameters_count"] == 43
    assert facts["weight_decay"] == 0.1
    assert facts["dtype"] == "float64"
    wide = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).double()
    first, second = (
        Problem(wide, "cross_entropy", vectors(), parameters=p).provenance() for p in ("0.*", "1.*")
    )
    assert first != second


# Refusals


class Noisy(nn.Module):
    """Dropout that ignores evaluation mode."""

    def __init__(self):
        super().__init__()
        self.net = mlp()

    def forward(self, x):
        return self.net(F.dropout(x, 0.5))


class Lazy(nn.Module):
    """A layer that waits for its first input."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.layer.weight = nn.UninitializedParameter()

    def forward(self, x):
        return self.layer(x)


def nan_weights():
    model = mlp()
    with torch.no_grad():
        model[2].weight[0, :2] = math.nan
    return model


def nan_statistics():
    model = ConvNet()
    model.body[1].running_var[1] = math.inf
    return model


class Locked(nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.lines = mlp(), (line for line in "ab")

    def forward(self, x):
        return self.net(x)


VECTORS = tuple(t.float() if t.is_floating_point() else t for t in vectors())
IMAGES = tuple(t.float() if t.is_floating_point() else t for t in images())

WIDE = (torch.zeros(2, 5), torch.tensor([0, 1]))


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((mlp, "cross_entropy", VECTORS), {}, "must be a torch.nn.Module; got function"),
        ((mlp(), "cross_entropi", VECTORS), {}, "no loss 'cross_entropi'; did you mean"),
        ((mlp(), "cross_entropy", VECTORS), {"batchnorm": "of"}, "'checkpoint' or 'batch'; got 'of'"),
        ((mlp(), "cross_entropy", VECTORS), {"weight_decay": -1.0}, "finite and not negative; got -1.0"),
        ((mlp(), "cross_entropy", VECTORS), {"weight_decay": math.nan}, "finite and not negative"),
        ((mlp(), "cross_entropy", VECTORS), {"parameters": "head.*"}, "matches 'head.*'"),
        ((mlp(), "cross_entropy", VECTORS), {"parameters": []}, "empty list"),
        (
            (mlp(), "cross_entropy", VECTORS),
            {"batch_size": 0},
            "batch_size must be a whole number of at least 1; got 0",
        ),
        ((nan_weights(), "cross_entropy", VECTORS), {}, "parameter '2.weight' holds 2 NaN or infinite of 15"),
        ((nan_statistics(), "cross_entropy", IMAGES), {}, "buffer 'body.1.running_var' holds 1"),
        (
            (Lazy(), "cross_entropy", VECTORS),
            {},
            "parameter 'layer.weight' has no values yet; call the lazy model",
        ),
        ((mlp(), "cross_entropy", WIDE), {}, r"cannot take the first batch \(inputs \(2, 5\)"),
        ((mlp(), "cross_entropy", [VECTORS[0]]), {}, "needs targets; the batches hold none"),
        (
            (mlp(), "cross_entropy", (VECTORS[0], VECTORS[0][:, 0])),
            {},
            r"takes class numbers, and batch 0 has the target .*: take loss='mse'",
        ),
        ((nn.Linear(4, 1), "mse", VECTORS[:1] + VECTORS[:1]), {}, r"one shape; got \(13, 1\) and \(13, 4\)"),
        (
            (mlp(), lambda o, t: o, VECTORS),
            {},
            r"shape \(13, 3\) for 13 examples; return one loss per example",
        ),
        ((mlp(), lambda o, t: o[:4, 0], VECTORS), {}, r"shape \(4,\) for 13 examples"),
        ((mlp(), lambda o, t: 3.0, VECTORS), {}, "returned a float; return a tensor"),
        ((mlp(), lambda o, t: o.nothing, VECTORS), {}, "failed on the first batch .*AttributeError"),
        ((Noisy(), "cross_entropy", VECTORS), {}, "Noisy gives two different losses on the same batch"),
        ((Locked(), "cross_entropy", VECTORS), {}, "Locked cannot be copied"),
        ((mlp(), "cross_entropy", VECTORS), {"forward": lambda m, x: m(x).nothing}, "no attribute 'nothing'"),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(arguments, options, words):
    """Oracle: the key words of the sentence, which is one line."""
    with pytest.raises(InputError, match=words) as caught:
        Problem(*arguments, **options)
    assert "\n" not in str(caught.value).strip()


def test_points_of_the_wrong_size_are_refused():
    """Oracle: the sentence names both sizes."""
    problem = CASES["mlp"].problem()
    for call in (problem.measure, problem.gradient):
        with pytest.raises(InputError, match=r"shape \(43,\); got .*3"):
            call(torch.zeros(3))


def test_the_version_grows_with_every_write():
    """Oracle: writes by hand to a parameter and a buffer, and through ``at``; reading changes nothing."""
    problem = CASES["conv_batchnorm"].problem()
    seen = [problem.version]
    problem.loss(), problem.gradient(), landscape.hessian(problem) @ problem.theta
    assert problem.version == seen[0]
    with torch.no_grad():
        problem.parameters[0].mul_(2.0)
        seen.append(problem.version)
        problem.module.body[1].running_mean.zero_()
        seen.append(problem.version)
    with problem.at(problem.theta):
        seen.append(problem.version)
    seen.append(problem.version)
    assert sorted(set(seen)) == seen


def test_losses_of_a_batch_sum_to_its_loss():
    """Oracle: the sum, for per-example losses; the mean times the size, for a scalar."""
    problem = CASES["mlp"].problem(batch_size=5)
    for batch in problem.batches:
        losses = problem.batch_losses(batch)
        assert losses.shape == (batch.size,)
        torch.testing.assert_close(losses.sum(), problem.batch_loss(batch), rtol=1e-15, atol=0)
    scalar = CASES["scalar_loss"].problem()
    assert scalar.batch_losses(scalar.batches[0]).shape == ()
