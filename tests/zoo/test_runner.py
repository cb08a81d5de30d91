"""Runner: a task becomes a file in the store, whatever its scope."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

import landscape
from landscape.store import open, read_contents
from landscape.zoo import Zoo

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
