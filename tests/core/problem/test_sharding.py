"""Problems sharded over two real processes (gloo) give what one process gives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from landscape.core.data.batches import Batch
from landscape.core.problem.sharding import Ranks
from landscape.errors import InputError

TESTS = Path(__file__).parents[2]

# What each rank and the single process compute: everything here must agree.
WORK = """
import sys
sys.path.insert(0, {tests!r})
import torch
import landscape
from cases import CASES, uneven, mlp, vectors
from landscape import Problem

# 13 examples: 5 and 8 of them; one rank with nothing; five batches of uneven sizes
CUTS = {{"two": [5, 8], "one": [13], "five": [1, 4, 2, 5, 1]}}


def values(problem):
    generator = torch.Generator().manual_seed(1)
    V = torch.randn(problem.size, 3, generator=generator, dtype=torch.float64)
    theta = problem.theta + 0.1 * V[:, 0]
    measure = problem.measure(theta)
    found = {{
        "loss": torch.tensor(problem.loss(), dtype=torch.float64),
        "data_loss": torch.tensor(measure.data_loss, dtype=torch.float64),
        "gradient": problem.gradient(),
        "gradient_elsewhere": problem.gradient(theta),
        "sample": problem.on_sample(6).gradient(),
    }}
    for name in ("losses", "correct"):
        if getattr(measure, name) is not None:
            found[name] = getattr(measure, name)
    H, G = landscape.hessian(problem), landscape.ggn(problem)
    found |= {{"hessian": H @ V, "hessian_again": H @ V[:, 0], "ggn": G @ V}}
    found["block"] = list(H.blocks().values())[0].dense()
    if problem.loss_name in ("cross_entropy", "mse"):
        found["fisher"] = landscape.fisher(problem, type="mc", samples=2) @ V
        found["empirical_fisher"] = landscape.empirical_fisher(problem) @ V
    return found


def everything(sharding):
    found = {{}}
    for name in ("mlp", "conv_batchnorm", "transformer_dict", "scalar_loss", "regression"):
        case = CASES[name]
        for cut, sizes in CUTS.items():
            data = list(uneven(case.data(), sizes))
            problem = Problem(case.model(), case.loss, data, weight_decay=0.1, sharding=sharding)
            found |= {{f"{{name}} {{cut}} {{k}}": v for k, v in values(problem).items()}}
    return found


def analyses(sharding):
    problem = CASES["mlp"].problem(batch_size=4, weight_decay=0.1, sharding=sharding)
    results = {{
        "spectrum": landscape.spectrum(problem, k=4, tol=1e-10),
        "density": landscape.density(problem, probes=2, steps=10),
        "trace": landscape.trace(problem, max_products=16),
        "surface": landscape.surface(problem, steps=(3, 4), gradient_norm=True, tune=False),
        "line": landscape.line(problem, steps=5),
        "structure": landscape.structure(problem, k=2, samples=4, probes=1, steps=5),
        "sharpness": landscape.sharpness(
            problem, radii=(0.1,), ascent_steps=1, sigmas=(0.1,), samples=2, max_products=16
        ),
    }}
    return {{
        f"{{name}} {{v}}": torch.tensor(ds[v].values)
        for name, ds in results.items() for v in ds.variables if ds[v].dtype.kind == "f"
    }}
"""
RANK = """
import torch.distributed as dist
from landscape.core.problem.sharding import Ranks
dist.init_process_group("gloo", init_method="file://" + sys.argv[1], rank=int(sys.argv[2]), world_size=2)
sharding = Ranks()
"""


def two_ranks(tmp_path, script, timeout=120):
    """Run a script in two processes that form a group; their exit status and output."""
    path = tmp_path / "script.py"
    path.write_text(WORK.format(tests=str(TESTS)) + RANK + script)
    processes = [
        subprocess.Popen(
            [sys.executable, str(path), str(tmp_path / "meeting"), str(rank), str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for rank in range(2)
    ]
    ends = [p.communicate(timeout=timeout) for p in processes]
    return [(p.returncode, *end) for p, end in zip(processes, ends, strict=True)]


@pytest.fixture(scope="module")
def here():
    """`everything` and `analyses` in this process."""
    module: dict = {}
    exec(WORK.format(tests=str(TESTS)), module)
    return module


def test_sharded_sums_are_those_of_one_process(tmp_path, here):
    """Oracle: one process with all the data; float64, so only the order of the sum over ranks may differ.

    The shares are uneven, empty in one cut; every rank must hold the very same bits.
    """
    script = """
