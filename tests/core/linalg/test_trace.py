"""Trace, blocks, diagonal and Frobenius norm against matrices whose entries are known."""

import numpy as np
import pytest
import torch

from landscape.core.linalg import trace
from landscape.core.linalg.operators import DenseOperator
from landscape.core.linalg.trace import estimate_trace
from landscape.errors import InputError, LandscapeError
from landscape.testing import SPECTRA, indefinite, matrix_with_spectrum, outliers_and_bulk

SIZES = [100, 0, 150, 350]
METHODS = ["hutch++", "hutchinson"]


def power_law(n: int) -> torch.Tensor:
    return 1 / torch.arange(1, n + 1, dtype=torch.float64)


def scores(A: torch.Tensor, seeds: int, **options: object) -> dict[str, np.ndarray]:
    """(estimate - truth) / standard error for each quantity, over seeds; rows are seeds."""
    diagonal = A.diagonal()
    blocks = torch.stack([part.sum() for part in diagonal.split(SIZES)])
    names = ("error", "trace", "frobenius", "blocks", "diagonal")
    rows: dict[str, list[object]] = {name: [] for name in names}
    for seed in range(seeds):
        found = estimate_trace(DenseOperator(A), seed=seed, sizes=SIZES, diagonal=True, **options)
        rows["error"].append(found.trace - diagonal.sum())
        rows["trace"].append((found.trace - diagonal.sum()) / found.trace_se)
        rows["frobenius"].append((found.frobenius - A.norm()) / found.frobenius_se)
        rows["blocks"].append(((found.blocks - blocks) / found.blocks_se)[[0, 2, 3]])
        rows["diagonal"].append((found.diagonal - diagonal) / found.diagonal_se)
    return {name: np.stack([np.asarray(v) for v in values]) for name, values in rows.items()}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spectrum", [power_law, outliers_and_bulk], ids=["power_law", "outliers"])
def test_standard_errors_are_honest(method, spectrum):
    """Independent: the true values of a known matrix, over 150 seeds with adaptive stopping.

    Two standard errors are to cover about 95 %, within three standard deviations of 150 draws (90 %), and
    scores are to have variance 1. Of the Frobenius norm less is promised (see `TraceEstimate`).
    """
    A = matrix_with_spectrum(spectrum(600))
    found = scores(A, 150, method=method, rel_se=0.05, max_products=300)
    assert (np.abs(found["trace"]) < 2).mean() >= 0.90
    assert (np.abs(found["frobenius"]) < 2).mean() >= 0.80
    assert ((np.abs(found["blocks"]) < 2).mean(0) >= 0.90).all()
    for name in ("trace", "blocks", "diagonal"):
        assert ((found[name] ** 2).mean(0) > 0.6).mean() > 0.99, name
        assert (found[name] ** 2).mean() < 1.3, name
    assert abs(found["error"].mean()) < 3 * found["error"].std() / np.sqrt(150)  # unbiased
    assert (np.abs(found["diagonal"].mean(0)) < 5 / np.sqrt(150)).all()  # no entry is biased


@pytest.mark.parametrize("spectrum", [outliers_and_bulk, power_law], ids=["outliers", "power_law"])
def test_two_percent_take_less_than_half_the_products_of_hutchinson(spectrum):
    """Independent: the products counted by the operator, medians over 8 seeds, errors against the truth."""
    A = matrix_with_spectrum(spectrum(600))
    products: dict[str, float] = {}
    for method in METHODS:
        counts, errors = [], []
        for seed in range(8):
            operator = DenseOperator(A)
            found = estimate_trace(operator, method=method, seed=seed, max_products=599)
            assert found.products == operator.products
            assert found.converged == (found.trace_se <= 0.02 * abs(found.trace))
            counts.append(found.products)
            errors.append((found.trace - float(A.trace())) / found.trace_se)
        products[method] = float(np.median(counts))
        assert np.sqrt(np.mean(np.square(errors))) < 2
    assert 2 * products["hutch++"] <= products["hutchinson"]


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("method", METHODS)
def test_small_matrices_are_exact(name, method):
    """Independent: the entries of the matrix; where sampling is dearer than n products, there is none."""
    A = matrix_with_spectrum(SPECTRA[name](40) + 0.3)
    operator = DenseOperator(A)
    found = estimate_trace(operator, method=method, rel_se=1e-6, sizes=[15, 25], diagonal=True)
    assert found.trace == pytest.approx(float(A.trace()), rel=1e-12)
    assert found.blocks.tolist() == pytest.approx([float(A[:15, :15].trace()), float(A[15:, 15:].trace())])
    assert found.frobenius == pytest.approx(float(A.norm()), rel=1e-12)
    assert torch.allclose(found.diagonal, A.diagonal(), atol=1e-12)
    assert found.trace_se == found.frobenius_se == float(found.blocks_se.abs().sum()) == 0.0
    assert found.converged
    assert found.products == operator.products <= 2 * 40


