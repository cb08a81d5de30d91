"""Predictives in a zoo: planned, keyed, built, resumed and shown as models of their own."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.errors import CheckpointError, InputError
from landscape.reference.uncertainty.temperature import fit
from landscape.store import Store, read_contents
from landscape.zoo import Zoo
from landscape.zoo.events import Message
from landscape.zoo.predictives import beside_members, build_predictive, enough, fit_tensors, planned
from landscape.zoo.spec import Builder, Model, PredictiveModel, PredictiveSpec

CALIBRATION = "[analyses.calibration]\nbootstrap = 2"
TOTAL = '[analyses.total]\nanalysis = "toys:total"'
ENSEMBLE = """[[predictives]]
name = "ensemble"
builder = "landscape.reference.uncertainty:DeepEnsemble"
members = "m*"
"""
SCALED = """[[predictives]]
name = "scaled"
builder = "landscape.reference.uncertainty:temperature_scaled"
members = ["m1"]
fit = { kwargs = { seed = 7 } }
group = "calibrated"
tags = { held_out = 12 }
"""


def make(folder, *predictives, models=3, analyses=CALIBRATION, problem=""):
    for i in range(models):
        folder.add(f"m{i}", 'group = "g"', seed=i)
    folder.entries += predictives
    return folder.write(analyses, problem)


def run(path, **keywords):
    zoo = Zoo.from_manifest(path)
    result = zoo.run(**keywords)
    return result, {s.label: s.results for s in read_contents(zoo.store).sections}


def module(folder, name):
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
    net.load_state_dict(torch.load(folder.root / f"{name}.pt"))
    return net.eval()


def blobs(seed=0):
    x = torch.randn(12, 2, generator=torch.Generator().manual_seed(seed))
    return x, (x.sum(1) > 0).long()


def plan(path):
    zoo = Zoo.from_manifest(path)
    return zoo._plan(None, Store(zoo.store), False)[0]


def keys(path):
    return {task.subject: task.key for task in plan(path).tasks}


class TestRuns:
    def test_predictives_are_measured_beside_their_members(self, folder):
        """Oracle: a problem made by hand of the members' files, and the temperature fitted by hand."""
        result, found = run(make(folder, ENSEMBLE, SCALED))
        assert (result.done, result.failed) == (5, ())
        assert list(found["calibration"]) == ["m0", "m1", "scaled", "m2", "ensemble"]
        ensemble = DeepEnsemble([module(folder, f"m{i}") for i in range(3)])
        scaled = fit(module(folder, "m1"), blobs(7))
        for name, by_hand in (("ensemble", ensemble), ("scaled", scaled)):
            want = landscape.calibration(landscape.Problem(by_hand, "cross_entropy", blobs()), bootstrap=2)
            np.testing.assert_array_equal(found["calibration"][name]["nll"], want["nll"])
        attrs = found["calibration"]["scaled"].attrs
        assert (attrs["model"], attrs["group"], attrs["tags"]) == ("scaled", "calibrated", '{"held_out": 12}')
        assert list(json.loads(attrs["members"])) == ["m1"]
        assert len(json.loads(found["calibration"]["ensemble"].attrs["members"])["m0"]) == 64

    def test_in_worker_processes_the_numbers_are_the_same(self, folder):
        """Oracle: the run in this process."""
        path = make(folder, ENSEMBLE, SCALED)
        _, here = run(path)
        _, there = run(path, jobs=2, overwrite=True)
        for name, ds in here["calibration"].items():
            np.testing.assert_array_equal(there["calibration"][name]["example_nll"], ds["example_nll"])

    def test_analyses_of_one_network_leave_predictives_out(self, folder):
        """Oracle: the names in the manifest; a section that asks for one by name is refused."""
        path = make(folder, ENSEMBLE, analyses=TOTAL)
        assert list(run(path)[1]["total"]) == ["m0", "m1", "m2"]
        path = folder.write(f'{TOTAL}\nmodels = ["ens*"]')
        with pytest.raises(InputError, match="'total' looks at one network's landscape, and 'ensemble' is"):
            run(path)
        path = folder.write(f'{CALIBRATION}\nmodels = ["ens*"]')
        assert list(run(path)[1]["calibration"]) == ["ensemble"]

    def test_data_to_fit_on_that_differ_between_processes_are_refused(self, folder):
        """Oracle: inputs that hold the number of the process that made them."""
        path = make(
            folder, SCALED.replace("{ kwargs = { seed = 7 } }", '{ builder = "toy_data:by_process" }')
        )
        result, found = run(path, jobs=2)
        assert [f.model for f in result.failed] == ["scaled"]
        assert "of predictive 'scaled' is not deterministic" in result.failed[0].error
        assert list(found["calibration"]) == ["m0", "m1", "m2"]

    def test_globs_of_parameters_concern_networks_alone(self, folder):
        """Oracle: no parameter of the ensemble is named 0.*, and its numbers do not depend on θ."""
        result, found = run(make(folder, ENSEMBLE, problem='parameters = "0.*"'))
        assert result.failed == ()
        assert "ensemble" in found["calibration"]

    def test_a_dry_run_counts_and_times_them(self, folder):
        """Oracle: three models and two predictives."""
        (row,) = Zoo.from_manifest(make(folder, ENSEMBLE, SCALED)).estimate()
        assert (row.todo, row.done) == (5, 0)
        assert row.seconds > 0

    def test_the_report_tells_of_members(self, folder):
        """Oracle: the names in the manifest."""
        path = make(folder, ENSEMBLE)
        result, _ = run(path)
        page = landscape.report(result.store).read_text("utf-8")
        assert "3 trained models" in " ".join(page.split())
        assert "1 predictive made of them" in page
        assert "m0, m1, m2" in page
        assert Zoo.from_manifest(path).predictives == ["ensemble"]
        assert "3 models, 1 predictives" in repr(Zoo.from_manifest(path))


