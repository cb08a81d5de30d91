"""Three sentences on made-up zoos."""

from __future__ import annotations

from landscape.export.findings import found_in, model_table
from landscape.export.sentences import sentences
from landscape.store.contents import Contents, ModelRecord


def zoo(accuracies: dict[str, list[float]], **more: dict[str, list[float]]) -> Contents:
    """Models of some groups with their accuracies, and other recorded numbers."""
    models = []
    for group, values in accuracies.items():
        for seed, value in enumerate(values):
            metrics = {"test_accuracy": value} | {n: v[group][seed] for n, v in more.items() if group in v}
            models.append(ModelRecord(f"{group}{seed}", group, seed, {}, metrics))
    return Contents("zoo", models, [], [], 0)


def test_sentences_are_honest_about_few_models() -> None:
    """Oracle: by hand: decided, undecided, and one model each."""
    sure = found_in(model_table(zoo({"a": [0.9, 0.901, 0.902], "b": [0.8, 0.801, 0.802]})))
    assert sentences(sure)[0].startswith("a has the higher test accuracy: 0.901 ± 0.000577 against 0.801")
    vague = found_in(model_table(zoo({"a": [0.9, 0.95], "b": [0.89, 0.93]}, loss={"a": [1, 2], "b": [2, 1]})))
    assert "undecided (2 and 2 models, p = " in sentences(vague)[0]
    assert sentences(vague)[1].startswith("Of 1 other numbers none differs for certain")
    assert "cannot be told from 2 groups" in sentences(vague)[2]
    one = found_in(model_table(zoo({"a": [0.9], "b": [0.8]}, loss={"a": [1], "b": [2]})))
    assert sentences(one)[0].endswith("undecided, 1 and 1 models are too few.")
    assert sentences(one)[1].startswith("No other number can be compared")


def test_recorded_numbers_are_called_what_they_are() -> None:
    """Oracle: by hand: a loss that follows the accuracy, called so without the section it stands in."""
    accuracies = {g: [v, v + 0.001, v + 0.002] for g, v in zip("abcdefghijkl", range(12), strict=True)}
    losses = {g: [1 - v for v in values] for g, values in accuracies.items()}
    said = sentences(found_in(model_table(zoo(accuracies, test_loss=losses))))
    assert "most of all test loss (g = " in said[1]
    assert "test loss goes with test accuracy most closely: τ = −1" in said[2]
