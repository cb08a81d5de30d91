"""How often the error bars of every analysis hold what they are of, where that is known.

A case draws data or probes anew, runs an analysis with them, and asks of each number with an error whether
its 95 % interval holds the truth: the same number of the whole population that the examples were drawn from,
or of the exact matrix. ``pytest -m slow tests/test_error_bars.py`` writes the table of docs/reliability.md.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

import landscape
from landscape.analyses._shared.tails import tail_of
from landscape.analyses.curvature.sharpness import SharpnessParams, _worst
from landscape.analyses.taxonomy.phases import resampled_mean, resampled_spearman
from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.core.connectivity.barriers import BARRIERS
from landscape.core.curvature.average_sharpness import average_sharpness, least_error
from landscape.core.curvature.example_gradients import ExampleGradients
from landscape.core.curvature.gradient_noise import gradient_moments, noise_scale
from landscape.core.curvature.langevin import Langevin, quadratic_llc
from landscape.core.curvature.tangent_kernel import kernel_moments
from landscape.core.linalg.decomposition import split
from landscape.core.linalg.effective_dimension import effective_dimension
from landscape.core.linalg.eigenpairs import eigenpairs
from landscape.core.linalg.operators import DenseOperator
from landscape.core.linalg.psd_quadrature import psd_quadrature
from landscape.core.linalg.quadrature import spectral_measure, whole_measure
from landscape.core.linalg.relative_error import relative_errors
from landscape.core.linalg.trace import estimate_trace
from landscape.core.problem.losses import gaussian_outputs
from landscape.core.similarity.subsampling import BETWEEN
from landscape.core.stats.intervals import reach
from landscape.core.stats.spectral_distance import Spectrum, spectral_distances
from landscape.reference.models import vit

TABLE = Path(__file__).resolve().parents[1] / "docs" / "reliability.csv"

POPULATION = 2000
EXAMPLES = 50
SCALE = {"mean": (0.0,), "std": (1.0,)}

Found = Iterator[tuple[str, Any, Any, Any]]
"""Name of a number, both ends of its interval and what it is of; arrays, each entry for itself."""


@dataclass(frozen=True)
class Row:
    """Cases of one analysis.

    Attributes:
        case: From the number of a case to what was found.
        cases: How many are counted for the table.
        quick: Whether cases are cheap enough for every run of the tests.
        apart: Numbers that are held in fewer than 90 % of the cases or in more than 98 %, and why.
    """

    case: Callable[[int], Found]
    cases: int = 120
    quick: bool = False
    apart: Mapping[str, str] = field(default_factory=dict)


# The population: images and labels that a teacher gives them at random


def net(seed: int) -> nn.Module:
    """A network of two convolutions."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = nn.Conv2d(1, 3, 3, padding=1), nn.Tanh(), nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Tanh()
        model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64, 3)).double().eval()
        for p in model.parameters():
            p.data *= 1.5
    return model


@cache
def population() -> tuple[torch.Tensor, torch.Tensor]:
    """Images of unlike contrast and smoothness, and labels."""
    draw = torch.Generator().manual_seed(0)
    fine = torch.randn(POPULATION, 1, 8, 8, generator=draw).double()
    coarse = nn.functional.interpolate(
        torch.randn(POPULATION, 1, 2, 2, generator=draw).double(), 8, mode="bilinear"
    )
    contrast = (0.4 * torch.randn(POPULATION, 1, 1, 1, generator=draw).double()).exp()
    x = contrast * (0.5 * fine + coarse)
    with torch.no_grad():
        shares = (2.0 * net(0)(x)).softmax(1)
    return x, torch.multinomial(shares, 1, generator=draw)[:, 0]


def rows_of(case: int, count: int = EXAMPLES) -> torch.Tensor:
    """Which of the population a case draws."""
    return torch.randperm(POPULATION, generator=torch.Generator().manual_seed(case))[:count]


def problem(model: nn.Module | None = None, rows: torch.Tensor | None = None, **options: Any) -> Any:
    """A problem on some of the population, or on all of it."""
    x, y = population()
    data = (x, y) if rows is None else (x[rows], y[rows])
    model = net(1) if model is None else model
    return landscape.Problem(model, "cross_entropy", data, check_derivatives=False, **options)


def held(ds: Any, truth: Any, factor: float) -> Found:
    """Every number of a result that has an error, a 95 % interval or two ends, against another result's."""
    ds, truth = _with_changes(ds), _with_changes(truth)
    for variable in (str(v) for v in ds.data_vars):
        for end, ends in (
            ("_se", lambda n: (ds[n] - factor * ds[f"{n}_se"], ds[n] + factor * ds[f"{n}_se"])),
            ("_interval", lambda n: tuple(ds[f"{n}_interval"].values)),
            ("_low", lambda n: (ds[f"{n}_low"], ds[f"{n}_high"])),
        ):
            name = variable.removesuffix(end)
            if end == "_se" and f"{name}_interval" in ds:  # what is shown
                continue
            if variable.endswith(end) and name in truth and (end != "_low" or f"{name}_high" in ds):
                low, high = (np.asarray(e) for e in ends(name))
                yield name, low, high, np.asarray(truth[name])


