"""Estimates: what a run would do, without doing it."""

from __future__ import annotations

import sys
import textwrap

import numpy as np
import pytest
import torch

import landscape
from landscape.store import Store, read_contents
from landscape.zoo import Zoo
from landscape.zoo.costs import Costs
from landscape.zoo.estimate import _Prices

NET = """
    import torch
    from torch import nn

    def net():
        return nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 4, 3, padding=1),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2),
        )

    def data():
        x = torch.randn(9, 1, 16, 16, generator=torch.Generator().manual_seed(0))
        return x, torch.arange(9) % 2
"""

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


def written(folder):
    """The module of `NET`, from a file in a folder."""
    (folder / "net.py").write_text(textwrap.dedent(NET))
    sys.path.insert(0, str(folder))
    try:
        import net
    finally:
        sys.path.remove(str(folder))
    return net


def priced(folder):
    """The tasks of the manifest in a folder, and their prices."""
    zoo = Zoo.from_manifest(folder / "zoo.toml")
    home = Store(zoo.store)
    plan, loader = zoo._plan(None, home, False)
    todo = plan.todo(home)
    return todo, _Prices(todo, loader, Costs(), plan.setup)


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

    def test_what_will_fail_is_said_before_anything_is_run(self, invoke, folder):
        """Oracle: faults by construction, each of another stage; and the run that fails in the same words."""
        folder.add("good")
        folder.add("gone", save=False)
        folder.add("wide", width=4)
        folder.add("odd", 'builder = "toy_models:raising"')
        path = folder.write(f"{TOTAL}\n{GROUPS}")
        total, losses = Zoo.from_manifest(path).estimate()
        assert set(total.failing) == {"gone", "wide", "odd"}
        assert total.seconds > 0
        said = invoke("run", path, "--dry-run").output
        assert not (folder.root / "results").exists()
        assert "will fail: gone (total): checkpoint" in said
        run(path, ["total"])
        assert failures(Zoo.from_manifest(path).run(["total"])) == total.failing
        assert set(losses.failing) == {"all"}  # one of four is no comparison

    def test_a_group_that_loses_a_member_says_so(self, folder):
        folder.add("a")
        folder.add("b", seed=1)
        folder.add("gone", save=False)
        (row,) = Zoo.from_manifest(folder.write(GROUPS)).estimate()
        assert row.failing == {}
        assert row.note.startswith("'all' will be without 'gone': checkpoint")

    def test_data_that_do_not_suit_fail_every_model(self, folder):
        folder.add("m0")
        (row,) = Zoo.from_manifest(folder.write(data="bad_labels")).estimate()
        assert set(row.failing) == {"m0"}

    def test_why_a_section_has_no_task(self, invoke, folder):
        folder.add("m0", 'group = "a"')
        folder.add("m1", 'group = "b"')
        path = folder.write(f"{TOTAL}\n{PAIRS}")
        said = invoke("run", path, "--dry-run")
        assert "distance: no group has two models" in said.output
        assert "no group has two models" in invoke("run", path, "--no-report").output

    def test_shared_passes_and_units_are_priced_as_they_are(self, tmp_path):
        """Oracle: a pass less for the second that shares it; the units of a lesion that was computed."""
        net = written(tmp_path)
        torch.save(net.net().state_dict(), tmp_path / "one.pt")
        (tmp_path / "zoo.toml").write_text(
            '[model]\nbuilder = "net:net"\n[data]\nbuilder = "net:data"\n[[checkpoints]]\npath = "one.pt"\n'
            "[analyses.fourier]\n[analyses.transfer]\n[analyses.lesion]\n"
        )
        todo, prices = priced(tmp_path)
        seconds = {t.label: prices.seconds(t) for t in todo}
        pace = prices.kind(todo[0].members[0]).forward
        assert seconds["fourier"] == 2.5 * pace
        assert seconds["transfer"] == 2.5 * pace  # 3.5 alone
        ds = landscape.lesion(landscape.Problem(net.net(), "cross_entropy", net.data()))
        passes = 2 + int(np.isfinite(ds["delta_loss"].values).sum())
        assert seconds["lesion"] == passes * pace

    def test_a_group_is_priced_by_its_pairs(self, tmp_path):
        """Oracle: by hand, ten pairs of models with sixteen of layers each, at the price of one."""
        net = written(tmp_path)
        for name in "abcd":
            torch.save(net.net().state_dict(), tmp_path / f"{name}.pt")
        (tmp_path / "zoo.toml").write_text(
            '[model]\nbuilder = "net:net"\n[data]\nbuilder = "net:data"\n'
            + "".join(f'[[checkpoints]]\npath = "{name}.pt"\n' for name in "abcd")
            + "[analyses.similarity]\nmost_layers = 4\nsubsamples = 20\nsample = 128\n"
        )
        (task,), prices = priced(tmp_path)
        passes = sum(prices.kind(member).forward for member in task.members)
        assert prices.seconds(task) == pytest.approx(passes + 10 * 4**2 * (0.08 / 8) * 3)
