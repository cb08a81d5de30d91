"""What runs on workers of a cluster: events as messages, and one device for each process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from landscape.zoo.events import Done, DoneElsewhere, Failed, Message, Progress, Started
from landscape.zoo.executors import dask_worker
from landscape.zoo.executors.dask_worker import decode, encode
from landscape.zoo.task import Task

TASK = Task("key", "label", "analysis", "folder", "{}", "checkpoint", "m0", ())


@pytest.mark.parametrize(
    "event",
    [
        Started(TASK),
        Progress(TASK, 0.25),
        Done(TASK, 1.5),
        DoneElsewhere(TASK),
        Failed(TASK, "it is bad.", "input", "Traceback"),
        Message("something to tell"),
    ],
)
def test_events_survive_the_way_as_plain_values(event):
    """Oracle: the event before; on the way it is strings and numbers, as JSON shows."""
    message = json.loads(json.dumps(encode(event)))
    assert decode(message, {"key": TASK}) == event


def test_an_event_of_another_run_is_no_event():
    """Oracle: no task of that key is known."""
    assert decode(encode(Done(TASK, 1.0)), {}) is None


def test_devices_are_picked_once_each():
    """Oracle: two processes on a machine with two devices, and a third."""
    script = (
        "import sys; from landscape.zoo.executors.dask_worker import pick_device;"
        " print(pick_device(2), flush=True); sys.stdin.read()"
    )
    env = os.environ | {"CUDA_VISIBLE_DEVICES": f"test{os.getpid()}a,test{os.getpid()}b"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )
        for _ in range(3)
    ]
    picked = [int(p.stdout.readline()) for p in processes[:2]]
    third = int(processes[2].stdout.readline())
    for process in processes:
        process.communicate()
    assert third in (0, 1)
    assert len({*picked, third}) == 2


def test_nobody_else_can_block_the_choice_of_a_device(tmp_path, monkeypatch):
    """Oracle: a file in the shared folder, as anybody may put one there; the mode of the folder."""
    monkeypatch.setattr(dask_worker.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(dask_worker.Path, "home", lambda: tmp_path / "home")
    (tmp_path / f"landscape-{os.getuid()}").write_text("")
    folder = dask_worker._own_folder()
    assert folder.is_relative_to(tmp_path / "home")
    (tmp_path / f"landscape-{os.getuid()}").unlink()
    folder = dask_worker._own_folder()
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    assert dask_worker._own_folder() != folder
