"""``kfac_error`` against dense matrices."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import pytest
import torch
from cases import CASES
from torch import nn

import landscape
from landscape import Problem, ggn
from landscape.core.curvature.kfac.factors import diagonal_ggn, ekfac, kfac

MAKE = {"kfac": kfac, "ekfac": ekfac, "diagonal": diagonal_ggn}


@pytest.mark.parametrize("name", ["conv_batchnorm", "tied"])
def test_errors_are_those_of_dense_matrices(name):
    """Oracle: norms and eigenvalues of the dense matrices by torch; enough probes that all is exact.

    Weight decay leaves all of it alone.
    """
    ds = landscape.kfac_error(CASES[name].problem(weight_decay=0.1), probes=250, tol=1e-8)
    problem = CASES[name].problem()
    G, starts = ggn(problem).dense(), [0, *accumulate(problem.space.sizes)]
    for kind, make in MAKE.items():
        operator = make(problem)
        one, dense = ds.sel(approximation=kind), operator.dense()
        assert float(one["total_error"]) == pytest.approx(float((G - dense).norm() / G.norm()), rel=1e-8)
        for block in operator.layers:
            index = torch.cat([torch.arange(starts[i], starts[i + 1]) for i in sorted(block.members)])
            exact, near = G[index][:, index], dense[index][:, index]
            row = one.sel(layer=block.name)
            if float(exact.norm()) < 1e-9:  # moves no output
                continue
            assert float(row["error"]) == pytest.approx(float((exact - near).norm() / exact.norm()), abs=1e-8)
            assert float(row["error_se"]) == 0.0
            assert float(row["top"]) == pytest.approx(float(torch.linalg.eigvalsh(exact)[-1]), rel=1e-6)
            assert float(row["approximate_top"]) == pytest.approx(
                float(torch.linalg.eigvalsh(near)[-1]), rel=1e-8
            )
    assert (ds["error"].sel(approximation="ekfac") <= ds["error"].sel(approximation="kfac") + 1e-9).all()
    assert float(ds["total_top"]) == pytest.approx(float(torch.linalg.eigvalsh(G)[-1]), rel=1e-6)


def test_one_linear_layer_has_no_error():
    """Oracle: zero, where KFAC is exact, by probes as well."""
    x = torch.randn(30, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    problem = Problem(nn.Linear(9, 8).double(), "half_squared_error", (x, torch.zeros(30, 8).double()))
    ds = landscape.kfac_error(problem, approximations=("kfac",), sketch=4, probes=6)
    assert float(np.abs(ds["error"]).max()) < 1e-10
    np.testing.assert_allclose(ds["approximate_top"].values[0], ds["top"].values, rtol=1e-4)
    assert ds["kind"].values.tolist() == ["linear"]


def test_figures_and_summary():
    """Oracle: the names that are declared; a picture for each model and one of all."""
    ds = landscape.kfac_error(CASES["conv_batchnorm"].problem(), probes=6, sketch=2)
    names = [spec.name for spec in landscape.analyses()["kfac_error"].plots({"a": ds, "b": ds})]
    assert names == ["total", "error-1", "top-1", "error-2", "top-2"]
    assert [m.name for m in landscape.analyses()["kfac_error"].summary(ds)] == [
        "error of KFAC",
        "error of EKFAC",
        "error of diagonal",
    ]
