"""Runs that are killed at random instants and resumed give the bits of an uninterrupted run."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch

from landscape.store import Store, read_contents
from landscape.zoo import Zoo
from landscape.zoo.executors.base import usable_cores

ANALYSES = """
[analyses.total]
analysis = "toys:total"
sleep_s = 0.02
[analyses.distance]
analysis = "toys:distance"
[analyses.losses]
analysis = "toys:losses"
"""
TASKS = 4 + 6 + 1

# Imports once, then forks: each child is a process of its own that does a whole run, without paying
# for the import of torch.
FORKING = """
import os, sys
from landscape.zoo import Zoo
import landscape.core.problem.problem, landscape.store.zoo_file, xarray, h5netcdf, torch
torch.set_num_threads(1)
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            Zoo.from_manifest(sys.argv[1]).run()
            code = 0
        finally:
            os._exit(code)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def zoo(folder):
    """Four models under three analyses of three scopes."""
    for i in range(4):
        folder.add(f"m{i}", 'group = "g"', seed=i)
    return folder.write(ANALYSES)


def values(directory):
    """The bytes of every variable in a store, and that nothing else is there."""
    contents = read_contents(directory)
    assert contents.failures == []
    assert contents.missing == 0
    return {
        (s.label, subject, name): ds[name].values.tobytes()
        for s in contents.sections
        for subject, ds in s.results.items()
        for name in ds.variables
    }


@pytest.mark.parametrize("kills", [8, pytest.param(40, marks=pytest.mark.slow)])
def test_kills(zoo, tmp_path, kills):
    """Oracle: an uninterrupted run into a store of its own.

    Each run is killed by SIGKILL after a random time within the time of a whole run; every file that
    exists then must be whole. The last run is left to end.
    """
    draw = random.Random(0)
    store = tmp_path / "results"
    with subprocess.Popen(
        [sys.executable, "-c", FORKING, str(zoo)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as server:
        assert server.stdout.readline() == "ready\n"

        def run(kill_after):
            server.stdin.write("run\n")
            server.stdin.flush()
            child = int(server.stdout.readline())
            if kill_after is not None:
                time.sleep(kill_after)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            return int(server.stdout.readline())

        start = time.monotonic()
        assert run(None) == 0
        whole_run_s = time.monotonic() - start
        store.rename(tmp_path / "uninterrupted")
        killed, sizes = 0, []
        for attempt in range(200):
            code = run(draw.uniform(0.3, 1.0) * whole_run_s)
            killed += code == -signal.SIGKILL
            for file in store.glob("*/*.h5"):
                assert Store(store).read(file.parent.name, file.stem).sizes["x"] > 0
            sizes.append(len(list(store.glob("*/*.h5"))))
            if killed >= kills:
                break
            if sizes[-1] == TASKS:  # all is done: begin anew, so that every kill finds work
                store.rename(tmp_path / f"finished{attempt}")
        assert killed == kills
        assert run(None) == 0
        server.stdin.close()
    assert max(sizes) > 0
    expected = values(tmp_path / "uninterrupted")
    assert values(store) == expected
    for finished in tmp_path.glob("finished*"):
        found = {
            (ds.attrs["label"], ds.attrs["model"], name): ds[name].values.tobytes()
            for file in finished.glob("*/*.h5")
            for ds in [Store(finished).read(file.parent.name, file.stem)]
            for name in ds.variables
        }
        assert found == expected
    assert not list(store.rglob("*.tmp"))
    assert {f.name for f in store.iterdir()} == {
        *(".lock", "zoo.json", "hashes.json", "costs.json", "zoo.h5", "held.json"),
        *("total", "distance", "losses"),
    }


def test_killed_command_with_two_workers(zoo, tmp_path):
    """Oracle: an uninterrupted serial run with as many threads as each worker has."""
    command = [sys.executable, "-m", "landscape", "run", str(zoo), "--jobs", "2", "--no-report"]
    store = tmp_path / "results"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 200
        while len(list(store.glob("*/*.h5"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.002)
        process.kill()
    done = len(list(store.glob("*/*.h5")))
    assert done >= 2
    out = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert out.returncode == 0, out.stderr
    assert f"{TASKS} tasks" not in out.stdout
    assert not list(store.rglob("*.tmp"))
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, usable_cores() // 2))
    Zoo.from_manifest(zoo).run(store=tmp_path / "uninterrupted")
    torch.set_num_threads(threads)
    assert values(store) == values(tmp_path / "uninterrupted")


def test_ctrl_c_on_a_pool(zoo, tmp_path):
    """Oracle: the system's list of processes in the group, and the store, after SIGINT to the group."""
    slow = zoo.read_text().replace("sleep_s = 0.02", "sleep_s = 3.0")
    zoo.write_text(slow)
    command = [sys.executable, "-m", "landscape", "run", str(zoo), "--jobs", "2", "--no-report"]
    store = tmp_path / "results"
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # where the tests run in the background of a shell, SIGINT is ignored, and children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        deadline = time.monotonic() + 200
        while not list(store.glob("*/*.h5")) and time.monotonic() < deadline:
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines() == ["interrupted; what is done is kept: the same command goes on from there."]
    with pytest.raises(ProcessLookupError):
        for _ in range(1000):  # Python's own resource tracker takes a moment
            os.killpg(process.pid, 0)
            time.sleep(0.01)
    assert not list(store.rglob("*.tmp"))
    assert read_contents(store).missing > 0
