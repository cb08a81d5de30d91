"""Ledgers in memory, what decides the numbers of a run, and how a context opens its ledger."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import CASES, vectors

import landscape
from landscape import Analysis, Params, Problem, Schema, Variable
from landscape.base.analysis import Context, Pair
from landscape.base.ledger import MemoryLedger, identity
from landscape.errors import InputError

NAMES = [f"row-{i}" for i in range(4)]


def piece(index):
    return {"n": np.array(index)}


def test_in_memory_each_piece_is_computed_once_and_nothing_is_kept():
    """Oracle: the calls, the counts told, and the pieces in order."""
    ledger, seen, counts = MemoryLedger(), [], []
    found = ledger.collect(NAMES, lambda i: seen.append(i) or piece(i), counts.append)
    assert seen == list(range(4))
    assert counts == list(range(1, 5))
    assert [int(p["n"]) for p in found] == seen
    assert ledger.remember("cut", lambda: {"size": 32}) == {"size": 32}
    ledger.save_state("state", piece(0))
    assert ledger.load_state("state") is None
    ledger.delete_state("state")
    ledger.require("directions", "a")
    ledger.require("directions", "b")  # nobody else's pieces are there to differ


def in_pieces(scope="checkpoint", inputs=()):
    """An analysis whose value comes in four pieces, after one derived fact."""

    def compute(subject, params, context):
        context.ledger.require("inverse", 1)
        pieces = context.ledger.collect(NAMES, piece)
        return {"x": [float(p["n"]) for p in pieces]}

    return Analysis(
        name="in_pieces",
        title="In pieces",
        description="Four numbers.",
        scope=scope,
        params=Params,
        schema=Schema(1, coords=(Variable("x", ("x",), "place"),), variables=()),
        compute=compute,
        plots=lambda results: [],
        summary=lambda ds: [],
        inputs=inputs,
    )


def test_a_folder_is_made_at_the_first_use_and_only_then(tmp_path):
    """Oracle: the file system. Workers take a folder of partial results for an invitation to share."""
    problem, folder = CASES["mlp"].problem(), tmp_path / "p"
    landscape.density.run(problem, landscape.density.validate({"probes": 1}), Context(partial=folder))
    assert not folder.exists()
    analysis = in_pieces()
    analysis.run(problem, analysis.validate({}), Context(partial=folder))
    assert sorted(f.stem for f in folder.glob("*.npz")) == NAMES


def test_a_ledger_is_opened_once_and_a_given_one_is_used():
    """Oracle: the number of openings, and the ledger that saw the pieces."""

    class Counting(MemoryLedger):
        opened, collected = 0, 0

        def __init__(self):
            Counting.opened += 1

        def collect(self, *arguments):
            Counting.collected += 1
            return super().collect(*arguments)

    analysis = in_pieces()
    analysis.run(CASES["mlp"].problem(), analysis.validate({}), Context(open_ledger=Counting))
    assert (Counting.opened, Counting.collected) == (1, 1)


@pytest.mark.parametrize(
    ("scope", "change", "word"),
    [
        ("checkpoint", lambda s, i: (CASES["mlp"].problem(weight_decay=1.0), i), "weight_decay"),
        ("checkpoint", lambda s, i: (CASES["tied"].problem(), i), "checkpoint"),
        ("checkpoint", lambda s, i: (s, {"start": torch.ones(2)}), "input start"),
        ("pair", lambda s, i: (Pair(s.problem, s.a, s.a), i), "b"),
        ("group", lambda s, i: ({"one": s["one"], "two": CASES["tied"].problem()}, i), "model two"),
        ("group", lambda s, i: ({"one": s["one"]}, i), "model two"),
    ],
)
def test_pieces_of_another_subject_or_input_are_refused(scope, change, word, tmp_path):
    """Oracle: the words of the sentence; the same subject and input goes on before."""
    problem = CASES["mlp"].problem()
    states = [{k: v + shift for k, v in problem.module.state_dict().items()} for shift in (0.0, 1.0)]
    subject = {
        "checkpoint": problem,
        "pair": Pair(problem, *states),
        "group": {"one": problem, "two": CASES["mlp"].problem()},
    }[scope]
    analysis, inputs = in_pieces(scope, ("start",)), {"start": torch.zeros(2)}

    def run(subject, inputs):
        analysis.run(subject, analysis.validate({}), Context(partial=tmp_path / "p", inputs=inputs))

    run(subject, inputs)
    run(subject, inputs)
    with pytest.raises(InputError, match=f"were made with another {word} .*remove that folder"):
        run(*change(subject, inputs))


def test_threads_do_not_decide_the_numbers(monkeypatch):
    """Oracle: the identity of the same problem with another number of threads."""
    problem, facts = Problem(CASES["mlp"].model(), "cross_entropy", vectors()), {"analysis": "toy"}
    before = identity(facts, "checkpoint", problem, {})
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    assert identity(facts, "checkpoint", problem, {}) == before
