"""Runs: what is asked for is done once, nothing stops at a failure, and nothing is lost."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape.errors import InputError, StoreError
from landscape.store import Store, open, read_contents
from landscape.zoo import Zoo
from landscape.zoo.events import Done, Failed, Message, Planned, Progress, Started
from landscape.zoo.executors.pool import PoolExecutor

TOTAL = '[analyses.total]\nanalysis = "toys:total"'
PAIRS = '[analyses.distance]\nanalysis = "toys:distance"'
GROUPS = '[analyses.losses]\nanalysis = "toys:losses"'


def run(path, *args, **keywords):
    return Zoo.from_manifest(path).run(*args, **keywords)


def failures(result):
    return {f.model: f.error for f in result.failed}


def values(directory):
    """The bytes of all data variables in a store, by section and subject."""
    return {
        (s.label, subject): {name: ds[name].values.tobytes() for name in ds.variables}
        for s in read_contents(directory).sections
        for subject, ds in s.results.items()
    }


class TestScopes:
    def test_checkpoint(self, folder):
        """Oracle: the gradient, by autograd on the model itself."""
        folder.add("m0", 'group = "g"', "seed = 4", "tags = { width = 3 }")
        result = run(folder.write(f"{TOTAL}\nscale = 2.0"))
        assert (result.done, result.skipped, result.failed) == (1, 0, ())
        (section,) = read_contents(result.store).sections
        ds = section.results["m0"]
        model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
        model.load_state_dict(torch.load(folder.root / "m0.pt"))
        x = torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
        loss = nn.functional.cross_entropy(model(x), (x.sum(1) > 0).long())
        (grad,) = torch.autograd.grad(loss, model[0].weight)
        draw = torch.rand(3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        expected = 2.0 * grad.reshape(-1)[:3].double() + draw
        np.testing.assert_allclose(ds["value"], expected, rtol=1e-5)
        wanted = {"label": "total", "model": "m0", "group": "g", "model_seed": 4, "tags": '{"width": 3}'}
        assert wanted.items() <= ds.attrs.items()
        assert ds.attrs["key"] in {f.stem for f in result.store.glob("total/*.h5")}

    def test_pair(self, folder):
        """Oracle: the distance of the two files' tensors."""
        for i in range(3):
            folder.add(f"m{i}", 'group = "g"', seed=i)
        folder.add("wide", 'group = "g"', "kwargs = { width = 5 }", width=5)
        folder.add("other", 'group = "h"')
        result = run(folder.write(PAIRS))
        (section,) = read_contents(result.store).sections
        assert list(section.results) == ["m0 ~ m1", "m0 ~ m2", "m1 ~ m2"]
        a, b = (torch.load(folder.root / f"m{i}.pt") for i in (1, 2))
        gap = sum(float((a[k].double() - b[k].double()).square().sum()) for k in a)
        np.testing.assert_allclose(section.results["m1 ~ m2"]["value"], [gap])
        assert section.results["m1 ~ m2"].attrs["group"] == "g"

    def test_group(self, folder):
        """Oracle: each model's loss, from a problem made by hand."""
        folder.add("m0", 'group = "g"')
        folder.add("wide", 'group = "g"', "kwargs = { width = 5 }", width=5)
        folder.add("m2", seed=2)
        result = run(folder.write(GROUPS))
        (section,) = read_contents(result.store).sections
        assert list(section.results) == ["g", "ungrouped"]
        assert section.results["g"]["who"].values.tolist() == ["m0", "wide"]
        model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
        model.load_state_dict(torch.load(folder.root / "m2.pt"))
        x = torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
        problem = landscape.Problem(model, "cross_entropy", (x, (x.sum(1) > 0).long()))
        np.testing.assert_allclose(section.results["ungrouped"]["value"], [problem.loss()])

    def test_consolidated_file_holds_every_scope(self, folder):
        for i in range(2):
            folder.add(f"m{i}", seed=i)
        result = run(folder.write("\n".join([TOTAL, PAIRS, GROUPS])))
        for group in ("total/m0", "total/m1", "distance/m0 ~ m1", "losses/all"):
            assert open(result.store / "zoo.h5", group=group).sizes["x"] > 0


