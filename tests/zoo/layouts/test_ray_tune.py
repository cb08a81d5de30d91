"""Ray Tune and the model zoos built on it: trials, logs and checkpoints."""

from __future__ import annotations


def test_ray_tune(of_layout, facts):
    first, second = of_layout("ray tune")
    group, seed, tags, metrics = facts(second)
    assert (group, seed) == ("ray-train_fn-train_fn_lr=0.1", 5)
    assert tags == {"learning_rate": 0.1, "layers": 2, "epoch": 2}
    assert metrics == {"loss": 0.4, "acc": 0.8}
    assert first.metrics["loss"] == 0.9


def test_model_zoo(of_layout, facts):
    """The log's −999 for training before the first epoch is no measurement."""
    start, end = of_layout("model zoo")
    tags = {"model_type": "CNN", "batch_size": 8, "learning_rate": 3e-4, "epoch": 0}
    assert facts(start)[1:] == (12, tags, {"test_loss": 2.3, "test_acc": 0.1})
    assert end.metrics == {"train_loss": 0.5, "train_acc": 0.8, "test_loss": 0.6, "test_acc": 0.79}
    assert end.tags["epoch"] == 1
