"""Partial results: computed once, by whoever comes first; survive a kill; refuse to be mixed."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from landscape.errors import InputError, StoreError
from landscape.store import Store
from landscape.store.ledger import FolderLedger

NAMES = [f"row-{i:02d}" for i in range(8)]
IDENTITY = {"checkpoint": "abc", "options": '{"a": 1}', "count": 3}

WORKER = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
from landscape.store import Store
from landscape.store.ledger import FolderLedger
folder, log, doomed = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "doomed"
print("ready", flush=True)
sys.stdin.readline()
def compute(i):
    with open(log, "a") as file:
        file.write(f"{i}\\n")
    time.sleep(0.05)
    if doomed:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"z": np.array([i / 3, np.nan, np.inf, -0.0])}
found = FolderLedger(folder, {"who": "worker"}).collect([f"row-{i:02d}" for i in range(8)], compute)
print(b"".join(p["z"].tobytes() for p in found).hex())
"""


def piece(i):
    return {"z": np.array([i / 3, np.nan, np.inf]), "n": np.array(i)}


def start(tmp_path, fate):
    command = [sys.executable, "-c", WORKER, str(tmp_path / "p"), str(tmp_path / "log"), fate]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_pieces_are_kept_bit_for_bit_and_computed_once(tmp_path):
    """Oracle: the arrays handed over; a second run must not compute."""
    folder = tmp_path / "partial"
    first = FolderLedger(folder, IDENTITY).collect(NAMES, piece)
    second = FolderLedger(folder, IDENTITY).collect(NAMES, lambda i: pytest.fail("computed again"))
    for i, (a, b) in enumerate(zip(first, second, strict=True)):
        assert set(a) == set(b) == {"z", "n"}
        assert a["z"].tobytes() == b["z"].tobytes() == piece(i)["z"].tobytes()
        assert b["n"].shape == ()