class TestKeys:
    def test_a_key_names_members_builder_and_data_to_fit_on(self, folder):
        """Oracle: whatever changes a number changes the key, and nothing else does."""
        path = make(folder, ENSEMBLE, SCALED)
        before = keys(path)
        text = path.read_text()
        path.write_text(text.replace('name = "ensemble"', 'name = "all"').replace("held_out = 12", "a = 1"))
        assert keys(path)["all"] == before["ensemble"]
        assert keys(path)["scaled"] == before["scaled"]
        path.write_text(text.replace("seed = 7", "seed = 8"))
        assert keys(path)["scaled"] != before["scaled"]
        path.write_text(text.replace("uncertainty:DeepEnsemble", "uncertainty:Mixture"))
        assert keys(path)["ensemble"] != before["ensemble"]
        path.write_text(text)
        torch.save(module(folder, "m0").state_dict(), folder.root / "m2.pt")
        after = keys(path)
        assert after["ensemble"] != before["ensemble"]
        assert {n: k for n, k in after.items() if n in ("m0", "m1", "scaled")} == {
            n: before[n] for n in ("m0", "m1", "scaled")
        }

    def test_models_keep_the_keys_they_had(self, folder):
        """Oracle: the plan without predictives."""
        alone = keys(make(folder))
        folder.entries += [ENSEMBLE]
        together = keys(folder.write(CALIBRATION))
        assert {n: together[n] for n in alone} == alone

    def test_what_is_done_is_not_done_again(self, folder):
        """Oracle: the second run's counts; a predictive added later is all that is left."""
        path = make(folder, ENSEMBLE)
        assert run(path)[0].done == 4
        folder.entries += [SCALED]
        result, _ = run(folder.write(CALIBRATION))
        assert (result.done, result.skipped) == (1, 4)
        result, _ = run(path)
        assert (result.done, result.skipped) == (0, 5)


class TestBrokenMembers:
    def damage(self, folder, name="m1"):
        (folder.root / f"{name}.pt").write_bytes(b"no checkpoint")

    def test_an_ensemble_goes_on_without_a_broken_member_and_says_so(self, folder):
        """Oracle: the ensemble of the other two, made by hand."""
        path = make(folder, ENSEMBLE)
        self.damage(folder)
        heard = []
        result, found = run(path, on_event=heard.append)
        assert [f.model for f in result.failed] == ["m1"]
        ds = found["calibration"]["ensemble"]
        two = DeepEnsemble([module(folder, "m0"), module(folder, "m2")])
        want = landscape.calibration(landscape.Problem(two, "cross_entropy", blobs()), bootstrap=2)
        np.testing.assert_array_equal(ds["nll"], want["nll"])
        assert list(json.loads(ds.attrs["left_out"])) == ["m1"]
        assert ds.attrs["members_asked"] == 3
        told = [e.text for e in heard if isinstance(e, Message)]
        assert any(t.startswith("calibration: 'm1' is left out of 'ensemble': '") for t in told)
        page = landscape.report(result.store).read_text("utf-8")
        assert "is left out" in page

    @pytest.mark.parametrize("how", ["missing", "diverged"])
    def test_whatever_is_wrong_with_the_member(self, folder, how):
        """Oracle: the result says which; a diverged member's weights can be read and are NaN."""
        path = make(folder, ENSEMBLE)
        if how == "missing":
            (folder.root / "m1.pt").unlink()
        else:
            state = module(folder, "m1").state_dict()
            torch.save({k: v * float("nan") for k, v in state.items()}, folder.root / "m1.pt")
        ds = run(path)[1]["calibration"]["ensemble"]
        assert list(json.loads(ds.attrs["left_out"])) == ["m1"]

    def test_a_mended_member_is_taken_in(self, folder):
        """Oracle: the ensemble of all three, made by hand."""
        path = make(folder, ENSEMBLE)
        whole = (folder.root / "m1.pt").read_bytes()
        self.damage(folder)
        run(path)
        (folder.root / "m1.pt").write_bytes(whole)
        ds = run(path)[1]["calibration"]["ensemble"]
        assert "left_out" not in ds.attrs
        three = DeepEnsemble([module(folder, f"m{i}") for i in range(3)])
        want = landscape.calibration(landscape.Problem(three, "cross_entropy", blobs()), bootstrap=2)
        np.testing.assert_array_equal(ds["nll"], want["nll"])

    def test_an_average_of_one_is_refused(self, folder):
        """Oracle: the sentence the user must see."""
        path = make(folder, ENSEMBLE, SCALED)
        self.damage(folder)
        self.damage(folder, "m0")
        failed = {f.model: f.error for f in run(path)[0].failed}
        assert "of the 3 members of predictive 'ensemble' only 'm2' can be used" in failed["ensemble"]
        assert "the member of predictive 'scaled' cannot be used; 'm1': '" in failed["scaled"]


