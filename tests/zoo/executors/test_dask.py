"""A Dask cluster on this machine: the same results, and nothing lost when workers or scheduler die."""

from __future__ import annotations

import io
import logging
import os
import signal
import subprocess
import sys
import time

import pytest

from landscape.errors import InputError
from landscape.store import read_contents
from landscape.zoo import Zoo
from landscape.zoo.events import Done, Failed, Message, Planned, Progress, Started

distributed = pytest.importorskip("distributed")

ALL = """
[analyses.total]
analysis = "toys:total"
[analyses.distance]
analysis = "toys:distance"
[analyses.losses]
analysis = "toys:losses"
"""


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1"
    ) as made:
        yield made


def values(directory):
    """The bytes of all variables in a store, by section, subject and name."""
    return {
        (s.label, subject, name): ds[name].values.tobytes()
        for s in read_contents(directory).sections
        for subject, ds in s.results.items()
        for name in ds.variables
    }


def test_the_same_store_as_a_serial_run(cluster, folder, tmp_path):
    """Oracle: a serial run; and the order in which events may come."""
    for i in range(3):
        folder.add(f"m{i}", 'group = "g"', seed=i)
    folder.add("bad", save=False)
    (folder.root / "bad.pt").write_bytes(b"no checkpoint")
    path = folder.write(ALL)
    events = []
    result = Zoo.from_manifest(path).run(cluster=cluster.scheduler_address, on_event=events.append)
    serial = Zoo.from_manifest(path).run(store=tmp_path / "serial")
    assert (result.done, result.skipped) == (serial.done, serial.skipped)
    assert {(f.label, f.model, f.error) for f in result.failed} == {
        (f.label, f.model, f.error) for f in serial.failed
    }
    assert values(result.store) == values(tmp_path / "serial")
    assert isinstance(events[0], Planned)
    states: dict[str, list[type]] = {}
    for event in events[1:]:
        if not isinstance(event, Message | Progress):
            states.setdefault(event.task.key, []).append(type(event))
    assert len(states) == events[0].todo
    assert all(kinds in ([Started, Done], [Started, Failed]) for kinds in states.values())
    again = Zoo.from_manifest(path).run(cluster=cluster.scheduler_address)
    assert (again.done, again.skipped) == (0, result.done)


def test_progress_comes_back(cluster, folder):
    """Oracle: the toy reports thirds, at most every 0.2 s."""
    folder.add("m0")
    events = []
    path = folder.write('[analyses.total]\nanalysis = "toys:total"\nsleep_s = 0.9')
    Zoo.from_manifest(path).run(cluster=cluster.scheduler_address, on_event=events.append)
    assert [e.fraction for e in events if isinstance(e, Progress)] == pytest.approx([1 / 3, 2 / 3, 1])


def test_a_killed_worker_loses_nothing(cluster, folder, tmp_path):
    """Oracle: a serial run. The worker dies by SIGKILL at its first task, which begins again elsewhere."""
    for i in range(4):
        folder.add(f"m{i}", seed=i)
    path = folder.write('[analyses.total]\nanalysis = "toys:total"\nsleep_s = 0.6')
    with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
        pids = client.run(os.getpid)
    events = []

    def watch(event):
        events.append(event)
        if sum(isinstance(e, Progress) for e in events) == 1 and isinstance(event, Progress):
            os.kill(next(iter(pids.values())), signal.SIGKILL)

    result = Zoo.from_manifest(path).run(cluster=cluster.scheduler_address, on_event=watch)
    assert (result.done, result.failed) == (4, ())
    for kind in (Started, Done):
        assert sorted(e.task.subject for e in events if isinstance(e, kind)) == ["m0", "m1", "m2", "m3"]
    Zoo.from_manifest(path).run(store=tmp_path / "serial")
    assert values(result.store) == values(tmp_path / "serial")
    assert not list(result.store.rglob("*.tmp"))


DEADLY = """
import os, signal, time
from landscape import Analysis
import toys

def compute(problem, params, context):
    if abs(float(problem.theta[0]) - 7.0) < 1e-6:
        time.sleep(0.2)  # so that the start is heard
        os.kill(os.getpid(), signal.SIGKILL)
    return {"x": [0.0], "value": [problem.loss()]}

deadly = toys.make("deadly", "checkpoint", compute)
"""


