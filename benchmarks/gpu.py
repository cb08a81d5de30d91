"""One short script for a GPU: is it right there, and how fast is it beside what else there is.

    python benchmarks/gpu.py [--device cuda] [--parts agreement,products,surface,cka,features,lanczos]
                             [--limit 75] [--small]

Needs landscape and nothing else: models have random weights, data are random, nothing is downloaded. Each
part runs in a process of its own with a time limit, so that all six end within eight minutes and a part that
fails takes no other with it. Sides alternate, every run is waited for (`torch.cuda.synchronize`), medians of
the clock are compared. Rivals are optional (curvlinops, see curvature.py).
``--small`` makes everything tiny, to try the script without a GPU: ``--device cpu --small``.

What is looked at: float32 on the device against float64 on the processor (loss, gradient, Hessian product,
top eigenvalues), with TensorFloat-32 off and on; Hessian products per second against forward over reverse,
the same under vmap and in a CUDA graph, and curvlinops; surface points per second against bare forward
passes; CKA of four networks; features against bare passes; Lanczos with a basis of vectors of 1e8
parameters, how orthogonal it stays and what memory it takes.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vmap

import landscape
from landscape.core.linalg.eigenpairs import eigenpairs
from landscape.reference import models

BLOCK = 8  # vectors per block


@dataclass(frozen=True)
class Setting:
    """Where and how large."""

    device: str
    small: bool

    def choose(self, large: int, small: int) -> int:
        """A size."""
        return small if self.small else large

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()

    def seconds(self, run: Callable[[], Any]) -> float:
        """By the clock, work on the device included."""
        self.wait()
        start = time.perf_counter()
        run()
        self.wait()
        return time.perf_counter() - start

    def peak(self) -> str:
        """The most memory of the device that was taken."""
        if not self.device.startswith("cuda"):
            return "not measured on a processor"
        return f"{torch.cuda.max_memory_allocated() / 2**30:.2f} GiB"


def compare(setting: Setting, runs: Mapping[str, Callable[[], Any]], repeats: int = 5) -> dict[str, float]:
    """Median seconds of each run, all in turn, after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            took = setting.seconds(run)
            if repeat:
                times[name].append(took)
    return {name: statistics.median(taken) for name, taken in times.items()}


def network(setting: Setting, seed: int = 0) -> nn.Module:
    """A residual network for 32 x 32 images; 272,474 parameters if not small."""
    torch.manual_seed(seed)
    width, blocks = (2, [1, 1, 1]) if setting.small else (16, [3, 3, 3])
    return models.resnet(width=width, blocks=blocks, in_channels=3).eval()


def images(setting: Setting, examples: int) -> tuple[Tensor, Tensor]:
    """Random images and labels."""
    g = torch.Generator().manual_seed(1)
    side = setting.choose(32, 16)
    return torch.randn(examples, 3, side, side, generator=g), torch.randint(10, (examples,), generator=g)


def problem_of(setting: Setting, model: nn.Module, examples: int, **options: Any) -> landscape.Problem:
    """A problem on the device."""
    given = {"device": setting.device, "batch_size": 256, **options}
    return landscape.Problem(model, "cross_entropy", images(setting, examples), **given)


def relative(found: Tensor, exact: Tensor) -> float:
    """Distance over length."""
    return float((found.detach().double().cpu() - exact).norm() / exact.norm())


def part_agreement(setting: Setting) -> None:
    """Float32 on the device against float64 on the processor."""
    examples, model = setting.choose(256, 16), network(setting)
    exact = problem_of(Setting("cpu", setting.small), model, examples, dtype=torch.float64)
    v = torch.randn(exact.size, 1, generator=torch.Generator().manual_seed(2))
    truth = exact.gradient(), landscape.hessian(exact) @ v.double()
    values = eigenpairs(landscape.hessian(exact), 3, "LA", tol=1e-6).values
    for rounds in (False, True):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = rounds
        problem = problem_of(setting, copy.deepcopy(model), examples)
        hessian = landscape.hessian(problem)
        top = torch.as_tensor(eigenpairs(hessian, 3, "LA", tol=1e-4).values)
        print(
            f"  TensorFloat-32 {'on' if rounds else 'off'}:"
            f" loss {abs(problem.loss() / exact.loss() - 1):.1e},"
            f" gradient {relative(problem.gradient(), truth[0]):.1e},"
            f" Hessian product {relative(hessian @ v.to(setting.device), truth[1]):.1e},"
            f" top eigenvalues {relative(top, torch.as_tensor(values, dtype=torch.float64)):.1e}"
        )


