"""Curvature side by side: landscape, PyHessian, curvlinops, hessian-eigenthings, plain double backward.

    python benchmarks/curvature.py [--models resnet,vit,mlp] [--examples 256] [--batch 64] [--repeats 5]
                                   [--parts products,memory,eigenpairs,trace,density]

Rivals are optional; those that are missing or fail are named and skipped:

    pip install --no-deps pyhessian hessian-eigenthings curvlinops-for-pytorch backpack-for-pytorch \
        einconv einops linear_operator jaxtyping wadler_lindig tqdm

All sides get the same model, data, loss, batches, vectors and one thread. Repeats of all sides alternate,
so that a slow spell of the machine hits all alike; medians of processor time are compared, in seconds per
product and in units of one gradient (a plain loop of forward and backward passes). Errors are relative to
double backward in float64. Peak memory is the resident set's growth during products, each side in a process
of its own. Eigenpairs: every side is run at rising accuracy until each pair has the same true residual
‖Hv - λv‖/|λ|, measured with the same plain products; the time is that of the run that reached it. Trace:
products until the standard error is 2 %; of the MLP, one whose outliers stand clear of the bulk and a small
residual network medians over seeds, with the true error. Density: Wasserstein distance to the exact spectrum
at equal products, of the same three. PyHessian averages its probes too, so its weights sum to n_v and count
as shares. Its density calls torch.eig, which is gone; it is lent torch.linalg.eigh.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from scipy.sparse.linalg import LinearOperator, eigsh
from scipy.stats import wasserstein_distance
from torch import Tensor, nn

import landscape
from landscape.core.linalg.eigenpairs import eigenpairs
from landscape.reference import models
from landscape.reference.data import digits
from landscape.reference.training import train

K = 8  # vectors per block
TOP = 5  # eigenpairs
RESIDUAL = 1e-3  # of each pair, relative to its own eigenvalue
REL_SE = 0.02  # of the trace
MOST_PRODUCTS = 3000
SEEDS = 20
SMALL = 1000  # parameters up to which the whole matrix is formed
BUDGET = 4 << 30  # bytes that kept graphs may take


# Models


class Residual(nn.Module):
    """Two convolutions with BatchNorm around a shortcut (He et al. 2016)."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outer)
        self.conv2 = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outer)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inner != outer:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, C', H', W')."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