found = everything(sharding) | analyses(sharding)
torch.save(found, f"{sys.argv[3]}/rank{sharding.rank}.pt")
"""
    for code, _, errors in two_ranks(tmp_path, script):
        assert code == 0, errors
    ranks = [torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2)]
    one = here["everything"](None) | here["analyses"](None)
    assert ranks[0].keys() == ranks[1].keys() == one.keys()
    for name, expected in one.items():
        if name in ("density grid", "density density", "density density_se"):
            continue  # how many points a grid has may hang on a last bit; it is made from nodes and weights
        assert torch.equal(ranks[0][name].nan_to_num(), ranks[1][name].nan_to_num()), name
        torch.testing.assert_close(
            ranks[0][name],
            expected,
            rtol=1e-12,
            atol=1e-12,
            equal_nan=True,
            msg=lambda m, n=name: f"{n}: {m}",
        )
    for name in one:
        if name.split()[-1] in ("losses", "correct"):
            assert torch.equal(ranks[0][name], one[name]), name


def test_errors_of_one_rank_are_raised_in_all(tmp_path):
    """Oracle: the output of both processes; without agreement one of them would wait forever.

    Rank 1 fails in its share, then outside of a sum; a sum after each must be right. What needs all the data
    in one process refuses alike on both.
    """
    script = """
from landscape.errors import LandscapeError

def loss(output, target):
    if (target == 9).any():
        raise ValueError("a nine")
    return torch.nn.functional.cross_entropy(output, target.clamp(max=2), reduction="none")

x, y = vectors()
y = y.clone()
y[9] = 9
bad = Problem(mlp().double(), loss, [(x[:6], y[:6]), (x[6:], y[6:])], sharding=sharding)
good = CASES["mlp"].problem(batch_size=5, sharding=sharding)
for act in (bad.loss, bad.gradient, lambda: landscape.hessian(bad) @ bad.theta):
    with_error = None
    try:
        with sharding.together():
            act()
    except (LandscapeError, ValueError) as error:
        with_error = error
    print(type(with_error).__name__, with_error)
    print(float(good.gradient().norm()))
try:
    with sharding.together():
        if sharding.rank == 1:
            raise OSError("no file")
        good.loss()
except (LandscapeError, OSError) as error:
    print(type(error).__name__, error)
print(float(good.gradient().norm()))
for act in (lambda: landscape.fourier(good), lambda: landscape.cka({"a": good, "b": good}),
            lambda: landscape.calibration(good), lambda: landscape.batch_spectra(good)):
    try:
        act()
    except LandscapeError as error:
        print(error)
"""
    (code0, out0, errors0), (code1, out1, errors1) = two_ranks(tmp_path, script)
    assert (code0, code1) == (0, 0), errors0 + errors1
    lines0, lines1 = out0.splitlines(), out1.splitlines()
    assert lines0[0:6:2] == ["LandscapeError rank 1 of 2 failed: ValueError: a nine"] * 3
    assert lines1[0:6:2] == ["ValueError a nine"] * 3
    assert lines0[6] == "LandscapeError rank 1 of 2 failed: OSError: no file"
    assert lines1[6] == "OSError no file"
    assert len({*lines0[1:7:2], *lines1[1:7:2], lines0[7], lines1[7]}) == 1
    assert lines0[8:] == lines1[8:] == [
        "this needs all the data in one process, but 2 ranks share it; run it without torchrun."
    ] * 4  # fmt: skip


def test_a_lost_rank_is_noticed(tmp_path):
    """Oracle: the exit of the process that is left, within seconds and with one sentence."""
    script = """
import os
from landscape.errors import LandscapeError
problem = CASES["mlp"].problem(batch_size=5, sharding=sharding)
problem.loss()
if sharding.rank == 1:
    os._exit(3)
try:
    problem.loss()
except LandscapeError as error:
    print(error)
"""
    (code, out, errors), (lost, _, _) = two_ranks(tmp_path, script, timeout=60)
    assert (code, lost) == (0, 3), errors
    assert out.startswith("another process of the group ended or cannot be reached")
    assert out.rstrip().endswith("start them again: what is done is kept.")
    assert len(out.splitlines()) == 1


class Rank(Ranks):
    """A rank of a group that does not exist: enough to share out batches."""

    def __init__(self, rank, ranks):
        self.rank, self.ranks = rank, ranks


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20), st.integers(1, 7))
def test_every_batch_is_given_out_once_and_in_order(sizes, ranks):
    """Oracle: the list itself; no share is further from the mean than the largest batch."""
    batches = [Batch(torch.full((n,), i), torch.full((n,), i), None, n) for i, n in enumerate(sizes)]
    shares = [Rank(r, ranks).take_share(batches, torch.device("cpu")) for r in range(ranks)]
    assert [int(b.raw[0]) for s in shares for b in s.batches] == list(range(len(sizes)))
    assert [s.examples for s in shares] == [sum(sizes)] * ranks
    start = 0
    for share in shares:
        count = sum(b.size for b in share.batches)
        assert share.start == start or not share.batches
        assert abs(count - sum(sizes) / ranks) <= max(sizes)
        start += count


def test_without_a_group_there_are_no_ranks():
    with pytest.raises(InputError, match="start with torchrun"):
        Ranks()