class TestResume:
    def test_a_second_run_does_nothing(self, folder):
        """Oracle: times of change of the files."""
        folder.add("m0")
        folder.add("m1", seed=1)
        path = folder.write()
        first = run(path)
        before = {f: f.stat().st_mtime_ns for f in first.store.rglob("*.h5")}
        again = run(path)
        assert (again.done, again.skipped) == (0, 2)
        assert {f: f.stat().st_mtime_ns for f in first.store.rglob("*.h5")} == before

    def test_only_what_changed_is_done_again(self, folder):
        folder.add("m0")
        folder.add("m1", seed=1)
        run(folder.write())
        folder.add("m2", seed=2)
        result = run(folder.write())
        assert (result.done, result.skipped) == (1, 2)
        shutil.copy(folder.root / "m2.pt", folder.root / "m1.pt")
        result = run(folder.write())
        assert (result.done, result.skipped) == (0, 2)  # m1 is m2 now: one content, one task
        assert len(read_contents(result.store).sections[0].results) == 3
        result = run(folder.write(problem="weight_decay = 0.5"))
        assert result.done == 2
        result = run(folder.write(f"{TOTAL}\nscale = 3.0"))
        assert result.done == 2

    def test_a_renamed_model_keeps_its_results(self, folder):
        folder.add("m0", 'group = "g"')
        run(folder.write())
        folder.entries = [e.replace('"m0"', '"new name"').replace('"g"', '"h"') for e in folder.entries]
        result = run(folder.write())
        assert (result.done, result.skipped) == (0, 1)
        ds = read_contents(result.store).sections[0].results["new name"]
        assert (ds.attrs["model"], ds.attrs["group"]) == ("new name", "h")
        merged = open(result.store / "zoo.h5", group="total/new name")
        assert (merged.attrs["model"], merged.attrs["group"]) == ("new name", "h")

    def test_overwrite(self, folder):
        folder.add("m0")
        run(folder.write())
        result = run(folder.write(), overwrite=True)
        assert (result.done, result.skipped) == (1, 0)

    def test_a_mended_failure_is_forgotten(self, folder):
        folder.add("m0", save=False)
        result = run(folder.write())
        assert "does not exist" in failures(result)["m0"]
        assert len(Store(result.store).failures()) == 1
        folder.entries.clear()
        folder.add("m0")
        result = run(folder.write())
        assert result.done == 1
        assert Store(result.store).failures() == []
        assert read_contents(result.store).failures == []

    def test_order_and_cache_change_no_bits(self, folder, tmp_path):
        """Oracle: each task alone in a store of its own."""
        for i in range(2):
            folder.add(f"m{i}", seed=i)
        path = folder.write(f"{TOTAL}\n[analyses.scaled]\nanalysis = 'toys:total'\nscale = 2.0\n{PAIRS}")
        together = values(run(path).store)
        for label in ("distance", "scaled", "total"):
            run(path, [label], store=tmp_path / "alone")
        assert values(tmp_path / "alone") == together

    def test_the_callers_random_numbers_stay(self, folder):
        """Oracle: the next draw of each global generator, with and without a run in between."""
        folder.add("m0")
        path = folder.write()
        torch.manual_seed(5)
        random.seed(5)
        expected = torch.rand(1), random.random()
        torch.manual_seed(5)
        random.seed(5)
        run(path)
        assert (torch.rand(1), random.random()) == expected