def _plain(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Callable[[Tensor], Tensor], Callable[[], Any]]:
    """A Hessian product by forward over reverse on one batch, and the gradient, which is the unit."""
    names, values = zip(*model.named_parameters(), strict=True)
    sizes = [p.numel() for p in values]

    def loss(parameters: tuple[Tensor, ...]) -> Tensor:
        output = functional_call(model, dict(zip(names, parameters, strict=True)), (x,))
        return F.cross_entropy(output, y)

    def product(v: Tensor) -> Tensor:
        tangents = tuple(t.view(p.shape) for t, p in zip(v.split(sizes), values, strict=True))
        return torch.cat([r.reshape(-1) for r in jvp(grad(loss), (values,), (tangents,))[1]])

    return product, lambda: torch.autograd.grad(loss(values), values)


def _captured(product: Callable[[Tensor], Tensor], v: Tensor) -> Callable[[Tensor], Tensor]:
    """The product as a CUDA graph: launched as one."""
    held = v.clone()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            product(held)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = product(held)

    def replay(vector: Tensor) -> Tensor:
        held.copy_(vector)
        graph.replay()
        return result

    return replay


def part_products(setting: Setting) -> None:
    """Hessian products per second, alone and in a block."""
    examples, model = setting.choose(256, 16), network(setting).to(setting.device)
    x, y = (t.to(setting.device) for t in images(setting, examples))
    plain, gradient = _plain(model, x, y)
    problem = problem_of(setting, copy.deepcopy(model), examples)
    V = torch.randn(problem.size, BLOCK, device=setting.device)
    v = V[:, 0].contiguous()
    kept, bare = (
        landscape.hessian(problem, memory_budget=8 << 30),
        landscape.hessian(problem, memory_budget=0),
    )
    runs: dict[str, tuple[int, Callable[[], Any]]] = {
        "gradient": (1, gradient),
        "landscape, graphs kept": (1, lambda: kept @ v[:, None]),
        "landscape, graphs kept, block": (BLOCK, lambda: kept @ V),
        "landscape, nothing kept": (1, lambda: bare @ v[:, None]),
        "landscape, nothing kept, block": (BLOCK, lambda: bare @ V),
        "forward over reverse": (1, lambda: plain(v)),
        "forward over reverse, vmap, block": (BLOCK, lambda: vmap(plain, 1, 1)(V)),
    }
    if setting.device.startswith("cuda"):
        try:
            replay = _captured(plain, v)
            runs["forward over reverse, CUDA graph"] = 1, lambda: replay(v)
        except RuntimeError as error:
            print(f"  CUDA graph: skipped, {str(error).splitlines()[0]}")
    try:
        rival = importlib.import_module("curvlinops").HessianLinearOperator(
            copy.deepcopy(model),
            nn.CrossEntropyLoss(),
            list(model.parameters()),
            [(x, y)],
            check_deterministic=False,
        )
        runs["curvlinops"] = 1, lambda: rival @ v
        runs["curvlinops, block"] = BLOCK, lambda: rival @ V
    except Exception as error:
        print(f"  curvlinops: skipped, {type(error).__name__}: {str(error).splitlines()[0][:90]}")
    took = compare(setting, {name: run for name, (_, run) in runs.items()})
    apart = relative((kept @ v[:, None])[:, 0], plain(v).detach().double().cpu())
    print(f"  differs from forward over reverse by {apart:.1e}")
    for name, (vectors, _) in runs.items():
        each = took[name] / vectors
        print(f"  {name:36s}{1 / each:10.1f} per second   {each / took['gradient']:6.2f} g")
    print(f"  peak memory: {setting.peak()}")


def part_surface(setting: Setting) -> None:
    """Points of a surface per second, and of bare forward passes."""
    examples, side = setting.choose(2048, 32), setting.choose(11, 3)
    model = network(setting).to(setting.device)
    problem = problem_of(setting, copy.deepcopy(model), examples)
    x, _ = (t.to(setting.device) for t in images(setting, examples))

    def bare() -> None:
        with torch.no_grad():
            for _ in range(side * side):
                for piece in x.split(256):
                    model(piece)

    runs = {
        "bare forward passes": bare,
        "landscape.surface": lambda: landscape.surface(problem, steps=(side, side)),
        "landscape.surface, tuned": lambda: landscape.surface(problem, steps=(side, side), tune=True),
    }
    took = compare(setting, runs, repeats=3)
    for name, seconds in took.items():
        ratio = took["bare forward passes"] / seconds
        print(f"  {name:28s}{side * side / seconds:9.1f} points per second, {ratio:.2f} of bare passes")


