"""Runs of a plan: done once, resumed, told of, and nothing lost."""

from __future__ import annotations

import os
import random
import shutil
import sys
import threading

import pytest
import torch

from landscape.errors import InputError
from landscape.reporting.notices import notices
from landscape.store import Store, open, read_contents, read_field
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
        assert f"another run, process {os.getpid()}, is at work" in seen[0].text
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


def test_damaged_results_are_computed_again(folder):
    """Oracle: the run before the damage; zoo.h5 is made anew, and zoo.json is said to be damaged."""
    for i in range(3):
        folder.add(f"m{i}", seed=i)
    path = folder.write(TOTAL)
    first = run(path)
    before = values(first.store)
    one, other, _ = sorted(first.store.glob("total/*.h5"))
    flipped = bytearray(one.read_bytes())
    flipped[1000] ^= 1
    one.write_bytes(flipped)
    other.write_bytes(bytes(64) + other.read_bytes()[64:])
    (first.store / "zoo.json").write_text("{")
    assert any("zoo.json' is damaged" in f.error for f in read_contents(first.store).failures)
    said = []
    again = run(path, on_event=said.append)
    assert (again.done, again.skipped, again.failed) == (2, 1, ())
    texts = [e.text for e in said if isinstance(e, Message)]
    assert sum("is computed again" in t for t in texts) == 2
    assert sum("zoo.json" in t for t in texts) == 1
    assert values(first.store) == before
    consolidated = first.store / "zoo.h5"
    consolidated.write_bytes(consolidated.read_bytes()[:500])
    assert run(path).done == 0
    assert open(consolidated, group="total/m0").attrs["model"] == "m0"


INAPPLICABLE = """
import toys
from landscape.errors import InapplicableError

def compute(problem, params, context):
    raise InapplicableError("Sequential has no spoons; give a drawer.")

spoons = toys.make("spoons", "checkpoint", compute)
"""


def test_a_run_that_finds_all_done_opens_each_result_once(folder):
    """Oracle: the files that the interpreter says it opens (an audit hook), whoever opens them."""
    for index in range(3):
        folder.add(f"m{index}")
    path = folder.write(analyses=TOTAL)
    store = run(path).store
    opened: list[str] | None = []

    def note(event, arguments):
        if opened is not None and event == "open" and str(arguments[0]).endswith(".h5"):
            opened.append(os.fspath(arguments[0]))

    sys.addaudithook(note)  # which stays, and does nothing more
    result = run(path)
    seen, opened = sorted(opened), None
    assert result.done == 0 and result.skipped == 3
    assert seen == sorted(str(file) for file in store.rglob("*.h5"))


def test_what_does_not_apply_has_not_failed(folder):
    """Oracle: the analysis says so by construction; the one beside it is done."""
    (folder.root / "spoon_analyses.py").write_text(INAPPLICABLE)
    folder.add("m0")
    path = folder.write(f'{TOTAL}\n[analyses.spoons]\nanalysis = "spoon_analyses:spoons"')
    result = run(path)
    assert (result.done, result.failed) == (1, ())
    assert [(f.label, f.model, f.kind) for f in result.inapplicable] == [("spoons", "m0", "inapplicable")]
    (failure,) = read_contents(result.store).failures
    assert failure.error == "Sequential has no spoons; give a drawer."
    found = notices(read_contents(result.store), {}, {})
    assert [(n.level, n.text) for n in found] == [
        ("note", "spoons does not apply: Sequential has no spoons; give a drawer.")
    ]


