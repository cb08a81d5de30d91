"""torchrun: processes that carry out each task together give the store that one process gives."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from landscape.core.problem.sharding import RankLostError, Ranks, Sharding
from landscape.errors import InputError
from landscape.store import read_contents
from landscape.zoo import Zoo
from landscape.zoo.events import Message
from landscape.zoo.executors.torchrun import RanksExecutor, follows, launched

ANALYSES = """
[analyses.spectrum]
k = 2
[analyses.few]
analysis = "spectrum"
examples = 7
k = 1
[analyses.line]
steps = 3
[analyses.distance]
analysis = "toys:distance"
[analyses.losses]
analysis = "toys:losses"
[analyses.calibration]
"""
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def environment():
    clean = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "MASTER_ADDR")}
    return clean | {"OMP_NUM_THREADS": "1"}


def torchrun(*arguments):
    """Run to the end; on a timeout, no rank stays behind."""
    process = subprocess.Popen(
        [*TORCHRUN, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    )
    try:
        out, errors = process.communicate(timeout=100)
    except subprocess.TimeoutExpired:
        process.terminate()  # torchrun ends its processes then
        out, errors = process.communicate(timeout=60)
        raise AssertionError(out + errors) from None
    return subprocess.CompletedProcess(arguments, process.returncode, out, errors)


def test_run_under_torchrun(folder, tmp_path):
    """Oracle: a serial run in this process.

    Two batches, one for each rank; what cannot be sharded fails with one sentence, and the run without
    torchrun then does it, and nothing else.
    """
    for i in range(2):
        folder.add(f"m{i}", 'group = "g"', seed=i)
    path = folder.write(ANALYSES, problem="batch_size = 6\nweight_decay = 0.1")
    out = torchrun("-m", "landscape", "run", str(path))
    store = tmp_path / "results"
    assert "8 done, 0 done before, 2 failed" in out.stdout, out.stdout + out.stderr
    assert out.stdout.count("8 done") == out.stdout.count("report:") == 1
    assert "m1 (calibration): this needs all the data in one process, but 2 ranks share it" in out.stdout
    assert out.returncode == 1
    assert (store / "report.html").exists()
    assert not list(store.rglob("*.tmp"))
    Zoo.from_manifest(path).run(store=tmp_path / "serial")
    serial = {s.label: s.results for s in read_contents(tmp_path / "serial").sections}
    contents = read_contents(store)
    assert {f.label for f in contents.failures} == {"calibration"}
    for section in contents.sections:
        for subject, ds in section.results.items():
            assert section.label == "distance" or ds.attrs.get("ranks", 2) == 2
            for name in ds.variables:
                expected = serial[section.label][subject][name].values
                if ds[name].dtype.kind == "f" and not name.startswith("residual"):
                    np.testing.assert_allclose(ds[name].values, expected, rtol=1e-4, atol=1e-6, err_msg=name)
    result = Zoo.from_manifest(path).run()
    assert (result.done, result.skipped, result.failed) == (2, 8, ())


class Pretended(Ranks):
    """The first of two ranks, without the other: sums are those of its share."""

    rank, ranks, lost_after = 0, 2, 1000

    def __init__(self):
        self.shared = 0

    def share(self, value):
        self.shared += 1
        if self.shared > self.lost_after:
            raise RankLostError("another process ended.")
        return value

    summing = Sharding.summing
    together = Sharding.together


def test_one_batch_for_two_ranks(folder):
    """Oracle: the notice, with a size that would give each rank a batch."""
    folder.add("m0")
    events = []
    zoo = Zoo.from_manifest(folder.write())
    result = zoo.run(executor=RanksExecutor(Pretended()), on_event=events.append)
    assert result.done == 1
    assert [e.text for e in events if isinstance(e, Message)] == [
        "only 1 of 2 ranks have data, since batches stay whole: set batch_size to at most 6."
    ]


def test_a_lost_rank_ends_the_run_and_keeps_what_is_done(folder, tmp_path):
    """Oracle: the store: what was done before the loss, no failure for what was not, and a resumed run."""
    for i in range(3):
        folder.add(f"m{i}", seed=i)
    zoo = Zoo.from_manifest(folder.write())
    ranks = Pretended()
    ranks.lost_after = 2  # the setup and one task
    with pytest.raises(RankLostError):
        zoo.run(executor=RanksExecutor(ranks))
    contents = read_contents(tmp_path / "results")
    assert (contents.missing, contents.failures) == (2, [])
    assert zoo.run().done == 2


def test_unusable_input_ends_all_ranks(folder):
    """Oracle: one sentence, from the first rank, and the end of both."""
    folder.add("m0")
    path = folder.write(data="nothing_there")
    out = torchrun("-m", "landscape", "run", str(path))
    assert out.returncode != 0
    assert out.stderr.count("error: data builder 'toy_data:nothing_there'") == 1
    assert "report it" not in out.stderr


@pytest.fixture
def ranked(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    return monkeypatch


def test_launched_by_the_environment(ranked):
    """Oracle: the variables that torchrun documents."""
    assert launched()
    assert not follows()
    ranked.setenv("RANK", "1")
    assert follows()
    ranked.setenv("WORLD_SIZE", "1")
    assert not launched()
    assert not follows()
    ranked.delenv("WORLD_SIZE")
    assert not launched()


def test_jobs_and_torchrun_exclude_each_other(folder, ranked):
    folder.add("m0")
    with pytest.raises(InputError, match="leave out jobs"):
        Zoo.from_manifest(folder.write()).run(jobs=2)


def test_only_run_is_for_torchrun(ranked, tmp_path):
    from typer.testing import CliRunner

    from landscape.cli.app import app

    result = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert result.exit_code == 2
    assert "only `landscape run` shares its work under torchrun" in result.output
