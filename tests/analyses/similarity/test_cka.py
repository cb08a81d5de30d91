"""``cka``: blocks of its matrix, errors and pictures."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
from cases import CASES

import landscape
from landscape.core.similarity.zoo_pass import zoo_hsic
from landscape.errors import InputError


def test_block_of_two_models():
    """Oracle: the slice by names."""
    from landscape.analyses.similarity.cka import block

    problems = {n: CASES[c].problem() for n, c in (("a", "mlp"), ("b", "dropout"))}
    ds = landscape.cka(problems, batch_size=8)
    part = block(ds, "b", "a")
    assert part["cka"].dims == ("layer_a", "layer_b")
    assert list(part["layer_a"].values) == ["0", "1", "3"]
    np.testing.assert_array_equal(part["cka"].values, ds["cka"].values[3:, :3])
    assert float(ds["output_cka"].sel(model="a", other="a")) == pytest.approx(1.0)
    assert int(ds["matched_layers"].sel(model="a", other="b")) == 2
    with pytest.raises(InputError, match="no model 'c'"):
        block(ds, "c")


def test_matrices_are_those_of_the_pass_over_the_data():
    """Oracle: HSIC sums of `core`, normalised here; the mean over layers of one name taken by hand."""
    problems = {n: CASES["mlp"].problem() for n in ("a", "b")}
    ds = landscape.cka(problems, batch_size=8, estimator="biased")
    total = zoo_hsic(problems, batch_size=8, estimator="biased").blocks.sum(0)
    n = ds.sizes["unit_a"]
    expected = total / np.sqrt(np.outer(np.diagonal(total), np.diagonal(total)))
    np.testing.assert_allclose(ds["cka"], expected[:n, :n], rtol=1e-12)
    pairs = [(i, i + n // 2) for i in range(n // 2)]
    summary = {m.name: m for m in landscape.cka.summary(ds)}
    half = float(ds["interval_factor"]) * float(ds["output_cka_se"][0, 1])  # of the only pair
    assert [summary[f"output CKA, {name}"].error for name in ("mean", "least")] == pytest.approx([half, half])
    mean = np.mean([expected[pair] for pair in pairs])
    assert float(ds["matched_cka"].sel(model="a", other="b")) == pytest.approx(mean)


def test_a_wrapped_model_matches_itself():
    """Oracle: a module called "module", as DataParallel has, changes names and nothing else."""
    import torch

    problem = CASES["mlp"].problem()
    model, pair = problem.module, problem.batches[0].raw
    problems = {
        "bare": landscape.Problem(model, "cross_entropy", pair),
        "wrapped": landscape.Problem(torch.nn.Sequential(OrderedDict(module=model)), "cross_entropy", pair),
    }
    ds = landscape.cka(problems, batch_size=8).sel(model="bare", other="wrapped")
    assert int(ds["matched_layers"]) >= 3
    assert float(ds["matched_cka"]) == pytest.approx(1.0)


def test_a_dead_layer_does_not_take_the_mean_with_it():
    """Oracle: the mean over the other layers, by hand; a layer whose weights are 0 is constant."""
    import torch

    class Residual(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.branch, self.last = (torch.nn.Linear(4, 4) for _ in range(3))

        def forward(self, x):
            x = self.first(x)
            return self.last(x + self.branch(x))

    torch.manual_seed(0)
    models = {"a": Residual(), "b": Residual()}
    torch.nn.init.zeros_(models["b"].branch.weight)
    data = torch.randn(32, 4), torch.randint(0, 4, (32,))
    ds = landscape.cka({n: landscape.Problem(m, "cross_entropy", data) for n, m in models.items()})
    assert list(ds["layer_a"].values[:3]) == ["first", "branch", "last"]
    values = [float(ds["cka"].values[i, i + 3]) for i in range(3)]
    assert np.isnan(values[1])
    pair = ds.sel(model="a", other="b")
    assert int(pair["matched_layers"]) == 2
    assert float(pair["matched_cka"]) == pytest.approx((values[0] + values[2]) / 2)


def test_one_nan_among_the_images_is_named():
    """Oracle: the example made NaN here; and images of another size, whose sentence says what to do."""
    import torch

    x, y = torch.randn(12, 1, 4, 4), torch.arange(12) % 3
    model = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(4, 3))
    spoilt = x.clone()
    spoilt[7, 0, 1, 2] = float("nan")
    bad = landscape.Problem(model, "cross_entropy", (spoilt, y), batch_size=5)
    with pytest.raises(InputError, match="example 7 of the data of 'a' holds NaN"):
        landscape.cka({"a": bad, "b": bad})
    good = landscape.Problem(model, "cross_entropy", (x, y))
    small = landscape.Problem(model, "cross_entropy", (x[..., :3], y))
    with pytest.raises(InputError, match=r"\(1, 4, 4\) and 'b' of shape \(1, 4, 3\).*resize"):
        landscape.cka({"a": good, "b": small})