def _with_changes(ds: Any) -> Any:
    """Beside a loss, what an error is of that results do not hold: its change from the centre, or its gap."""
    new = {}
    for name in ("loss", "error"):
        if f"{name}_gap_se" in ds:
            t, E = ds["t"], ds[name]
            new[f"{name}_gap"] = E - (1 - t) * E.isel(point=0) - t * E.isel(point=-1)
    if "loss_change_se" in ds and "loss_change" not in ds:
        centre = {d: 0.0 for d in ("alpha", "x", "y") if d in ds.dims}
        if "step" in ds.dims:  # steps away from an image
            centre = {"step": float(ds["step"][0])}
        new["loss_change"] = ds["loss"] - ds["loss"].sel(centre)
    return ds.assign(new)


def of_examples(
    analysis: str, count: int = EXAMPLES, model: Any = None, **options: Any
) -> Callable[[int], Found]:
    """Cases that draw examples: the truth is the same analysis of the population."""
    run = getattr(landscape, analysis)
    many = {"images": POPULATION} if "images" in landscape.analyses()[analysis].params.model_fields else {}

    @cache
    def truth() -> Any:
        return run(problem(model and model()), **{**options, **many})

    def case(number: int) -> Found:
        ds = run(problem(model and model(), rows_of(number, count)), **options)
        return held(ds, truth(), reach(count))

    return case


# Analyses whose arguments are others


def several(analysis: str, **options: Any) -> Callable[[int], Found]:
    """Cases of a group of two models."""
    run = getattr(landscape, analysis)

    def group(rows: torch.Tensor | None) -> Any:
        return run({f"m{i}": problem(net(i), rows) for i in (1, 2)}, **options)

    truth = cache(lambda: group(None))
    return lambda number: held(group(rows_of(number)), truth(), reach(EXAMPLES))


def cka(number: int) -> Found:
    """Four batches of sixteen: Student's factor of four."""
    ds = _cka(rows_of(number, 64), 16)
    return held(ds, _cka(None, 100), float(ds["interval_factor"]))


@cache
def _cka_of_all() -> Any:
    return landscape.cka({f"m{i}": problem(net(i)) for i in (1, 2)}, batch_size=100)


def _cka(rows: torch.Tensor | None, batch: int) -> Any:
    if rows is None:
        return _cka_of_all()
    return landscape.cka({f"m{i}": problem(net(i), rows) for i in (1, 2)}, batch_size=batch)


def similarity(number: int) -> Found:
    """Two models; the truth is the mean over many draws of as many examples, on which the measures depend."""
    ds, truth = _similarity(number, 10), _similarity_of_all()
    for name, true in truth.items():
        over_examples = name in ("agreement", "jensen_shannon")
        half = (2.0 if over_examples else float(ds["interval_factor"])) * ds[f"{name}_se"].values
        apart = half > 0.0  # what is compared with itself is exact, but for rounding
        yield name, (ds[name].values - half)[apart], (ds[name].values + half)[apart], true[apart]


def _similarity(number: int, subsamples: int) -> Any:
    group = {f"m{i}": problem(net(i), rows_of(number)) for i in (1, 2)}
    return landscape.similarity(group, sample=EXAMPLES, most_layers=3, subsamples=subsamples)


@cache
def _similarity_of_all() -> dict[str, Any]:
    names = [*BETWEEN, "model_angle", "agreement", "jensen_shannon"]
    drawn = [_similarity(number, 0) for number in range(10_000, 10_200)]
    return {name: np.mean([ds[name].values for ds in drawn], axis=0) for name in names}


def connect(number: int) -> Found:
    """The straight line between two models, at five places."""
    ds = _connect(rows_of(number))
    return held(ds, _connect_all(), reach(EXAMPLES))


def _connect(rows: torch.Tensor | None) -> Any:
    ends = [net(i).state_dict() for i in (1, 2)]
    return landscape.connect(problem(rows=rows), *ends, method="linear", steps=5, refine=0, resamples=200)


def layer_barriers(number: int) -> Found:
    """Two models of three layers, each moved alone and with those before it."""
    ds = _layer_barriers(rows_of(number))
    return held(ds, _layer_barriers_all(), reach(EXAMPLES))


def _layer_barriers(rows: torch.Tensor | None) -> Any:
    ends = [net(i).state_dict() for i in (1, 2)]
    return landscape.layer_barriers(problem(rows=rows), *ends, steps=5, refine=0, resamples=200)


@cache
def _layer_barriers_all() -> Any:
    return _layer_barriers(None)


@cache
def _connect_all() -> Any:
    return _connect(None)


def simplex(number: int) -> Found:
    """Random points between two models, whose mean loss is an integral."""
    group = {f"m{i}": problem(net(i), rows_of(0)) for i in (1, 2)}
    ds = landscape.simplex(group, epochs=1, points=1, draws=1, samples=8, seed=number).isel(region=0)
    half = reach(8) * ds["mean_loss_se"].values
    yield "mean_loss", ds["mean_loss"].values - half, ds["mean_loss"].values + half, _mean_between()


