"""Scores of one intensity and of all together, against their definitions and closed forms."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from torch import nn

from landscape.core.behaviour.calibration import Predictions, calibration_error
from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.core.behaviour.drawn import MEASURES, DrawnPredictions, predict_draws
from landscape.core.behaviour.ood import auroc, false_accept_rate
from landscape.core.behaviour.selective import Ranking, window_spearman
from landscape.core.behaviour.shift_scores import ShiftScores, detection, pooled, ranked
from landscape.core.problem.problem import Problem


def drawn(n=300, seed=0, noise=1.0, score=None):
    """Three draws of a classifier of four classes, whose logits hold the label and noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n)
    z = 2.0 * np.eye(4)[labels] + noise * rng.normal(size=(3, n, 4))
    p = np.exp(z) / np.exp(z).sum(2, keepdims=True)
    return DrawnPredictions(
        mixture=Predictions(np.log(p.mean(0)), labels),
        expected_entropy=-(p * np.log(p)).sum(2).mean(0),
        variance=p.var(0).mean(1),
        disagreement=np.zeros(n),
        score=score,
        draws=3,
    )


def test_means_and_their_errors():
    """Oracle: numpy's mean and spread of each score, scipy's Wilson of answers that agree; NaN stays NaN."""
    made = drawn()
    numbers = ShiftScores(made, 15, 50, 0).numbers(ShiftScores(made, 15, 50, 0))
    for name, values in made.per_example().items():
        assert numbers[name] == pytest.approx(values.mean(), nan_ok=True)
        spread = values.std(ddof=1) / np.sqrt(300)
        if name == "disagreement":  # of draws that never differ
            assert (values == 0).all()
            spread = binomtest(0, 300).proportion_ci(method="wilson").high / 2
        assert numbers[f"{name}_se"] == pytest.approx(spread, rel=1e-6, nan_ok=True)
        assert numbers[f"{name}_change"] == pytest.approx(0.0 * values.mean(), nan_ok=True)
    assert numbers["ece"] == pytest.approx(calibration_error(made.mixture))
    assert numbers["ece_change"] == numbers["ece_change_se"] == 0.0


def test_calibration_errors_spread_as_the_gap_of_an_over_confident_model():
    """Oracle: too confident in every bin, its error is the mean of confidence − correct, of known error.

    The bootstrap's own error is 1/√(2 · 400), 3.5 %.
    """
    made = drawn(noise=9.0)
    gap = made.mixture.confidence - made.mixture.correct
    assert calibration_error(made.mixture, 5) == pytest.approx(gap.mean(), abs=1e-12)
    scores = ShiftScores(made, 5, 400, 0)
    assert scores.numbers(scores)["ece_se"] == pytest.approx(gap.std(ddof=1) / np.sqrt(300), rel=0.12)


def test_changes_are_differences_paired_by_example():
    """Oracle: the differences written out."""
    clean, shifted = drawn(noise=0.5), drawn(noise=2.0)
    found = ShiftScores(shifted, 15, 50, 0).numbers(ShiftScores(clean, 15, 50, 0))
    gap = shifted.mixture.nll - clean.mixture.nll
    assert found["nll_change"] == pytest.approx(gap.mean())
    assert found["nll_change_se"] == pytest.approx(gap.std(ddof=1) / np.sqrt(300))
    before, after = (calibration_error(d.mixture) for d in (clean, shifted))
    assert found["ece_change"] == pytest.approx(after - before)


def test_the_parts_of_the_brier_score_add_up():
    """Oracle: the identity."""
    made = ShiftScores(drawn(), 15, 2, 0)
    n = made.numbers(made)
    total = n["reliability"] - n["resolution"] + n["uncertainty_term"] + n["within_bin"]
    assert n["brier_top"] == pytest.approx(total, abs=1e-14)