class TestManifest:
    @pytest.mark.parametrize(
        ("entry", "message"),
        [
            (ENSEMBLE.replace('"m*"', '"x*"'), "no checkpoint and no group matches 'x\\*', a member of pred"),
            (ENSEMBLE.replace("ensemble", "m0", 1), "a predictive and a checkpoint are both named 'm0'"),
            (ENSEMBLE + ENSEMBLE, "a predictive and another are both named 'ensemble'"),
            (
                ENSEMBLE.replace("members", "member"),
                r"\[\[predictives\]\] number 1 has no entry 'member'; did",
            ),
            (ENSEMBLE.replace('members = "m*"', ""), r"\[\[predictives\]\] number 1 lacks 'members'"),
            (ENSEMBLE.replace("landscape.reference", "where"), "must be 'package.module:function'|where"),
            (ENSEMBLE.replace('name = "ensemble"', 'name = "a/b"'), "cannot be the name of a predictive"),
        ],
    )
    def test_what_cannot_be_is_named(self, folder, entry, message):
        """Oracle: the sentence the user must see."""
        path = make(folder, entry)
        with pytest.raises(InputError, match=message):
            result, _ = run(path)
            raise InputError("; ".join(f.error for f in result.failed))

    def test_members_are_found_by_name_and_by_group(self):
        """Oracle: by inspection; the order is the zoo's, and nobody comes twice."""
        models = [Model(name, path=None, group=g) for name, g in (("a", "x"), ("b", "y"), ("c", "x"))]
        of = PredictiveSpec("p", Builder("m:f"), ("x", "b", "a")).of(models)
        assert [m.name for m in of] == ["a", "b", "c"]
        assert [m.name for m in PredictiveSpec("p", Builder("m:f"), ("y",)).of(models)] == ["b"]

    def test_fit_data_are_the_zoos_own_builder_with_other_arguments(self, folder):
        """Oracle: by inspection."""
        path = make(folder, SCALED.replace("{ kwargs = { seed = 7 } }", '{ builder = "toy_data:uneven" }'))
        (spec,) = Zoo.from_manifest(path).spec.predictives
        assert spec.fit == Builder("toy_data:uneven", {})
        folder.entries.append(SCALED.replace('"scaled"', '"other"'))
        path = folder.write(CALIBRATION)
        assert Zoo.from_manifest(path).spec.predictives[1].fit == Builder("toy_data:blobs", {"seed": 7})


class TestPieces:
    def test_predictives_follow_the_last_of_their_members(self):
        """Oracle: by inspection."""
        models = [Model(n, path=None) for n in "abc"]
        specs = [PredictiveSpec(n, Builder("m:f"), g) for n, g in (("p", ("a", "b")), ("q", ("a",)))]
        listed = beside_members(models, planned(specs, models, lambda builder: ""))
        assert [m.name for m in listed] == ["a", "q", "b", "p", "c"]

    def test_a_predictive_that_fails_says_what_was_asked(self, folder):
        """Oracle: the sentence; weights of members are not printed."""
        with pytest.raises(InputError, match=r"called with \(samples=0\) raised InputError: Monte Carlo"):
            build_predictive(
                Builder("landscape.reference.uncertainty:mc_dropout", {"samples": 0}),
                folder.root,
                [nn.Dropout(0.5)],
                None,
            )
        with pytest.raises(InputError, match="returned a int, not a torch"):
            build_predictive(Builder("toy_models:count"), folder.root, [], None)

    def test_unlike_batches_are_handed_over_as_they_are(self):
        """Oracle: torch.cat of the pairs; a mapping stays one."""
        x, y = torch.arange(6.0).view(3, 2), torch.arange(3)
        both = fit_tensors([(x[:2], y[:2]), (x[2:], y[2:])])
        assert torch.equal(both[0], x) and torch.equal(both[1], y)
        assert fit_tensors([{"x": x, "label": y}]) == [{"x": x, "label": y}]

    def test_too_few_members(self):
        """Oracle: an average takes two; a predictive of one model needs that one."""
        members = tuple(Model(n, path=None) for n in "abc")
        enough(PredictiveModel("p", path=None, members=members), {"a": "gone."})
        with pytest.raises(
            CheckpointError, match="the 3 members of predictive 'p' none can be used; 'a': gone"
        ):
            enough(PredictiveModel("p", path=None, members=members), dict.fromkeys("abc", "gone."))