@cache
def _mean_between() -> float:
    subject, ends = problem(rows=rows_of(0)), [problem(net(i), rows_of(0)).theta for i in (1, 2)]
    places, weights = np.polynomial.legendre.leggauss(24)
    losses = [subject.measure(ends[0] + (t + 1) / 2 * (ends[1] - ends[0])).loss for t in places]
    return float(weights @ losses / 2)


def calibration(number: int) -> Found:
    """With other data: as many images of twice the contrast."""
    rows, x = rows_of(number), population()[0]
    ds = landscape.calibration(problem(rows=rows), ood=2.0 * x[rows_of(number + 10_000)], bootstrap=200)
    truth = _calibrated()
    fixed = [n for n in ds.data_vars if not str(n).startswith("mass_bin")]  # their bins are the sample's own
    return held(ds[fixed], truth, reach(EXAMPLES))


@cache
def _calibrated() -> Any:
    return landscape.calibration(problem(), ood=2.0 * population()[0], bootstrap=2)


def uncertainty(number: int) -> Found:
    """An ensemble of two."""
    return held(_uncertain(rows_of(number), number), _uncertain_all(), reach(EXAMPLES))


def _uncertain(rows: torch.Tensor | None, case: int) -> Any:
    model = DeepEnsemble([net(1), net(2)])
    x = population()[0]
    other = x if rows is None else x[rows_of(case + 10_000)]
    options = {"shifts": ("gaussian_noise",), "bootstrap": 100, "ood": 2.0 * other}
    return landscape.uncertainty(problem(model, rows), **options, **SCALE)


@cache
def _uncertain_all() -> Any:
    return _uncertain(None, 0)


def batch_spectra(number: int) -> Found:
    """Eight mini-batches; the truth is all of them, of several dealings."""
    ds = _batches(8 / 250, number)
    names = ("negative_proportion", "mean_positive", "mean_negative")
    for name in names:
        yield name, *ds[f"{name}_interval"].values, np.mean([float(d[name]) for d in _all_batches()])


def _batches(fraction: float, seed: int) -> Any:
    x, y = _rows()
    model = _head()
    subject = landscape.Problem(model, "mse", (x, y), check_derivatives=False)
    return landscape.batch_spectra(subject, k=8, batch_size=8, fraction=fraction, seed=seed)


@cache
def _rows() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    return torch.randn(2000, 3, generator=draw).double(), torch.randn(2000, 1, generator=draw).double()


def _head() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 1)).double()


@cache
def _all_batches() -> list[Any]:
    return [_batches(1.0, seed) for seed in range(2)]


# Random probes against exact matrices


@cache
def matrix(kind: int, n: int = 120) -> torch.Tensor:
    """A symmetric matrix with a few large eigenvalues, a bulk and a negative side."""
    draw = torch.Generator().manual_seed(kind)
    Q = torch.linalg.qr(torch.randn(n, n, generator=draw).double())[0]
    values = 0.2 * torch.randn(n, generator=draw).double()
    values[:5] = torch.tensor([20.0, 9.0, 5.0, 3.0, 2.0]).double()
    values += 0.3
    return (Q * values) @ Q.T


def trace(number: int) -> Found:
    """Of all three methods."""
    A = matrix(number % 10)
    for method, most in (("hutch++", 60), ("hutchinson", 40)):
        got = estimate_trace(
            DenseOperator(A),
            method=method,
            rel_se=1e-3,
            max_products=most,
            sizes=[40, 80],
            diagonal=True,
            seed=number,
        )
        blocks = torch.tensor([A[:40, :40].trace(), A[40:, 40:].trace()])
        yield from _estimates(got, A, blocks)
    options = {"rel_se": 1e-2, "max_products": 60, "sizes": [40, 80], "diagonal": True, "seed": number}
    got = estimate_trace(DenseOperator(A), method="xtrace", **options)
    if got.samples:
        for name, value, se, exact in (
            ("xtrace", got.trace, got.trace_se, A.trace()),
            ("xtrace_frobenius", got.frobenius, got.frobenius_se, A.norm()),
            ("xtrace_layer_trace", got.blocks, got.blocks_se, blocks),
            ("xtrace_diagonal", got.diagonal, got.diagonal_se, A.diagonal()),
        ):
            half = reach(got.samples) * np.asarray(se)
            yield name, np.asarray(value) - half, np.asarray(value) + half, np.asarray(exact)


def _estimates(got: Any, A: torch.Tensor, blocks: torch.Tensor) -> Found:
    for name, value, se, exact in (
        ("trace", got.trace, got.trace_se, A.trace()),
        ("frobenius", got.frobenius, got.frobenius_se, A.norm()),
        ("layer_trace", got.blocks, got.blocks_se, blocks),
        ("diagonal", got.diagonal, got.diagonal_se, A.diagonal()),
    ):
        if value is not None:
            value, se = np.asarray(value), np.asarray(se)
            yield name, value - 2 * se, value + 2 * se, np.asarray(exact)


