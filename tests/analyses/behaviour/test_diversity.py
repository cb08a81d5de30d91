"""``diversity``: its numbers against the predictions of the models, one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import CASES, images
from torch import nn

import landscape
from landscape import Problem
from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.errors import InputError


def members(count=3):
    found = []
    for seed in range(count):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            net = CASES["conv_batchnorm"].model()
            for p in net.parameters():
                p.data += 0.3 * torch.randn_like(p)
        found.append(net.eval())
    return found


def problems(nets, count=40):
    return {
        f"m{i}": Problem(net, "cross_entropy", images(count), batch_size=16) for i, net in enumerate(nets)
    }


@pytest.fixture(scope="module")
def result():
    return landscape.diversity(problems(members()))


def test_the_average_is_the_ensemble(result):
    """Oracle: `calibration` of the ensemble and of each member, which know nothing of gains."""
    whole = landscape.calibration(Problem(DeepEnsemble(members()), "cross_entropy", images(40)), bootstrap=2)
    alone = [landscape.calibration(p, bootstrap=2) for p in problems(members()).values()]
    for name in ("nll", "brier"):
        mean = np.mean([float(ds[name]) for ds in alone])
        assert float(result[f"mean_{name}"]) == pytest.approx(mean, rel=1e-6)
        assert float(result[f"average_{name}"]) == pytest.approx(float(whole[name]), rel=1e-5)
        assert float(result[f"{name}_gain"]) == pytest.approx(mean - float(whole[name]), rel=1e-4)
        np.testing.assert_allclose(result[f"member_{name}"], [float(ds[name]) for ds in alone], rtol=1e-6)
    assert float(result["average_accuracy"]) == float(whole["accuracy"])


def test_pairs_are_those_of_the_predictions(result):
    """Oracle: classes and probabilities of the modules themselves; numpy's correlation."""
    x, y = images(40)
    with torch.no_grad():
        p = torch.stack([net(x).double().softmax(-1) for net in members()])
    top = p.argmax(-1)
    wrong = (top != y).double().numpy()
    differ = [[(a != b).double().mean().item() for b in top] for a in top]
    np.testing.assert_allclose(result["disagreement"], differ)
    np.testing.assert_allclose(result["error_correlation"], np.corrcoef(wrong), atol=1e-12)
    kl = [[(a * (a / b).log()).sum(-1).mean().item() for b in p] for a in p]
    np.testing.assert_allclose(result["kl"], kl, atol=1e-6)
    assert (result["js"].values <= np.log(2)).all()
    np.testing.assert_allclose(result["js"], result["js"].values.T, atol=1e-12)
    accuracy, classes = (top == y).double().mean(1).numpy(), p.shape[-1]
    a, b = accuracy[0], accuracy[1]
    expected = 1 - a * b - (1 - a) * (1 - b) / (classes - 1)
    assert float(result["relative_disagreement"][0, 1]) == pytest.approx(differ[0][1] / expected)
    assert np.isnan(np.diag(result["relative_disagreement"])).all()


def test_errors_are_the_spread_over_examples(result):
    """Oracle: 400 bootstrap resamples of the examples; √(2/400)/2 is the spread's own error."""
    x, y = images(40)
    with torch.no_grad():
        p = torch.stack([net(x).double().softmax(-1) for net in members()]).numpy()
    true = p[:, np.arange(40), y.numpy()]
    gain = np.log(true.mean(0)) - np.log(true).mean(0)
    rng = np.random.default_rng(0)
    spread = np.std([gain[rng.integers(0, 40, 40)].mean() for _ in range(400)])
    assert float(result["nll_gain_se"]) == pytest.approx(spread, rel=0.15)


def test_the_same_model_twice_has_no_diversity():
    """Oracle: by inspection."""
    (net,) = members(1)
    ds = landscape.diversity(problems([net, net]))
    assert not ds["disagreement"].any()
    np.testing.assert_allclose(ds["nll_gain"], 0, atol=1e-14)
    np.testing.assert_allclose(ds["error_correlation"], 1)


