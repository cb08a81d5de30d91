"""Runs: what is asked for is done once, nothing stops at a failure, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import landscape
from landscape.errors import InputError, StoreError
from landscape.store import read_contents
from landscape.zoo import Zoo
from landscape.zoo.events import Message, Reading, Started

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
        with pytest.raises(
            InputError, match=r"cannot be 'cros_entropy': give causal_lm, cross_entropy|has no 'nope'"
        ):
            run(folder.write(problem=f'loss = "{loss}"'))

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


def test_repr_and_names(folder):
    folder.add("m0")
    zoo = Zoo.from_manifest(folder.write())
    assert repr(zoo) == "<Zoo 'toys': 1 models, 1 analyses>"
    assert zoo.models == ["m0"]
    assert os.fspath(zoo.store).endswith("results")


def test_data_that_change_when_read_are_noticed(folder):
    """Oracle: random noise is new each time; the same examples without it are not."""
    folder.add("m0")
    for data, noticed in (("augmented", True), ("blobs", False)):
        events = []
        Zoo.from_manifest(folder.write(data=data)).run(on_event=events.append)
        texts = [e.text for e in events if isinstance(e, Message)]
        assert any("change each time they are read" in text for text in texts) == noticed


def test_slow_reading_is_shown(folder, monkeypatch):
    """Oracle: with no time between two lines, there is one for each batch."""
    monkeypatch.setattr("landscape.zoo.run._READING_EVERY_S", -1.0)
    folder.add("m0")
    events = []
    Zoo.from_manifest(folder.write(problem="batch_size = 5")).run(on_event=events.append)
    assert [e.examples for e in events if isinstance(e, Reading)] == [5, 10, 12]
