"""``calibration`` against the problem itself, and told from other data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import CASES, generator
from scipy.stats import binomtest
from torch import nn

import landscape
from landscape import Problem
from landscape.core.behaviour.calibration import calibration_error, predict
from landscape.core.behaviour.ood import predict_other
from landscape.core.stats.intervals import reach
from landscape.errors import InputError


def test_analysis_agrees_with_the_problem():
    """Oracle: the problem's own loss and accuracy."""
    problem = CASES["conv_batchnorm"].problem()
    ds = landscape.calibration(problem)
    measure = problem.measure()
    assert float(ds["nll"]) == pytest.approx(measure.loss)
    assert float(ds["accuracy"]) == pytest.approx(measure.accuracy)
    assert int(ds["bin_count"].sum()) == int(ds["mass_bin_count"].sum()) == problem.examples
    assert float(ds["threshold_kept"][0]) == 1.0
    assert float(ds["threshold_accuracy"][0]) == pytest.approx(measure.accuracy)
    assert float(ds["nll_at_temperature"]) <= float(ds["nll"])


def test_what_is_no_classification_is_refused():
    with pytest.raises(InputError, match="no such classification"):
        landscape.calibration(CASES["regression"].problem())
    data = (torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4))
    with pytest.raises(InputError, match="no such classification"):
        landscape.calibration(Problem(nn.Conv2d(1, 1, 1), nn.L1Loss(), data))


class Tokens(nn.Module):
    """One of three classes for each of seven tokens."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 21)

    def forward(self, x):
        return self.linear(x).unflatten(1, (7, 3))


def of_tokens(o, t):
    values = torch.nn.functional.cross_entropy(o.transpose(1, 2), t, reduction="none", ignore_index=-100)
    return values.sum(1) / (t >= 0).sum(1)


class Given(nn.Module):
    """Puts out its inputs."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, x):
        return x + self.weight


def test_tokens_have_the_numbers_of_the_flattened_problem_and_errors_of_examples():
    """Oracle: the plain problem of all tokens; of tokens that repeat seven times, that of one of each."""
    torch.manual_seed(0)
    model = Tokens().double()
    x = torch.randn(60, 4, generator=generator(1), dtype=torch.float64)
    y = torch.randint(0, 3, (60, 7), generator=generator(2))
    y[torch.arange(60) % 2 == 0, 3:] = -100
    ds = landscape.calibration(Problem(model, of_tokens, (x, y), batch_size=25), ood=x + 1.0)
    kept = y.flatten() >= 0
    z = model(x).detach().reshape(-1, 3)
    other = model(x + 1.0).detach().reshape(-1, 3)
    flat = landscape.calibration(Problem(Given(), "cross_entropy", (z[kept], y.flatten()[kept])), ood=other)
    for name in ds.data_vars:
        if (
            not str(name).endswith(("_interval", "_se"))
            and "example" not in str(name)
            and name != "classification"
        ):
            np.testing.assert_allclose(ds[name], flat[name], rtol=1e-10, err_msg=str(name))
    assert str(ds["classification"].item()) == "classes at positions"
    assert int(ds["answers"]) == int(kept.sum()) == int(ds["bin_count"].sum())
    assert ds.sizes["example"] == int(ds["ood_examples"]) == 60
    rows = torch.arange(60).repeat_interleave(7)[kept]
    mean = np.bincount(rows, flat["example_nll"].values) / np.bincount(rows)
    np.testing.assert_allclose(ds["example_nll"], mean, rtol=1e-10)
    captions = " ".join(spec.caption for spec in landscape.calibration.plots({"m": ds}))
    assert f"{int(kept.sum())} answers of 60 examples" in captions

    # Seven equal tokens are one answer, so far as errors go.
    model.linear.weight.data = model.linear.weight.data[:3].repeat(7, 1)
    model.linear.bias.data = model.linear.bias.data[:3].repeat(7)
    same = y[:, :1].clamp(min=0).expand(-1, 7).contiguous()
    copied = landscape.calibration(Problem(model, of_tokens, (x, same)))
    once = landscape.calibration(Problem(Given(), "cross_entropy", (model(x)[:, 0].detach(), same[:, 0])))
    for name in ("nll", "ece", "accuracy"):
        np.testing.assert_allclose(copied[f"{name}_interval"], once[f"{name}_interval"], rtol=1e-9)
    filled = once["bin_count"].values > 5
    width, plain = (
        np.diff(part["bin_accuracy_interval"].values[:, filled], axis=0) for part in (copied, once)
    )
    np.testing.assert_allclose(width, plain, rtol=0.15)  # a variance over n − 1, and its bound


def test_one_logit_is_calibrated_as_two():
    """Oracle: the problem of two logits, 0 and z, to the last table."""
    torch.manual_seed(0)
    model = nn.Linear(4, 1).double()
    x = torch.randn(80, 4, generator=generator(1), dtype=torch.float64)
    y = (torch.rand(80, generator=generator(2)) < 0.5).double()
    ds = landscape.calibration(Problem(model, nn.BCEWithLogitsLoss(), (x, y[:, None])), ood=x - 2.0)
    two = nn.Linear(4, 2).double()
    two.weight.data = torch.cat([0 * model.weight, model.weight]).detach()
    two.bias.data = torch.cat([0 * model.bias, model.bias]).detach()
    flat = landscape.calibration(Problem(two, "cross_entropy", (x, y.long())), ood=x - 2.0)
    for name in ds.data_vars:
        if name != "classification":
            np.testing.assert_allclose(ds[name], flat[name], rtol=1e-9, err_msg=str(name))
    assert str(ds["classification"].item()) == "one logit"


