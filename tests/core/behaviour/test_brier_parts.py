import numpy as np
import pytest

from landscape.core.behaviour.brier_parts import BrierParts
from landscape.core.behaviour.calibration import bin_index, equal_edges


def forecasts(n=5000, seed=0):
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.3, 1.0, n)
    return confidence, (rng.random(n) < confidence).astype(float)


@pytest.mark.parametrize("bins", [2, 15, 200])
def test_the_parts_add_up_exactly(bins):
    """Oracle: the mean squared gap itself, whatever the bins; many of the 200 are empty."""
    confidence, correct = forecasts()
    parts = BrierParts.of(confidence, correct, bin_index(confidence, equal_edges(bins)), bins)
    assert parts.score == pytest.approx(((confidence - correct) ** 2).mean(), abs=1e-15)
    total = parts.reliability - parts.resolution + parts.uncertainty + parts.within_bin
    assert total == pytest.approx(parts.score, abs=1e-14)


def test_bins_of_one_forecast_hide_nothing():
    """Oracle: Murphy's three parts by hand: half at .6 with accuracy .5, half at .9 with accuracy 1."""
    confidence = np.repeat([0.6, 0.9], 4)
    correct = np.array([1, 0, 1, 0, 1, 1, 1, 1.0])
    parts = BrierParts.of(confidence, correct, np.repeat([0, 1], 4), 2)
    assert parts.within_bin == pytest.approx(0.0, abs=1e-16)
    assert parts.reliability == pytest.approx((0.1**2 + 0.1**2) / 2)
    assert parts.resolution == pytest.approx(0.25**2)
    assert parts.uncertainty == pytest.approx(0.75 * 0.25)


def test_calibrated_forecasts_are_reliable():
    """Oracle: labels drawn from the confidences themselves: reliability is Σ_b p(1 − p)/N on average."""
    confidence, correct = forecasts(100_000)
    index = bin_index(confidence, equal_edges(15))
    parts = BrierParts.of(confidence, correct, index, 15)
    expected = sum((confidence * (1 - confidence))[index == b].mean() for b in np.unique(index)) / 100_000
    assert parts.reliability < 3 * expected
    assert parts.score == pytest.approx((confidence * (1 - confidence)).mean(), rel=0.02)


def test_nan_stays_nan():
    """Oracle: by inspection."""
    parts = BrierParts.of(np.array([np.nan, 0.5]), np.array([1.0, 0.0]), np.array([1, 0]), 2)
    assert np.isnan(parts.score)
    assert np.isnan(parts.reliability)
