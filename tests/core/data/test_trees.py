"""Trees of tensors: names, maps, and objects that carry tensors."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import torch

from landscape.core.data.trees import as_tensors, map_tensors, tensors_in

Pair = namedtuple("Pair", "x y")


@dataclass(frozen=True)
class Graph:
    nodes: torch.Tensor
    name: str


def test_objects_are_copied_and_their_tensors_changed():
    """Oracle: the object itself, which stays as it was; what is no tensor is kept."""
    graph = Graph(torch.ones(3), "a")
    other = map_tensors({"g": graph, "p": Pair(torch.zeros(2), [1])}, lambda t: t + 1)
    assert other["g"].nodes.tolist() == [2, 2, 2] and other["g"].name == "a"
    assert graph.nodes.tolist() == [1, 1, 1]
    assert other["p"].x.tolist() == [1, 1] and other["p"].y == (1,)
    assert [name for name, _ in tensors_in([graph, Pair(torch.ones(1), 2)])] == [".0.nodes", ".1.0"]


def test_arrays_of_numbers_become_tensors_and_words_stay():
    """Oracle: the arrays' own entries."""
    found = as_tensors({"x": np.arange(3.0), "names": np.array(["a", "b"]), "p": Pair(np.int64(1), None)})
    assert torch.equal(found["x"], torch.arange(3.0, dtype=torch.float64))
    assert isinstance(found["names"], np.ndarray) and found["p"] == Pair(1, None)
