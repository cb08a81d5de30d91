"""Executors: several runs on one store at once; each task is done by one of them, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from landscape.store import Store, read_contents
from landscape.zoo import Zoo
from landscape.zoo.events import Done, DoneElsewhere, Started
from landscape.zoo.executors.base import SerialExecutor

TOTAL = '[analyses.total]\nanalysis = "toys:total"'
PAIRS = '[analyses.distance]\nanalysis = "toys:distance"'
SLOW = f"{TOTAL}\nsleep_s = 0.1"

# Does a run, tells which tasks it did itself and which it found done, and how it ended.
RUN = """
import json, sys, torch
from landscape.zoo import Zoo
from landscape.zoo.events import Done, DoneElsewhere
torch.set_num_threads(1)
events = []
result = Zoo.from_manifest(sys.argv[1]).run(on_event=events.append, **json.loads(sys.argv[2]))
keys = {cls.__name__: [e.task.key for e in events if isinstance(e, cls)] for cls in (Done, DoneElsewhere)}
print(json.dumps(keys | {"skipped": result.skipped, "failed": len(result.failed)}))
"""


def start(path, **options):
    command = [sys.executable, "-c", RUN, str(path), json.dumps(options)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def end(process):
    out, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    return json.loads(out)


def make(folder, models, analyses):
    for i in range(models):
        folder.add(f"m{i}", 'group = "g"', seed=i)
    return folder.write(analyses)


def values(directory):
    contents = read_contents(directory)
    assert (contents.failures, contents.missing) == ([], 0)
    return {
        (s.label, subject, name): ds[name].values.tobytes()
        for s in contents.sections
        for subject, ds in s.results.items()
        for name in ds.variables
    }


def test_two_runs_at_once_do_each_task_once(folder, tmp_path):
    """Oracle: the keys that each process says it did: none twice, none missing; an undisturbed run's bits."""
    path = make(folder, 8, f"{SLOW}\n{PAIRS}")
    ends = [end(p) for p in [start(path), start(path)]]
    keys = [key for e in ends for key in e["Done"]]
    assert len(keys) == len(set(keys)) == 8 + 28
    assert all(len(e["Done"]) + e["skipped"] == 36 for e in ends)
    assert values(folder.root / "results") == values(
        Zoo.from_manifest(path).run(store=tmp_path / "alone").store
    )
    assert (folder.root / "results" / "zoo.h5").exists()
    assert not list((folder.root / "results").glob("*/*.lock"))


def test_a_claim_ends_with_its_process(folder):
    """Oracle: while a process is within a task nobody else gets it; when it was killed, anybody does."""
    path = make(folder, 3, f"{TOTAL}\nsleep_s = 60")
    store = folder.root / "results"
    first = start(path)
    deadline = time.monotonic() + 100
    while not list(store.glob("total/*.lock")) and time.monotonic() < deadline:
        time.sleep(0.01)
    keys = {task.key for task in plan(path).tasks}
    taken = next(store.glob("total/*.lock"))
    assert taken.stem in keys
    with Store(store).claim("total", taken.stem) as ours:
        assert not ours
    os.kill(first.pid, signal.SIGKILL)
    first.communicate(timeout=20)
    with Store(store).claim("total", taken.stem) as ours:
        assert ours


def plan(path):
    zoo = Zoo.from_manifest(path)
    return zoo._plan(None, Store(zoo.store), False)[0]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_task_that_another_run_holds_is_waited_for(jobs, folder):
    """Oracle: the claim is held here until every other task is done; then the run does it too."""
    path = make(folder, 3, TOTAL)
    held = plan(path).tasks[0]
    store = Store(folder.root / "results")
    events, others_done = [], threading.Event()

    def listen(event):
        events.append(event)
        if sum(isinstance(e, Done) for e in events) == 2:
            others_done.set()

    run = threading.Thread(target=Zoo.from_manifest(path).run, kwargs={"jobs": jobs, "on_event": listen})
    with store.claim("total", held.key) as ours:
        assert ours
        run.start()
        assert others_done.wait(100)
        assert held.key not in [e.task.key for e in events if isinstance(e, Started)]
    run.join(100)
    assert [e.task.key for e in events if isinstance(e, Done)][-1] == held.key


def test_what_another_run_did_meanwhile_is_found(folder):
    """Oracle: the results are put into the store between planning and carrying out."""
    path = make(folder, 2, TOTAL)
    other = Zoo.from_manifest(path).run(store=folder.root / "other").store

    class Late(SerialExecutor):
        def run(self, setup, tasks, emit):
            for file in other.glob("total/*.h5"):
                target = setup.store / "total" / file.name
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(file.read_bytes())
            super().run(setup, tasks, emit)

    events = []
    result = Zoo.from_manifest(path).run(executor=Late(), on_event=events.append)
    assert (result.done, result.skipped) == (0, 2)
    assert sum(isinstance(e, DoneElsewhere) for e in events) == 2


PIECES = """
    import os, pathlib, time
    import numpy as np
    from landscape import Analysis, Params, Schema, Variable

    def compute(problem, params, context):
        def piece(index):
            time.sleep(0.3)
            with pathlib.Path("pieces.txt").open("a") as file:
                file.write(f"{index} {os.getpid()}\\n")
            return {"v": np.array(float(index))}
        pieces = context.ledger.collect([f"p{i}" for i in range(30)], piece)
        return {"x": [float(i) for i in range(30)], "v": [float(p["v"]) for p in pieces]}

    grid = Analysis(name="grid", title="Grid", description="In pieces.", scope="checkpoint", params=Params,
                    schema=Schema(1, coords=(Variable("x", ("x",), "place"),),
                                  variables=(Variable("v", ("x",), "value"),)),
                    compute=compute, plots=lambda r: [], summary=lambda d: [])
"""


def test_two_runs_share_one_task_that_comes_in_pieces(folder, monkeypatch):
    """Oracle: each piece writes a line when it is computed: none twice, by two processes."""
    monkeypatch.chdir(folder.root)
    (folder.root / "pieces.py").write_text(textwrap.dedent(PIECES))
    path = make(folder, 1, '[analyses.grid]\nanalysis = "pieces:grid"')
    ends = [end(p) for p in [start(path), start(path)]]
    lines = [line.split() for line in (folder.root / "pieces.txt").read_text().splitlines()]
    assert sorted(int(index) for index, _ in lines) == list(range(30))
    assert len({pid for _, pid in lines}) == 2
    assert all(len(e["Done"] + e["DoneElsewhere"]) == 1 for e in ends)  # the last pieces may end together
    (section,) = read_contents(folder.root / "results").sections
    assert section.results["m0"]["v"].values.tolist() == list(range(30))
    assert not list((folder.root / "results").glob("grid/*.partial"))
