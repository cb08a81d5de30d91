"""The pool: the bits of a serial run, and workers that die alone."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from landscape.errors import InputError
from landscape.store import read_contents
from landscape.zoo import Zoo
from landscape.zoo.events import Failed, Started
from landscape.zoo.executors.pool import PoolExecutor

TOTAL = '[analyses.total]\nanalysis = "toys:total"'


PAIRS = '[analyses.distance]\nanalysis = "toys:distance"'


GROUPS = '[analyses.losses]\nanalysis = "toys:losses"'


def run(path, *args, **keywords):
    return Zoo.from_manifest(path).run(*args, **keywords)


def failures(result):
    return {f.model: f.error for f in result.failed}


def values(directory):
    """The bytes of all data variables in a store, by section and subject."""
    return {
        (s.label, subject): {name: ds[name].values.tobytes() for name in ds.variables}
        for s in read_contents(directory).sections
        for subject, ds in s.results.items()
    }


class TestPool:
    def test_same_bits_as_serial(self, folder, tmp_path):
        """Oracle: the serial run, with as many torch threads."""
        for i in range(3):
            folder.add(f"m{i}", seed=i)
        path = folder.write("\n".join([TOTAL, PAIRS, GROUPS]))
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        serial = run(path, store=tmp_path / "serial")
        torch.set_num_threads(threads)
        pool = run(path, store=tmp_path / "pool", executor=PoolExecutor(2, threads=1))
        assert (pool.done, pool.failed) == (serial.done, ()) == (7, ())
        assert values(tmp_path / "pool") == values(tmp_path / "serial")

    def test_a_worker_that_dies_fails_its_task_alone(self, folder):
        """Oracle: the builder of one model kills its own process."""
        folder.add("m0")
        folder.add("deadly", 'builder = "toy_models:deadly"')
        folder.add("m2", seed=2)
        result = run(folder.write(f"{TOTAL}\n[analyses.twice]\nanalysis = 'toys:total'\nscale = 2"), jobs=2)
        assert result.done == 4
        assert {(f.label, f.model, f.kind) for f in result.failed} == {
            ("total", "deadly", "worker"),
            ("twice", "deadly", "worker"),
        }
        assert failures(result)["deadly"] == "its worker process was killed by SIGKILL (out of memory?)."

    def test_a_dead_worker_with_a_living_child(self, folder):
        """Oracle: the run ends well before the child does, which holds the worker's pipe for 30 s."""
        folder.add("m0", 'builder = "toy_models:survived_by_a_child"')
        folder.add("m1", seed=1)
        ends = []
        result = run(folder.write(), jobs=2, on_event=lambda e: ends.append((e, time.monotonic())))
        assert result.done == 1
        assert failures(result)["m0"] == "its worker process ended with status 3."
        started = next(t for e, t in ends if isinstance(e, Started) and e.task.subject == "m0")
        failed = next(t for e, t in ends if isinstance(e, Failed))
        assert failed - started < 20

    def test_data_that_differ_between_processes(self, folder):
        folder.add("m0")
        result = run(folder.write(data="by_process"), jobs=2)
        assert "'toy_data:by_process' is not deterministic" in failures(result)["m0"]

    def test_data_without_a_seed_are_seeded(self, folder):
        """Oracle: the key would change with the data, so a second run would find nothing done."""
        folder.add("m0")
        folder.add("m1", seed=1)
        assert run(folder.write(data="unseeded"), jobs=2).done == 2
        assert run(folder.write(data="unseeded")).skipped == 2

    def test_workers_die_with_their_parent(self, folder):
        """Oracle: the processes that the system lists after the parent was killed."""
        folder.add("m0")
        folder.add("m1", seed=1)
        path = folder.write(f"{TOTAL}\nsleep_s = 60.0")
        code = (
            "import sys, multiprocessing\nfrom landscape.zoo import Zoo\n"
            "from landscape.zoo.events import Started\n"
            "def tell(event):\n"
            "    if isinstance(event, Started):\n"
            "        print(*[p.pid for p in multiprocessing.active_children()], flush=True)\n"
            "if __name__ == '__main__':\n"
            "    Zoo.from_manifest(sys.argv[1]).run(jobs=2, on_event=tell)\n"
        )
        (folder.root / "script.py").write_text(code)
        command = [sys.executable, str(folder.root / "script.py"), str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
            parent.stdout.readline()
            pids = [int(p) for p in parent.stdout.readline().split()]
            assert len(pids) == 2
            parent.kill()
        deadline = time.monotonic() + 20
        while any(map(running, pids)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(running, pids))

    def test_a_script_without_a_main_guard_is_told(self, folder):
        folder.add("m0")
        path = folder.write()
        (folder.root / "script.py").write_text(
            f"from landscape.zoo import Zoo\nZoo.from_manifest({str(path)!r}).run(jobs=2)\n"
        )
        command = [sys.executable, str(folder.root / "script.py")]
        out = subprocess.run(command, capture_output=True, text=True, timeout=200)
        assert "put the call under `if __name__ == '__main__':`" in out.stderr.splitlines()[-1]

    def test_no_jobs(self, folder):
        folder.add("m0")
        with pytest.raises(InputError, match="at least 1; got 0"):
            run(folder.write(), jobs=0)


def running(pid):
    """Whether a process lives and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_program_from_standard_input_may_have_workers(folder):
    """Oracle: the count of tasks. Python tells workers to run the file ``<stdin>`` first, which is none."""
    for i in range(2):
        folder.add(f"m{i}", seed=i)
    path = folder.write(TOTAL)
    code = f"from landscape.zoo import Zoo\nresult = Zoo.from_manifest({str(path)!r}).run(jobs=2)\n"
    code += "print(result.done, len(result.failed), __file__)\n"
    ran = subprocess.run(
        [sys.executable, "-"], input=code, capture_output=True, text=True, timeout=200, check=False
    )
    assert ran.stdout.split()[:2] == ["2", "0"], ran.stderr