def structure(number: int) -> Found:
    """The split of a matrix into two, and the effective dimension."""
    kind = number % 10
    A, n = matrix(kind), len(matrix(kind))
    G = torch.matrix_power(A, 2) / 10
    values, vectors = torch.linalg.eigh(A)
    top = values.abs().argsort(descending=True)[:3]
    parts = split(DenseOperator(A), DenseOperator(G), vectors[:, top], sizes=[40, 80], seed=number)
    for prefix, got, exact in (
        ("", parts.whole, A),
        ("ggn_", parts.part, G),
        ("residual_", parts.rest, A - G),
    ):
        blocks = torch.tensor([exact[:40, :40].trace(), exact[40:, 40:].trace()])
        for name, low, high, of in _estimates(got, exact, blocks):
            yield f"{prefix}{name}", low, high, of
    values, vectors = torch.linalg.eigh(G)
    alphas = [0.003, 0.03, 0.3]
    last = slice(n - 3, n)
    got = effective_dimension(DenseOperator(G), values[last], vectors[:, last], alphas, probes=4, seed=number)
    half = reach(4) * got.error
    exact = [(values.clamp_min(0) / (values.clamp_min(0) + a)).sum() for a in alphas]
    yield "effective_dimension", got.lower - half, got.upper + half, np.array([float(e) for e in exact])


@cache
def _gradient_rows() -> torch.Tensor:
    """The gradients of the whole population, (N, P), moved so that their noise scale is 40 examples."""
    rows = torch.cat(list(ExampleGradients(problem())))
    along = torch.randn(rows.shape[1], generator=torch.Generator().manual_seed(0)).double()
    length = (rows.var(0).sum() / 40).sqrt()
    return rows - rows.mean(0) + length * along / along.norm()


def spectrum(number: int) -> Found:
    """The 60 largest of 400 eigenvalues that are drawn from a power law of α = 2.5."""
    values = (1.0 - np.random.default_rng(number).random(400)) ** (-1.0 / 1.5)
    found = tail_of(np.sort(values)[-60:], 100, number)
    half = 2.0 * found["alpha_se"]
    yield "alpha", found["alpha"] - half, found["alpha"] + half, 2.5


def gradients(number: int) -> Found:
    """The gradients of 150 of the population, as the analysis meets them one by one."""
    every, count = _gradient_rows(), 150
    rows = every[rows_of(number, count)]
    given = SimpleNamespace(examples=count, weight_decay=0.0, theta=torch.zeros(every.shape[1]).double())
    given.gradient = lambda: rows.mean(0)
    sizes = [30, len(every.T) - 30]
    few: Any = type("Rows", (), {"problem": given, "__iter__": lambda self: iter([rows])})()
    moments, ratios = gradient_moments(few, sizes)
    scale = noise_scale(moments)
    mean, variance = every.mean(0), every.var(0)
    trace, square = float(variance.sum()), float(mean.square().sum())
    half = reach(count)
    yield "trace", scale.trace - half * scale.trace_se, scale.trace + half * scale.trace_se, trace
    yield "square", scale.square - half * scale.square_se, scale.square + half * scale.square_se, square
    yield "noise_scale", scale.low, scale.high, trace / square
    by_layer = moments.layer_deviations * (count / (count - 1))
    error = half * by_layer.std(0, ddof=1) / count**0.5
    exact = np.array([float(part.sum()) for part in variance.split(sizes)])
    yield "layer_trace", by_layer.mean(0) - error, by_layer.mean(0) + error, exact
    ratio, error = mean.square() / variance, half * ratios.mean_se
    yield "gsnr", ratios.mean - error, ratios.mean + error, float(ratio.mean())
    ends = (ratios.layers + sign * half * ratios.layers_se for sign in (-1, 1))
    yield "layer_gsnr", *ends, np.array([float(part.mean()) for part in ratio.split(sizes)])


def block_spectra(number: int) -> Found:
    """Three blocks of different spectra, all smoothed alike: quadrature against all eigenvalues."""
    found, exact = [], []
    for i in range(3):
        A = (1.0, 1.5, 0.3)[i] * matrix((number + i) % 10)
        measure = spectral_measure(
            DenseOperator(A), outliers=3, probes=4, steps=20, tol=1e-2, seed=number + i
        )
        found.append(Spectrum(measure.nodes, measure.weights, measure.spacing))
        values = np.tile(torch.linalg.eigvalsh(A).numpy(), (4, 1))
        exact.append(Spectrum(values, np.full(values.shape, 1.0 / len(A)), measure.spacing))
        trace, se = (len(A) * v for v in measure.mean(measure.nodes))
        yield "block_trace", trace - reach(4) * se, trace + reach(4) * se, float(A.trace())
    got, truth = spectral_distances(found), spectral_distances(exact)
    pairs = np.tril_indices(3, -1)
    yield "js_distance", got.low[pairs], got.high[pairs], truth.values[pairs]
    yield "mean_distance", got.mean_low, got.mean_high, truth.mean