def test_a_task_that_kills_its_worker_fails_alone(folder):
    """Oracle: the other models' losses are there, and the sentence names the death."""
    import torch

    (folder.root / "deadly.py").write_text(DEADLY)
    for i in range(3):
        path = folder.add(f"m{i}", seed=i)
    state = torch.load(path)
    state["0.weight"][0, 0] = 7.0
    torch.save(state, path)
    sections = '[analyses.before]\nanalysis = "toys:total"\n[analyses.deadly]\nanalysis = "deadly:deadly"'
    manifest = folder.write(f'{sections}\n[analyses.after]\nanalysis = "toys:total"\nscale = 2.0')
    import dask

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1"
        ) as made,
    ):
        result = Zoo.from_manifest(manifest).run(cluster=made.scheduler_address)
    assert result.done == 8
    (failure,) = result.failed
    assert (failure.label, failure.model, failure.kind) == ("deadly", "m2", "worker")
    assert failure.error == (
        "the task was at work when its worker process died, several times over (out of memory?)."
    )


def test_scheduler_lost(folder, tmp_path):
    """Oracle: exit status and text of the command; the store after it; a serial run that goes on from there.

    Scheduler and worker are processes of their own; the scheduler dies by SIGKILL when two tasks are done.
    """
    for i in range(6):
        folder.add(f"m{i}", seed=i)
    path = folder.write('[analyses.total]\nanalysis = "toys:total"\nsleep_s = 0.5')
    address_file = tmp_path / "scheduler.json"
    scheduler = dask_process("scheduler", address_file, "--port", "0", "--host", "127.0.0.1")
    worker = run = None
    try:
        _until(address_file.exists)
        worker = dask_process("worker", address_file, "--nthreads", "1", "--no-nanny")
        store = tmp_path / "results"
        run = subprocess.Popen(
            [sys.executable, "-m", "landscape", "run", str(path), "--cluster", str(address_file)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        _until(lambda: len(list(store.glob("total/*.h5"))) >= 2)
        scheduler.kill()
        _, errors = run.communicate(timeout=60)
    finally:
        for process in (scheduler, worker, run):
            if process is not None:
                process.kill()
                process.wait()
    assert run.returncode == 2
    told = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert told, errors
    assert told == [
        f"error: the connection to the scheduler at '{address_file}' was lost; what is done is kept: the same"
        " command goes on from there, once there is a scheduler."
    ]
    assert len(errors.splitlines()) == 1, errors
    done = len(list(store.glob("total/*.h5")))
    assert done >= 2
    result = Zoo.from_manifest(path).run()
    assert (result.done, result.skipped, result.failed) == (6 - done, done, ())
    assert not list(store.rglob("*.tmp"))


def test_tracebacks_of_a_lost_connection_stay_out_of_the_log(cluster, folder):
    """Oracle: what a handler of Dask's own logger prints, during a run and after it.

    Dask's writer thread may find the connection closed, and log it, before our next question finds out.
    """
    from distributed.comm.core import CommClosedError

    written = io.StringIO()
    handler = logging.StreamHandler(written)
    logger = logging.getLogger("distributed")
    logger.addHandler(handler)

    def log(name):
        logger.getChild("batched").info("closed: %s", name, exc_info=CommClosedError("gone"))
        logger.getChild("batched").info("told: %s", name)
        logger.getChild("spill").error("disk: %s", name, exc_info=OSError(28, "No space left on device"))

    folder.add("m0")
    manifest = folder.write('[analyses.total]\nanalysis = "toys:total"')
    try:
        Zoo.from_manifest(manifest).run(
            cluster=cluster.scheduler_address,
            on_event=lambda event: log("during") if isinstance(event, Started) else None,
        )
        log("after")
    finally:
        logger.removeHandler(handler)
    text = written.getvalue()
    assert "told: during" in text
    assert "disk: during" in text
    assert "closed: during" not in text
    assert "closed: after" in text


def dask_process(role, address_file, *options):
    """A scheduler or worker as on a cluster: a process of its own."""
    start = f"import sys; from distributed.cli.dask_{role} import main; sys.argv[0] = '{role}'; main()"
    common = ("--scheduler-file", str(address_file), "--no-dashboard")
    return subprocess.Popen(
        [sys.executable, "-c", start, *common, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_no_scheduler_at_the_address(folder, monkeypatch):
    import landscape.zoo.executors.dask

    monkeypatch.setattr(landscape.zoo.executors.dask, "_CONNECT_S", 0.3)
    folder.add("m0")
    zoo = Zoo.from_manifest(folder.write())
    with pytest.raises(InputError, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:9'"):
        zoo.run(cluster="tcp://127.0.0.1:9")
    with pytest.raises(InputError, match="no Dask scheduler answers at 'nonsense://'"):
        zoo.run(cluster="nonsense://")
    with pytest.raises(InputError, match="leave out jobs"):
        zoo.run(cluster="tcp://127.0.0.1:9", jobs=2)