def part_cka(setting: Setting) -> None:
    """CKA of four networks with one another."""
    examples = setting.choose(2048, 32)
    problems = {f"m{s}": problem_of(setting, network(setting, s), examples) for s in range(4)}
    took = compare(setting, {"cka": lambda: landscape.cka(problems, most_layers=16)}, repeats=2)
    print(f"  four networks, {examples} images, 16 layers: {took['cka']:.2f} s; peak memory {setting.peak()}")


def part_features(setting: Setting) -> None:
    """Features of every layer against bare forward passes over the same images."""
    examples = setting.choose(1024, 32)
    model = network(setting).to(setting.device)
    problem = problem_of(setting, copy.deepcopy(model), examples)
    x, _ = (t.to(setting.device) for t in images(setting, examples))

    def bare() -> None:
        with torch.no_grad():
            for piece in x.split(256):
                model(piece)

    took = compare(
        setting,
        {
            "bare": bare,
            "fourier": lambda: landscape.fourier(problem, images=examples),
            "transfer": lambda: landscape.transfer(problem, images=examples),
        },
        repeats=2,
    )
    for name in ("fourier", "transfer"):
        print(f"  {name:10s}{took[name] / took['bare']:8.1f} bare passes over {examples} images")


def part_lanczos(setting: Setting) -> None:
    """Eigenpairs of a network of 1e8 parameters: time, memory and how orthogonal the vectors are."""
    width = setting.choose(5790, 64)
    torch.manual_seed(0)
    hidden = [layer for _ in range(3) for layer in (nn.Linear(width, width), nn.Tanh())]
    model = nn.Sequential(nn.Linear(64, width), nn.Tanh(), *hidden, nn.Linear(width, 10))
    g = torch.Generator().manual_seed(1)
    data = torch.randn(64, 64, generator=g), torch.randint(10, (64,), generator=g)
    problem = landscape.Problem(model, "cross_entropy", data, device=setting.device)
    start = time.perf_counter()
    found = eigenpairs(landscape.hessian(problem), 5, "LA", tol=1e-3, vectors=True, search=False)
    setting.wait()
    took = time.perf_counter() - start
    Q = found.vectors
    off = torch.zeros(Q.shape[1], Q.shape[1], dtype=torch.float64, device=Q.device)
    for piece in Q.split(1 << 20):
        off += piece.double().T @ piece.double()
    off -= torch.eye(len(off), dtype=torch.float64, device=Q.device)
    each = took / found.products
    print(f"  {problem.size:,} parameters, {found.products} products: {took:.1f} s, {each:.3f} s per product")
    print(f"  vectors orthogonal to {float(off.abs().max()):.1e}; peak memory {setting.peak()}")


PARTS = {
    name.removeprefix("part_"): part for name, part in list(globals().items()) if name.startswith("part_")
}


def main() -> None:
    """Carry out the parts, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--limit", type=float, default=75.0, help="seconds for each part")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    names = asked.parts.split(",")
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        parser.error(f"there is no part '{unknown[0]}'; there are {', '.join(PARTS)}.")
    if asked.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("this machine has no GPU that torch sees; try --device cpu --small.")
    if asked.inside:
        PARTS[names[0]](Setting(asked.device, asked.small))
        return
    card = torch.cuda.get_device_name() if asked.device.startswith("cuda") else "processor"
    print(f"{card}, torch {torch.__version__}, landscape {landscape.__version__}", flush=True)
    flags = ["--device", asked.device, "--inside", *(["--small"] if asked.small else [])]
    failed = []
    for name in names:
        print(f"{name}:", flush=True)
        command = [sys.executable, __file__, "--parts", name, *flags]
        try:
            code = subprocess.run(command, timeout=asked.limit, check=False).returncode
        except subprocess.TimeoutExpired:
            print(f"  stopped after {asked.limit:g} s", flush=True)
            code = 1
        if code:
            failed.append(name)
    if failed:
        sys.exit(f"not ended: {', '.join(failed)}")


if __name__ == "__main__":
    main()
