"""``uncertainty``: its numbers against other analyses and definitions, its passes, its pictures."""

from __future__ import annotations

import json
from typing import get_args

import numpy as np
import pytest
import torch
from cases import CASES, images, uneven
from torch import nn

import landscape
from landscape import Problem
from landscape.analyses.behaviour._options import CorruptionName
from landscape.analyses.behaviour.uncertainty.schema import PARTS, SCORES
from landscape.core.behaviour.corruptions import CORRUPTIONS, corrupt_by
from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.core.behaviour.drawn import predict_draws
from landscape.core.behaviour.selective import Ranking, error_auroc
from landscape.core.problem.passes.pieces import LEAST_EXAMPLES
from landscape.core.stats.intervals import reach
from landscape.errors import InputError

SCALE = {"mean": (0.4,), "std": (0.2,)}
QUICK = {"shifts": ("gaussian_noise", "rotation"), "bootstrap": 20, **SCALE}


def model(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return CASES["conv_batchnorm"].model()


def ensemble(count=3):
    members = []
    for seed in range(count):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            net = CASES["conv_batchnorm"].model()
            for p in net.parameters():
                p.data += 0.3 * torch.randn_like(p)
        members.append(net.eval())
    return DeepEnsemble(members)


def problem(module=None, count=40):
    return Problem(module or model(), "cross_entropy", images(count), batch_size=16)


@pytest.fixture(scope="module")
def result():
    return landscape.uncertainty(problem(ensemble()), **QUICK)


def test_scores_are_those_of_corruptions(result):
    """Oracle: `corruptions`, a path of its own, of the same predictive at the same severities."""
    other = landscape.corruptions(problem(ensemble()), kinds=QUICK["shifts"], **SCALE)
    for name in ("accuracy", "nll", "brier"):
        for part in ("", "_se", "_change", "_change_se"):
            np.testing.assert_allclose(result[f"{name}{part}"], other[f"{name}{part}"], atol=1e-6)
    np.testing.assert_allclose(result["ece"], other["ece"], atol=1e-6)
    np.testing.assert_allclose(result["amount"][:, 1:], other["amount"][:, 1:])


def test_total_is_aleatoric_and_epistemic(result):
    """Oracle: the identity; the epistemic part is by Jensen never negative, and members here differ."""
    gap = result["entropy"] - result["expected_entropy"] - result["mutual_information"]
    np.testing.assert_allclose(gap, 0, atol=1e-12)
    assert (result["mutual_information"] > 1e-3).all()
    assert int(result["draws"]) == 3


def test_a_plain_model_has_no_epistemic_part():
    """Oracle: one draw: 0 exactly, and by it errors are ordered by chance."""
    ds = landscape.uncertainty(problem(), **QUICK)
    for name in ("mutual_information", "variance", "disagreement"):
        assert not ds[name].any()
    np.testing.assert_allclose(ds["expected_entropy"], ds["entropy"], rtol=1e-12)
    assert np.isnan(ds["score"]).all()
    assert np.isnan(ds["raulc"].sel(by="score")).all()
    np.testing.assert_allclose(ds["aurc"].sel(by="mutual_information"), 1 - ds["accuracy"], atol=1e-12)


def test_the_brier_score_is_the_sum_of_its_parts(result):
    """Oracle: the identity, at every shift and intensity; the score itself from confidences and answers."""
    parts = [result[name] for name in PARTS]
    np.testing.assert_allclose(parts[0], parts[1] - parts[2] + parts[3] + parts[4], atol=1e-14)
    mixture = predict_draws(problem(ensemble())).mixture
    want = ((mixture.confidence - mixture.correct) ** 2).mean()
    np.testing.assert_allclose(parts[0][:, 0], want, rtol=1e-6)


def test_orders_are_those_of_images_changed_by_hand(result):
    """Oracle: rankings of the predictions on images turned by hand; pooled, of all intensities in a row."""
    x, y = images(40)
    made = [predict_draws(problem(ensemble()))]
    for amount in CORRUPTIONS["gaussian_noise"].amounts:
        pixels = corrupt_by("gaussian_noise", amount)(x * 0.2 + 0.4, 0)
        batches = uneven(((pixels - 0.4) / 0.2, y), [33, 7])
        made.append(predict_draws(Problem(ensemble(), "cross_entropy", batches)))
    part = result.sel(shift="gaussian_noise")
    for by in ("confidence", "entropy", "mutual_information"):
        ranking = Ranking.of(made[3].uncertainty(by), made[3].mixture.correct)
        at = part.sel(by=by).isel(intensity=3)
        np.testing.assert_allclose(at["risk"], ranking.risk(np.arange(1, 21) / 20), atol=1e-6)
        assert float(at["aurc"]) == pytest.approx(ranking.aurc, abs=1e-6)
        assert float(at["excess_aurc"]) == pytest.approx(ranking.excess_aurc, abs=1e-6)
        assert float(at["augrc"]) == pytest.approx(ranking.augrc, abs=1e-6)
        together = [
            np.concatenate(p)
            for p in zip(*((m.uncertainty(by), m.mixture.correct) for m in made), strict=True)
        ]
        assert float(part["pooled_raulc"].sel(by=by)) == pytest.approx(Ranking.of(*together).raulc, abs=1e-6)
        assert float(part["pooled_aurc"].sel(by=by)) == pytest.approx(Ranking.of(*together).aurc, abs=1e-6)
        assert float(part["pooled_error_auroc"].sel(by=by)) == pytest.approx(
            error_auroc(*together)[0], abs=1e-6
        )
    full = result["risk"].sel(by="entropy").isel(coverage=-1)
    np.testing.assert_allclose(full, 1 - result["accuracy"], atol=1e-12)


def test_no_more_passes_than_are_needed():
    """Oracle: one pass for the unchanged images, one for each of 2 × 5 changes and one for other data.

    Trials of a few examples tell once how passes are cut and laid out in memory.
    """
    count = []

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model()

        def forward(self, x):
            count.append(len(x))
            return self.inner(x)

    subject = problem(Counting())
    subject.module.train(False)
    count.clear()
    landscape.uncertainty(subject, ood=images(24)[0], **QUICK)
    needed = 40 * (1 + 2 * 5) + 24
    assert sum(count) <= 1.1 * needed
    assert sum(count) == needed + 3 * LEAST_EXAMPLES, "two layouts, and what a graph saves"
    cost = landscape.analyses()["uncertainty"].cost(landscape.analyses()["uncertainty"].validate(QUICK))
    assert cost.forwards * 40 == needed - 24


def test_amounts_take_the_place_of_severities():
    """Oracle: a turn by 180° is two flips; unclipped noise keeps what cutting takes away."""
    turned = landscape.uncertainty(
        problem(), shifts="rotation_wide", intensities=(90, 180), clip=False, bootstrap=2, **SCALE
    )
    assert turned["intensity"].values.tolist() == [0, 90, 180]
    assert turned["amount"].values.tolist() == [[0, 90, 180]]
    assert not bool(turned["severities"])
    x, y = images(40)
    flipped = predict_draws(Problem(model(), "cross_entropy", (x.flip(2, 3), y))).mixture.nll.mean()
    assert float(turned["nll"][0, 2]) == pytest.approx(flipped, rel=1e-4)
    cut, uncut = (
        landscape.uncertainty(
            problem(), shifts="gaussian_noise", intensities=(2.0,), clip=clip, bootstrap=2, **SCALE
        )
        for clip in (True, False)
    )
    pixels = CORRUPTIONS["gaussian_noise"].apply(x * 0.2 + 0.4, 2.0, np.random.default_rng((0, 2)))
    for ds, changed in ((cut, pixels.clamp(0, 1)), (uncut, pixels)):
        by_hand = predict_draws(Problem(model(), "cross_entropy", ((changed - 0.4) / 0.2, y))).mixture
        assert float(ds["nll"][0, 1]) == pytest.approx(by_hand.nll.mean(), rel=1e-5)
    assert float(cut["nll"][0, 1]) != float(uncut["nll"][0, 1])


def test_errors_of_calibration_are_paired():
    """Oracle: a full roll changes nothing: its change has no error, however uncertain the score is.

    But for the accuracy: equal answers of 40 examples do not say that no example's answer changes.
    """
    ds = landscape.uncertainty(
        problem(), shifts="roll", intensities=(1.0,), clip=False, bootstrap=50, **SCALE
    )
    for name in SCORES:
        if name != "score":
            assert float(ds[f"{name}_change"][0, 1]) == pytest.approx(0, abs=1e-6)
            error = 1 / 42 if name == "accuracy" else 0.0
            assert float(ds[f"{name}_change_se"][0, 1]) == pytest.approx(error, abs=1e-6)
    assert float(ds["ece_se"][0, 1]) > 0.01
    # what is shown is the interval, of which the bias is taken off
    own = landscape.calibration(problem(), bootstrap=50)
    np.testing.assert_allclose(ds["ece_interval"][:, 0, 0], own["ece_interval"], rtol=1e-6)
    band = next(s for s in landscape.uncertainty.plots({"m": ds}) if s.name == "ece_roll").marks[0]
    np.testing.assert_array_equal([band.low, band.high], ds["ece_interval"][:, 0])


def test_other_data_are_told_apart():
    """Oracle: `calibration`, which has its own AUROC; the same data are not told apart at all."""
    own = images(40)[0]
    far = 5 * torch.randn(30, *own.shape[1:], generator=torch.Generator().manual_seed(0))
    ds = landscape.uncertainty(problem(ensemble()), ood={"same": own, "far": far}, **QUICK)
    assert ds["ood"].values.tolist() == ["same", "far"]
    assert ds["ood_examples"].values.tolist() == [40, 30]
    np.testing.assert_allclose(ds["ood_auroc"].sel(ood="same")[:3], 0.5)
    other = landscape.calibration(problem(ensemble()), ood=far, bootstrap=2)
    part = ds.sel(ood="far")
    for by in ("confidence", "entropy"):
        assert float(part["ood_auroc"].sel(by=by)) == pytest.approx(float(other[f"ood_auroc_{by}"]), abs=1e-3)
    assert (ds["ood_fpr95"].sel(ood="same")[:3] >= 0.95).all()
    names = [f.name for f in landscape.analyses()["uncertainty"].figures({"a": ds})]
    assert {"ood_auroc", "ood_fpr95"} <= set(names)


def test_one_kind_of_change_is_shown_by_its_amount():
    """Oracle: the axis; without several kinds there is no mean over them."""
    ds = landscape.uncertainty(problem(), shifts="rotation_wide", intensities=(90, 180), bootstrap=2, **SCALE)
    figures = {f.name: f for f in landscape.analyses()["uncertainty"].figures({"a": ds})}
    assert "mean_nll" not in figures
    assert figures["nll_rotation_wide"].x.title == "amount (0 = unchanged) (degrees, either way)"


def test_options_name_every_corruption():
    """Oracle: the table of corruptions."""
    assert set(get_args(CorruptionName)) == set(CORRUPTIONS)


def test_summary_is_of_the_result(result):
    """Oracle: by inspection of the dataset."""
    found = {m.name: m.value for m in landscape.analyses()["uncertainty"].summary(result)}
    assert found["NLL clean"] == float(result["nll"][0, 0])
    assert found["NLL worst"] == float(result["nll"].max())
    assert found["pooled rAULC"] == pytest.approx(float(result["pooled_raulc"][:, 1].mean()))
    assert json.loads(result.attrs["parameters"])["shifts"] == list(QUICK["shifts"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shifts": ("roll", "roll")}, "named twice"),
        ({"intensities": (3.0, 2.0)}, "amounts must rise"),
        ({"intensities": (0.0, 2.0)}, "give more than 0"),
        ({"ood_data": "json:loads", "ood": torch.ones(2, 1, 8, 8)}, "either the input ood or the option"),
    ],
)
def test_what_cannot_be_is_named(options, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        landscape.uncertainty(problem(), **options)


def test_labels_are_the_flattened_problem_with_errors_of_examples():
    """Oracle: the problem that asks each label of its own, one logit; equal labels have the errors of one."""
    torch.manual_seed(0)
    x = torch.rand(40, 1, 4, 4, dtype=torch.float64)
    y = (torch.rand(40, 3) < 0.4).double()
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double()
    options = {
        "shifts": ("gaussian_noise",),
        "intensities": (0.1,),
        "bootstrap": 20,
        "mean": (0.0,),
        "std": (1.0,),
    }
    other = torch.rand(25, 1, 4, 4, dtype=torch.float64) + 0.5
    found = landscape.uncertainty(Problem(net, nn.BCEWithLogitsLoss(), (x, y)), ood=other, **options)
    assert str(found["classification"].item()) == "labels"
    assert (int(found["examples"]), int(found["answers"]), int(found["ood_examples"][0])) == (40, 120, 25)
    parts = []
    for label in range(3):
        one = nn.Sequential(nn.Flatten(), nn.Linear(16, 1)).double()
        one[1].weight.data, one[1].bias.data = net[1].weight.data[label, None], net[1].bias.data[label, None]
        data = x, y[:, label, None]
        parts.append(landscape.uncertainty(Problem(one, nn.BCEWithLogitsLoss(), data), ood=other, **options))
    for name in ("accuracy", "nll", "brier", "entropy", "nll_change"):
        np.testing.assert_allclose(
            found[name], np.mean([p[name] for p in parts], axis=0), rtol=1e-9, atol=1e-12
        )
    # every pair of a label of the own data and one of the others, by hand
    sides = [np.sort(-np.exp(-np.abs(net(d).detach().numpy())).ravel()) for d in (x, other)]
    pairs = np.greater.outer(*sides) + 0.5 * np.equal.outer(*sides)
    by = found["by"].values.tolist().index("entropy")
    assert float(found["ood_auroc"][0, by]) == pytest.approx(pairs.mean(), rel=1e-9)

    net[1].weight.data, net[1].bias.data = net[1].weight.data[:1].repeat(3, 1), net[1].bias.data[:1].repeat(3)
    data = x, y[:, :1].repeat(1, 3)
    copies = landscape.uncertainty(Problem(net, nn.BCEWithLogitsLoss(), data), ood=other, **options)
    one = nn.Sequential(nn.Flatten(), nn.Linear(16, 1)).double()
    one[1].weight.data, one[1].bias.data = net[1].weight.data[:1], net[1].bias.data[:1]
    once = landscape.uncertainty(Problem(one, nn.BCEWithLogitsLoss(), (x, y[:, :1])), ood=other, **options)
    for name in ("nll_se", "accuracy_se", "brier_change_se", "ece_se", "error_auroc", "ood_auroc_se"):
        np.testing.assert_allclose(copies[name], once[name], rtol=1e-9, atol=1e-12, err_msg=name)
    # DeLong's two factors n/(n − 1) count right and wrong apart; here their examples are the same sets
    np.testing.assert_allclose(copies["error_auroc_se"], once["error_auroc_se"], rtol=0.05)


def test_soft_targets_keep_the_brier_score_the_sum_of_its_parts():
    """Oracle: Murphy's identity, and plain targets drawn from the soft ones very often."""
    torch.manual_seed(0)
    x, t = torch.rand(50, 1, 4, 4, dtype=torch.float64), torch.randn(50, 3, dtype=torch.float64).softmax(1)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double()
    options = {"shifts": ("contrast",), "intensities": (0.5,), "bootstrap": 2, "mean": (0.0,), "std": (1.0,)}
    ds = landscape.uncertainty(Problem(net, "cross_entropy", (x, t)), **options)
    total = ds["reliability"] - ds["resolution"] + ds["uncertainty_term"] + ds["within_bin"]
    np.testing.assert_allclose(ds["brier_top"], total, rtol=1e-10)
    drawn = torch.multinomial(t, 4000, replacement=True).flatten()
    many = Problem(net, "cross_entropy", (x.repeat_interleave(4000, 0), drawn), batch_size=50000)
    found = predict_draws(many)
    means = {name: values.mean() for name, values in found.per_example().items()}
    for name in ("accuracy", "nll", "brier"):
        assert float(ds[name][0, 0]) == pytest.approx(means[name], abs=0.005)
    ranking = Ranking.of(found.uncertainty("entropy"), found.mixture.correct)
    assert float(ds["aurc"][0, 0, 1]) == pytest.approx(ranking.aurc, abs=0.02)
    value, _ = error_auroc(found.uncertainty("entropy"), found.mixture.correct)
    assert float(ds["error_auroc"][0, 0, 1]) == pytest.approx(value, abs=0.01)


def test_answers_that_stay_are_counted_and_drawn():
    """Oracle: a cyclic move by the whole width changes nothing; by half of it, answers by hand."""
    x, y = images()
    problem = Problem(model(), "cross_entropy", (x, y))
    ds = landscape.uncertainty(problem, shifts=("roll",), intensities=(0.5, 1.0), bootstrap=2, **SCALE)
    pixels = (x * 0.2 + 0.4).clamp(0, 1)
    moved = (torch.roll(pixels, round(0.5 * x.shape[-1]), -1) - 0.4) / 0.2
    net = model().eval()
    with torch.no_grad():
        whole = (net((pixels - 0.4) / 0.2).argmax(1) == net(x).argmax(1)).double().mean()
        half = (net(moved).argmax(1) == net(x).argmax(1)).double().mean()
    np.testing.assert_allclose(ds["agreement"].values[0], [1.0, half, whole])
    names = {f.name for f in landscape.uncertainty.plots({"a": ds})}
    assert "agreement_roll" in names
    old = ds.drop_vars(["agreement", "agreement_se", "ece_interval", "ece_adaptive_interval"])
    specs = {f.name: f for f in landscape.uncertainty.plots({"a": old})}
    assert "agreement_roll" not in specs
    band = specs["ece_roll"].marks[0]  # as it was: two standard errors, and no word of a bias taken off
    np.testing.assert_allclose(band.high - band.y, reach(int(ds["examples"])) * ds["ece_se"].values[0])
    assert "taken off" not in str(specs["ece_roll"].errors)


def test_pictures_show_what_models_have():
    """Oracle: by hand: one draw has no epistemic part, and only own scores that there are get a place."""
    datasets = {
        "one": landscape.uncertainty(problem(), ood=images(24)[0], **QUICK),
        "three": landscape.uncertainty(problem(ensemble()), ood=images(24)[0], **QUICK),
    }
    specs = {spec.name: spec for spec in landscape.uncertainty.plots(datasets)}
    assert {mark.series.model for mark in specs["mean_mutual_information"].marks} == {"three"}
    assert "left out" in specs["mean_mutual_information"].caption
    assert specs["pooled_raulc"].x.categories == ("confidence", "entropy", "mutual information")
    assert "Other data: ood." in specs["ood_auroc"].caption
    alone = landscape.uncertainty.plots({"one": datasets["one"]})
    assert "mean_mutual_information" not in {spec.name for spec in alone}
    assert next(s for s in alone if s.name == "pooled_raulc").x.categories == ("confidence", "entropy")
