"""Many models: planned, killed, resumed and consolidated; what is done stays as it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

import landscape
from landscape.store import Store, fast_read, read_contents, read_field
from landscape.zoo import Zoo

RUN = """
import sys, torch
torch.set_num_threads(1)
from landscape.zoo import Zoo
result = Zoo.from_manifest(sys.argv[1]).run()
print(result.done, result.skipped, len(result.failed))
"""


def make(folder, count):
    """So many checkpoints, all different."""
    folder.add("m00000")
    state = torch.load(folder.root / "m00000.pt")
    for index in range(count):
        state["0.bias"][0] = float(index)
        torch.save(state, folder.root / f"m{index:05d}.pt")
    folder.entries = ['[[checkpoints]]\npath = "m*.pt"']
    return folder.write()


def launch(path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(path)], stdout=subprocess.PIPE, text=True, env=environment
    )


def results(store):
    return {f.name: f.stat().st_mtime_ns for f in store.glob("total/*.h5")}


@pytest.mark.parametrize(
    "count", [200, pytest.param(2000, marks=[pytest.mark.slow, pytest.mark.timeout(1500)])]
)
def test_a_large_zoo_dies_and_resumes(count, folder):
    """Oracle: the number of models, times of change, and some models alone.

    Files that were there when it died are not written again, and none is missing.
    """
    path = make(folder, count)
    store = folder.root / "results"
    with launch(path) as process:
        while len(results(store)) < count // 3:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    before = results(store)
    assert count // 3 <= len(before) < count
    with launch(path) as process:
        out, _ = process.communicate()
    assert out.split() == [str(count - len(before)), str(len(before)), "0"]
    assert before.items() <= results(store).items()
    assert not [f for f in store.rglob("*") if f.suffix in (".tmp", ".lock") and f.name != ".lock"]
    contents = read_contents(store)
    assert (len(contents.models), contents.missing, contents.failures) == (count, 0, [])
    field = read_field(Store(store).consolidated, "total", "value")
    assert sorted(field) == [f"m{index:05d}" for index in range(count)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    few = {m.name: m for m in Zoo.from_manifest(path).spec.models[:: count // 4]}
    folder.entries = [f'[[checkpoints]]\npath = "{name}.pt"' for name in few]
    alone = Zoo.from_manifest(folder.write()).run(store=folder.root / "alone")
    torch.set_num_threads(threads)
    for name, ds in read_contents(alone.store).sections[0].results.items():
        assert field[name].tobytes() == ds["value"].values.tobytes()


def test_planning_looks_at_each_checkpoint_once(folder, monkeypatch):
    """Oracle: calls counted: one hash for each file, however many sections there are."""
    from landscape.zoo import plan as planning

    hashed = []
    real = planning.file_sha256
    monkeypatch.setattr(planning, "file_sha256", lambda path: hashed.append(path) or real(path))
    make(folder, 20)
    sections = "\n".join(f"[analyses.s{i}]\nanalysis = 'toys:total'\nscale = {i + 1}" for i in range(6))
    rows = Zoo.from_manifest(folder.write(sections)).estimate()
    assert [row.todo for row in rows] == [20] * 6
    assert len(hashed) == 20


def test_checkpoints_are_hashed_again_only_if_they_changed(folder, monkeypatch):
    """Oracle: calls counted; how old a hash must be to be relied on is set, since no file can be made old."""
    from landscape.zoo import plan as planning

    hashed = []
    real = planning.file_sha256
    monkeypatch.setattr(planning, "file_sha256", lambda path: hashed.append(path.name) or real(path))
    path = make(folder, 5)
    monkeypatch.setattr(planning, "_SETTLED_NS", 10**18)  # all files may still change unnoticed
    for _ in range(2):
        hashed.clear()
        Zoo.from_manifest(path).run()
        assert len(hashed) == 5
    monkeypatch.setattr(planning, "_SETTLED_NS", 0)
    time.sleep(0.02)
    Zoo.from_manifest(path).run()
    hashed.clear()
    Zoo.from_manifest(path).run()
    assert hashed == []
    changed = folder.root / "m00002.pt"
    changed.write_bytes((folder.root / "m00003.pt").read_bytes())
    hashed.clear()
    result = Zoo.from_manifest(path).run()
    assert hashed == ["m00002.pt"]
    assert (result.done, result.skipped) == (0, 4)  # it is like another one now
    (Store(result.store).directory / "hashes.json").write_text("[1]")
    hashed.clear()
    assert Zoo.from_manifest(path).run().skipped == 4
    assert len(hashed) == 5


def test_a_run_leaves_what_sums_up_its_results(folder, monkeypatch):
    """Oracle: the table of the same store without that file; reads are counted."""
    make(folder, 3)
    store = Zoo.from_manifest(folder.write("[analyses.weights]\n[analyses.calibration]")).run().store
    monkeypatch.setattr(fast_read, "read", lambda *_: pytest.fail("a result was opened"))
    found = landscape.table(store)
    monkeypatch.undo()
    (store / "metrics.json").unlink()
    expected = landscape.table(store)
    assert found.equals(expected) and len(found) == 3
    assert {"weights", "calibration"} <= {section for section, _ in found.columns}
