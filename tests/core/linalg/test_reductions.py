"""Sums over vectors of millions of entries, against NumPy in float64 and spectra known by construction."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from cases import generator
from torch import nn

from landscape import Problem
from landscape.core.connectivity.elastic_band import tangents
from landscape.core.curvature.adaptive_sharpness import adaptive_sharpness
from landscape.core.linalg import reductions
from landscape.core.linalg.eigenpairs import eigenpairs
from landscape.core.linalg.operators import SymmetricOperator
from landscape.core.linalg.reductions import (
    distance,
    exact_products,
    inner_product,
    length,
    norms,
    orthonormalise,
    products,
    project_out,
    sum_of_squares,
    summed,
)
from landscape.core.linalg.trace import estimate_trace
from landscape.core.linalg.tridiagonal import lanczos
from landscape.core.surfaces.directions import random_direction

LONG = 1 << 21
"""Entries at which float32 sums of a CPU are off by 3e-5."""


class Diagonal(SymmetricOperator):
    """A diagonal matrix: its eigenvalues are its entries, its trace their sum."""

    def __init__(self, entries):
        super().__init__(len(entries), entries.dtype, entries.device)
        self.entries = entries

    def _apply(self, V):
        return self.entries[:, None] * V


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed))


def spread(n):
    """Entries over [0, 1] and five that stand out."""
    entries = torch.linspace(0, 1, n)
    entries[:5] = torch.tensor([50.0, 40.0, 30.0, 20.0, 10.0])
    return entries


def exact(a, b):
    return a.double().numpy() @ b.double().numpy().T


def test_inner_products_do_not_depend_on_their_pieces(monkeypatch):
    """Oracle: NumPy in float64."""
    a, b = noise(1000, seed=1), noise(1000, seed=2)
    expected = float(np.dot(a.double().numpy(), b.double().numpy()))
    for size in (7, 1 << 24):
        monkeypatch.setattr(reductions, "BLOCK_ENTRIES", size)
        assert inner_product(a, b) == pytest.approx(expected, rel=1e-12)
        squares = float(np.square(a.double().numpy()).sum())
        assert sum_of_squares(a) == pytest.approx(squares, rel=1e-12)
        assert length(a) == pytest.approx(squares**0.5, rel=1e-12)


@pytest.mark.parametrize("n", [0, 1, 1000, LONG + 1000])
def test_sums_by_pieces(n):
    """Oracle: `math.fsum` of the terms, which rounds once; NumPy in float64 for the matrix."""
    a, b = noise(2, n), noise(2, n, seed=1)
    x, y = a[0].double().numpy(), b[0].double().numpy()
    assert distance(a[0], b[0]) == pytest.approx(math.sqrt(math.fsum((x - y) ** 2)), rel=1e-12)
    np.testing.assert_allclose(exact_products(a, b), exact(a, b), rtol=1e-11, atol=1e-12 * n)
    total = summed(lambda p, q: (p.double() * q[:, None].double().cos()).sum(0), a.T, b[0])
    truth = [math.fsum(row.double().numpy() * np.cos(y)) for row in a]
    np.testing.assert_allclose(total, truth, rtol=1e-11, atol=1e-11)


def test_sums_over_parameters_take_no_float64_copy():
    """Oracle: the process's own peak, which a float64 copy of one vector would raise by 32 MiB.

    In a process of its own, since a peak once reached hides those below it.
    """
    found = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    rises = json.loads(found.stdout)
    assert len(rises) == 10 and max(rises.values()) < 26, rises


PEAK = """
import json, resource, torch
from types import SimpleNamespace
from landscape.core.connectivity.elastic_band import at_constant_speed
from landscape.core.connectivity.simplex import log_volume
from landscape.core.linalg import reductions
from landscape.core.linalg.decomposition import block_shares
from landscape.core.linalg.reductions import distance, exact_products, inner_product, length, sum_of_squares
from landscape.core.similarity.measures import weight_distance
from landscape.core.surfaces.plane import Plane

