"""What a zoo costs beyond its analyses: planning, running, resuming, consolidating, reading back.

    python benchmarks/scale.py [--models 2000] [--sections 5] [--parts plan,run,read,workers]

A zoo of tiny checkpoints is made in a temporary folder (``--folder`` chooses where, and with it the file
system that is measured). Its analysis does almost nothing, so that the time per task is the overhead: build
the model, read and check the checkpoint, write the result, sync it to disk. The last part takes the time of
twelve models of real work on one worker and on two, torch pinned to one thread in each.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import torch
from torch import nn

from landscape.store import Store, consolidate, read_field
from landscape.store import open as open_file
from landscape.zoo import Zoo
from landscape.zoo.executors.pool import PoolExecutor

MODULE = """
    import torch
    from pydantic import Field
    from torch import nn
    from landscape import Analysis, Cost, Params, Schema, Variable

    class Options(Params):
        scale: float = Field(1.0, description="factor")
        gradients: int = Field(0, description="work to do")

    def mlp(width=4):
        return nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, 2))

    def blobs(count=16, features=2):
        x = torch.randn(count, features, generator=torch.Generator().manual_seed(0))
        return x, (x.sum(1) > 0).long()

    def wide(width=256):
        return nn.Sequential(nn.Linear(64, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(),
                             nn.Linear(width, 2))

    def compute(problem, params, context):
        for _ in range(params.gradients):
            problem.gradient()
        return {"loss": params.scale * problem.loss(), "x": [0.0, 1.0], "curve": [0.0, 1.0]}

    tiny = Analysis(name="tiny", title="Tiny", description="Next to nothing.", scope="checkpoint",
                    params=Options, compute=compute, plots=lambda r: [], summary=lambda d: [],
                    cost=lambda p: Cost(forwards=1.0),
                    schema=Schema(1, coords=(Variable("x", ("x",), "position", "1"),),
                                  variables=(Variable("loss", (), "loss", "nat"),
                                             Variable("curve", ("x",), "curve", "nat"))))
"""


def timed(work: Callable[[], object]) -> tuple[float, float, Any]:
    """Seconds that something takes, those of them that this process was computing, and what it gives."""
    start, computing = time.perf_counter(), time.process_time()
    value = work()
    return time.perf_counter() - start, time.process_time() - computing, value


def make_zoo(folder: Path, models: int, sections: int) -> Path:
    """A zoo of tiny checkpoints, all different."""
    (folder / "scale_toys.py").write_text(textwrap.dedent(MODULE))
    (folder / "ckpt").mkdir()
    state = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2)).state_dict()
    for index in range(models):
        state["0.bias"][0] = index
        torch.save(state, folder / "ckpt" / f"m{index:05d}.pt")
    tables = [
        f'[analyses.tiny{i}]\nanalysis = "scale_toys:tiny"\nscale = {1.0 + i}\n' for i in range(sections)
    ]
    manifest = folder / "zoo.toml"
    manifest.write_text(
        '[model]\nbuilder = "scale_toys:mlp"\n[data]\nbuilder = "scale_toys:blobs"\n'
        + "".join(tables)
        + '[[checkpoints]]\npath = "ckpt/*.pt"\n'
    )
    return manifest


def tell(what: str, seconds: Sequence[float], rest: str) -> None:
    """Print one figure."""
    print(f"{what:20s}{seconds[0]:9.2f} s ({seconds[1]:.2f} s computing)   {rest}")


def part_plan(manifest: Path) -> None:
    """Reading the manifest, planning all its tasks, and estimating their time."""
    *seconds, zoo = timed(lambda: Zoo.from_manifest(manifest))
    tell("read manifest", seconds, f"{len(zoo.models)} models")
    *seconds, rows = timed(zoo.estimate)
    tell("plan and estimate", seconds, f"{sum(r.todo for r in rows)} tasks")


def part_run(manifest: Path) -> None:
    """Running all, resuming when all is done, consolidating."""
    zoo = Zoo.from_manifest(manifest)
    *seconds, result = timed(zoo.run)
    per = [1e3 * s / result.done for s in seconds]
    tell("run, serial", seconds, f"{result.done} tasks, {per[0]:.1f} ms per task ({per[1]:.1f} ms computing)")
    *seconds, again = timed(zoo.run)
    tell("resume, all done", seconds, f"{again.skipped} tasks")
    *seconds, path = timed(lambda: consolidate(Store(zoo.store)))
    size = path.stat().st_size / result.done
    tell("consolidate", seconds, f"{1e3 * seconds[0] / result.done:.2f} ms and {size:.0f} bytes per task")


def part_read(manifest: Path) -> None:
    """One field of up to 2,000 results: file by file, and from the consolidated file."""
    store = Store(Zoo.from_manifest(manifest).store)
    keys = next(iter(store.read_snapshot().sections)).tasks
    files = [store.path("tiny", key) for key in list(keys.values())[:2000]]

    def bare() -> list[float]:
        values = []
        for file in files:
            with h5py.File(file) as handle:
                values.append(handle["loss"][()])
        return values

    *with_xarray, _ = timed(lambda: [open_file(f)["loss"].values for f in files])
    *with_h5py, expected = timed(bare)
    *seconds, field = timed(lambda: read_field(store.consolidated, "tiny0", "loss"))
    assert sorted(field.values())[: len(files)] == sorted(expected) or len(field) > len(files)
    share = len(files) / len(field)
    ratios = [s[0] / (seconds[0] * share) for s in (with_xarray, with_h5py)]
    tell("read by xarray", with_xarray, f"{len(files)} files")
    tell("read by h5py", with_h5py, f"{len(files)} files")
    tell(
        "read consolidated", seconds, f"{len(field)} results: {ratios[0]:.0f} x and {ratios[1]:.1f} x faster"
    )


def part_workers(folder: Path) -> None:
    """Twelve models of real work on one worker and on two, in turn."""
    folder.mkdir()
    (folder / "scale_toys.py").write_text(textwrap.dedent(MODULE))
    for index in range(12):
        torch.manual_seed(index)
        net = nn.Sequential(nn.Linear(64, 256), nn.Tanh(), nn.Linear(256, 256), nn.Tanh(), nn.Linear(256, 2))
        torch.save(net.state_dict(), folder / f"m{index}.pt")
    manifest = folder / "zoo.toml"
    manifest.write_text(
        '[model]\nbuilder = "scale_toys:wide"\n'
        '[data]\nbuilder = "scale_toys:blobs"\nkwargs = { count = 4096, features = 64 }\n'
        '[analyses.work]\nanalysis = "scale_toys:tiny"\ngradients = 40\n'
        '[[checkpoints]]\npath = "*.pt"\n'
    )
    zoo = Zoo.from_manifest(manifest)
    times: dict[int, list[float]] = {1: [], 2: []}
    for repeat in range(2):
        for jobs in (1, 2):
            pool = PoolExecutor(jobs, threads=1)
            home = folder / f"results-{jobs}-{repeat}"
            start = time.perf_counter()
            zoo.run(store=home, executor=pool)
            times[jobs].append(time.perf_counter() - start)
    one, two = (min(times[j]) for j in (1, 2))
    print(f"twelve models       {one:8.2f} s on one worker, {two:.2f} s on two: {one / two:.2f} x")


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", type=int, default=2000)
    parser.add_argument("--sections", type=int, default=5)
    parser.add_argument("--parts", default="plan,run,read,workers")
    parser.add_argument("--folder", type=Path, default=None)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{asked.models} models x {asked.sections} sections, {os.cpu_count()} cores,"
        f" torch {torch.__version__}"
    )
    with tempfile.TemporaryDirectory(dir=asked.folder) as temporary:
        manifest = make_zoo(Path(temporary), asked.models, asked.sections)
        parts = {"plan": part_plan, "run": part_run, "read": part_read}
        for name in asked.parts.split(","):
            if name == "workers":
                part_workers(Path(temporary) / "workers")
            else:
                parts[name](manifest)


if __name__ == "__main__":
    main()