def ntk(number: int) -> Found:
    """Moments of a Gram matrix, of which three eigenpairs are known, against all its eigenvalues."""
    G = torch.matrix_power(matrix(number % 10), 2) / 10
    pairs = eigenpairs(DenseOperator(G), 3, tol=1e-3, vectors=True, seed=number)
    part = spectral_measure(DenseOperator(G), outliers=pairs, probes=4, steps=20, seed=number)
    got, exact = (kernel_moments(m, 30.0, 2.0) for m in (part, whole_measure(DenseOperator(G))))
    for name in ("trace", "frobenius", "effective_rank", "participation", "alignment"):
        value, half = getattr(got, name)
        yield name, value - half, value + half, getattr(exact, name)[0]


def kfac_error(number: int) -> Found:
    """Of approximations that lose the bulk of a matrix, or all but its diagonal."""
    A = matrix(number % 10)
    values, vectors = torch.linalg.eigh(A)
    kept = 0.9 * torch.where(values.abs() < 1.0, 0.3, values)
    near = (vectors * kept) @ vectors.T
    others = {"error": (near + near.T) / 2, "total_error": torch.diag(A.diagonal())}
    made = {name: DenseOperator(M) for name, M in others.items()}
    found = relative_errors(DenseOperator(A), made, sketch=8, probes=16, seed=number)
    for name, M in others.items():
        half = reach(16) * found[name].error
        yield name, found[name].value - half, found[name].value + half, float((A - M).norm() / A.norm())


def evidence(number: int) -> Found:
    """The evidence of a quadratic loss, whose curvature is a matrix."""
    kind = number % 10
    A = matrix(kind)
    G = torch.matrix_power(A, 2) / 10
    values, vectors = torch.linalg.eigh(G)
    last = slice(len(G) - 3, len(G))
    precision = np.array([0.003, 0.03, 0.3])
    rules = psd_quadrature(DenseOperator(G), values[last], vectors[:, last], probes=4, seed=number)
    found = rules.sum(lambda x: np.log1p(x / precision))
    half = reach(4) * found.error
    exact = [float(torch.log1p(values.clamp_min(0) / a).sum()) for a in precision]
    # ln p(D | θ) − ½δ‖θ‖² is exact: the error of the evidence is that of ½ ln det, with the other sign
    yield "log_evidence", -(found.upper + half) / 2, -(found.lower - half) / 2, -np.array(exact) / 2


@cache
def _regression() -> tuple[torch.Tensor, torch.Tensor]:
    """Means and spreads that a network knows, but for some overconfidence, and targets."""
    draw = np.random.default_rng(0)
    mean, sd = draw.normal(size=POPULATION), draw.uniform(0.2, 2.0, POPULATION)
    x = torch.from_numpy(np.stack([mean, 0.8 * sd], 1))
    return x, torch.from_numpy(mean + sd * draw.standard_normal(POPULATION))


class _Gaussian(nn.Module):
    """Puts out the first column as the mean and the second as the standard deviation."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * gaussian_outputs(x[:, :1], x[:, 1:] ** 2)


def _regressed(rows: torch.Tensor | None) -> Any:
    x, y = _regression()
    data = (x, y) if rows is None else (x[rows], y[rows])
    problem = landscape.Problem(_Gaussian(), "gaussian_nll", data, check_derivatives=False)
    return landscape.regression_uncertainty(problem, levels=(0.5, 0.9))


_regressed_all = cache(lambda: _regressed(None))


def regression_uncertainty(number: int) -> Found:
    """Scores of a regression."""
    return held(_regressed(rows_of(number)), _regressed_all(), reach(EXAMPLES))


class Quadratic(nn.Module):
    """A loss with a given Hessian."""

    def __init__(self, A: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("A", A)
        self.w = nn.Parameter(torch.zeros(len(A), dtype=A.dtype))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 0.5 * self.w @ (self.A @ self.w)


@cache
def hessian_of_network(seed: int) -> torch.Tensor:
    """The exact Hessian of a small network at its start, or after some training."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 9), nn.Tanh(), nn.Linear(9, 4)
        model = nn.Sequential(*layers).double()
        data = torch.randn(40, 6).double(), torch.randint(0, 4, (40,))
    descent = torch.optim.SGD(model.parameters(), 0.5)
    for _ in range(25 * (seed % 3)):
        descent.zero_grad()
        nn.functional.cross_entropy(model(data[0]), data[1]).backward()
        descent.step()
    return landscape.hessian(landscape.Problem(model, "cross_entropy", data, check_derivatives=False)).dense()