def test_a_model_that_is_always_wrong_has_no_correlation():
    """Oracle: 0/0."""
    x, y = images(40)
    assert int(y.max()) > 0
    constant = nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), 1 + int(y.max()))).double()
    nn.init.zeros_(constant[1].weight)
    constant[1].bias.data = torch.arange(1.0 + int(y.max()), dtype=torch.float64)
    keep = y < y.max()
    data = (x[keep], y[keep])
    nets = {n: Problem(net, "cross_entropy", data) for n, net in (("c", constant), ("d", constant))}
    assert np.isnan(landscape.diversity(nets)["error_correlation"]).all()


def test_models_of_other_data_are_refused():
    """Oracle: the sentence the user must see."""
    first, second = members(2)
    mixed = {**problems([first]), "other": Problem(second, "cross_entropy", images(24))}
    with pytest.raises(InputError, match="on the same examples with the same classes"):
        landscape.diversity(mixed)


def test_tokens_are_the_flattened_problem_with_errors_of_examples():
    """Oracle: the problem of all tokens; of tokens that come three times, the error of one of each."""
    torch.manual_seed(0)
    x = torch.randn(50, 4, dtype=torch.float64)
    y = torch.randint(0, 3, (50, 3))
    y[:20, 2] = -100
    nets = [nn.Sequential(nn.Linear(4, 9), nn.Unflatten(1, (3, 3))).double() for _ in range(3)]
    loss = nn.CrossEntropyLoss()
    tokens = landscape.diversity({f"m{i}": Problem(net, loss, (x, y)) for i, net in enumerate(nets)})
    kept = y.flatten() >= 0
    flat = {}
    for i, net in enumerate(nets):
        z = net(x).detach().movedim(1, -1).reshape(-1, 3)[kept]
        logits = nn.Linear(3, 3).double()
        logits.weight.data, logits.bias.data = torch.eye(3).double(), torch.zeros(3).double()
        flat[f"m{i}"] = Problem(logits, loss, (z, y.flatten()[kept]))
    plain = landscape.diversity(flat)
    for name in tokens.data_vars:
        if not str(name).endswith("_se") and name not in ("examples", "classification"):
            np.testing.assert_allclose(tokens[name], plain[name], rtol=1e-9, atol=1e-12, err_msg=str(name))
    assert int(tokens["examples"]) == 50
    assert int(tokens["answers"]) == int(plain["examples"]) == int(kept.sum())
    for net in nets:
        net[0].weight.data = net[0].weight.data.view(3, 3, 4)[:, :1].expand(3, 3, 4).reshape(9, 4).clone()
        net[0].bias.data = net[0].bias.data.view(3, 3)[:, :1].expand(3, 3).reshape(9).clone()
    same = y[:, :1].expand(-1, 3).contiguous()
    copies = landscape.diversity({f"m{i}": Problem(net, loss, (x, same)) for i, net in enumerate(nets)})
    ones = [nn.Sequential(net, nn.Flatten(), Firsts()) for net in nets]
    once = landscape.diversity({f"m{i}": Problem(net, loss, (x, y[:, 0])) for i, net in enumerate(ones)})
    for name in ("nll_gain_se", "brier_gain_se", "disagreement_se"):
        np.testing.assert_allclose(copies[name], once[name], rtol=1e-9, atol=1e-12)


class Firsts(nn.Module):
    """The logits of the first of three tokens, classes first."""

    def forward(self, x):
        return x[:, ::3]


def test_soft_targets_keep_the_gains_exact():
    """Oracle: the members' mean score less that of their average, both by `calibration`."""
    torch.manual_seed(0)
    x, t = torch.randn(40, 4, dtype=torch.float64), torch.randn(40, 3, dtype=torch.float64).softmax(1)
    nets = [nn.Linear(4, 3).double() for _ in range(3)]
    ds = landscape.diversity({f"m{i}": Problem(n, "cross_entropy", (x, t)) for i, n in enumerate(nets)})
    average = landscape.calibration(Problem(DeepEnsemble(nets), "cross_entropy", (x, t)))
    for name in ("nll", "brier"):
        assert float(ds[f"average_{name}"]) == pytest.approx(float(average[name]), rel=1e-12)
        gap = float(ds[f"mean_{name}"] - ds[f"average_{name}"])
        assert float(ds[f"{name}_gain"]) == pytest.approx(gap, rel=1e-9)
        assert float(ds[f"mean_{name}"]) == pytest.approx(float(ds[f"member_{name}"].mean()), rel=1e-12)
