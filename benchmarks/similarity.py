"""All-pairs CKA of a zoo: one shared pass against pairwise calls to pytorch-cka, in time and in value.

    python benchmarks/similarity.py [--models 8] [--images 512] [--repeats 5]

The rival is optional (``pip install pytorch-cka``). Both sides get the same models, images, batches and
threads, and give the same matrices: linear CKA, unbiased, of every layer with every other, within and
between models. Repeats of both sides alternate, so that a busy machine slows both; medians are compared.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import combinations_with_replacement

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

import landscape
from landscape.analyses.similarity.cka import block
from landscape.core.similarity.zoo_pass import plan_batches

try:
    from cka import CKA
except ImportError:
    CKA = None

TARGET = 8.0
BATCH = 64
WIDTHS = (16, 16, 32, 32, 32, 64, 64)


def network(seed: int) -> nn.Sequential:
    """A convolutional network whose eight layers to compare are `LAYERS`."""
    torch.manual_seed(seed)
    parts: list[nn.Module] = []
    channels = 3
    for width in WIDTHS:
        stride = 2 if width > channels > 3 else 1
        conv = nn.Conv2d(channels, width, 3, stride=stride, padding=1)
        parts.append(nn.Sequential(conv, nn.BatchNorm2d(width), nn.GELU()))
        channels = width
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))
    return nn.Sequential(*parts, head).eval()


LAYERS = [*(f"{i}.2" for i in range(len(WIDTHS))), f"{len(WIDTHS)}.2"]


def ours(models: dict[str, nn.Module], images: Tensor, dtype: torch.dtype) -> Callable[[], xr.Dataset]:
    """The whole zoo in one call."""
    data = images, torch.zeros(len(images), dtype=torch.long)
    problems = {n: landscape.Problem(m, "cross_entropy", data, dtype=dtype) for n, m in models.items()}
    return lambda: landscape.cka(problems, layers=tuple(LAYERS), batch_size=BATCH)


def theirs(models: dict[str, nn.Module], images: Tensor) -> Callable[[], dict[tuple[str, str], Tensor]]:
    """Each pair of models, and each model with itself."""
    batches = [images[index] for index in plan_batches(len(images), BATCH, seed=0)]  # those of our side

    def run() -> dict[tuple[str, str], Tensor]:
        result = {}
        for a, b in combinations_with_replacement(models, 2):
            with CKA(models[a], models[b], layers=LAYERS, device="cpu") as pair:
                result[a, b] = pair._compare(batches, progress=False)
        return result

    return run


def bare(models: dict[str, nn.Module], x: Tensor, grams: bool) -> Callable[[], None]:
    """What no such comparison can do without: each model's pass and, on demand, every layer's Gram matrix."""

    def run() -> None:
        found: list[Tensor] = []

        def receive(_: nn.Module, __: object, output: Tensor) -> None:
            rows = output.flatten(1)
            found.append((rows @ rows.T).flatten())

        layers = [m.get_submodule(name) for m in models.values() for name in LAYERS] if grams else []
        hooks = [layer.register_forward_hook(receive) for layer in layers]
        with torch.no_grad():
            for batch in x.split(BATCH):
                found.clear()
                for model in models.values():
                    model(batch)
                if grams:
                    every = torch.stack(found)
                    every @ every.T
        for hook in hooks:
            hook.remove()

    return run


def compare_times(count: int, images: int, repeats: int) -> float:
    """Interleaved medians; returns how many times faster the shared pass is."""
    models = {f"model {seed}": network(seed) for seed in range(count)}
    x = torch.randn(images, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    runs = {
        "landscape, one pass": ours(models, x, torch.float32),
        "pytorch-cka, pairwise": theirs(models, x),
        "bare passes": bare(models, x, grams=False),
        "passes and Gram matrices": bare(models, x, grams=True),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()  # warm-up
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    print(f"{count} models x {len(LAYERS)} layers, {images} images of 32 x 32, batches of {BATCH},")
    print(f"{torch.get_num_threads()} thread(s), {repeats} interleaved repeats; median (least ... most) in s")
    for name, taken in times.items():
        print(f"  {name:24} {statistics.median(taken):7.3f} ({min(taken):.3f} ... {max(taken):.3f})")
    mine, pairwise, passes, least = times.values()
    faster = statistics.median(b / a for a, b in zip(mine, pairwise, strict=True))
    most = [statistics.median(b / a for a, b in zip(few, pairwise, strict=True)) for few in (passes, least)]
    print(f"  pairwise over bare passes {most[0]:.1f}, over passes and Gram matrices {most[1]:.1f}")
    print(f"  {faster:.1f} times faster (median over repeats; target {TARGET:g})")
    few = dict(list(models.items())[:2])
    exact = ours(few, x, torch.float64)()
    single, pairs = ours(few, x, torch.float32)(), theirs(few, x)()
    truth = {pair: block(exact, *pair)["cka"].values for pair in pairs}
    for name, values in (
        ("landscape", {pair: block(single, *pair)["cka"].values for pair in pairs}),
        ("pytorch-cka", {pair: matrix.numpy() for pair, matrix in pairs.items()}),
    ):
        gap = max(float(np.nanmax(np.abs(values[pair] - truth[pair]))) for pair in pairs)
        print(f"  {name}: largest error of a value, two models, against float64 {gap:.1e}")
    print()
    return faster


class Shift(nn.Module):
    """Adds a constant: features whose mean is far above their spread."""

    def __init__(self, offset: float) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.tensor(offset))

    def forward(self, x: Tensor) -> Tensor:
        """Shape as ``x``."""
        return x + self.offset


def compare_values() -> bool:
    """Cases with a known answer; returns whether the shared pass has them right."""
    x = torch.randn(512, 256, generator=torch.Generator().manual_seed(0))
    fine = True
    print("case                                         right        landscape  pytorch-cka")

    def case(name: str, model: nn.Module, a: str, b: str, right: str, holds: Callable[[float], bool]) -> None:
        nonlocal fine
        problem = landscape.Problem(model.eval(), lambda output, _: output.mean(1), (x, torch.zeros(len(x))))
        ds = block(landscape.cka({"m": problem}, layers=(a, b), batch_size=BATCH), "m")
        mine = float(ds["cka"].sel(layer_a=a, layer_b=b))
        with CKA(model, model, layers=[a, b], device="cpu") as pair:
            other = float(pair._compare(list(x.split(BATCH)), progress=False)[0, 1])
        fine &= holds(mine)
        print(f"{name:44} {right:12} {mine:9.6f}  {other:11.6f}")

    def one(value: float) -> bool:
        return abs(value - 1) < 1e-5

    torch.manual_seed(0)
    for offset in (0.0, 10.0, 100.0):
        pair = nn.Sequential(Shift(offset), Shift(0.0))
        case(f"layer and its copy, mean offset {offset:g}", pair, "0", "1", "1", one)
    plain, in_place = ([nn.Linear(256, 64), nn.ReLU(flag), nn.Linear(64, 64)] for flag in (False, True))
    in_place[0].load_state_dict(plain[0].state_dict())
    for name, parts in (("layer and its ReLU", plain), ("layer and its ReLU in place", in_place)):
        case(name, nn.Sequential(*parts), "0", "1", "below 0.95", lambda value: value < 0.95)

    class Halves(nn.Module):
        """Two independent halves of the input."""

        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = Shift(0.0), Shift(0.0)

        def forward(self, x: Tensor) -> Tensor:
            """The sum of the halves."""
            return self.left(x[:, :128]) + self.right(x[:, 128:])

    case("independent features", Halves(), "left", "right", "about 0", lambda value: abs(value) < 0.1)
    return fine


def main() -> int:
    """Print both tables; status 1 if a target is missed."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--models", type=int, default=8)
    options.add_argument("--images", type=int, default=512)
    options.add_argument("--repeats", type=int, default=5)
    given = options.parse_args()
    if CKA is None:
        print("pytorch-cka is not installed: nothing to compare with (pip install pytorch-cka).")
        return 0
    faster = compare_times(given.models, given.images, given.repeats)
    return 0 if compare_values() and faster >= TARGET else 1


if __name__ == "__main__":
    raise SystemExit(main())