def density(number: int) -> Found:
    """At the defaults, on the Hessians of twenty networks."""
    A = hessian_of_network(number % 20)
    quadratic = landscape.Problem(
        Quadratic(A),
        lambda out, _: out[:, 0],
        (torch.zeros(1, 1).double(), torch.zeros(1)),
        check_derivatives=False,
    )
    ds = landscape.density(quadratic, seed=number)
    exact = torch.linalg.eigvalsh(A).numpy()
    width, grid = float(ds["kernel_width"]), ds["grid"].values
    curve = np.exp(-0.5 * ((grid[:, None] - exact) / width) ** 2).mean(1) / (width * np.sqrt(2 * np.pi))
    some = curve > 1e-6 * curve.max()  # where there is anything to cover
    slack = 1e-9 * curve.max()  # rounding of sums that are equal
    low, high = ds["density_low"].values - slack, ds["density_high"].values + slack
    yield "density", low[some], high[some], curve[some]
    share = (exact < -1e-12 * np.abs(exact).max()).mean()
    truths = {"trace": (exact.sum(), reach(ds.sizes["probe"])), "negative_share": (share, 2.0)}
    for name, (truth, factor) in truths.items():
        half = factor * float(ds[f"{name}_se"])
        yield name, float(ds[name]) - half, float(ds[name]) + half, truth


def measures(number: int) -> Found:
    """A linear classifier of equal margins: σ in closed form; and its margins, by examples drawn."""
    draw = torch.Generator().manual_seed(number)
    side = torch.where(torch.arange(200) % 2 == 0, 1.0, -1.0).double()
    rest = torch.randn(200, 11, generator=draw, dtype=torch.float64)
    x = torch.cat([0.6 * side[:, None], 0.8 * rest / rest.norm(dim=1, keepdim=True)], 1)
    length = torch.empty(200, 1, dtype=torch.float64).exponential_(generator=draw)
    model = nn.Linear(12, 2, bias=False).double()
    model.weight.data.zero_()
    model.weight.data[1, 0] = 1 / 0.6
    one = landscape.Problem(model, "cross_entropy", (x * length, (side > 0).long()))
    ds = landscape.measures(one, noise=("flat",), draws=8, seed=number)
    # errors at noise σ are those of a normal at 1/(√2 σ), a tenth at 1.2816
    sigma, half = float(ds["sigma"][0]), reach(8) * float(ds["sigma_se"][0])
    yield "sigma", sigma - half, sigma + half, 1 / (2**0.5 * 1.2815515655446004)
    yield "margin", *ds["margin_interval"].values, -float(np.log(0.9))


def sharpness(number: int) -> Found:
    """The average case on quadratic losses, whose matrix is known; the worst case over subsets of images."""
    A = matrix(number % 10)
    trace = float(A.trace())
    quadratic = landscape.Problem(
        Quadratic(A),
        lambda out, _: out[:, 0],
        (torch.zeros(1, 1).double(), torch.zeros(1)),
        check_derivatives=False,
    )
    mean = average_sharpness(quadratic, torch.ones(len(A)).double(), [0.1], seed=number)
    error = least_error(mean.sigmas, mean.rise, mean.samples, trace, float(A.norm()))
    half = reach(mean.samples) * np.maximum(mean.rise_se, error)
    yield "average", mean.rise - half, mean.rise + half, 0.005 * trace
    got = estimate_trace(DenseOperator(A), rel_se=0.05, max_products=60, seed=number)
    for name, factor in (("scaled_trace", 1.0), ("average_second_order", 0.005)):
        half = 2 * factor * got.trace_se
        yield name, factor * got.trace - half, factor * got.trace + half, factor * trace
    found = _worst(problem(rows=rows_of(number, 48)), _subsets_of_six(8), lambda fraction: None)
    whole = _worst_of_all()
    for name in ("sharpness", "sharpness_first_order", "linear_rise"):
        half = reach(8) * found[f"{name}_se"]
        yield name, found[name] - half, found[name] + half, whole[name]


def _subsets_of_six(count: int) -> SharpnessParams:
    return SharpnessParams(radii=(0.2,), subset=6, subsets=count, ascent_steps=2)


@cache
def _worst_of_all() -> Any:
    return _worst(problem(), _subsets_of_six(200), lambda fraction: None)


def llc(number: int) -> Found:
    """A quadratic loss, with the bias of steps of finite size in the truth."""
    h = torch.tensor([8.0, 5.0, 3.0, 1.0, 0.5], dtype=torch.float64)
    data = (torch.zeros(50, 1).double(), torch.zeros(50))
    bowl = landscape.Problem(
        Quadratic(torch.diag(h)), lambda out, _: out[:, 0], data, check_derivatives=False
    )
    ds = landscape.llc(
        bowl,
        localization=20.0,
        burn_in=40,
        samples=40,
        step_factors=(1.0,),
        localization_factors=(1.0,),
        seed=number,
    )
    settings = Langevin(float(ds["step"]), 20.0, float(ds["inverse_temperature"]))
    half = reach(4) * float(ds["llc_se"])
    yield "llc", float(ds["llc"]) - half, float(ds["llc"]) + half, quadratic_llc(h.numpy(), settings)


