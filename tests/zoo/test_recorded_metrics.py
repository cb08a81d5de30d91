"""Recorded metrics: compared where they can be, and only then; differences beyond chance are told."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from landscape.core.problem.problem import Measure
from landscape.store import read_contents
from landscape.zoo import Zoo
from landscape.zoo.events import Message
from landscape.zoo.recorded_metrics import comparable, differences, meaning, not_compared


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("test_acc", ("test", "accuracy")),
        ("test/accuracy", ("test", "accuracy")),
        ("Test_Loss", ("test", "loss")),
        ("val_top1", ("validation", "accuracy")),
        ("train_err", ("train", "error")),
        ("acc", ("", "accuracy")),
        ("best_acc", ("", "accuracy")),
        ("best_prec1", ("", "accuracy")),
        ("best_val_acc1", ("validation", "accuracy")),
        ("loss", None),
        ("acc5", None),
        ("test_top5", None),
        ("train_test_loss", None),
        ("test_loss_max", None),
    ],
)
def test_meaning_of_names(name, expected):
    assert meaning(name) == expected


def measure(right, count, loss=0.5):
    correct = torch.zeros(count, dtype=torch.float64)
    correct[:right] = 1.0
    losses = torch.full((count,), loss, dtype=torch.float64)
    losses[::2] += 0.1
    losses[1::2] -= 0.1
    return Measure(float(losses.mean()), 0.0, losses, correct)


def test_sampling_error_is_no_difference():
    """Oracle: p = 0.8 on 400 examples has the standard error √(0.8 · 0.2 / 400) = 0.02."""
    found = measure(320, 400)
    assert differences({"test_acc": 0.87}, "test", found) == []
    (text,) = differences({"test_acc": 0.89}, "test", found)
    assert "test_acc was recorded as 0.89, but accuracy on this data is 0.8 ± 0.02" in text
    assert differences({"test_err": 0.2, "test_acc": 80.0}, "test", found) == []
    assert len(differences({"test_err": 0.32}, "test", found)) == 1


def test_an_accuracy_of_no_split_is_that_of_the_data():
    """Oracle: 80 % measured against 91.8 % recorded, on 400 examples: six standard errors."""
    (text,) = differences({"best_prec1": 91.8}, "test", measure(320, 400))
    assert "best_prec1 was recorded as 0.918, but accuracy on this data is 0.8" in text
    assert "of the best epoch" in text
    assert differences({"acc": 81.0}, "test", measure(320, 400)) == []
    assert comparable({"acc": 81.0}, None) == {}


def test_a_subset_without_an_error_is_no_difference():
    """Oracle: 50 of 50 right where 98 % were recorded: (0.98)⁵⁰ = 0.36 is quite likely."""
    assert differences({"test_acc": 0.98}, "test", measure(50, 50)) == []
    assert len(differences({"test_acc": 0.5}, "test", measure(50, 50))) == 1


def test_loss():
    """Oracle: ±0.1 around 0.5 on 400 examples: 0.005."""
    found = measure(320, 400)
    assert differences({"test_loss": 0.515}, "test", found) == []
    assert len(differences({"test_loss": 0.53}, "test", found)) == 1
    assert len(differences({"test_loss": math.nan}, "test", found)) == 1


def test_other_splits_are_not_compared():
    metrics = {"train_acc": 0.1, "val_acc": 0.1, "loss": 0.1}
    assert differences(metrics, "test", measure(320, 400)) == []
    assert not_compared(metrics, "validation").startswith("recorded train_acc, loss not compared: of other")
    assert 'split = "test" under [data]' in not_compared(metrics, None)
    assert not_compared({"val_acc": 0.1}, "validation") == ""
    assert comparable(metrics, "validation") == {"val_acc": "accuracy"}
    assert comparable(metrics, None) == {}


def test_what_cannot_be_measured_is_not_compared():
    batch_mean = Measure(0.5, 0.0, None, None)
    assert differences({"test_acc": 0.1, "test_loss": 0.5}, "test", batch_mean) == []


def accuracy(root, name="m0"):
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
    model.load_state_dict(torch.load(root / f"{name}.pt"))
    x = torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
    return float((model(x).argmax(1) == (x.sum(1) > 0)).double().mean())


def notices(folder, split, path):
    text = path.read_text()
    if split:
        path.write_text(text.replace('blobs"', f'blobs"\nsplit = "{split}"'))
    events = []
    result = Zoo.from_manifest(path).run(store=folder.root / f"{split}", on_event=events.append)
    assert result.done == 2
    return [e.text for e in events if isinstance(e, Message)], result


def test_a_run_tells_once_for_each_model(folder):
    """Oracle: the accuracy of the model on the data, by hand; one model is recorded right, one wrong."""
    folder.add("m0")
    right = accuracy(folder.root)
    folder.entries.clear()
    folder.add("m0", f"metrics = {{ test_acc = {right} }}")
    folder.add("m1", f"metrics = {{ test_loss = {5.0} }}", seed=1)
    path = folder.write()
    texts, result = notices(folder, "test", path)
    (text,) = texts
    assert text.startswith("m1: test_loss was recorded as 5, but loss on this data is")
    results = read_contents(result.store).sections[0].results
    assert "recorded_metrics" not in results["m0"].attrs
    assert results["m1"].attrs["recorded_metrics"] == text.removeprefix("m1: ")


def test_without_a_split_nothing_is_compared(folder):
    folder.add("m0", "metrics = { test_loss = 5.0 }")
    folder.add("m1", seed=1)
    texts, _ = notices(folder, None, folder.write())
    assert texts == [
        'recorded test_loss not compared: say which split the data are (split = "test" under [data], say).'
    ]


def test_a_checkpoint_that_carries_its_metrics(folder):
    """Oracle: the number put into the file."""
    path = folder.add("m0")
    torch.save({"state_dict": torch.load(path), "test_loss": 7.0}, path)
    folder.add("m1", seed=1)
    (text,), _ = notices(folder, "test", folder.write())
    assert "m0: test_loss was recorded as 7" in text
