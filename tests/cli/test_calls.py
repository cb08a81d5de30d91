"""A fuzz of the command line: whatever it is called with, it answers in words and a documented status."""

from __future__ import annotations

import pytest
from calls import ODD_DATA, VALUES, answer, calls, furnish

import landscape


@pytest.fixture
def knock(invoke, folder):
    """Make calls in a furnished folder; those that are not answered well, with what was said."""
    furnish(folder)

    def knock(count, seed):
        made = list(calls(count, seed))
        assert len({tuple(call) for call in made}) == count
        found = {" ".join(call)[:200]: answer(invoke, call) for call in made}
        return {call: said for call, said in found.items() if said}

    return knock


@pytest.mark.filterwarnings("ignore")
def test_some_calls_are_answered_in_words(knock):
    """Oracle: no traceback, no "unexpected error", and 0, 1 or 2, of other calls than those mended."""
    assert knock(60, 3) == {}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(1800)
def test_all_calls_are_answered_in_words(knock):
    """Oracle: as above, of 400 calls."""
    assert knock(400, 0) == {}


def test_calls_are_of_all_commands():
    """Oracle: the registry, and the commands by name."""
    names = {call[0] for call in calls(400, 0)}
    analyses = {n for n, a in landscape.analyses().items() if a.scope != "table"}
    assert analyses | {"run", "scan", "show", "report", "figure", "demo", "study"} <= names
    assert len(VALUES) > 40 and "def endless" in ODD_DATA


BAD_OPTIONS = [
    (("--seed", str(2**64)), "option 'seed' of analysis 'density' cannot be"),
    (("--device", "quantum"), "there is no device 'quantum'"),
    (("-o", ""), "must name a file"),
    (("--loss", "crossentropy"), "give causal_lm, cross_entropy, gaussian_nll, half_squared_error, mse"),
    (("--loss", "gone:gone"), "there is no module 'gone'"),
    (("--weight-decay", "true"), "option 'weight_decay' of the problem cannot be"),
    (("--model-kwargs", "[" * 100_000), "--model-kwargs"),
]


@pytest.mark.parametrize(("options", "sentence"), BAD_OPTIONS)
def test_what_cannot_be_is_said_before_data_are_built(invoke, folder, options, sentence):
    """Oracle: the data builder raises, so that any sentence but its own came before it."""
    folder.add("m0")
    base = ("density", "m0.pt", "--model", "toy_models:mlp", "--data", "toy_data:raising")
    result = invoke(*base, *options)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert "disk not mounted" not in result.stderr


def test_grids_that_no_run_ends_are_refused(invoke, folder):
    """Oracle: 10^10 points."""
    folder.add("m0")
    base = ("surface", "m0.pt", "--model", "toy_models:mlp", "--data", "toy_data:raising")
    result = invoke(*base, "--steps", "100000,100000")
    assert result.exit_code == 2 and "10000000000 points" in result.stderr


def test_radii_are_checked_before_the_curvature(invoke, folder):
    """Oracle: the data builder raises."""
    folder.add("m0")
    base = ("sharpness", "m0.pt", "--model", "toy_models:mlp", "--data", "toy_data:raising")
    result = invoke(*base, "--radii", "0")
    assert result.exit_code == 2 and "'radii.0' of analysis 'sharpness' cannot be" in result.stderr


def test_a_demo_in_a_file_is_refused_before_training(invoke, tmp_path):
    """Oracle: the sentence comes at once, and nothing is made."""
    (tmp_path / "file").write_text("x")
    result = invoke("demo", "--out", "file")
    assert result.exit_code == 2 and "--out must name a folder" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_the_batch_size_of_batch_spectra_is_that_of_its_mini_batches(invoke, folder):
    """Oracle: 12 examples in mini-batches of 4 are three of them, of 6 two."""
    folder.add("m0")
    base = ("batch_spectra", "m0.pt", "--model", "toy_models:mlp", "--data", "toy_data:blobs", "-o", "b.h5")
    for size, batches in (("4", 3), ("6", 2)):
        result = invoke(
            *base, "--batch-size", size, "--problem-batch-size", "5", "--k", "1", "--fraction", "1"
        )
        assert result.exit_code == 0, result.output
        assert landscape.open("b.h5").sizes["batch"] == batches