def weights(number: int) -> Found:
    """A layer whose eigenvalues are drawn from a power law of α = 2.5."""
    draws = np.random.default_rng(number).random(100)
    layer = nn.Linear(100, 100, bias=False).double()
    layer.weight.data = torch.diag(torch.from_numpy((1.0 - draws) ** (-0.5 / 1.5)))
    data = (torch.zeros(1, 100).double(), torch.zeros(1, 100).double())
    matrix = landscape.Problem(layer, "mse", data, check_derivatives=False)
    ds = landscape.weights(matrix, resamples=100, seed=number)
    half = 2.0 * float(ds["alpha_se"][0])
    yield "alpha", float(ds["alpha"][0]) - half, float(ds["alpha"][0]) + half, 2.5


def taxonomy(number: int) -> Found:
    """Cells of a table, at a level of 95 %: a bivariate normal law has Spearman's 6/π asin(ρ/2)."""
    rng = np.random.default_rng(number)
    x, y = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=40).T
    _, low, high, _ = resampled_spearman(x, y, 500, 0.95, rng)
    yield "spearman", low, high, 6 / np.pi * np.arcsin(0.3)
    for name, values, truth in (("phase_accuracy", y[:8], 0.0),):
        _, low, high = resampled_mean(values, 500, 0.95, rng)
        yield name, low, high, truth


def generalisation(number: int) -> Found:
    """Twenty models of a bivariate normal law: Kendall's τ is 2/π asin ρ."""
    rng = np.random.default_rng(number)
    for rho in (0.0, 0.6):
        x, y = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=20).T
        ds = landscape.generalisation({"number": x, "test_accuracy": y})
        yield "tau", float(ds["tau_low"][0]), float(ds["tau_high"][0]), 2 / np.pi * np.arcsin(rho)


def attention() -> nn.Module:
    """A small vision transformer."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return vit(depth=1, image=8, patch=2, dim=8, heads=2, classes=3).double()


def serial() -> nn.Module:
    """Convolutions along the pixels of an image in a row."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Flatten(2),
            nn.Conv1d(1, 4, 3),
            nn.Tanh(),
            nn.Conv1d(4, 4, 3, stride=2),
            nn.Flatten(),
            nn.Linear(120, 3),
        ).double()


WIDE = "the interval of a median by order statistics holds at least 95 %"
ATOM = "for many images the distance is exactly 0, which is then the median"
BRACKET = "holds a bracket that is exact for each probe, and so nearly always"
FLAT = "0 where the path stays within its ends, and so in nearly every interval"
STARTS = "resamples of a tail cut off at its k-th value choose their starts more widely than the sample does"
JUMPS = "the number of components, or neighbours, is whole, and jumps from subsample to subsample"
RARE = "one step and many change the same answers of nearly all images; the error is that of one more"

ROWS: dict[str, Row] = {
    "trace": Row(trace, quick=True),
    "structure": Row(structure, quick=True),
    "block_spectra": Row(block_spectra, quick=True),
    "ntk": Row(ntk, quick=True),
    "spectrum": Row(spectrum, apart={"alpha": STARTS}),
    "gradients": Row(gradients),
    "compression": Row(
        of_examples("compression", shares=(0.5,), prune=("global",), bits=(3,), curvature=False), cases=100
    ),
    "evidence": Row(evidence, quick=True),
    "regression_uncertainty": Row(regression_uncertainty, quick=True),
    "kfac_error": Row(kfac_error, cases=240, quick=True),
    "density": Row(density, apart={"negative_share": BRACKET}),
    "batch_spectra": Row(batch_spectra),
    "taxonomy": Row(taxonomy, quick=True),
    "generalisation": Row(generalisation, cases=240, quick=True),
    "sharpness": Row(sharpness),
    "llc": Row(llc, cases=80),
    "weights": Row(weights),
    "measures": Row(measures),
    "line": Row(of_examples("line", steps=3), quick=True),
    "surface": Row(of_examples("surface", steps=(3, 3))),
    "connect": Row(connect, cases=300, apart={"barrier_max": FLAT, "mode_connectivity": FLAT}),
    "layer_barriers": Row(layer_barriers, cases=100, apart={"barrier_max": FLAT, "mode_connectivity": FLAT}),
    "connectivity": Row(
        several("connectivity", steps=5, refine=0, resamples=200), apart={"barrier_max": FLAT}
    ),
    "simplex": Row(simplex),
    "merging": Row(several("merging", methods=("mean", "slerp"), align=None), cases=300, quick=True),
    "calibration": Row(calibration, cases=300),
    "corruptions": Row(of_examples("corruptions", kinds=("gaussian_noise",), **SCALE)),
    "frequency_noise": Row(of_examples("frequency_noise", frequencies=(0.3, 0.7), heat_steps=3, **SCALE)),
    "uncertainty": Row(uncertainty, cases=240),
    "diversity": Row(several("diversity"), cases=300, quick=True),
    "examples": Row(several("examples"), cases=300, quick=True),
    "cka": Row(cka),
    "similarity": Row(
        similarity, cases=120, apart=dict.fromkeys(("svcca", "pwcca", "mutual_neighbours"), JUMPS)
    ),
    "fourier": Row(of_examples("fourier", count=24), cases=300, quick=True),
    "transfer": Row(of_examples("transfer", count=24), cases=300),
    "series_spectrum": Row(of_examples("series_spectrum", count=24, model=serial, bins=6), cases=300),
    "feature_variance": Row(of_examples("feature_variance")),
    "intrinsic_dimension": Row(of_examples("intrinsic_dimension", layers=("*",), sample=POPULATION)),
    "receptive_field": Row(of_examples("receptive_field", count=24)),
    "attention_response": Row(of_examples("attention_response", model=attention, worst_images=POPULATION)),
    "lesion": Row(of_examples("lesion", replacements=("remove",))),
    "robustness": Row(
        of_examples("robustness", radii=(0.05, 0.2), steps=3, **SCALE),
        apart={"median_distance": ATOM, "gap": RARE},
    ),
    "input_curvature": Row(
        of_examples("input_curvature", count=24, products=40, tolerance=1e-2, **SCALE),
        apart={f"median_hessian_{name}": WIDE for name in ("trace", "bottom")},
    ),
    "input_surface": Row(of_examples("input_surface", points=4, plane=3, clip=False, **SCALE)),
}
"""What is checked of each analysis."""

