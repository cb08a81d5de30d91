"""Signals at random instants of runs, serial, with worker processes, and on a Dask cluster.

``python tests/faults/signals.py 1000 --seed 1`` sends a thousand and prints what happened; a few are a test.
After each signal, every result that was there must be there with the same bytes, and no process may be left
behind; whenever a store is finished, its values must have the bits of an undisturbed run, and nothing else
may lie in it.

Processes are forked from this one, which has torch imported: a run that starts anew takes seconds, and does
the same from there on.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch

import landscape.core.problem.problem
import landscape.store.zoo_file  # noqa: F401 - before the fork, so that no run has to
from landscape.store import read_contents
from landscape.zoo import Zoo

ANALYSES = """
[analyses.total]
analysis = "toys:total"
sleep_s = 0.02
[analyses.distance]
analysis = "toys:distance"
[analyses.losses]
analysis = "toys:losses"
[analyses.surface]
steps = [2, 2]
"""
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
MODES = ("serial", "jobs", "dask")
WORKERS = 2
PATIENCE_S = 120.0


def zoo_in(folder: Path) -> Path:
    """Four models under analyses of all scopes, one of which works in pieces."""
    spec = importlib.util.spec_from_file_location("toyzoo", Path(__file__).parents[1] / "toyzoo.py")
    toyzoo: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(toyzoo)
    made = toyzoo.ZooFolder(folder)
    for k in range(4):
        made.add(f"m{k}", 'group = "g"', seed=k)
    return made.write(ANALYSES)


def child(work: Any) -> int:
    """A process of a session of its own that does something; its number."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setsid()
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def session(leader: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == leader and fields[0] != "Z":
                    found.append(int(entry.name))
    return found


def ended(pid: int) -> bool:
    """Whether a child has ended; it is buried then."""
    return os.waitpid(pid, os.WNOHANG)[0] != 0


def until(condition: Any, what: str) -> None:
    """Wait; to hang is a fault."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.01)


class Cluster:
    """A Dask scheduler, and workers that are put in the place of those that died."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "scheduler.json"
        self.scheduler = child(self._schedule)
        until(self.file.exists, "no scheduler")
        self.workers: list[int] = []
        self.refill()

    def refill(self) -> None:
        """As many workers as there should be."""
        self.workers = [pid for pid in self.workers if not ended(pid)]
        while len(self.workers) < WORKERS:
            self.workers.append(child(self._work))

    def close(self) -> None:
        """End all of it."""
        for pid in (*self.workers, self.scheduler):
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def _schedule(self) -> None:
        import dask
        from distributed import Scheduler

        async def serve() -> None:
            options = {"host": "127.0.0.1", "port": 0, "dashboard": False, "scheduler_file": str(self.file)}
            async with Scheduler(**options) as scheduler:
                await scheduler.finished()

        with dask.config.set({"distributed.scheduler.allowed-failures": 10_000}):
            asyncio.run(serve())

    def _work(self) -> None:
        from distributed import Worker

        async def serve() -> None:
            async with Worker(scheduler_file=str(self.file), nthreads=1, dashboard=False) as worker:
                await worker.finished()

        asyncio.run(serve())


class Campaign:
    """One way of running, signalled again and again."""

    def __init__(self, mode: str, seed: int, folder: Path) -> None:
        self.mode = mode
        self.rng = random.Random(f"{mode} {seed}")
        self.folder = folder
        self.manifest = zoo_in(folder)
        self.store = folder / "results"
        self.happened: Counter[str] = Counter()
        self.wrong: list[str] = []
        # Here first, so that forked runs find imported whatever they need.
        torch.set_num_threads(1)
        Zoo.from_manifest(self.manifest).run()
        self.right = self.values()
        self.empty()
        self.cluster = Cluster(folder) if mode == "dask" else None
        start = time.monotonic()
        code = os.waitstatus_to_exitcode(os.waitpid(child(self.run), 0)[1])
        self.whole_run_s = time.monotonic() - start
        if code != 0 or self.values() != self.right:
            raise RuntimeError(f"an undisturbed run of mode {mode} ended with {code}")
        self.empty()

    def run(self) -> None:
        """What a child does."""
        torch.set_num_threads(1)
        options: dict[str, Any] = {}
        if self.mode == "jobs":
            fork = multiprocessing.get_context("fork")
            multiprocessing.get_context = lambda method=None: fork  # type: ignore[assignment]
            options = {"jobs": WORKERS}
        if self.mode == "dask":
            options = {"cluster": str(self.cluster.file)}
        Zoo.from_manifest(self.manifest).run(**options)

    def values(self) -> dict[Any, bytes]:
        """The bytes of all variables of a finished store."""
        contents = read_contents(self.store)
        self.wrong += [f"{f.label} of {f.model} failed: {f.error}" for f in contents.failures]
        if contents.missing:
            self.wrong.append(f"{contents.missing} tasks lost")
        # Their lock files stay, as they may be another's; whoever runs next removes them with all the rest.
        kinds = (".tmp", ".partial", ".damaged", ".mine", ".npz")
        left = [f.name for f in self.store.rglob("*") if f.suffix in kinds]
        self.wrong += [f"'{name}' is left behind" for name in left]
        return {
            (s.label, subject, str(name)): ds[name].values.tobytes()
            for s in contents.sections
            for subject, ds in s.results.items()
            for name in ds.variables
        }

    def files(self) -> dict[Path, bytes]:
        """Results and their bytes."""
        return {f: f.read_bytes() for f in self.store.glob("*/*.h5")}

    def empty(self) -> None:
        """Begin anew."""
        shutil.rmtree(self.store, ignore_errors=True)

    def signals(self, count: int, seconds: float) -> None:
        """Send so many, or as many as can be sent in so long."""
        sent, end = 0, time.monotonic() + seconds
        while sent < count and time.monotonic() < end:
            leader, began = child(self.run), time.monotonic()
            over = False
            while not over and sent < count:
                self.wait(leader, self.rng.uniform(0.0, 0.9) * self.whole_run_s)
                if self.cluster is not None:
                    self.cluster.refill()
                if over := ended(leader):
                    self.happened["runs that ended first"] += 1
                    self.whole_run_s += 0.3 * (time.monotonic() - began - self.whole_run_s)
                    break
                # Looked at before the signal, compared after it: what is written in between is more.
                before = self.files()
                workers = self.cluster.workers if self.cluster is not None else session(leader)
                target = self.rng.choice([leader, *(w for w in workers if w != leader)])
                number = self.rng.choice(SIGNALS)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(target, number)
                sent += 1
                which = "the run" if target == leader else "a worker"
                self.happened[f"{signal.Signals(number).name} to {which}"] += 1
                if target == leader:
                    until(lambda: ended(leader), "a run does not end after its signal")  # noqa: B023
                    over = True
                after = self.files()
                lost = [f.name for f in before if after.get(f) != before[f]]
                self.wrong += [f"signal {sent}: '{name}' is gone or another" for name in lost]
            if not over:
                until(lambda: ended(leader), "a run does not end")  # noqa: B023
            self.look_for_orphans(leader)
            if self.rng.random() < 0.1:
                self.finish()
        self.finish()

    def wait(self, leader: int, seconds: float) -> None:
        """Sleep, but not beyond the end of the run."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and Path(f"/proc/{leader}").exists():
            if self.is_zombie(leader):
                return
            time.sleep(0.005)

    @staticmethod
    def is_zombie(pid: int) -> bool:
        """Whether a child has ended and is not buried."""
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        return True

    def look_for_orphans(self, leader: int) -> None:
        """Workers end with their run, though not at once."""
        try:
            until(lambda: not session(leader), "orphans")
        except TimeoutError:
            orphans = session(leader)
            self.wrong.append(f"{len(orphans)} processes outlive their run")
            for pid in orphans:
                os.kill(pid, signal.SIGKILL)

    def finish(self) -> None:
        """Let one run end, compare all bits, and begin anew."""
        if self.cluster is not None:
            self.cluster.refill()
        leader = child(self.run)
        until(lambda: ended(leader), "the last run does not end")
        self.look_for_orphans(leader)
        self.happened["stores finished"] += 1
        self.happened["values compared"] += len(self.right)
        if self.values() != self.right:
            self.wrong.append("a store has other values than that of an undisturbed run")
        self.empty()

    def close(self) -> None:
        """End what it started."""
        if self.cluster is not None:
            self.cluster.close()


def campaign(
    counts: dict[str, int], seed: int, seconds: float = float("inf")
) -> tuple[dict[str, Counter[str]], list[str]]:
    """So many signals in each mode; what happened, and what must not have."""
    happened, wrong = {}, []
    for mode, count in counts.items():
        if not count:
            continue
        with tempfile.TemporaryDirectory() as top:
            one = Campaign(mode, seed, Path(top))
            try:
                one.signals(count, seconds / len(counts))
            except TimeoutError as error:
                one.wrong.append(f"hangs: {error}")
            finally:
                one.close()
            happened[mode] = one.happened
            wrong += [f"{mode}: {text}" for text in one.wrong]
    return happened, wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, help="shared among the modes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--minutes", type=float, default=float("inf"), help="send no more after so long")
    options = parser.parse_args()
    chosen = options.modes.split(",")
    shares = {
        mode: options.count // len(chosen) + (k < options.count % len(chosen))
        for k, mode in enumerate(chosen)
    }
    told, faults = campaign(shares, options.seed, 60 * options.minutes)
    for mode, counter in told.items():
        print(mode, *(f"{n:6d} {what}" for what, n in sorted(counter.items())), sep="\n")
    times = os.times()
    print(
        f"{times.user + times.system + times.children_user + times.children_system:.0f} s of processor time"
    )
    print(*faults or ["nothing lost, no orphans, all bits alike"], sep="\n")
    sys.exit(bool(faults))