def resnet20() -> nn.Module:
    """ResNet-20 for 32 x 32 images, 272,474 parameters."""
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    widths = [16, 16, 16, 32, 32, 32, 64, 64, 64]
    for inner, outer in zip([16, *widths], widths, strict=False):
        layers.append(Residual(inner, outer, 1 if inner == outer else 2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


class Encoder(nn.Module):
    """Attention, written out so that every side can differentiate it twice, and an MLP."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Maps tokens (B, T, D) to tokens."""
        b, t, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        weights = (q @ k.mT * (d // self.heads) ** -0.5).softmax(-1)
        x = x + self.out((weights @ v).transpose(1, 2).reshape(b, t, d))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """A vision transformer for 32 x 32 images: patches of 4, width 64, 4 layers, 4 heads."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 64, 4, 4)
        self.position = nn.Parameter(0.02 * torch.randn(1, 64, 64))
        self.layers = nn.Sequential(*(Encoder(64, 4) for _ in range(4)))
        self.norm, self.head = nn.LayerNorm(64), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (B, 3, 32, 32) to logits (B, 10)."""
        x = self.patches(x).flatten(2).transpose(1, 2) + self.position
        return self.head(self.norm(self.layers(x)).mean(1))


def mlp() -> nn.Module:
    """816 parameters: small enough for the whole Hessian."""
    return nn.Sequential(nn.Linear(20, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 12))


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "resnet": (resnet20, (3, 32, 32), 10),
    "vit": (Transformer, (3, 32, 32), 10),
    "mlp": (mlp, (20,), 12),
}


@dataclass(frozen=True)
class Task:
    """What every side is given."""

    model: nn.Module
    x: Tensor
    y: Tensor
    batch: int

    @property
    def batches(self) -> list[tuple[Tensor, Tensor]]:
        """The data in batches."""
        return list(zip(self.x.split(self.batch), self.y.split(self.batch), strict=True))

    @property
    def size(self) -> int:
        """Number of parameters n."""
        return sum(p.numel() for p in self.model.parameters())

    def vectors(self) -> Tensor:
        """K vectors (n, K)."""
        return torch.randn(self.size, K, generator=torch.Generator().manual_seed(1))


def make_task(name: str, examples: int, batch: int) -> Task:
    """A model with random weights and random data; the small one is trained on clusters, for outliers."""
    make, shape, classes = MODELS[name]
    torch.manual_seed(0)
    model = make().eval()
    x, y = torch.randn(examples, *shape), torch.randint(classes, (examples,))
    if name == "mlp":
        x += 1.5 * torch.randn(classes, *shape)[y]
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(100):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return Task(model, x, y, batch)


# Sides: each makes, from a task, a function that multiplies a block (n, k)

Product = Callable[[Tensor], Tensor]


@dataclass
class Columns:
    """A product with single vectors, column by column: a block saves nothing."""

    product: Product

    def __call__(self, V: Tensor) -> Tensor:
        """The product with a block (n, k)."""
        return torch.stack([self.product(v) for v in V.unbind(1)], 1)


def plain(task: Task) -> Product:
    """Double backward, one vector at a time: what one writes by hand."""
    model = copy.deepcopy(task.model)
    parameters = list(model.parameters())
    sizes = [p.numel() for p in parameters]

    def product(v: Tensor) -> Tensor:
        total = torch.zeros_like(v)
        tangents = [t.view(p.shape) for t, p in zip(v.split(sizes), parameters, strict=True)]
        for x, y in task.batches:
            loss = F.cross_entropy(model(x), y, reduction="sum")
            grads = torch.autograd.grad(loss, parameters, create_graph=True)
            rows = torch.autograd.grad(grads, parameters, tangents)
            total += torch.cat([r.reshape(-1) for r in rows])
        return total / len(task.x)

    return Columns(product)


def ours(task: Task, *, budget: int = 0, matrix: str = "hessian") -> Product:
    """Landscape; kept graphs may take ``budget`` bytes."""
    problem = landscape.Problem(task.model, "cross_entropy", task.batches)
    operator = getattr(landscape, matrix)(problem, memory_budget=budget)
    return lambda V: operator @ V


def pyhessian(task: Task) -> Product:
    """PyHessian over a data loader."""
    module = importlib.import_module("pyhessian")
    model = copy.deepcopy(task.model)
    engine = module.hessian(model, nn.CrossEntropyLoss(), dataloader=task.batches, cuda=False)
    parameters = list(model.parameters())
    sizes = [p.numel() for p in parameters]

    def product(v: Tensor) -> Tensor:
        parts = [t.view(p.shape) for t, p in zip(v.split(sizes), parameters, strict=True)]
        return torch.cat([h.reshape(-1) for h in engine.dataloader_hv_product(parts)[1]])

    return Columns(product)


def eigenthings(task: Task, kind: str = "HessianOperator") -> Product:
    """The products of hessian-eigenthings, single vectors only."""
    return Columns(eigenthings_operator(task, kind).matvec)


def eigenthings_operator(task: Task, kind: str = "HessianOperator") -> Any:
    """An operator of hessian-eigenthings."""
    module = importlib.import_module("hessian_eigenthings")
    model = copy.deepcopy(task.model)
    if kind == "HessianOperator":
        return module.HessianOperator(model, task.batches, lambda m, b: F.cross_entropy(m(b[0]), b[1]))
    return module.GGNOperator(
        model, task.batches, lambda m, b: m(b[0]), lambda output, b: F.cross_entropy(output, b[1])
    )


def curvlinops(task: Task, kind: str = "HessianLinearOperator") -> Product:
    """Curvlinops, which multiplies blocks by vmap."""
    module = importlib.import_module("curvlinops")
    model = copy.deepcopy(task.model)
    parameters = list(model.parameters())
    operator = getattr(module, kind)(
        model, nn.CrossEntropyLoss(), parameters, task.batches, check_deterministic=False
    )
    return lambda V: operator @ V


SIDES: dict[str, Callable[[Task], Product]] = {
    "plain double backward": plain,
    "landscape, nothing kept": ours,
    "landscape, graphs kept": lambda task: ours(task, budget=BUDGET),
    "PyHessian": pyhessian,
    "hessian-eigenthings": eigenthings,
    "curvlinops": curvlinops,
    "GGN landscape, nothing kept": lambda task: ours(task, matrix="ggn"),
    "GGN landscape, graphs kept": lambda task: ours(task, budget=BUDGET, matrix="ggn"),
    "GGN hessian-eigenthings": lambda task: eigenthings(task, "GGNOperator"),
    "GGN curvlinops": lambda task: curvlinops(task, "GGNLinearOperator"),
}


def made(task: Task, names: list[str]) -> dict[str, Product]:
    """The sides that run; the others are named with the reason."""
    sides = {}
    probe = task.vectors()[:, :1]
    for name in names:
        try:
            side = SIDES[name](task)
            side(probe)
            side(probe)  # the second product may keep graphs
        except Exception as error:
            print(f"  {name}: skipped, {type(error).__name__}: {str(error).splitlines()[0][:90]}")
        else:
            sides[name] = side
    return sides


# Products


def seconds(run: Callable[[], Any]) -> float:
    """Processor time of a call."""
    start = time.process_time()
    run()
    return time.process_time() - start


def gradient(task: Task) -> None:
    """One gradient of the whole loss: the unit of cost."""
    for x, y in task.batches:
        loss = F.cross_entropy(task.model(x), y, reduction="sum")
        torch.autograd.grad(loss, list(task.model.parameters()))


def products(task: Task, repeats: int) -> None:
    """Cost of one product, alone and in a block of K, and its error."""
    V = task.vectors()
    v = V[:, :1]
    sides = made(task, list(SIDES))
    runs: dict[tuple[str, int], Callable[[], Any]] = {("gradient", 1): lambda: gradient(task)}
    for name, side in sides.items():
        runs[name, 1] = lambda side=side: side(v)
        if not isinstance(side, Columns):
            runs[name, K] = lambda side=side: side(V)
    times: dict[tuple[str, int], list[float]] = {key: [] for key in runs}
    for _ in range(repeats):
        for (name, width), run in runs.items():
            times[name, width].append(seconds(run) / width)
    unit = statistics.median(times["gradient", 1])
    double = Task(copy.deepcopy(task.model).double(), task.x.double(), task.y, task.batch)
    exact = {
        "GGN": ours(double, matrix="ggn")(v.double()),
        "Hessian": plain(double)(v.double()),
    }
    print(f"  one gradient: {unit:.3f} s")
    print(f"  {'':30s} {'one vector':>19s} {f'block of {K}':>19s}   error")
    for name, side in sides.items():
        costs = [statistics.median(times.get((name, width), times[name, 1])) for width in (1, K)]
        reference = exact["GGN" if name.startswith("GGN") else "Hessian"]
        error = float((side(v).double() - reference).norm() / reference.norm())
        cells = " ".join(f"{c:8.4f} s {c / unit:6.2f} g" for c in costs)
        print(f"  {name:30s} {cells}   {error:.0e}")


# Memory


def resident() -> int:
    """Peak resident bytes of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure_memory(task: Task, name: str) -> None:
    """In a process of its own: growth of the resident set over three products with a block."""
    if name == "gradient":
        run: Callable[[], Any] = lambda: gradient(task)  # noqa: E731
    else:
        side, V = SIDES[name](task), task.vectors()
        run = lambda: side(V)  # noqa: E731
    before = resident()
    for _ in range(3):
        run()
    print(resident() - before)


def memory(arguments: argparse.Namespace, model: str) -> None:
    """Peak memory of every side."""
    print(f"  peak memory over three products with a block of {K}:")
    for name in ("gradient", *SIDES):
        command = [sys.executable, __file__, "--models", model, "--measure", name]
        command += ["--examples", str(arguments.examples), "--batch", str(arguments.batch)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            print(f"  {name:30s} failed: {run.stderr.strip().splitlines()[-1][:80]}")
        else:
            print(f"  {name:30s} {int(run.stdout.split()[-1]) / 2**20:8.0f} MiB")


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


def our_density(task: Task, budget: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights; of few products two probes, of more four."""
    problem = landscape.Problem(task.model, "cross_entropy", task.batches)
    probes = 2 if budget < 200 else 4
    ds = landscape.density(problem, probes=probes, steps=budget // probes, seed=seed)
    assert int(ds["products"]) == budget
    return ds["nodes"].values.ravel(), ds["weights"].values.ravel()


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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="resnet,vit,mlp")
    known = ("products", "memory", "eigenpairs", "trace", "density")
    parser.add_argument("--parts", default=",".join(known), help="some of them, with commas")
    parser.add_argument("--examples", type=int, default=256)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    if not set(parts) <= set(known):
        parser.error(f"--parts must be some of {', '.join(known)}, not {arguments.parts}")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # rivals warn
    for name in arguments.models.split(","):
        task = make_task(name, arguments.examples, arguments.batch)
        if arguments.measure:
            measure_memory(task, arguments.measure)
            return
        print(
            f"{name}: {task.size} parameters, {arguments.examples} examples in batches of {arguments.batch}"
        )
        if "products" in parts:
            products(task, arguments.repeats)
        if "memory" in parts:
            memory(arguments, name)
        if "eigenpairs" in parts:
            eigen(task)
            if name == "mlp":
                exact_eigenvalues(task)
        if "trace" in parts:
            for each in (task, separated_task(), digits_task()) if name == "mlp" else (task,):
                traces(each)
        if "density" in parts and name == "mlp":
            densities(task)
            densities(separated_task())
            densities(digits_task())


if __name__ == "__main__":
    main()