OWN = dict.fromkeys(("metric", "center_metric"), "of a function of the user's, a mean as the loss is")

NOT_COUNTED = {
    "spawn_barriers": dict.fromkeys(BARRIERS, "that of `connect` on a straight line, by the same function"),
    "compression": dict.fromkeys(("trace", "layer_trace"), "that of `trace`, by the same estimate"),
    "llc": {"llc_grid": "as llc, at other settings"},
    "gradients": {"alpha": "that of `spectrum`, by the same fit"},
    "calibration": {"mass_bin_accuracy": "as bin_accuracy; its bins are the sample's own"},
    "line": OWN,
    "surface": {"marker_loss": "the error of the loss, at other places", **OWN},
    "regression_uncertainty": {"bin_rmse": "as rmse; its bins are the sample's own"},
    "taxonomy": {"threshold": "the interval of resampled means, at the level that the user asks for"},
    "uncertainty": {"score": "of methods with a score of their own", "score_change": "likewise"},
    "input_surface": {"distorted": "a share of images that leave the pixels' range, as error is"},
}
"""Numbers with an error that have no count of their own, and why."""


@dataclass
class Count:
    """How often an interval held what it is of."""

    held: float = 0.0
    entries: int = 0
    shares: list[float] = field(default_factory=list)

    def add(self, low: Any, high: Any, truth: Any) -> None:
        """One case: entries that are exact, or unknown, do not count."""
        low, high, truth = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (low, high, truth)))
        known = np.isfinite(low) & np.isfinite(high) & np.isfinite(truth)
        known &= ~((high - low <= 1e-12 * np.abs(truth)) & (np.abs(low - truth) <= 1e-9 * np.abs(truth)))
        known &= ~((high == low) & (truth == low))
        if known.any():
            inside = (low <= truth) & (truth <= high)
            self.shares.append(float(inside[known].mean()))
            self.entries += int(known.sum())

    @property
    def coverage(self) -> float:
        """The share of cases, each by the share of its entries."""
        return float(np.mean(self.shares)) if self.shares else float("nan")

    @property
    def error(self) -> float:
        """Its standard error over cases."""
        return float(np.std(self.shares) / len(self.shares) ** 0.5) if self.shares else float("nan")


def coverage(row: str, cases: int | None = None) -> dict[str, Count]:
    """Counts of an analysis by number."""
    found: dict[str, Count] = {}
    for number in range(ROWS[row].cases if cases is None else cases):
        # of their own for each analysis, so that one odd set of examples does not turn up in all; networks of
        # the density go by the number
        seed = number if row == "density" else zlib.crc32(f"{row}-{number}".encode()) % 10_000
        for name, low, high, truth in ROWS[row].case(seed):
            found.setdefault(name, Count()).add(low, high, truth)
    return {name: count for name, count in found.items() if name not in NOT_COUNTED.get(row, {})}


def write_table(rows: list[str] | None = None, table: Path = TABLE) -> None:
    """Count all cases of some rows, or of all, and put them into the table."""
    lines = {}
    if table.exists():
        for line in table.read_text(encoding="utf-8").splitlines()[1:]:
            lines[tuple(line.split(",", 2)[:2])] = line
    order = list(ROWS)
    for row in rows or order:
        lines = {key: line for key, line in lines.items() if key[0] != row}
        for name, count in coverage(row).items():
            why = ROWS[row].apart.get(name, "")
            held = f"{100 * count.coverage:.1f} ± {100 * count.error:.1f}"
            lines[row, name] = f'{row},{name},{len(count.shares)},{held},"{why}"'
        kept = sorted(lines, key=lambda key: (order.index(key[0]), key[1]))
        text = "\n".join(["analysis,number,cases,held (%),why", *(lines[key] for key in kept)])
        table.write_text(text + "\n", encoding="utf-8")
