"""What goes wrong around a run: full disks, stores that vanish, runs that collide, clocks that lie.

Killed workers are in ``executors/test_pool.py``, killed runs in ``tests/test_crash.py``; workers and
schedulers of clusters in ``executors/test_dask.py``; claims in ``executors/test_base.py``, shards in
``test_plan.py``.
"""

from __future__ import annotations

import collections
import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from landscape.errors import StoreError
from landscape.store import Store, read_contents
from landscape.store.files import sweep
from landscape.zoo import Zoo
from landscape.zoo.events import Done

TOTAL = '[analyses.total]\nanalysis = "toys:total"'
MODELS = 4


@pytest.fixture
def manifest(folder):
    for i in range(MODELS):
        folder.add(f"m{i}", seed=i)
    return folder.write(TOTAL)


def values(directory):
    """The bytes of all variables in a store that holds all results and nothing half-done."""
    contents = read_contents(directory)
    assert (contents.failures, contents.missing) == ([], 0)
    assert not list(directory.rglob("*.tmp"))
    return {
        (s.label, subject, name): ds[name].values.tobytes()
        for s in contents.sections
        for subject, ds in s.results.items()
        for name in ds.variables
    }


def resumes(manifest, store, tmp_path, done):
    """A further run does what is missing, no more, and the store is that of an undisturbed run."""
    result = Zoo.from_manifest(manifest).run(store=store)
    assert (result.done, result.skipped, result.failed) == (MODELS - done, done, ())
    Zoo.from_manifest(manifest).run(store=tmp_path / "undisturbed")
    assert values(store) == values(tmp_path / "undisturbed")


# Disk full


@pytest.mark.parametrize("where", ["write", "sync", "rename"])
def test_a_full_disk(where, manifest, tmp_path, monkeypatch):
    """Oracle: an undisturbed run. From the second result on, the system refuses one of the three steps."""
    written = 0
    calls = {"write": (Path, "write_bytes"), "sync": (os, "fsync"), "rename": (Path, "replace")}
    owner, name = calls[where]
    true = getattr(owner, name)

    def full(*args):
        if written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return true(*args)

    def count(event):
        nonlocal written
        written += isinstance(event, Done)

    monkeypatch.setattr(owner, name, full)
    store = tmp_path / "results"
    result = Zoo.from_manifest(manifest).run(on_event=count)
    assert (result.done, len(result.failed)) == (1, MODELS - 1)
    for failure in result.failed:
        assert failure.kind == "store"
        assert failure.error == (
            f"'{store / 'total' / failure.key}.h5' cannot be written: No space left on device."
        )
    assert len(list(store.glob("total/*.h5"))) == 1
    assert not list(store.rglob("*.tmp"))
    monkeypatch.undo()
    resumes(manifest, store, tmp_path, done=1)