def test_measures_rank_each_in_its_own_way():
    """Oracle: `Ranking` of each measure, in the order of the measures."""
    made = drawn(score=np.arange(300.0))
    found = ranked([made], np.array([0.5, 1.0]))
    assert found["risk"].shape == (4, 2)
    for place, by in enumerate(MEASURES):
        ranking = Ranking.of(made.uncertainty(by), made.mixture.correct)
        assert found["raulc"][place] == ranking.raulc
        windows = window_spearman(made.uncertainty(by), made.mixture.correct)
        np.testing.assert_equal(found["window_spearman"][place], windows)
        np.testing.assert_array_equal(found["risk"][place], ranking.risk(np.array([0.5, 1.0])))


def test_pooling_knows_what_single_intensities_hide():
    """Oracle: a score that is the intensity itself ranks nothing within one, and everything over both."""
    calm, wild = drawn(noise=0.01, score=np.zeros(300)), drawn(noise=9.0, score=np.ones(300))
    assert calm.mixture.correct.all()
    place = MEASURES.index("score")
    assert ranked([wild], np.ones(1))["raulc"][place] == pytest.approx(0.0, abs=1e-12)
    both = pooled([calm, wild])
    wrong = 1 - wild.mixture.correct.mean()
    # all errors are in the second half, in no order: closed form of the pairs
    assert both["pooled_error_auroc"][place] == pytest.approx(
        (300 + 0.5 * 300 * (1 - wrong)) / (600 - 300 * wrong)
    )
    assert both["pooled_raulc"][place] > 0.5


def test_other_data_are_compared_by_each_measure():
    """Oracle: AUROC of the predictions on the other data, by hand."""
    torch.manual_seed(0)
    model = nn.Linear(3, 4).double()
    x, other = torch.randn(50, 3, dtype=torch.float64), 4 * torch.randn(30, 3, dtype=torch.float64)
    problem = Problem(model, "cross_entropy", (x, torch.arange(50) % 4))

    def entropy(inputs):
        p = model(inputs).softmax(-1).detach()
        return -(p * p.log()).sum(1).numpy()

    found = detection(problem, predict_draws(problem), {"far": other, "own": x})
    assert found["ood_auroc"].shape == (2, 4)
    assert found["ood_auroc"][0, 1] == pytest.approx(auroc(-entropy(x), -entropy(other))[0])
    assert found["ood_auroc"][1, 1] == pytest.approx(0.5)
    assert found["ood_confidence"][1] == pytest.approx(model(x).softmax(-1).max(1).values.mean().item())
    assert found["ood_examples"].tolist() == [30, 50]
    assert np.isnan(found["ood_aupr"][:, 3]).all()


def test_agreement_counts_the_answers_that_stay():
    """Oracle: four answers written out, of which three stay, whatever is right; NaN where logits are."""
    log_p = np.log([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.5, 0.3, 0.2]])
    moved = np.log([[0.5, 0.4, 0.1], [0.3, 0.4, 0.3], [0.6, 0.2, 0.2], [0.4, 0.3, 0.3]])

    def scores(values, **given):
        made = Predictions(values, np.array([2, 2, 2, 2]), **given)
        return ShiftScores(DrawnPredictions(made, *np.zeros((3, 4)), None, 1), 5, 3, 0)

    numbers = scores(moved).numbers(scores(log_p))
    assert numbers["agreement"] == 0.75
    assert numbers["agreement_se"] == pytest.approx(np.std([1, 1, 0, 1], ddof=1) / 2)
    assert scores(log_p).numbers(scores(log_p))["agreement"] == 1.0
    several = {"examples": np.array([0, 0, 1, 1])}
    assert np.isnan(scores(moved, **several).numbers(scores(log_p, **several))["agreement"])
    moved[0] = np.nan
    assert np.isnan(scores(moved).numbers(scores(log_p))["agreement"])


# torch-uncertainty