def test_what_the_sketch_holds_is_exact():
    """Independent: a matrix of rank 5 lies in the sketch whole, so that nothing is left to chance."""
    values = torch.zeros(500, dtype=torch.float64)
    values[:5] = torch.tensor([9.0, -7.0, 5.0, 2.0, 1.0])
    A = matrix_with_spectrum(values)
    found = estimate_trace(DenseOperator(A), sizes=[200, 300], diagonal=True)
    assert found.sketch == 8
    assert found.trace == pytest.approx(10.0, abs=1e-11)
    assert found.frobenius == pytest.approx(160.0**0.5, abs=1e-11)
    assert float(found.blocks[0]) == pytest.approx(float(A[:200, :200].trace()), abs=1e-11)
    assert torch.allclose(found.diagonal, A.diagonal(), atol=1e-11)
    assert found.converged


@pytest.mark.parametrize("method", METHODS)
def test_zero_has_no_trace(method):
    """Independent: by inspection."""
    found = estimate_trace(DenseOperator(torch.zeros(300, 300)), method=method, diagonal=True)
    assert (found.trace, found.trace_se, found.frobenius, found.frobenius_se) == (0, 0, 0, 0)
    assert found.converged
    assert found.products <= 20


def test_a_flat_spectrum_needs_no_sketch():
    """Independent: all eigenvalues within a factor of 1.2, so that 12 samples are plenty."""
    values = torch.linspace(1.0, 1.2, 500, dtype=torch.float64)
    found = estimate_trace(DenseOperator(matrix_with_spectrum(values)))
    assert found.sketch == 0
    assert found.products == 16
    assert found.trace == pytest.approx(float(values.sum()), rel=0.01)


def test_a_budget_that_ends_is_told():
    """Independent: a trace near 0 cannot be known to 2 % of itself; the truth is -0.024."""
    A = DenseOperator(matrix_with_spectrum(indefinite(1000)))
    found = estimate_trace(A, max_products=100)
    assert not found.converged
    assert found.products == A.products == 100
    assert abs(found.trace + 0.024) < 4 * found.trace_se


def test_single_precision_keeps_its_digits():
    """Independent: the same seed in float64, with as many products: none are left to a stop."""
    A = matrix_with_spectrum(outliers_and_bulk(500))
    one, two = (
        estimate_trace(DenseOperator(A.to(d)), rel_se=1e-9, max_products=200)
        for d in (torch.float32, torch.float64)
    )
    assert one.trace == pytest.approx(two.trace, rel=1e-4)
    assert one.products == two.products == 200
    assert one.sketch == two.sketch


def test_the_same_seed_gives_the_same_bits_and_progress_ends_at_one():
    """Independent: a second run."""
    A = DenseOperator(matrix_with_spectrum(power_law(500)))
    seen: list[float] = []
    one = estimate_trace(A, rel_se=0.01, seed=5, on_progress=seen.append)
    assert estimate_trace(A, rel_se=0.01, seed=5).trace == one.trace
    assert estimate_trace(A, rel_se=0.01, seed=6).trace != one.trace
    assert all(0 <= f <= 1 for f in seen)
    assert seen[-1] == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "hutchison"}, "did you mean 'hutchinson'"),
        ({"rel_se": 0.0}, "rel_se=0.0"),
        ({"sizes": [3, 4]}, "sum to 7"),
        ({"max_products": 5}, "max_products=5"),
    ],
)
def test_unusable_arguments_are_named(options, message):
    """Independent: by inspection."""
    with pytest.raises(InputError, match=message):
        estimate_trace(DenseOperator(torch.eye(20)), **options)


def test_a_product_that_is_not_finite_is_named():
    """Independent: the matrix holds an infinity."""
    with pytest.raises(LandscapeError, match="NaN or infinite"):
        estimate_trace(DenseOperator(torch.diag(torch.tensor([1.0, torch.inf]))))


@pytest.mark.parametrize("method", METHODS)
def test_narrow_blocks_and_rows_of_zeros_have_errors(method, monkeypatch):
    """Independent: a known matrix half of whose rows are zero; blocks are as narrow as those of long vectors.

    Of two samples nothing is known of the error, even where both are the same.
    """
    monkeypatch.setattr(trace, "BLOCK", 2)
    A = torch.block_diag(matrix_with_spectrum(outliers_and_bulk(300)), torch.zeros(300, 300).double())
    found = estimate_trace(DenseOperator(A), method=method, rel_se=0.05, max_products=400)
    assert found.converged and found.trace == pytest.approx(float(A.trace()), abs=4 * found.trace_se)
