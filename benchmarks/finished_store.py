"""What a large store costs once its tasks are done: a run that finds them so, table, report, one group.

    python benchmarks/finished_store.py [--models 1000,2500,5000] [--computed 50] [--folder DIR]
                                        [--only resume,table,table_anew,one_group,report]

A zoo of networks of 99 parameters in five groups, each with ``calibration`` and ``spectrum`` on 16 examples.
Some models are computed; the results of all are copies of these, written by the library's own writer under
the keys and with the attributes that the run of the whole zoo gives its tasks, and consolidated and summed up
by that run. Each figure is the processor time of a process of its own after its imports, and its peak memory;
growth is told by the exponent between one number of models and the next.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import xarray as xr
from torch import nn

import landscape
from landscape.base.registry import find
from landscape.base.summaries import code_here, values_of
from landscape.store import Store
from landscape.store import open as open_file
from landscape.store.files import stamp_of
from landscape.zoo import Zoo
from landscape.zoo.events import Done, Failed, Listener, Message, Started
from landscape.zoo.runner import _identity
from landscape.zoo.task import Setup, Task

MODULE = """
    import torch
    from torch import nn

    def mlp(width=8):
        return nn.Sequential(nn.Linear(8, width), nn.Tanh(), nn.Linear(width, 3))

    def blobs(count=16, features=8):
        x = torch.randn(count, features, generator=torch.Generator().manual_seed(0))
        return x, x[:, :3].argmax(1)
"""
GROUPS = 5
HEAD = """
[model]
builder = "finished_toys:mlp"
[data]
builder = "finished_toys:blobs"
[analyses.calibration]
[analyses.spectrum]
k = 3
"""


def make_zoo(folder: Path, models: int) -> Path:
    """A zoo of small checkpoints, all different; those of a smaller zoo are its first ones."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "finished_toys.py").write_text(textwrap.dedent(MODULE))
    for index in range(models):
        torch.manual_seed(index)
        net = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))
        home = folder / f"group{index % GROUPS}"
        home.mkdir(exist_ok=True)
        torch.save(net.state_dict(), home / f"m{index:05d}.pt")
    rows = [
        f'[[checkpoints]]\npath = "group{g}/*.pt"\ngroup = "group{g}"\ntags = {{ width = {g} }}\n'
        for g in range(min(GROUPS, models))
    ]
    manifest = folder / "zoo.toml"
    manifest.write_text(HEAD + "".join(rows))
    return manifest


class Copying:
    """An executor that computes nothing: every result is a copy of one of those that are at hand.

    Args:
        results: Computed ones, by label of their section.
    """

    def __init__(self, results: dict[str, list[xr.Dataset]]) -> None:
        self.results = results

    def run(self, setup: Setup, tasks: Sequence[Task], emit: Listener) -> None:
        """Write all, as a runner does."""
        store = Store(setup.store, made=True)
        for number, task in enumerate(tasks):
            emit(Started(task))
            known = self.results[task.label]
            result = known[number // len(self.results) % len(known)].assign_attrs(_identity(task))
            with store.claim(task.folder, task.key):
                written = store.write(result, task.key)
            metrics = values_of(find(task.analysis).summary(result))
            emit(Done(task, 0.0, metrics, *stamp_of(written), code_here()))


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Processor time of something in this process, and the most memory that it had so far, in MiB."""
    start = time.process_time()
    work()
    spent = time.process_time() - start
    status = Path("/proc/self/status").read_text()
    return spent, int(status.split("VmHWM:")[1].split()[0]) / 1024


def told(event: object) -> None:
    """A run that does not go as it should says so."""
    if isinstance(event, Failed | Message):
        print(event, file=sys.stderr)


def resume(manifest: Path) -> None:
    """A run that finds all done."""
    result = Zoo.from_manifest(manifest).run(on_event=told)
    assert not result.done and not result.failed


def one_group(manifest: Path) -> None:
    """The result of one model, out of the consolidated file."""
    store = Store(Zoo.from_manifest(manifest).store)
    name = landscape.table(store.directory).index[-1]
    spent, memory = measured(lambda: open_file(store.consolidated, group=f"spectrum/{name}"))
    print(json.dumps([spent, memory]))


def table(manifest: Path) -> None:
    """The table of all models."""
    landscape.table(Zoo.from_manifest(manifest).store)


def table_anew(manifest: Path) -> None:
    """The same of a store whose results nobody summed up."""
    (Zoo.from_manifest(manifest).store / "metrics.json").unlink(missing_ok=True)
    table(manifest)


def report(manifest: Path) -> None:
    """The page."""
    landscape.report(Zoo.from_manifest(manifest).store)


PARTS: dict[str, Callable[[Path], None]] = {
    "resume": resume,
    "table": table,
    "table_anew": table_anew,
    "one_group": one_group,
    "report": report,
}


def fill(folder: Path, models: int, computed: int) -> tuple[float, float]:
    """Make a finished store; processor time and memory of the run that writes its copies."""
    few = Zoo.from_manifest(make_zoo(folder / "few", computed))
    assert not few.run(on_event=told).failed
    store = Store(few.store)
    snapshot = store.read_snapshot()
    assert snapshot is not None
    results = {s.label: [store.read(s.folder, key) for key in s.tasks.values()] for s in snapshot.sections}
    whole = Zoo.from_manifest(make_zoo(folder / str(models), models))
    return measured(lambda: whole.run(executor=Copying(results), on_event=told))


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", default="1000,2500,5000")
    parser.add_argument("--computed", type=int, default=50)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--folder", type=Path, default=None, help="keep the stores here; use those there")
    parser.add_argument("--measure", nargs=2, default=None, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.measure is not None:
        part, manifest = asked.measure
        if part == "one_group":
            one_group(Path(manifest))
        else:
            print(json.dumps(measured(lambda: PARTS[part](Path(manifest)))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        former: dict[str, tuple[int, float]] = {}
        for models in (int(m) for m in asked.models.split(",")):
            manifest = folder / str(models) / "zoo.toml"
            if not (folder / str(models) / "results" / "zoo.h5").is_file():
                spent, memory = fill(folder, models, asked.computed)
                each = 1e3 * spent / models / 2
                line = f"{models:6d} models  run         {spent:8.2f} s {memory:7.0f} MiB"
                print(f"{line}   {each:.2f} ms per task")
            for part in asked.only.split(","):
                command = [sys.executable, __file__, "--measure", part, str(manifest)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                spent, memory = json.loads(done.stdout.splitlines()[-1])
                line = f"{models:6d} models  {part:12s}{spent:8.2f} s {memory:7.0f} MiB"
                if part in former:
                    count, before = former[part]
                    line += f"   exponent {math.log(spent / before) / math.log(models / count):.2f}"
                former[part] = models, spent
                print(line, flush=True)


if __name__ == "__main__":
    main()
