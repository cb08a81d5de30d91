"""Single bits flipped in results and in zoo.h5, which must be noticed, all of them.

``python tests/faults/flips.py 400 --seed 1`` tries four hundred of each and prints what happened; a few dozen
are a test.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from landscape.errors import StoreError
from landscape.store import Store, consolidate, read_field
from landscape.store import open as open_file
from landscape.store.fast_read import read


def results() -> list[xr.Dataset]:
    """Numbers, texts, truth values and attributes, as results have them."""
    rng = np.random.default_rng(0)
    made = []
    for k in range(3):
        values = {
            "loss": (("a", "b"), rng.normal(size=(21, 21)), {"units": "nat"}),
            "word": ("a", np.array([f"word {i}" for i in range(21)])),
            "yes": ("b", rng.random(21) > 0.5),
        }
        attrs = {"analysis": "toy", "label": "toy", "model": f"m{k}", "parameters": "{}", "schema_version": 1}
        made.append(xr.Dataset(values, coords={"a": np.linspace(-1, 1, 21)}, attrs=attrs))
    return made


def alike(found: Any, right: Any) -> bool:
    """Whether two readings gave the same, to the bit."""
    if isinstance(right, xr.Dataset):
        return bool(found.identical(right))
    return found.keys() == right.keys() and all(np.array_equal(found[k], right[k]) for k in right)


def campaign(count: int, seed: int) -> Counter[str]:
    """Flip so many bits in results, and as many in zoo.h5, each alone; count how it was noticed."""
    rng = random.Random(seed)
    happened: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as top:
        store = Store(Path(top) / "store")
        paths = [store.write(ds, f"key{k}") for k, ds in enumerate(results())]
        whole = consolidate(store)
        looks: dict[str, tuple[list[Path], list[Callable[[Path], Any]]]] = {
            "a result": (paths, [open_file, read]),
            "zoo.h5": ([whole], [lambda p: open_file(p, "toy/m1"), lambda p: read_field(p, "toy", "loss")]),
        }
        for kind, (files, readers) in looks.items():
            good = {f: f.read_bytes() for f in files}
            right = {(f, look): look(f) for f in files for look in readers}
            for _ in range(count):
                file = rng.choice(files)
                data = bytearray(good[file])
                bit = rng.randrange(8 * len(data))
                data[bit // 8] ^= 1 << bit % 8
                file.write_bytes(data)
                for look in readers:
                    try:
                        # One bit is HDF5's mark of a file that a program has open: it changes no value.
                        same = alike(look(file), right[file, look])
                        happened[f"{kind}: harmless" if same else f"{kind}: SILENT (bit {bit})"] += 1
                    except StoreError:
                        happened[f"{kind}: noticed"] += 1
                file.write_bytes(good[file])
    return happened


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts = campaign(options.count, options.seed)
    print(*(f"{n:6d} {what}" for what, n in sorted(counts.items())), sep="\n")
    sys.exit(any("SILENT" in what for what in counts))
