import pytest
import torch
from torch import nn
from torch.nn import functional

from landscape.reference.training.evaluation import TrainResult, evaluate, measure

DATA = (torch.randn(24, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(24) % 3)


def dropout_net():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Dropout(0.5), nn.Linear(8, 3))


def test_evaluate_is_exact_with_unequal_batches():
    """Oracle: one pass over everything; the dropout must be off."""
    model = dropout_net().train()
    loss, accuracy = evaluate(model, DATA, batch_size=7)
    logits = model(DATA[0])
    assert loss == pytest.approx(functional.cross_entropy(logits, DATA[1]).item(), rel=1e-6)
    assert accuracy == (logits.argmax(1) == DATA[1]).double().mean().item()


def test_metrics_are_those_of_both_parts_by_name():
    """Oracle: `evaluate` of each part; a result made of the metrics gives them back."""
    model, test = dropout_net(), (DATA[0][:5], DATA[1][:5])
    metrics = measure(model, DATA, test)
    assert (metrics["train_loss"], metrics["train_accuracy"]) == evaluate(model, DATA)
    assert (metrics["test_loss"], metrics["test_accuracy"]) == evaluate(model, test)
    assert TrainResult(**metrics, epochs=1, seconds=0.5).metrics() == metrics


def test_regressions_have_errors_in_place_of_accuracies():
    """Oracle: torch's own Gaussian loss and mean squared error on all examples at once."""
    x, y = DATA[0], torch.linspace(-1, 1, 24)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2)).eval()
    loss, rmse = evaluate(model, (x, y), batch_size=7, loss="gaussian_nll")
    mean, raw = model(x).double().T
    variance = functional.softplus(raw) + 1e-6
    want = functional.gaussian_nll_loss(mean, y.double(), variance, full=True)
    assert loss == pytest.approx(want.item(), rel=1e-6)
    assert rmse == pytest.approx((mean - y).square().mean().sqrt().item(), rel=1e-6)
    metrics = measure(model, (x, y), (x[:5], y[:5]), "gaussian_nll")
    result = TrainResult.of(metrics, 1, 0.5)
    assert result.is_regression
    assert result.metrics() == metrics
    assert set(metrics) == {"train_loss", "test_loss", "train_rmse", "test_rmse"}
    squares = evaluate(nn.Sequential(nn.Flatten(), nn.Linear(64, 1)), (x, y), loss="mse")
    assert squares[1] == pytest.approx(squares[0] ** 0.5)