def test_a_run_that_stops_loses_only_the_piece_under_way(tmp_path):
    """Oracle: the pieces computed on either side of the interruption."""
    seen = []

    def compute(i):
        seen.append(i)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return piece(i)

    with pytest.raises(KeyboardInterrupt):
        FolderLedger(tmp_path / "p", IDENTITY).collect(NAMES, compute)
    FolderLedger(tmp_path / "p", IDENTITY).collect(NAMES, compute)
    assert seen == [0, 1, 2, 3, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("name", IDENTITY)
def test_pieces_of_another_computation_are_refused(tmp_path, name):
    """Oracle: the sentence names what differs and the folder."""
    FolderLedger(tmp_path / "p", IDENTITY).collect(NAMES[:1], piece)
    with pytest.raises(InputError, match=rf"'.*p' were made with another {name} .*remove that folder"):
        FolderLedger(tmp_path / "p", IDENTITY | {name: "other"})
    with pytest.raises(InputError, match="another extra"):
        FolderLedger(tmp_path / "p", IDENTITY | {"extra": 1})


def test_a_decision_is_made_once(tmp_path):
    """Oracle: the first decision."""
    assert FolderLedger(tmp_path / "p", IDENTITY).remember("cut", lambda: {"size": 16}) == {"size": 16}
    assert FolderLedger(tmp_path / "p", IDENTITY).remember("cut", lambda: {"size": 32}) == {"size": 16}


def test_a_damaged_piece_is_computed_anew(tmp_path):
    """Oracle: the piece."""
    ledger = FolderLedger(tmp_path / "p", IDENTITY)
    ledger.collect(NAMES, piece)
    file = tmp_path / "p" / "row-03.npz"
    file.write_bytes(file.read_bytes()[:50])
    seen = []
    found = ledger.collect(NAMES, lambda i: seen.append(i) or piece(i))
    assert seen == [3]
    assert found[3]["z"].tobytes() == piece(3)["z"].tobytes()


def test_a_folder_removed_by_another_worker_ends_in_the_same_numbers(tmp_path):
    """Oracle: the pieces."""
    ledger = FolderLedger(tmp_path / "p", IDENTITY)
    for file in (tmp_path / "p").iterdir():
        file.unlink()
    (tmp_path / "p").rmdir()
    assert [int(p["n"]) for p in ledger.collect(NAMES, piece)] == list(range(8))
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("moment", ["decision", "deciding", "piece", "state", "curve"])
def test_a_store_that_vanishes_is_not_made_anew(moment, tmp_path):
    """Oracle: the file system afterwards; the pieces."""
    import torch

    from landscape.analyses.connectivity.connect.resume import CurveFile
    from landscape.core.connectivity.curve_training import TrainingState

    store = tmp_path / "store"
    (store / "toy").mkdir(parents=True)
    folder = store / "toy" / "key.partial"
    ledger = FolderLedger(folder, IDENTITY)
    points = torch.zeros(2, 3)
    curve = CurveFile(ledger, points)

    def compute(i):
        if moment == "piece" and i == 3:
            store.rename(tmp_path / "elsewhere")
        return piece(i)

    def decide():
        store.rename(tmp_path / "elsewhere")
        return {"size": 16}

    if moment not in ("piece", "deciding"):
        store.rename(tmp_path / "elsewhere")
    if moment == "deciding":
        assert ledger.remember("cut", decide) == {"size": 16}
    elif moment == "decision":
        assert ledger.remember("cut", lambda: {"size": 16}) == {"size": 16}
    elif moment == "state":
        ledger.save_state("state", piece(0))
    elif moment == "curve":
        curve.write(TrainingState(points, points, []))
    assert [int(p["n"]) for p in ledger.collect(NAMES, compute)] == list(range(8))
    assert not store.exists()
    with pytest.raises(StoreError, match=r"key\.partial' cannot be made: No such file"):
        FolderLedger(folder, IDENTITY)


def test_workers_share_the_pieces_and_take_over_from_the_dead(tmp_path):
    """Oracle: the log of all workers: every piece once, but for the one whose holder was killed."""
    workers = [start(tmp_path, fate) for fate in ("doomed", "well", "well")]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    outputs = [worker.communicate()[0] for worker in workers]
    counts = np.bincount([int(i) for i in (tmp_path / "log").read_text().split()], minlength=8)
    assert workers[0].returncode == -signal.SIGKILL
    assert sorted(counts.tolist()) == [1] * 7 + [2]
    expected = b"".join(np.array([i / 3, np.nan, np.inf, -0.0]).tobytes() for i in range(8)).hex()
    assert [o.strip() for o in outputs[1:]] == [expected] * 2


def test_a_finished_task_leaves_no_partial_folder(tmp_path):
    """Oracle: the folder's absence; a partial file of other analyses goes too."""
    store = Store(tmp_path)
    (tmp_path / "surface").mkdir()
    ds = xr.Dataset({"a": ("t", [1.0])}, attrs={"analysis": "surface"})
    for make in (lambda p: FolderLedger(p, IDENTITY).collect(NAMES, piece), lambda p: p.write_bytes(b"x")):
        make(store.partial("surface", "k"))
        store.write(ds, "k")
        assert not store.partial("surface", "k").exists()
        assert store.has("surface", "k")


def test_a_state_in_mid_air_is_replaced_and_read_back(tmp_path):
    """Oracle: what was saved last; a damaged or deleted file counts as none."""
    ledger = FolderLedger(tmp_path / "partial", {})
    assert ledger.load_state("state") is None
    for value in (1.0, np.nan):
        ledger.save_state("state", {"x": np.array([value])})
        np.testing.assert_array_equal(ledger.load_state("state")["x"], [value])
    (tmp_path / "partial" / "state.npz").write_bytes(b"torn")
    assert ledger.load_state("state") is None
    ledger.save_state("state", {"x": np.zeros(1)})
    ledger.delete_state("state")
    ledger.delete_state("state")
    assert ledger.load_state("state") is None


def test_what_runs_derive_must_agree(tmp_path):
    """Oracle: the value that the first run required; the sentence names what differs and the folder."""
    FolderLedger(tmp_path / "p").require("directions", "abc")
    FolderLedger(tmp_path / "p").require("directions", "abc")
    FolderLedger(tmp_path / "p").require("transform", "xyz")
    with pytest.raises(InputError, match=r"'.*p' were made with another directions \(abc, now xyz\)"):
        FolderLedger(tmp_path / "p").require("directions", "xyz")


def test_a_folder_named_by_a_key_needs_no_identity(tmp_path):
    """Oracle: the pieces that a run with an identity left, taken over without one; none is written."""
    FolderLedger(tmp_path / "old", IDENTITY).collect(NAMES, piece)
    FolderLedger(tmp_path / "old").collect(NAMES, lambda i: pytest.fail("computed again"))
    FolderLedger(tmp_path / "new").collect(NAMES[:1], piece)
    assert sorted(f.name for f in (tmp_path / "new").glob("*.*n*")) == ["row-00.npz"]


@pytest.mark.parametrize("garbage", [b"", b"\xff\x00", b"[1]", b'{"a": '])
def test_a_damaged_decision_starts_anew(tmp_path, garbage):
    """Oracle: no piece of before is taken, since it may rest on what was decided then."""
    ledger = FolderLedger(tmp_path / "k.partial", {"a": 1})
    ledger.collect(["p"], lambda i: {"x": np.array([1.0])})
    (tmp_path / "k.partial" / "identity.json").write_bytes(garbage)
    again = FolderLedger(tmp_path / "k.partial", {"a": 1})
    assert again.collect(["p"], lambda i: {"x": np.array([2.0])})[0]["x"] == 2.0


def test_a_piece_with_any_bit_flipped_is_made_anew(tmp_path):
    """Oracle: the piece; a flipped bit, wherever it is, leaves no piece."""
    ledger = FolderLedger(tmp_path / "k.partial")
    ledger.collect(["p"], lambda i: {"x": np.array([1.0])})
    file = tmp_path / "k.partial" / "p.npz"
    whole = file.read_bytes()
    for bit in range(0, 8 * len(whole), 7):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        file.write_bytes(data)
        piece = ledger.load_state("p")
        assert piece is None, bit
    file.write_bytes(whole)
    assert ledger.load_state("p")["x"].tolist() == [1.0]