class TestPool:
    def test_same_bits_as_serial(self, folder, tmp_path):
        """Oracle: the serial run, with as many torch threads."""
        for i in range(3):
            folder.add(f"m{i}", seed=i)
        path = folder.write("\n".join([TOTAL, PAIRS, GROUPS]))
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        serial = run(path, store=tmp_path / "serial")
        torch.set_num_threads(threads)
        pool = run(path, store=tmp_path / "pool", executor=PoolExecutor(2, threads=1))
        assert (pool.done, pool.failed) == (serial.done, ()) == (7, ())
        assert values(tmp_path / "pool") == values(tmp_path / "serial")

    def test_a_worker_that_dies_fails_its_task_alone(self, folder):
        """Oracle: the builder of one model kills its own process."""
        folder.add("m0")
        folder.add("deadly", 'builder = "toy_models:deadly"')
        folder.add("m2", seed=2)
        result = run(folder.write(f"{TOTAL}\n[analyses.twice]\nanalysis = 'toys:total'\nscale = 2"), jobs=2)
        assert result.done == 4
        assert {(f.label, f.model, f.kind) for f in result.failed} == {
            ("total", "deadly", "worker"),
            ("twice", "deadly", "worker"),
        }
        assert failures(result)["deadly"] == "its worker process was killed by SIGKILL (out of memory?)."

    def test_a_dead_worker_with_a_living_child(self, folder):
        """Oracle: the run ends well before the child does, which holds the worker's pipe for 30 s."""
        folder.add("m0", 'builder = "toy_models:survived_by_a_child"')
        folder.add("m1", seed=1)
        ends = []
        result = run(folder.write(), jobs=2, on_event=lambda e: ends.append((e, time.monotonic())))
        assert result.done == 1
        assert failures(result)["m0"] == "its worker process ended with status 3."
        started = next(t for e, t in ends if isinstance(e, Started) and e.task.subject == "m0")
        failed = next(t for e, t in ends if isinstance(e, Failed))
        assert failed - started < 20

    def test_data_that_differ_between_processes(self, folder):
        folder.add("m0")
        result = run(folder.write(data="by_process"), jobs=2)
        assert "'toy_data:by_process' is not deterministic" in failures(result)["m0"]

    def test_data_without_a_seed_are_seeded(self, folder):
        """Oracle: the key would change with the data, so a second run would find nothing done."""
        folder.add("m0")
        folder.add("m1", seed=1)
        assert run(folder.write(data="unseeded"), jobs=2).done == 2
        assert run(folder.write(data="unseeded")).skipped == 2

    def test_workers_die_with_their_parent(self, folder):
        """Oracle: the processes that the system lists after the parent was killed."""
        folder.add("m0")
        folder.add("m1", seed=1)
        path = folder.write(f"{TOTAL}\nsleep_s = 60.0")
        code = (
            "import sys, multiprocessing\nfrom landscape.zoo import Zoo\n"
            "from landscape.zoo.events import Started\n"
            "def tell(event):\n"
            "    if isinstance(event, Started):\n"
            "        print(*[p.pid for p in multiprocessing.active_children()], flush=True)\n"
            "if __name__ == '__main__':\n"
            "    Zoo.from_manifest(sys.argv[1]).run(jobs=2, on_event=tell)\n"
        )
        (folder.root / "script.py").write_text(code)
        command = [sys.executable, str(folder.root / "script.py"), str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
            parent.stdout.readline()
            pids = [int(p) for p in parent.stdout.readline().split()]
            assert len(pids) == 2
            parent.kill()
        deadline = time.monotonic() + 20
        while any(map(running, pids)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(running, pids))

    def test_a_script_without_a_main_guard_is_told(self, folder):
        folder.add("m0")
        path = folder.write()
        (folder.root / "script.py").write_text(
            f"from landscape.zoo import Zoo\nZoo.from_manifest({str(path)!r}).run(jobs=2)\n"
        )
        command = [sys.executable, str(folder.root / "script.py")]
        out = subprocess.run(command, capture_output=True, text=True, timeout=200)
        assert "put the call under `if __name__ == '__main__':`" in out.stderr.splitlines()[-1]

    def test_no_jobs(self, folder):
        folder.add("m0")
        with pytest.raises(InputError, match="at least 1; got 0"):
            run(folder.write(), jobs=0)


def running(pid):
    """Whether a process lives and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class TestEvents:
    def test_events_come_in_order(self, folder):
        folder.add("m0")
        folder.add("m1", save=False)
        seen = []
        run(folder.write(f"{TOTAL}\nsleep_s = 1.0"), on_event=seen.append)
        kinds = [type(e) for e in seen]
        assert seen[0] == Planned(todo=2, done=0)
        assert kinds[1] is Started
        assert Progress in kinds
        assert kinds.index(Done) > kinds.index(Progress)
        assert kinds[-1] is Failed

    def test_trusting_pickles_is_told(self, folder):
        folder.add("m0")
        seen = []
        run(folder.write(), trust_pickle=True, on_event=seen.append)
        assert any(isinstance(e, Message) and "pickles are trusted" in e.text for e in seen)

    def test_a_second_run_waits_for_the_first(self, folder):
        """Oracle: while this process holds the lock nothing is written; then the run goes on."""
        folder.add("m0")
        path = folder.write()
        waiting = threading.Event()
        seen = []

        def listen(event):
            seen.append(event)
            if isinstance(event, Message):
                waiting.set()

        store = Store(folder.root / "results")
        with store.lock():
            thread = threading.Thread(target=run, args=(path,), kwargs={"on_event": listen})
            thread.start()
            assert waiting.wait(60)
            assert not list(store.directory.glob("*/*.h5"))
        thread.join(60)
        assert "another run is at work" in seen[0].text
        assert list(store.directory.glob("*/*.h5"))

    def test_ctrl_c_keeps_what_is_done(self, folder):
        """Oracle: the store after an interruption at the start of the second task."""
        for i in range(3):
            folder.add(f"m{i}", seed=i)
        path = folder.write()
        started = []

        def interrupt(event):
            started.append(isinstance(event, Started))
            if sum(started) == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(path, on_event=interrupt)
        store = folder.root / "results"
        assert len(list(store.glob("total/*.h5"))) == 1
        assert read_contents(store).missing == 2
        result = run(path)
        assert (result.done, result.skipped) == (2, 1)


class TestBadInput:
    """Each gets one sentence; what can be computed is."""

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            ('builder = "toy_models:raising"', "raised RuntimeError: no such architecture at all"),
            ('builder = "toy_models:exiting"', "raised SystemExit: bye"),
            ('builder = "toy_models:nothing"', "returned a NoneType, not a torch.nn.Module"),
            ('builder = "toy_models:mpl"', "'toy_models' has no 'mpl'; did you mean 'mlp'?"),
            ('builder = "toy_models:number"', "is a int, not a function"),
            ('builder = "toy_modles:mlp"', "there is no module 'toy_modles' beside the manifest"),
            ("kwargs = { widht = 3 }", "called with (widht=3) raised TypeError"),
            ("kwargs = { width = 4 }", "3 mis-shaped (0.weight (3, 2) instead of (4, 2)"),
        ],
    )
    def test_a_bad_builder_fails_its_model_alone(self, lines, message, folder):
        folder.add("good")
        folder.add("bad", lines, seed=1)
        result = run(folder.write())
        assert result.done == 1
        assert message in failures(result)["bad"]
        contents = read_contents(result.store)
        assert [f.model for f in contents.failures] == ["bad"]
        assert list(contents.sections[0].results) == ["good"]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda s: s.pop("0.bias"), "1 missing (0.bias)"),
            (lambda s: s.update(x=torch.zeros(1)), "1 unexpected (x)"),
            (lambda s: s["0.bias"].fill_(float("nan")), "'0.bias' holds 3 NaN or infinite of 3 values"),
            (lambda s: s["0.bias"][:1].fill_(float("inf")), "'0.bias' holds 1 NaN or infinite of 3"),
        ],
    )
    def test_bad_weights_fail_their_model_alone(self, change, message, folder):
        folder.add("good")
        path = folder.add("bad", seed=1)
        state = torch.load(path)
        change(state)
        torch.save(state, path)
        result = run(folder.write())
        assert result.done == 1
        assert message in failures(result)["bad"]

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ("empty", "the data is empty"),
            ("raising", "'toy_data:raising' called with () raised OSError: disk not mounted"),
            ("nothing", "'toy_data:nothing' returned nothing"),
            ("blbos", "'toy_data' has no 'blbos'; did you mean 'blobs'"),
        ],
    )
    def test_bad_data_are_refused_before_any_work(self, data, message, folder):
        folder.add("m0")
        with pytest.raises(InputError, match=message.replace("(", r"\(").replace(")", r"\)")):
            run(folder.write(data=data))

    def test_labels_out_of_range(self, folder):
        folder.add("m0")
        assert "out of range" in failures(run(folder.write(data="bad_labels")))["m0"]

    def test_uneven_batches_are_exact(self, folder, tmp_path):
        """Oracle: the same seven examples in one batch."""
        folder.add("m0")
        uneven = run(folder.write(GROUPS, data="uneven"), store=tmp_path / "a").store
        path = folder.write(GROUPS)
        path.write_text(path.read_text().replace('blobs"', 'blobs"\nkwargs = { count = 7 }'))
        whole = run(path, store=tmp_path / "b").store
        a, b = (read_contents(s).sections[0].results["all"]["value"].values for s in (uneven, whole))
        np.testing.assert_allclose(a, b, rtol=1e-6)

    @pytest.mark.parametrize("loss", ["scalar", "per_example"])
    def test_losses_of_ones_own(self, loss, folder, tmp_path):
        """Oracle: the built-in cross-entropy."""
        folder.add("m0")
        own = run(folder.write(GROUPS, f'loss = "toy_losses:{loss}"'), store=tmp_path / "a").store
        built_in = run(folder.write(GROUPS), store=tmp_path / "b").store
        a, b = (read_contents(s).sections[0].results["all"]["value"].values for s in (own, built_in))
        np.testing.assert_allclose(a, b, rtol=1e-6)

    def test_nan_stays_nan(self, folder):
        folder.add("m0")
        store = run(folder.write(GROUPS, 'loss = "toy_losses:nan"')).store
        assert np.isnan(read_contents(store).sections[0].results["all"]["value"].values).all()

    @pytest.mark.parametrize("loss", ["cros_entropy", "toy_losses:nope"])
    def test_unknown_loss(self, loss, folder):
        folder.add("m0")
        error = failures(run(folder.write(problem=f'loss = "{loss}"')))["m0"]
        assert "'cros_entropy'; did you mean 'cross_entropy'" in error or "has no 'nope'" in error

    def test_no_builder_can_be_imported(self, folder):
        folder.add("m0")
        path = folder.write()
        path.write_text(path.read_text().replace("toy_models:mlp", "nowhere:mlp"))
        with pytest.raises(InputError, match="there is no module 'nowhere'"):
            run(path)

    @pytest.mark.parametrize(
        ("analyses", "message"),
        [
            ("[analyses.spectrm]", r"there is no analysis 'spectrm'; did you mean 'spectrum'"),
            ("[analyses.taxonomy]", r"\[analyses.taxonomy\]: 'taxonomy' looks at a table of measurements"),
            ("[analyses.x]\nanalysis = 'toys:nope'", r"analysis 'toys:nope': 'toys' has no 'nope'"),
            ("[analyses.x]\nanalysis = 'toys:not_one'", "is a int, not a landscape Analysis"),
            ("[analyses.x]\nanalysis = 'nowhere:x'", "there is no module 'nowhere'"),
            (f"{TOTAL}\nscael = 2.0", r"has no option 'scael'; did you mean 'scale'"),
            (f"{TOTAL}\nscale = 'big'", r"option 'scale' of analysis 'total' cannot be 'big'"),
            ("", "names no analyses"),
        ],
    )
    def test_unknown_analyses_and_options(self, analyses, message, folder):
        folder.add("m0")
        with pytest.raises(InputError, match=message):
            run(folder.write(analyses))

    def test_unknown_choice(self, folder):
        folder.add("m0")
        with pytest.raises(InputError, match="there is no analysis 'totl'; did you mean 'total'"):
            run(folder.write(), ["totl"])

    def test_an_analysis_that_raises(self, folder):
        folder.add("m0")
        result = run(folder.write("\n".join(["[analyses.broken]\nanalysis = 'toys:broken'", TOTAL])))
        assert result.done == 1
        assert failures(result)["m0"].startswith("ZeroDivisionError: float division by zero (at toys.py:")
        assert result.failed[0].kind == "error"

    def test_unwritable_store(self, folder):
        folder.add("m0")
        (folder.root / "file").write_text("in the way")
        with pytest.raises(StoreError, match="cannot be written"):
            run(folder.write(), store=folder.root / "file")

    def test_full_disk(self, folder):
        """Oracle: files above 6 kB are refused by the system; then they are not."""
        folder.add("m0")
        path = folder.write()
        code = (
            "import resource, sys\nfrom landscape.zoo import Zoo\n"
            "import torch\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))\n"
            "print(Zoo.from_manifest(sys.argv[1]).run().failed[0])"
        )
        out = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=200
        )
        assert "cannot be written: File too large" in out.stdout, out.stderr
        store = folder.root / "results"
        assert not list(store.rglob("*.tmp"))
        assert not list(store.rglob("*.h5"))
        assert run(path).done == 1

    def test_a_checkpoint_that_changes_under_way(self, folder):
        """Oracle: the file is replaced when the first task starts."""
        folder.add("m0")
        late = folder.add("m1", seed=1)

        def meddle(event):
            if isinstance(event, Started) and event.task.subject == "m0":
                torch.save({"other": torch.zeros(100)}, late)

        result = run(folder.write(), on_event=meddle)
        assert "changed after the run was planned; run again" in failures(result)["m1"]

    def test_a_scanned_zoo_needs_builders(self, folder):
        folder.add("m0")
        zoo = landscape.scan(folder.root)
        with pytest.raises(InputError, match="has no data builder; write a manifest"):
            zoo.run(["spectrum"])
        zoo = zoo.with_builders("toy_models:mlp", "toy_data:blobs", weight_decay=0.1)
        result = zoo.run({"toys:total": {"scale": 2.0}})
        assert (result.done, result.failed) == (1, ())


class TestEstimate:
    def test_counts_and_time(self, folder):
        """Oracle: counts by construction; a positive time for known costs; nothing is written."""
        folder.add("m0")
        folder.add("m1", seed=1)
        path = folder.write(f"{TOTAL}\n{GROUPS}")
        total, losses = Zoo.from_manifest(path).estimate()
        assert (total.label, total.todo, total.done) == ("total", 2, 0)
        assert 0 < total.seconds < 10
        assert (losses.todo, losses.done) == (1, 0)
        assert not (folder.root / "results").exists()
        run(path, ["total"])
        total, losses = Zoo.from_manifest(path).estimate()
        assert (total.todo, total.done, total.seconds) == (0, 2, 0)
        (only,) = Zoo.from_manifest(path).estimate(["total"], overwrite=True)
        assert (only.todo, only.done) == (2, 0)

    def test_a_model_that_cannot_be_built_has_no_time(self, folder):
        folder.add("m0", 'builder = "toy_models:raising"')
        (row,) = Zoo.from_manifest(folder.write()).estimate()
        assert np.isnan(row.seconds)


def test_repr_and_names(folder):
    folder.add("m0")
    zoo = Zoo.from_manifest(folder.write())
    assert repr(zoo) == "<Zoo 'toys': 1 models, 1 analyses>"
    assert zoo.models == ["m0"]
    assert os.fspath(zoo.store).endswith("results")