class TestSeveralManifests:
    """Two manifests, one store: each sees its own models, and nothing drops out of the consolidated file."""

    @pytest.fixture
    def two(self, folder):
        """Manifests of other models, of which one name is in both, with another checkpoint."""
        folder.add("m0")
        folder.add("m1", seed=1)
        first = folder.write()
        first = first.rename(folder.root / "first.toml")
        folder.entries.clear()
        folder.add("n0", seed=2)
        folder.add("other", seed=3)
        folder.entries[-1] = folder.entries[-1].replace('name = "other"', 'name = "m1"')
        second = folder.write()
        second.write_text(second.read_text().replace('name = "toys"', 'name = "second"'))
        return first, second.rename(folder.root / "second.toml")

    def test_each_has_its_own_report_and_all_results_are_consolidated(self, two):
        """Oracle: the models of the two manifests, and the results of a store of each alone."""
        first, second = (run(path) for path in two)
        store = first.store
        assert store == second.store
        assert set(read_field(store / "zoo.h5", "total", "value")) == {"n0", "m1", "m0", "m1 (toys)"}
        assert [m.name for m in read_contents(store).models] == ["n0", "m1"]
        for path, result, name, models in zip(
            two, (first, second), ("toys", "second"), (["m0", "m1"], ["n0", "m1"]), strict=True
        ):
            mine, named = read_contents(store, result.zoo), read_contents(store, name)
            assert [m.name for m in mine.models] == [m.name for m in named.models] == models
            assert (mine.failures, mine.missing, mine.name) == ([], 0, name)
            alone = run(path, store=store.parent / name)
            right = read_contents(alone.store).sections[0].results
            for model, ds in mine.sections[0].results.items():
                assert ds["value"].equals(right[model]["value"])
        (note,) = [n for n in notices(read_contents(store), {}, {}) if "other zoos" in n.text]
        assert "'toys'" in note.text
        with pytest.raises(InputError, match="has no zoo 'toyz'; did you mean 'toys'"):
            read_contents(store, "toyz")

    def test_each_goes_on_without_the_other(self, two):
        """Oracle: the counts; a manifest that lost a model loses it in the consolidated file."""
        store = run(two[0]).store
        run(two[1])
        again = run(two[0])
        assert (again.done, again.skipped) == (0, 2)
        assert [m.name for m in read_contents(store).models] == ["m0", "m1"]
        assert set(read_field(store / "zoo.h5", "total", "value")) == {"m0", "m1", "n0", "m1 (second)"}
        text = two[1].read_text()
        two[1].write_text(text[: text.rindex("[[checkpoints]]")])
        run(two[1])
        assert set(read_field(store / "zoo.h5", "total", "value")) == {"m0", "m1", "n0"}

    def test_the_failures_of_one_are_not_those_of_the_other(self, two):
        """Oracle: the failure that the first had, after a run of the second with a model of that name."""
        (two[0].parent / "m1.pt").write_bytes(b"damaged")
        first = run(two[0])
        assert failures(first).keys() == {"m1"}
        assert run(two[1]).failed == ()
        kept = read_contents(first.store, first.zoo)
        assert [f.model for f in kept.failures] == ["m1"]

    def test_a_store_and_its_manifests_move_together(self, two):
        """Oracle: the zoos of the store after a run in the new place: no more than before."""
        store = run(two[0]).store
        run(two[1])
        moved = two[0].parent.with_name("moved")
        shutil.copytree(two[0].parent, moved)
        assert run(moved / "first.toml").done == 0
        assert len(Store(moved / store.name).read_snapshot().others) == 1


def test_what_a_worker_of_other_code_summed_up_is_not_kept(tmp_path):
    """Oracle: by hand: of three events, that of this code alone."""
    from landscape.base.summaries import Summaries, code_here
    from landscape.store.files import stamp_of
    from landscape.zoo.run_plan import _Outcomes
    from landscape.zoo.task import Task

    store = Store(tmp_path / "store")
    outcomes = _Outcomes(store, lambda event: None, None)
    for key, code in (("a", code_here()), ("b", "0" * 32), ("c", "")):
        file = store.path("weights", key)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        task = Task(key, "weights", "weights", "weights", "{}", "checkpoint", "m0", (), collects=True)
        outcomes.listen(Done(task, 1.0, {"norm": 2.0}, *stamp_of(file), code))
    outcomes.keep()
    known = Summaries(store)
    found = {key: known.get("weights", key, stamp_of(store.path("weights", key))) for key in "abc"}
    assert found == {"a": {"norm": 2.0}, "b": None, "c": None}
