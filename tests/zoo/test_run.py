"""Runs: what is asked for is done once, nothing stops at a failure, and nothing is lost."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

import landscape
from landscape.errors import InputError, StoreError
from landscape.store import Store, open, read_contents
from landscape.zoo import Zoo
from landscape.zoo.events import Done, Failed, Message, Planned, Progress, Started

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


def test_repr_and_names(folder):
    folder.add("m0")
    zoo = Zoo.from_manifest(folder.write())
    assert repr(zoo) == "<Zoo 'toys': 1 models, 1 analyses>"
    assert zoo.models == ["m0"]
    assert os.fspath(zoo.store).endswith("results")