@pytest.fixture
def rival():
    """The classification metrics of torch-uncertainty, written without any of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(
            "torch_uncertainty.metrics.classification",
            reason="torch-uncertainty is not installed: extra 'oracle'",
        )


def averaged():
    """An ensemble of five linear classifiers, its inputs and labels, and its members' probabilities."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(400, 6, dtype=torch.float64, generator=generator)
    centre = torch.randn(4, 6, dtype=torch.float64, generator=generator)
    y = (x @ centre.T + torch.randn(400, 4, dtype=torch.float64, generator=generator)).argmax(1)
    members = []
    for _ in range(5):
        member = nn.Linear(6, 4).double()
        with torch.no_grad():
            member.weight.copy_(centre + torch.randn(4, 6, dtype=torch.float64, generator=generator))
            member.bias.zero_()
        members.append(member)
    with torch.no_grad():
        p = torch.stack([member(x).softmax(-1) for member in members], 1)
    return DeepEnsemble(members), x, y, p


def theirs(metric, *given):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric.update(*given)
        return metric.compute()


def test_torch_uncertainty_agrees_on_the_kinds_of_doubt(rival):
    """Oracle: torch-uncertainty: mutual information, disagreement, entropies, NLL and Brier score."""
    ensemble, x, y, p = averaged()
    found = predict_draws(Problem(ensemble, "cross_entropy", (x, y))).per_example()
    mean = p.mean(1)
    exact = {
        "mutual_information": theirs(rival.MutualInformation(reduction="none"), p),
        "disagreement": theirs(rival.Disagreement(reduction="none"), p),
        "entropy": theirs(rival.Entropy(reduction="none"), mean),
        "expected_entropy": theirs(rival.Entropy(reduction="none"), p.flatten(0, 1)).view(400, 5).mean(1),
        "nll": theirs(rival.CategoricalNLL(reduction="none"), mean, y),
        "brier": theirs(rival.BrierScore(num_classes=4, reduction="none"), mean, y),
    }
    for name, values in exact.items():
        np.testing.assert_allclose(found[name], values.numpy(), rtol=1e-6, atol=1e-9, err_msg=name)


def test_torch_uncertainty_agrees_on_selective_prediction(rival):
    """Oracle: torch-uncertainty: error rates at every coverage, and its areas.

    Its areas are trapezoids from the first example on, ours the mean over all, and from 0 on: the same
    error rates give both.
    """
    ensemble, x, y, p = averaged()
    made, mean, n = predict_draws(Problem(ensemble, "cross_entropy", (x, y))), p.mean(1), len(x)
    ranking = Ranking.of(made.uncertainty("confidence"), made.mixture.correct)
    metric = rival.AURC()
    metric.update(mean, y)
    rates = metric.partial_compute().double().numpy()
    np.testing.assert_allclose(ranking.risk(np.arange(1, n + 1) / n), rates, atol=1e-6)
    ends = (rates[0] + rates[-1]) / 2
    assert (n * ranking.aurc - ends) / (n - 1) == pytest.approx(
        float(theirs(rival.AURC(), mean, y)), abs=1e-6
    )
    whole = n / (n - 1) * (ranking.augrc - rates[0] / (2 * n**2))
    assert whole == pytest.approx(float(theirs(rival.AUGRC(), mean, y)), abs=1e-6)


def test_torch_uncertainty_agrees_on_calibration_and_detection(rival):
    """Oracle: torch-uncertainty: the calibration errors of equal bins; false positives at 95 % recall."""
    ensemble, x, y, p = averaged()
    made, mean = predict_draws(Problem(ensemble, "cross_entropy", (x, y))), p.mean(1)
    scores = ShiftScores(made, 15, 2, 0)
    metric = rival.CalibrationError(task="multiclass", num_classes=4, num_bins=15, norm="l1")
    assert scores.numbers(scores)["ece"] == pytest.approx(float(theirs(metric, mean, y)), abs=1e-6)
    inside, outside = made.mixture.confidence[:200], 0.9 * made.mixture.confidence[200:]
    both = torch.from_numpy(np.concatenate([inside, outside]))
    own = torch.cat([torch.ones(200), torch.zeros(200)]).long()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it keeps all it is given
        metric = rival.FPRx(recall_level=0.95, pos_label=1)
    exact = theirs(metric, both, own)
    assert false_accept_rate(inside, outside) == pytest.approx(float(exact), abs=1e-6)
