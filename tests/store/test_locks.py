"""Locks: one process at a time, gone with it, and none where the file system has none."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from landscape.errors import StoreError
from landscape.store import Store
from landscape.store.ledger import FolderLedger
from landscape.store.locks import Busy, Lock, holder
from landscape.zoo import Zoo
from landscape.zoo.events import Message

HOLD = """
import sys, time
from pathlib import Path
from landscape.store.locks import Lock
with Lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def held(tmp_path):
    """A lock that another process has, which is killed in the end."""
    path = tmp_path / "a.lock"
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"held\n"
    yield path, other
    other.kill()
    other.communicate()


def test_a_lock_ends_with_its_process(held):
    """Oracle: another process, which is killed; and what it wrote of itself."""
    path, other = held
    with pytest.raises(Busy):
        Lock(path).acquire(timeout=0)
    assert holder(path) == f"process {other.pid}"
    other.kill()
    other.wait()
    with Lock(path) as lock:
        assert (lock.missing, holder(path)) == ("", f"process {os.getpid()}")
        with pytest.raises(Busy):  # of a thread, say
            Lock(path).acquire(timeout=0.1)
    with Lock(path):
        pass


def test_who_holds_it_is_told_as_far_as_is_known(tmp_path):
    """Oracle: the words in the file."""
    (tmp_path / "x").write_text("17 node7\n")
    (tmp_path / "y").write_text("nonsense")
    assert holder(tmp_path / "x") == "process 17 on 'node7'"
    assert holder(tmp_path / "y") == holder(tmp_path / "absent") == "another process"
    (tmp_path / "x").write_text(f"17 {platform.node()}")
    assert holder(tmp_path / "x") == "process 17"


def test_a_file_that_was_removed_is_no_lock(tmp_path):
    """Oracle: who had the removed file open must not hold it beside the owner of a new one."""
    path = tmp_path / "a.lock"
    with Lock(path):
        path.unlink()
        with Lock(path), pytest.raises(Busy):
            Lock(path).acquire(timeout=0)


def test_a_child_does_not_keep_a_lock(tmp_path):
    """Oracle: a forked child that outlives the lock."""
    lock = Lock(tmp_path / "a.lock").acquire()
    end, begin = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(begin)
        os.read(end, 1)
        os._exit(0)
    lock.release()
    Lock(tmp_path / "a.lock").acquire(timeout=5).release()
    os.close(begin)
    os.waitpid(child, 0)
    os.close(end)


@pytest.mark.parametrize("kind", ["folder", "loop", "link"])
def test_what_is_no_lock_is_one_sentence(kind, tmp_path):
    """Oracle: the file's name and what it is."""
    file = tmp_path / ".lock"
    if kind == "folder":
        file.mkdir()
    else:
        file.symlink_to(file if kind == "loop" else tmp_path / "elsewhere")
    what = "a folder" if kind == "folder" else "a link"
    with pytest.raises(
        StoreError, match=rf"\.lock' is {what}, where the lock of the store should be: remove it"
    ):
        Store(tmp_path).lock()
    assert not (tmp_path / "elsewhere").exists()
    (tmp_path / "toy").mkdir()
    claim = tmp_path / "toy/k.lock"
    if kind == "folder":
        claim.mkdir()
    else:
        claim.symlink_to(claim if kind == "loop" else tmp_path / "elsewhere")
    with pytest.raises(StoreError, match=r"k\.lock' cannot be written"), Store(tmp_path).claim("toy", "k"):
        pass
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_locks_everybody_has_every_task(code, monkeypatch, folder, tmp_path):
    """Oracle: the results of a store with locks; the system's own words for what is missing."""
    folder.add("m0")
    path = folder.write()
    right = Zoo.from_manifest(path).run(store=tmp_path / "with")

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    told = []
    found = Zoo.from_manifest(path).run(store=tmp_path / "without", on_event=told.append)
    assert (found.done, found.failed) == (1, ())
    said = [e.text for e in told if isinstance(e, Message)]
    assert said == [
        f"the file system of '{tmp_path / 'without'}' has no locks ({os.strerror(code)}): results are right"
        " all the same, but runs that share the store may do a task twice."
    ]
    values = [
        Store(r.store).read("total", f.stem)["value"]
        for r in (right, found)
        for f in r.store.glob("total/*.h5")
    ]
    assert values[0].equals(values[1])


def test_without_locks_all_go_by_one_decision(monkeypatch, tmp_path):
    """Oracle: two workers that decide at one time, each otherwise; pieces of both must rest on one."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    one, two = (FolderLedger(tmp_path / "k.partial") for _ in range(2))
    heard = []

    def slow():
        heard.append(two.remember("grid", lambda: {"step": 2}))
        return {"step": 1}

    assert [one.remember("grid", slow), *heard, two.remember("grid", dict)] == [{"step": 2}] * 3
    (piece,) = one.collect(["p"], lambda index: {"x": np.ones(1)})
    assert piece["x"].tolist() == [1]
    assert not list((tmp_path / "k.partial").glob("*.mine"))


def test_a_run_says_for_whom_it_waits(folder, monkeypatch):
    """Oracle: the number of the process that has the claim; the run goes on when it ends."""
    monkeypatch.setattr("landscape.zoo.runner._PATIENCE_S", 0.6)
    folder.add("m0")
    path = folder.write()
    tasks = []
    first = Zoo.from_manifest(path).run(on_event=lambda e: tasks.append(getattr(e, "task", None)))
    task = next(t for t in tasks if t)
    claim = first.store / "total" / f"{task.key}.lock"
    claim.with_suffix(".h5").unlink()
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(claim)], stdout=subprocess.PIPE)
    other.stdout.readline()
    told = []

    def listen(event):
        if isinstance(event, Message):
            told.append(event.text)
            other.kill()

    assert Zoo.from_manifest(path).run(on_event=listen).done == 1
    assert told == [f"waiting for total of m0, which process {other.pid} claims ('{claim}')."]
    other.communicate()
