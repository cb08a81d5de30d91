"""Networks, and the products with their matrices that `curvature.py` and `spectra.py` compare."""

from __future__ import annotations

import argparse
import copy
import importlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import landscape

K = 8  # vectors per block
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
    """A vision transformer for 32 x 32 images in patches of 4."""

    def __init__(self, width: int = 64, depth: int = 4, heads: int = 4) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.position = nn.Parameter(0.02 * torch.randn(1, 64, width))
        self.layers = nn.Sequential(*(Encoder(width, heads) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

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
    "vit-s": (lambda: Transformer(384, 12, 6), (3, 32, 32), 10),  # 21.3 million parameters
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

    def __str__(self) -> str:
        return f"{self.size} parameters, {len(self.x)} examples in batches of {self.batch}"

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


def by_jax(task: Task, *, kept: bool, matrix: str = "hessian") -> Product:
    """JAX, compiled; ``kept`` linearises the gradient once, as `jax.linearize` does."""
    return Columns(importlib.import_module("jax_sides").product_of(task, kept=kept, matrix=matrix))


SIDES: dict[str, Callable[[Task], Product]] = {
    "plain double backward": plain,
    "landscape, nothing kept": ours,
    "landscape, graphs kept": lambda task: ours(task, budget=BUDGET),
    "PyHessian": pyhessian,
    "hessian-eigenthings": eigenthings,
    "curvlinops": curvlinops,
    "JAX, linearize": lambda task: by_jax(task, kept=True),
    "JAX, nothing kept": lambda task: by_jax(task, kept=False),
    "GGN landscape, nothing kept": lambda task: ours(task, matrix="ggn"),
    "GGN landscape, graphs kept": lambda task: ours(task, budget=BUDGET, matrix="ggn"),
    "GGN hessian-eigenthings": lambda task: eigenthings(task, "GGNOperator"),
    "GGN curvlinops": lambda task: curvlinops(task, "GGNLinearOperator"),
    "GGN JAX, nothing kept": lambda task: by_jax(task, kept=False, matrix="ggn"),
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


# Time


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


def own_gradient(task: Task) -> Callable[[], Tensor]:
    """One gradient by landscape, cut and laid out as its products are."""
    problem = landscape.Problem(task.model, "cross_entropy", task.batches)
    return problem.gradient


# Command line


def parser_of(doc: str, models: str, known: Sequence[str]) -> argparse.ArgumentParser:
    """Options of a file that measures some parts of some models, all by default."""

    def parts(text: str) -> list[str]:
        given = text.split(",")
        if not set(given) <= set(known):
            raise argparse.ArgumentTypeError(f"must be some of {', '.join(known)}, not {text}")
        return given

    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--models", default=models)
    parser.add_argument("--parts", type=parts, default=",".join(known), help="some of them, with commas")
    parser.add_argument("--examples", type=int, default=256)
    parser.add_argument("--batch", type=int, default=64)
    return parser