def share_of_pairs(inside, outside):
    """The share of pairs in which the first is larger, ties counted half: the area under the ROC curve."""
    return np.mean(np.greater.outer(inside, outside) + 0.5 * np.equal.outer(inside, outside))


def test_calibration_detects_other_data():
    """Oracle: all pairs of confidences of the same model; without other data NaN; both forms agree."""
    problem = CASES["mlp"].problem()
    x = 3.0 * torch.randn(21, *problem.batches[0].inputs.shape[1:], generator=generator(3)).double()
    ds = landscape.calibration(problem, ood=x)
    inside, outside = predict(problem), predict_other(problem, (x, torch.zeros(21, dtype=torch.long)))
    expected = share_of_pairs(inside.confidence, outside.confidence)
    assert float(ds["ood_auroc_confidence"]) == pytest.approx(expected, abs=1e-12)
    assert float(ds["ood_auroc_entropy"]) == pytest.approx(share_of_pairs(-inside.entropy, -outside.entropy))
    assert int(ds["ood_examples"]) == 21
    assert "ood" in ds.attrs["inputs"]
    assert "ood_auroc" in {spec.name for spec in landscape.calibration.plots({"m": ds})}
    assert np.isnan(landscape.calibration(problem)["ood_auroc_confidence"])


def other_data():
    """What a manifest may name."""
    return torch.zeros(4, *CASES["mlp"].problem().batches[0].inputs.shape[1:]).double(), torch.zeros(4).long()


def test_a_builder_gives_the_same_as_the_data():
    """Oracle: the data that the function returns, given as the input."""
    problem = CASES["mlp"].problem()
    named = landscape.calibration(problem, ood_data=f"{__name__}:other_data")
    given = landscape.calibration(problem, ood=other_data())
    assert float(named["ood_auroc_confidence"]) == float(given["ood_auroc_confidence"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ood_data": "no_such_module:f"}, "no_such_module:f': there is no module 'no_such_module'"),
        ({"ood_data": "math:nothing"}, "math:nothing': 'math' has no 'nothing'"),
        ({"ood_data": "math:sqrt"}, "math:sqrt' called with .. raised TypeError"),
        ({"ood_data": "nonsense"}, "ood_data"),
        ({"ood": torch.zeros(3, 99).double()}, "inputs of its own shape"),
        ({"ood": other_data(), "ood_data": "math:sqrt"}, "not both"),
    ],
)
def test_what_cannot_be_used_is_refused(options, words):
    """Oracle: the sentence names what was wrong."""
    with pytest.raises(InputError, match=words):
        landscape.calibration(CASES["mlp"].problem(), **options)


def test_a_temperature_fitted_on_held_out_data():
    """Oracle: the temperature that the fit data's own analysis finds, and the scores with it by hand."""
    problem = CASES["mlp"].problem()
    x = torch.randn(40, *problem.batches[0].inputs.shape[1:], generator=generator(5), dtype=torch.float64)
    labels = problem.module(x).argmax(1).detach()
    labels[:8] = (labels[:8] + 1) % 3  # some errors, so that the temperature is neither 0 nor infinite
    held = (x, labels)
    ds = landscape.calibration(problem, fit=held)
    want = float(
        landscape.calibration(problem.on(Problem(problem.module, "cross_entropy", held).batches))[
            "temperature"
        ]
    )
    assert 0 < want < np.inf
    assert float(ds["temperature_fitted"]) == pytest.approx(want)
    scaled = predict(problem).scaled(want)
    assert float(ds["nll_scaled"]) == pytest.approx(scaled.nll.mean())
    assert float(ds["brier_scaled"]) == pytest.approx(scaled.brier.mean())
    assert float(ds["ece_scaled"]) == pytest.approx(calibration_error(scaled))
    assert int(ds["fit_examples"]) == 40
    assert {"fitted temperature", "scaled NLL"} <= {m.name for m in landscape.calibration.summary(ds)}
    plain = landscape.calibration(problem)
    assert "temperature_fitted" not in plain
    assert "fit_data" not in plain.attrs["parameters"]  # keys of results of before the option stay
    with pytest.raises(InputError, match="either the input fit or the option fit_data"):
        landscape.calibration(problem, fit=held, fit_data="package:function")


def test_an_accuracy_of_one_has_an_interval():
    """Oracle: scipy's Wilson interval; resamples of right answers are all right."""
    x = torch.eye(3, dtype=torch.float64).repeat(10, 1)
    model = nn.Linear(3, 3, bias=False).double()
    model.weight.data = 4.0 * torch.eye(3, dtype=torch.float64)
    for labels, share in ((x.argmax(1), 1.0), ((x.argmax(1) + 1) % 3, 0.0)):
        ds = landscape.calibration(Problem(model, "cross_entropy", (x, labels)), bootstrap=20)
        ends = binomtest(round(30 * share), 30).proportion_ci(method="wilson")
        np.testing.assert_allclose(ds["accuracy_interval"], ends, atol=1e-8)
        assert float(ds["accuracy"]) == share
    ds = landscape.line(Problem(model, "cross_entropy", (x, x.argmax(1))), steps=3, low=-0.01, high=0.01)
    assert (ds["accuracy"] == 1.0).all()
    high = 1 - binomtest(30, 30).proportion_ci(method="wilson").low
    np.testing.assert_allclose(reach(30) * ds["accuracy_se"], high, rtol=1e-6)
