"""Runner: a task becomes a file in the store, whatever its scope."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape.store import open, read_contents
from landscape.zoo import Zoo
from landscape.zoo.runner import Runner

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

    def test_members_of_a_group_hold_one_copy_of_the_data(self, folder, monkeypatch):
        """Oracle: identity of the tensors that the analysis gets."""
        groups, real = [], Runner._group
        monkeypatch.setattr(Runner, "_group", lambda *given: groups.append(real(*given)) or groups[-1])
        for i in range(2):
            folder.add(f"m{i}", 'group = "g"', seed=i)
        assert not run(folder.write(GROUPS)).failed
        ((one, two),) = (group.values() for group in groups)
        assert all(a.inputs is b.inputs for a, b in zip(one.batches, two.batches, strict=True))

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


class TestMembersThatCannotBeUsed:
    """One checkpoint of a group diverged, was cut short, or is gone."""

    @staticmethod
    def spoil(folder, how):
        file = folder.root / "m2.pt"
        if how == "gone":
            file.unlink()
        elif how == "cut":
            file.write_bytes(file.read_bytes()[:900])
        else:
            torch.save({k: v * float("nan") for k, v in torch.load(file).items()}, file)

    @pytest.mark.parametrize("how", ["gone", "cut", "diverged"])
    def test_the_others_are_compared_without_it(self, folder, how):
        """Oracle: the same analysis of a zoo that never had the member; once it is mended, of all three."""
        for i in range(2):
            folder.add(f"m{i}", seed=i)
        alone = run(folder.write(GROUPS), store=folder.root / "two")
        folder.add("m2", seed=2)
        whole = run(folder.write(GROUPS), store=folder.root / "three")
        sound = (folder.root / "m2.pt").read_bytes()
        self.spoil(folder, how)
        said = []
        zoo = Zoo.from_manifest(folder.root / "zoo.toml")
        result = zoo.run(store=folder.root / "s", on_event=said.append)
        assert (result.done, result.failed) == (1, ())
        assert any("'m2' is left out of 'all'" in getattr(event, "text", "") for event in said)
        assert values(result.store) == values(alone.store)
        ds = read_contents(result.store).sections[0].results["all"]
        assert ds.attrs["members_asked"] == 3
        assert list(json.loads(ds.attrs["left_out"])) == ["m2"]
        again = zoo.run(store=folder.root / "s")
        assert (again.done, again.skipped) == (0, 1)
        (folder.root / "m2.pt").write_bytes(sound)
        mended = zoo.run(store=folder.root / "s")
        assert mended.done == 1
        assert values(mended.store) == values(whole.store)
        assert "left_out" not in read_contents(mended.store).sections[0].results["all"].attrs

    def test_a_member_that_is_mended_without_a_new_file_is_taken_in(self, folder):
        """A builder is no part of the key. Oracle: the zoo whose builder was right from the start."""
        for i in range(3):
            folder.add(f"m{i}", seed=i)
        whole = run(folder.write(GROUPS), store=folder.root / "right")
        text = (folder.root / "zoo.toml").read_text()
        late = "import late\n\ndef build():\n    import toy_models\n    return toy_models.mlp()\n"
        (folder.root / "slow.py").write_text(late)
        entry = 'path = "m2.pt"'
        assert entry in text
        (folder.root / "zoo.toml").write_text(text.replace(entry, f'{entry}\nbuilder = "slow:build"'))
        zoo = Zoo.from_manifest(folder.root / "zoo.toml")
        first = zoo.run(store=folder.root / "s")
        (ds,) = read_contents(first.store).sections[0].results.values()
        assert list(json.loads(ds.attrs["left_out"])) == ["m2"]
        (folder.root / "late.py").write_text("")
        second = zoo.run(store=folder.root / "s")
        assert (second.done, second.failed) == (1, ())
        assert values(second.store) == values(whole.store)

    def test_fewer_than_two_are_no_group(self, folder):
        """One member is left of two: one sentence that names both."""
        for i in (1, 2):
            folder.add(f"m{i}", seed=i)
        self.spoil(folder, "gone")
        (failure,) = run(folder.write(GROUPS)).failed
        assert failure.kind == "checkpoint"
        assert "of the 2 members of 'all' only 'm1' can be used" in failure.error
        assert "m2.pt' does not exist" in failure.error