def test_a_disk_that_is_full_for_real(folder, tmp_path):
    """Oracle: exit status and text of the command, where the system limits the size of files it writes.

    Every write beyond 4 kB fails, as on a full disk, within a file: results do not fit, failures do.
    """
    for i in range(MODELS):
        folder.add(f"m{i}", seed=i)
    path = folder.write(TOTAL)
    out = subprocess.run(
        [sys.executable, "-m", "landscape", "run", str(path), "--no-report"],
        capture_output=True,
        text=True,
        timeout=400,  # against hanging alone: without bytecode, imports on a busy machine take minutes
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    assert out.returncode == 1, out.stdout + out.stderr
    assert f"0 done, 0 done before, {MODELS} failed" in out.stdout
    assert "cannot be written: File too large." in out.stdout
    store = tmp_path / "results"
    assert not list(store.rglob("*.h5"))
    assert not list(store.rglob("*.tmp"))
    resumes(path, store, tmp_path, done=0)


# A store that vanishes


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_store_that_vanishes(jobs, manifest, tmp_path):
    """Oracle: the store once it is back, and the disk meanwhile: nothing may be written where it was.

    A disk that is unmounted leaves an empty folder's place; results written there would be hidden later.
    """
    store, away = tmp_path / "results", tmp_path / "away"

    def vanish(event):
        if isinstance(event, Done) and not away.exists():
            store.rename(away)

    path = manifest
    path.write_text(path.read_text().replace('"toys:total"', '"toys:total"\nsleep_s = 0.3'))
    events = []
    result = Zoo.from_manifest(path).run(jobs=jobs, on_event=lambda e: (vanish(e), events.append(e)))
    assert not store.exists()
    assert result.done == len(list(away.glob("total/*.h5"))) >= 1
    assert result.done + len(result.failed) == MODELS
    for failure in result.failed:
        assert failure.kind == "store"
        assert failure.error == (
            f"the store '{store}' is gone: moved, removed, or its disk is not mounted; bring it back, and the"
            " same command goes on from there."
        )
    away.rename(store)
    resumes(path, store, tmp_path, done=result.done)


def test_a_store_that_vanishes_on_the_command_line(manifest, tmp_path):
    """Oracle: exit status 1, the failures listed, and no traceback."""
    manifest.write_text(manifest.read_text().replace('"toys:total"', '"toys:total"\nsleep_s = 0.5'))
    store, away = tmp_path / "results", tmp_path / "away"
    with subprocess.Popen(
        [sys.executable, "-m", "landscape", "run", str(manifest)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 100
        while not list(store.glob("total/*.h5")) and time.monotonic() < deadline:
            time.sleep(0.01)
        store.rename(away)
        out, errors = process.communicate(timeout=100)
    assert process.returncode == 1, out + errors
    assert f"the store '{store}' is gone" in out
    assert "Traceback" not in out + errors
    assert "unexpected" not in out + errors
    assert not store.exists()


# Two runs on one store


COUNTING = """
import os, time
import toys

def compute(problem, params, context):
    with open(os.environ["COUNTS"], "a") as file:
        file.write(f"{os.getpid()} {float(problem.theta[0]):.6f}\\n")
    time.sleep(0.2)
    return {"x": [0.0], "value": [problem.loss()]}

counting = toys.make("counting", "checkpoint", compute)
"""


def test_runs_that_collide_and_one_that_is_killed(folder, tmp_path):
    """Oracle: every computation writes a line; only what was under way in the killed run comes twice."""
    (folder.root / "counting.py").write_text(COUNTING)
    models = 10
    for i in range(models):
        folder.add(f"m{i}", seed=i)
    path = folder.write('[analyses.counting]\nanalysis = "counting:counting"')
    counts = tmp_path / "counts.txt"
    counts.touch()
    environment = os.environ | {"COUNTS": str(counts), "OMP_NUM_THREADS": "1"}

    def start(*options):
        command = [sys.executable, "-m", "landscape", "run", str(path), "--no-report", *options]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )

    victim, alone, pool = start(), start(), start("--jobs", "2")
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        lines = counts.read_text().split("\n")[:-1]
        if any(line.startswith(f"{victim.pid} ") for line in lines):
            break
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    ends = [process.communicate(timeout=150) for process in (alone, pool)]
    assert (alone.returncode, pool.returncode) == (0, 0), ends
    lines = [line.split() for line in counts.read_text().splitlines()]
    times = collections.Counter(subject for _, subject in lines)
    assert len(times) == models
    twice = [subject for subject, count in times.items() if count > 1]
    in_flight = {subject for pid, subject in lines if pid == str(victim.pid)}
    assert len(twice) <= 1
    assert set(twice) <= in_flight
    assert max(times.values()) <= 2
    store = tmp_path / "results"
    assert len(list(store.glob("counting/*.h5"))) == models
    assert not list(store.rglob("*.tmp"))
    contents = read_contents(store)
    assert (contents.failures, contents.missing) == ([], 0)


# Clocks

CENTURY_S = 100 * 365 * 24 * 3600.0


@pytest.mark.parametrize("skew", [-30 * 365 * 24 * 3600.0, CENTURY_S])
def test_clocks_do_not_matter(skew, manifest, tmp_path):
    """Oracle: a run without skew. Every file says it was written long ago, or a century ahead."""
    Zoo.from_manifest(manifest).run()

    def shift():
        for file in tmp_path.rglob("*"):
            os.utime(file, (time.time() + skew, time.time() + skew))

    shift()
    again = Zoo.from_manifest(manifest).run()
    assert (again.done, again.skipped) == (0, MODELS)
    next(tmp_path.glob("results/total/*.h5")).unlink()
    shift()
    resumes(manifest, tmp_path / "results", tmp_path, done=MODELS - 1)


def test_files_that_look_alike_are_told_apart(folder, tmp_path):
    """Oracle: the content. Two checkpoints of one size and one time are exchanged after a run.

    Archives and copies give all files one time, and checkpoints of one architecture have one size.
    """
    paths = [folder.add(f"m{i}", seed=i) for i in range(2)]
    manifest = folder.write(TOTAL)
    for path in paths:
        os.utime(path, (1e9, 1e9))
    time.sleep(0.01)
    Zoo.from_manifest(manifest).run()
    before = values(tmp_path / "results")
    spare = tmp_path / "spare.pt"
    paths[0].rename(spare)
    paths[1].rename(paths[0])
    spare.rename(paths[1])
    for path in paths:
        os.utime(path, (1e9, 1e9))
    Zoo.from_manifest(manifest).run()
    after = values(tmp_path / "results")
    name = "value"
    assert after["total", "m0", name] == before["total", "m1", name]
    assert after["total", "m1", name] == before["total", "m0", name]
    assert after["total", "m0", name] != after["total", "m1", name]


def test_files_being_written_elsewhere_survive_a_wrong_clock(tmp_path, monkeypatch):
    """Oracle: a file that the file system has just made is new, whatever this machine's clock says."""
    file = tmp_path / ".landscape-elsewhere-1-0123456789abcdef.tmp"
    file.touch()
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert sweep(tmp_path) == 0
    os.utime(file, (1e9, 1e9))
    assert sweep(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_was_never_there_is_made(tmp_path):
    """Oracle: the folder; and the sentence once it has been there and is gone."""
    store = Store(tmp_path / "new")
    store.lock()
    assert store.directory.is_dir()
    shutil.rmtree(store.directory)
    with pytest.raises(StoreError, match=r"is gone: moved, removed"):
        store.lock()
