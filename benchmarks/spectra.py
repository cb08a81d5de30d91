"""Eigenpairs, trace and density side by side: landscape, PyHessian, curvlinops, hessian-eigenthings, ARPACK.

    python benchmarks/spectra.py [--models resnet,vit,mlp] [--examples 256] [--batch 64]
                                 [--parts eigenpairs,trace,density]

Rivals are optional, as in `curvature.py`. Eigenpairs: every side is run at rising accuracy until each pair
has the same true residual ‖Hv - λv‖/|λ|, measured with the same plain products; the time is that of the run
that reached it. Trace: products until the standard error is 2 %; of the MLP, one whose outliers stand clear
of the bulk and a small residual network medians over seeds, with the true error. Density: Wasserstein
distance to the exact spectrum at equal products, of the same three. PyHessian averages its probes too, so its
weights sum to n_v and count as shares. Its density calls torch.eig, which is gone; it is lent
torch.linalg.eigh.
"""

from __future__ import annotations

import copy
import importlib
import statistics
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from curvature_sides import (
    BUDGET,
    Product,
    Task,
    curvlinops,
    eigenthings_operator,
    make_task,
    parser_of,
    plain,
    seconds,
)
from scipy.sparse.linalg import LinearOperator, eigsh
from scipy.stats import wasserstein_distance
from torch import Tensor, nn

import landscape
from landscape.core.linalg.eigenpairs import eigenpairs
from landscape.core.linalg.quadrature import spectral_measure
from landscape.reference import models
from landscape.reference.data import digits
from landscape.reference.training import train

TOP = 5  # eigenpairs
RESIDUAL = 1e-3  # of each pair, relative to its own eigenvalue
REL_SE = 0.02  # of the trace
MOST_PRODUCTS = 3000
SEEDS = 20
SCARCE = 18  # vectors that fit, of the 30 to 60 that the steps of a density keep
SMALL = 1000  # parameters up to which the whole matrix is formed


# Eigenpairs


@dataclass
class Counted:
    """A product that counts its vectors."""

    product: Product
    count: int = 0

    def __call__(self, V: Tensor) -> Tensor:
        """The product with a block (n, k)."""
        self.count += V.shape[1]
        return self.product(V)


Found = tuple[Tensor, int]
"""Eigenvectors (n, TOP) and the products they took."""


def by_landscape(task: Task, tol: float, search: bool = True) -> Found:
    """Block Lanczos with thick restarts."""
    problem = landscape.Problem(task.model, "cross_entropy", task.batches)
    found = eigenpairs(
        landscape.hessian(problem, memory_budget=BUDGET), TOP, tol=tol, vectors=True, search=search
    )
    assert found.vectors is not None
    return found.vectors.float(), found.products


def by_arpack(make: Callable[[Task], Product]) -> Callable[[Task, float], Found]:
    """ARPACK on the products of a side: what its users do for eigenpairs."""

    def run(task: Task, tol: float) -> Found:
        product, n = Counted(make(task)), task.size

        def matvec(v: np.ndarray) -> np.ndarray:
            return product(torch.from_numpy(np.ascontiguousarray(v, np.float32)).view(n, 1)).numpy()

        operator = LinearOperator((n, n), matvec=matvec, dtype=np.float32)
        start = np.random.default_rng(0).standard_normal(n).astype(np.float32)
        _, vectors = eigsh(operator, TOP, which="LM", tol=tol, v0=start)
        return torch.from_numpy(vectors.copy()), product.count

    return run