torch.set_num_threads(1)

def weights(vector):
    return SimpleNamespace(module=SimpleNamespace(named_parameters=lambda: [("w", vector)]))

def sums(points):
    plane = Plane("given", points[0], points[1:])
    yield "inner product", lambda: inner_product(points[0], points[1])
    yield "length", lambda: length(points[0]) + sum_of_squares(points[0])
    yield "distance", lambda: distance(points[0], points[1])
    yield "products", lambda: exact_products(points, points)
    yield "weights", lambda: weight_distance(weights(points[0]), weights(points[1]))
    yield "speed", lambda: at_constant_speed(points).knots
    yield "volume", lambda: log_volume(points)
    yield "shares", lambda: block_shares(points.T, [len(points.T) // 2] * 2)
    yield "norms", lambda: plane.norms
    yield "projections", lambda: plane.projections(points)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

reductions.BLOCK_ENTRIES = 2**16  # so that pieces count for nothing
points = torch.empty(3, 2**22).normal_()
for name, call in sums(points[:, : 2**18]):  # what libraries and the allocator keep after a first call
    call()
rises, start = {}, peak()
for name, call in sums(points):
    call()
    rises[name] = peak() - start
print(json.dumps(rises))
"""


@pytest.mark.parametrize("n", [1000, LONG, LONG + 1000])
def test_norms_and_products_are_right_at_any_length(n):
    """Oracle: NumPy in float64; whole blocks and a rest, rows and columns."""
    a = noise(2, n)
    b = a + noise(2, n, seed=1)
    truth = np.sqrt(np.diagonal(exact(a, a)))
    for rows in (a, a.T.contiguous().T):
        np.testing.assert_allclose(norms(rows), truth, rtol=3e-7)
        np.testing.assert_allclose(norms(rows, keepdim=True), truth[:, None], rtol=3e-7)
        np.testing.assert_allclose(products(rows, b), exact(a, b), rtol=1e-6, atol=1e-7 * truth[0] ** 2)
    stacked = products(a[:, None], b[:, None])
    np.testing.assert_allclose(stacked[:, 0, 0], np.diagonal(exact(a, b)), rtol=1e-6)


def test_short_and_double_vectors_keep_the_bits_of_plain_kernels():
    """Oracle: torch's own calls, whose bits earlier results have."""
    for a in (noise(3, 1 << 17), noise(3, LONG // 8).double()):
        assert torch.equal(norms(a), torch.linalg.vector_norm(a, dim=1))
        assert torch.equal(products(a, a), a @ a.T)
        columns = a.T.contiguous().T[:, :, None]  # strides as `lanczos` has them
        assert torch.equal(products(a[:, None], columns.mT), torch.bmm(a[:, None], columns))
        assert all(map(torch.equal, orthonormalise(a.T), torch.linalg.qr(a.T)))


@pytest.mark.parametrize("n", [LONG, LONG + 2])
def test_long_bases_are_orthonormal_and_span_their_columns(n):
    """Oracle: QᵀQ = I and QR = Y in float64, by NumPy; the last block may have fewer rows than columns."""
    Y = noise(n, 3)
    Q, R = orthonormalise(Y)
    np.testing.assert_allclose(exact(Q.T, Q.T), np.eye(3), atol=1e-6)
    np.testing.assert_allclose(Q.double() @ R.double(), Y, atol=1e-7 * n**0.5)  # the norm of a column
    rest = project_out(Q, noise(n, 1, seed=5))
    assert np.abs(exact(Q.T, rest.T)).max() < 1e-6 * float(rest.double().norm())


def test_long_dependent_columns_still_give_an_orthonormal_basis():
    """Oracle: QᵀQ = I by NumPy, where a column is twice another and one is zero."""
    one = noise(1 << 18, 1)
    Y = torch.cat([one, 2 * one, torch.zeros_like(one)], 1)
    Q, R = orthonormalise(Y)
    np.testing.assert_allclose(exact(Q.T, Q.T), np.eye(3), atol=1e-6)
    np.testing.assert_allclose(Q @ R, Y, atol=1e-5)


def test_infinite_and_missing_entries_stay():
    """Oracle: IEEE arithmetic; a direction that is not finite must not be replaced by a random one."""
    for bad in (torch.inf, torch.nan):
        Y = noise(1 << 18, 2)
        Y[7, 0] = bad
        assert not torch.isfinite(orthonormalise(Y)[0][:, 0]).all()
        assert not torch.isfinite(norms(Y.T)[0])


@pytest.mark.parametrize("n", [LONG, pytest.param(1 << 24, marks=pytest.mark.slow)])
def test_eigenpairs_of_millions_of_entries_converge(n):
    """Oracle: the entries of a diagonal matrix; its unit vectors are the eigenvectors.

    Float32 sums of this length keep Lanczos from converging at all: their norms and bases are off by more
    than the tolerance.
    """
    found = eigenpairs(Diagonal(spread(n)), 5, max_products=40, basis=25, search=False, vectors=True)
    assert found.converged
    np.testing.assert_allclose(found.values, [50.0, 40.0, 30.0, 20.0, 10.0], rtol=1e-6)
    np.testing.assert_allclose(found.vectors[:5].abs(), np.eye(5), atol=1e-4)
    np.testing.assert_allclose(exact(found.vectors.T, found.vectors.T), np.eye(5), atol=1e-6)


def test_traces_and_lanczos_of_a_million_entries():
    """Oracle: the sum of a diagonal's entries; a constant start has their mean as α₁, deviation as β₁.

    Plain float32 norms are off by 1e-5 here.
    """
    entries = spread(1 << 20)
    truth = entries.double()
    trace = estimate_trace(Diagonal(entries), max_products=16)
    assert trace.trace == pytest.approx(float(truth.sum()), rel=1e-6)
    run = lanczos(Diagonal(entries), 2, torch.full((1 << 20,), 0.1), vectors=True)
    assert float(run.alpha[0]) == pytest.approx(float(truth.mean()), rel=1e-6)
    assert float(run.beta[0]) == pytest.approx(float(truth.std(correction=0)), rel=1e-6)
    np.testing.assert_allclose(exact(run.basis.T, run.basis.T), np.eye(2), atol=1e-6)


class Wide(nn.Module):
    """A linear map of one input to 2²² outputs, of which only the mean is used."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(noise(1, LONG))

    def forward(self, x):
        return (x @ self.weight).mean(1, keepdim=True)


def test_directions_and_sharpness_of_a_wide_layer_have_their_length():
    """Oracle: norms by NumPy; the rise of a squared mean along the gradient, by hand in float64."""
    x, y = torch.ones(2, 1), torch.full((2, 1), 0.01)
    problem = Problem(Wide(), "mse", (x, y))
    weight = problem.theta.double().numpy()
    for kind in ("layer", "filter"):
        drawn = random_direction(problem, normalization=kind, ignore=()).double().numpy()
        assert np.linalg.norm(drawn) == pytest.approx(np.linalg.norm(weight), rel=1e-6)
    # every output is m = Σ w/n, so that all slopes are equal and ρ|w|g/‖|w|g‖ moves m by ρ‖w‖/n
    apart, step = abs(weight.mean() - 0.01), 0.5 * np.linalg.norm(weight) / LONG
    found = adaptive_sharpness(problem, [0.5], steps=0)
    assert found.first_order[0] == pytest.approx((apart + step) ** 2 - apart**2, rel=1e-5)


def test_tangents_of_long_bands_are_unit_vectors():
    """Oracle: NumPy's norm in float64."""
    found = tangents(noise(3, LONG), np.array([0.0, 1.0, 3.0]))
    assert np.linalg.norm(found[0].double().numpy()) == pytest.approx(1.0, rel=1e-6)
