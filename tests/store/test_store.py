"""The store: keys by content, failures, locks."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from landscape.errors import StoreError
from landscape.store import Store, task_key
from landscape.store.locks import Lock

FACTS = {"checkpoint": "abc", "data": "def", "problem": {"weight_decay": 0.0}}


def test_keys_follow_content():
    """Oracle: each fact changed alone must change the key; order of entries must not."""
    key = task_key("toy", 1, '{"k": 5, "seed": 0}', FACTS)
    assert key == task_key("toy", 1, '{"seed": 0, "k": 5}', dict(reversed(FACTS.items())))
    others = {
        task_key("toz", 1, '{"k": 5, "seed": 0}', FACTS),
        task_key("toy", 2, '{"k": 5, "seed": 0}', FACTS),
        task_key("toy", 1, '{"k": 6, "seed": 0}', FACTS),
        task_key("toy", 1, '{"k": 5, "seed": 0}', FACTS | {"checkpoint": "abd"}),
        task_key("toy", 1, '{"k": 5, "seed": 0}', FACTS | {"problem": {"weight_decay": 0.1}}),
    }
    assert len(others | {key}) == 6
    assert len(key) == 32


def test_keys_are_the_same_in_another_process():
    """Oracle: a fresh interpreter with another hash seed."""
    code = f"from landscape.store import task_key; print(task_key('toy', 1, '{{}}', {FACTS!r}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == task_key("toy", 1, "{}", FACTS)


def test_write_clears_failure_and_partial(store, result):
    store.partial("toy", "key2").write_bytes(b"half")
    assert not store.has("toy", "key2")
    store.write(result("m2"), "key2")
    assert store.has("toy", "key2")
    assert store.failures() == []
    assert not store.partial("toy", "key2").exists()
    assert store.read("toy", "key2").identical(result("m2"))


def test_the_pieces_of_a_task_go_with_its_result(store, result):
    """Oracle: the folder's listing; pieces under another mark, of other code, go when the store is swept."""
    names = ("key2-ours.partial", "key2-theirs.partial", "key3.partial")
    for name in names:
        (store.directory / "toy" / name).mkdir(parents=True)
        os.utime(store.directory / "toy" / name, (1, 1))
    store.write(result("m2"), "key2", "ours")
    assert {f.name for f in store.directory.glob("toy/*.partial")} == set(names[1:])
    store.sweep()
    assert {f.name for f in store.directory.glob("toy/*.partial")} == {"key3.partial"}


def test_unwritable_store(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        Store(tmp_path / "file").lock()


def test_one_run_holds_the_lock(tmp_path):
    """Oracle: another process cannot take it until it is released."""
    lock = Store(tmp_path).lock()
    with lock.acquire(timeout=0):
        code = (
            "import sys; from landscape.store import Store; from landscape.store.locks import Busy\n"
            "try: Store(sys.argv[1]).lock().acquire(timeout=0); print('taken')\n"
            "except Busy: print('busy')"
        )
        command = [sys.executable, "-c", code, str(tmp_path)]
        assert subprocess.run(command, capture_output=True, text=True).stdout == "busy\n"
    assert subprocess.run(command, capture_output=True, text=True).stdout == "taken\n"


@pytest.mark.parametrize(
    "error", [TimeoutError(110, "Connection timed out"), OSError(5, "Input/output error")]
)
def test_trouble_with_the_disk_of_a_claim_is_one_sentence(error, monkeypatch, tmp_path):
    """Oracle: the text of the system's error, which a network file system that hangs gives too."""

    def acquire(self, **_):
        raise error

    monkeypatch.setattr(Lock, "acquire", acquire)
    with (
        pytest.raises(StoreError, match=rf"k\.lock' cannot be written: {error.strerror}"),
        Store(tmp_path).claim("total", "k"),
    ):
        pass


def test_a_claim_left_by_a_killed_run_goes_once_the_result_is_there(store, result):
    """Oracle: the folder's listing; the lock of a task that is still to do may be held by another run."""
    store.write(result("m"), "done")
    done, todo = (store.path("toy", key).with_suffix(".lock") for key in ("done", "todo"))
    done.touch()
    todo.touch()
    assert store.sweep() == 1
    assert (done.exists(), todo.exists(), store.has("toy", "done")) == (False, True, True)


def test_reading_a_store_needs_no_torch():
    """Oracle: the modules that a fresh interpreter has loaded."""
    code = "import sys, landscape.store; print('torch' in sys.modules, 'xarray' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]


def test_pieces_of_a_finished_task_go(store, result):
    """Oracle: the folder's listing; pieces younger than the result are of a run that does it again."""
    store.write(result("m"), "done")
    for name, age in (("done", -10), ("done-01234567", -10), ("done-89abcdef", 10), ("todo", -10)):
        folder = store.directory / "toy" / f"{name}.partial"
        folder.mkdir()
        when = store.path("toy", "done").stat().st_mtime + age
        os.utime(folder, (when, when))
    assert store.sweep() == 2
    left = {f.name for f in store.directory.glob("toy/*.partial")}
    assert left == {"done-89abcdef.partial", "todo.partial"}


def test_a_removal_of_pieces_that_was_killed_is_ended(store, result, monkeypatch):
    """Oracle: the folder's listing, after a removal that dies with one of two pieces gone."""
    folder = store.directory / "toy" / "done.partial"
    store.write(result("m"), "other")
    folder.mkdir()
    for name in ("first", "second"):
        (folder / name).touch()

    def die(path):
        next(path.iterdir()).unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("landscape.store.store.shutil.rmtree", die)
        store.write(result("m"), "done")
    assert len(list(store.directory.glob("toy/*.partial/*"))) == 1
    assert store.sweep() == 1
    assert not list(store.directory.glob("toy/*.partial"))