def by_pyhessian(task: Task, tol: float) -> Found:
    """Its power iteration; ``tol`` is that of its stopping rule, on the change of the eigenvalue."""
    module = importlib.import_module("pyhessian")
    engine = module.hessian(
        copy.deepcopy(task.model), nn.CrossEntropyLoss(), dataloader=task.batches, cuda=False
    )
    product = engine.dataloader_hv_product
    count = 0

    def counted(v: list[Tensor]) -> Any:
        nonlocal count
        count += 1
        return product(v)

    engine.dataloader_hv_product = counted
    torch.manual_seed(0)
    _, vectors = engine.eigenvalues(maxIter=MOST_PRODUCTS // TOP, tol=tol, top_n=TOP)
    return torch.stack([torch.cat([t.reshape(-1) for t in v]) for v in vectors], 1), count


def by_eigenthings(task: Task, tol: float) -> Found:
    """Its Lanczos without restarts; ``tol`` sets the number of steps, 1/tol."""
    module = importlib.import_module("hessian_eigenthings")
    steps = min(round(1 / tol), task.size)
    operator = eigenthings_operator(task)
    found = module.lanczos(operator, k=TOP, max_iter=steps, reorthogonalize=True, seed=0)
    return found.eigenvectors.T.contiguous(), steps


TOLERANCES = [RESIDUAL / factor for factor in (1, 2, 4, 8, 16, 32)]

SOLVERS: dict[str, tuple[Callable[[Task, float], Found], list[float]]] = {
    "landscape": (by_landscape, TOLERANCES),
    "landscape, copies not searched": (
        lambda task, tol: by_landscape(task, tol, search=False),
        TOLERANCES,
    ),
    "plain double backward + ARPACK": (by_arpack(plain), TOLERANCES),
    "curvlinops + ARPACK": (by_arpack(curvlinops), TOLERANCES),
    "hessian-eigenthings": (by_eigenthings, [1 / m for m in (12, 16, 20, 25, 32, 40, 50, 64, 80, 100)]),
    "PyHessian": (by_pyhessian, [1e-3, 1e-4, 1e-5, 1e-6, 1e-7]),
}


def true_residual(task: Task, vectors: Tensor) -> float:
    """Largest ‖Hv − λv‖/|λ| over the pairs of the vectors' span, by plain products."""
    Q = torch.linalg.qr(vectors)[0]
    HQ = plain(task)(Q)
    values, S = torch.linalg.eigh((Q.T @ HQ).double())
    residuals = (HQ.double() @ S - Q.double() @ S * values).norm(dim=0)
    return float((residuals / values.abs()).max())


def eigen(task: Task) -> None:
    """Time of the TOP eigenpairs of largest magnitude to the same true residual."""
    print(f"  top {TOP} eigenpairs, each to a true residual ‖Hv - λv‖/|λ| of {RESIDUAL:g}:")
    for name, (solve, tolerances) in SOLVERS.items():
        for tol in tolerances:
            found: list[Found] = []
            try:
                spent = seconds(lambda tol=tol, solve=solve, found=found: found.append(solve(task, tol)))
            except Exception as error:
                print(f"  {name}: skipped, {type(error).__name__}: {str(error).splitlines()[0][:90]}")
                break
            vectors, count = found[0]
            residual = true_residual(task, vectors)
            if residual <= RESIDUAL or tol == tolerances[-1]:
                verdict = "" if residual <= RESIDUAL else "   not reached"
                print(f"  {name:30s} {count:5d} products {spent:9.2f} s   residual {residual:.1e}{verdict}")
                break


def exact_spectrum(task: Task) -> Tensor:
    """All eigenvalues of a small model's Hessian (n,), in float64."""
    double = Task(copy.deepcopy(task.model).double(), task.x.double(), task.y, task.batch)
    return torch.linalg.eigvalsh(plain(double)(torch.eye(task.size, dtype=torch.float64)))


def exact_eigenvalues(task: Task) -> None:
    """Errors of the eigenvalues of a small model against its whole Hessian in float64."""
    values = exact_spectrum(task)
    exact = values[values.abs().argsort(descending=True)[:TOP]].sort().values
    problem = landscape.Problem(task.model, "cross_entropy", task.batches)
    ours_found = landscape.spectrum(problem, k=TOP, tol=RESIDUAL)["eigenvalues"].values
    errors = {"landscape": np.sort(ours_found)}
    try:
        module = importlib.import_module("pyhessian")
        engine = module.hessian(
            copy.deepcopy(task.model), nn.CrossEntropyLoss(), dataloader=task.batches, cuda=False
        )
        errors["PyHessian, its defaults"] = np.sort(engine.eigenvalues(top_n=TOP)[0])
    except ImportError:
        print("  PyHessian: skipped, not installed")
    for name, found in errors.items():
        error = np.abs(found - exact.numpy()).max() / np.abs(exact.numpy()).max()
        print(f"  {name:30s} largest error of the top {TOP} eigenvalues: {error:.1e} of the largest")


# Trace and density


def traces(task: Task) -> None:
    """Products until the standard error of the trace is REL_SE; PyHessian ends by a rule of its own.

    Of a small model medians over seeds, with the true error; of others one run.
    """
    exact = float(exact_spectrum(task).sum()) if task.size < SMALL else None
    seeds = range(1 if exact is None else SEEDS)
    print(f"  trace of {task.size} parameters to a standard error of {100 * REL_SE:g} %, seeds: {len(seeds)}")
    problem = landscape.Problem(task.model, "cross_entropy", task.batches)
    options = {
        "landscape, XTrace": {"method": "xtrace"},
        "landscape, Hutch++": {"method": "hutch++"},
        "Hutchinson": {"method": "hutchinson"},
        "PyHessian": {"engine": "pyhessian"},
    }
    for name, option in options.items():
        found: list[Any] = []

        def run(option: dict[str, str] = option, found: list[Any] = found) -> None:
            most = MOST_PRODUCTS if exact is None else task.size - 1  # all would be exact
            limits = {"rel_se": REL_SE, "max_products": most, **option}
            found.extend(landscape.trace(problem, seed=seed, **limits) for seed in seeds)

        spent = seconds(run) / len(seeds)
        counts = [int(ds["products"]) for ds in found]
        said = statistics.median(float(ds["trace_se"] / abs(ds["trace"])) for ds in found)
        truth = ""
        if exact is not None:
            off = statistics.median(abs(float(ds["trace"]) / exact - 1) for ds in found)
            truth = f", in truth {off:.2%}"
        print(
            f"  {name:30s} {statistics.median(counts):5g} ({min(counts)} ... {max(counts)}) products"
            f" {spent:9.2f} s   error said {said:.2%}{truth}"
        )


def lend_eig() -> None:
    """torch.eig for PyHessian's density, whose matrix is symmetric."""

    def eig(matrix: Tensor, eigenvectors: bool = False) -> tuple[Tensor, Tensor]:
        values, vectors = torch.linalg.eigh(matrix)
        return torch.stack([values, torch.zeros_like(values)], 1), vectors

    torch.eig = eig


def separated_task() -> Task:
    """466 parameters trained on six noisy clusters: outliers that stand clear of the bulk."""
    torch.manual_seed(0)
    centres = torch.randn(6, 16)
    y = torch.arange(240) % 6
    x = centres[y] + 0.7 * torch.randn(240, 16)
    model = nn.Sequential(nn.Linear(16, 20), nn.ReLU(), nn.Linear(20, 6), nn.Flatten())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(150):
        rows = slice(60 * (step % 4), 60 * (step % 4) + 60)
        optimizer.zero_grad()
        F.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
    return Task(model, x, y, 60)


def digits_task() -> Task:
    """A residual network of 817 parameters, trained on digits: three outliers hold nearly all."""
    torch.manual_seed(0)
    data, held_out = digits("train", count=512, size=14), digits("test", count=100, size=14)
    model = models.resnet(width=3, blocks=[1, 1])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        train(model, data, held_out, path=path, epochs=15, optimizer="sgd", lr=0.1)
    return Task(model.eval(), data[0][:256], data[1][:256], 64)


def densities(task: Task) -> None:
    """Wasserstein distance to the exact spectrum at equal products: median over seeds, for each side."""
    exact = exact_spectrum(task).numpy()
    sizes = np.sort(np.abs(exact))[::-1]
    print(
        f"  density of {task.size} eigenvalues, of which the 10 largest hold"
        f" {np.square(sizes[:10]).sum() / np.square(sizes).sum():.0%} of the squares; Wasserstein distance to"
    )
    print(f"  the exact spectrum over its mean |λ|: median (least ... most) of {SEEDS} seeds")
    sides: dict[str, Callable[[int, int], tuple[np.ndarray, np.ndarray]]] = {
        "landscape": lambda budget, seed: our_density(task, budget, seed),
        "three-term recurrence": lambda budget, seed: our_density(task, budget, seed, reorthogonalise=False),
        f"room for {SCARCE} vectors": lambda budget, seed: scarce_density(task, budget, seed, SCARCE),
        "room for 2 vectors": lambda budget, seed: scarce_density(task, budget, seed, 2),
        "PyHessian, n_v=1 (its default)": lambda budget, seed: pyhessian_density(task, budget, seed, 1),
        "PyHessian, n_v=2": lambda budget, seed: pyhessian_density(task, budget, seed, 2),
    }
    for budget in (60, 120, 240):
        for name, side in sides.items():
            try:
                found = [side(budget, seed) for seed in range(SEEDS)]
            except ImportError:
                continue
            distances = [wasserstein_distance(exact, x, None, w) / np.abs(exact).mean() for x, w in found]
            print(
                f"  {name:30s} {budget:5d} products   {statistics.median(distances):.4f}"
                f" ({min(distances):.4f} ... {max(distances):.4f})"
            )


def our_density(task: Task, budget: int, seed: int, **options: bool) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights; of few products two probes, of more four."""
    problem = landscape.Problem(task.model, "cross_entropy", task.batches)
    probes = 2 if budget < 200 else 4
    ds = landscape.density(problem, probes=probes, steps=budget // probes, seed=seed, **options)
    assert int(ds["products"]) == budget
    return ds["nodes"].values.ravel(), ds["weights"].values.ravel()


def scarce_density(task: Task, budget: int, seed: int, room: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights where no more than ``room`` vectors fit; the run that finds outliers counts."""
    problem = landscape.Problem(task.model, "cross_entropy", task.batches)
    probes = 2 if budget < 200 else 4
    found = room - room // 3 if room > 2 else 0
    measure = spectral_measure(
        landscape.hessian(problem),
        probes=probes,
        steps=(budget - found) // probes,
        seed=seed,
        memory_budget=room * 4 * task.size,
    )
    assert budget - probes < measure.products <= budget and not measure.reorthogonalised
    return measure.nodes.ravel(), measure.weights.ravel()


def pyhessian_density(task: Task, budget: int, seed: int, probes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of PyHessian's density."""
    module = importlib.import_module("pyhessian")
    lend_eig()
    engine = module.hessian(
        copy.deepcopy(task.model), nn.CrossEntropyLoss(), dataloader=task.batches, cuda=False
    )
    torch.manual_seed(seed)
    nodes, weights = engine.density(iter=budget // probes, n_v=probes)
    return np.ravel(nodes), np.ravel(weights)


def main() -> None:
    """Run the parts asked for."""
    parser = parser_of(__doc__, "resnet,vit,mlp", ("eigenpairs", "trace", "density"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # rivals warn
    for name in arguments.models.split(","):
        task = make_task(name, arguments.examples, arguments.batch)
        print(f"{name}: {task}")
        if "eigenpairs" in arguments.parts:
            eigen(task)
            if name == "mlp":
                exact_eigenvalues(task)
        if "trace" in arguments.parts:
            for each in (task, separated_task(), digits_task()) if name == "mlp" else (task,):
                traces(each)
        if "density" in arguments.parts and name == "mlp":
            for each in (task, separated_task(), digits_task()):
                densities(each)


if __name__ == "__main__":
    main()
