"""Files that are changed at random, given to everything that reads files of strangers.

``python tests/faults/fuzz.py 2000 --seed 1`` tries two thousand and prints what happened; the first hundreds
are a test. Nothing may run (a program in each file would make a folder), nothing may be written, and what is
wrong with a file is one sentence.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import pickle
import random
import resource
import struct
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from safetensors.torch import save as save_tensors

from landscape.errors import LandscapeError
from landscape.store.contents import read_contents
from landscape.store.fast_read import read
from landscape.store.netcdf import image
from landscape.zoo.layouts.scan import scan_directory
from landscape.zoo.reading.allowed import offered
from landscape.zoo.reading.archive import names_in
from landscape.zoo.reading.weights import read_whole

STATE = {"w": torch.arange(12.0).reshape(3, 4), "n": {"b": torch.ones(2)}, "e": 3}
LONGEST_S = 10.0


class Program:
    """Makes a folder when it is unpickled by Python."""

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (self.mark,))


def bases(mark: Path) -> dict[str, bytes]:
    """A whole file of each kind; those that can hold a program do."""
    content = {"state_dict": STATE, "x": Program(mark), "a": np.arange(3.0), "s": np.float64(2)}
    files = {}
    for name, zipped in (("x.pt", True), ("x.pth", False)):
        buffer = io.BytesIO()
        torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
        files[name] = buffer.getvalue()
    for protocol in (2, 4, 5):
        files[f"p{protocol}.pkl"] = pickle.dumps(content, protocol)
    files["x.safetensors"] = save_tensors({"w": STATE["w"], "b": torch.ones(2)})
    ds = xr.Dataset(
        {"loss": ("t", np.arange(4.0)), "on": ("t", np.ones(4, bool))}, coords={"t": np.arange(4.0)}
    )
    facts = {"analysis": "line", "model": "a", "label": "line", "parameters": "{}", "tags": "{}"}
    files["r.h5"] = image(ds.assign_attrs(facts))
    section = {"label": "l", "analysis": "line", "folder": "line", "parameters": {}, "tasks": {"a": "k"}}
    files["zoo.json"] = json.dumps({"name": "z", "models": [{"name": "a"}], "sections": [section]}).encode()
    files["result.json"] = b'{"training_iteration": 1, "loss": 0.5, "checkpoint_dir_name": "checkpoint_1"}\n'
    files["progress.csv"] = b"training_iteration,loss\n1,0.5\n"
    return files


def pickles_of(data: bytes) -> bytes | None:
    """The pickle of an archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(next(n for n in archive.namelist() if n.endswith("data.pkl")))


def random_pickle(rng: random.Random, mark: Path) -> bytes:
    """Operations of pickle in no order that makes sense, some of which would run a program."""
    text = str(mark).encode()
    parts = [
        b"(",
        *(
            b"0",
            b"1",
            b"2",
            b"N",
            b"\x88",
            b")",
            b"]",
            b"}",
            b"\x8f",
            b"a",
            b"e",
            b"s",
            b"u",
            b"t",
            b"\x85",
            b"\x86",
        ),
        *(
            b"b",
            b"R",
            b"\x81",
            b"o",
            b"\x94",
            b"h\x00",
            b"h\x01",
            b"Q",
            b"l",
            b"d",
            b"\x90",
            b"\x91",
            b"K\x01",
        ),
        b"cposix\nmkdir\n",
        b"cbuiltins\neval\n",
        b"ctorch\nFloatStorage\n",
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ctorch.storage\n_load_from_bytes\n",
        b"cnumpy.core.multiarray\n_reconstruct\n",
        b"cnumpy\ndtype\n",
        b"ccollections\nOrderedDict\n",
        b"c__builtin__\nbytearray\n",
        b"c_codecs\nencode\n",
        b"X" + struct.pack("<I", len(text)) + text,
        b"\x8c\x07storage",
        b"\x8c\x010",
        b"J\xff\xff\xff\x7f",
        b"\x8a\x09" + b"\xff" * 8 + b"\x00",
        b"X\xff\xff\xff\xff",
        b"\x8e" + b"\xff" * 7 + b"\x00",
    ]
    return b"\x80\x04" + b"".join(rng.choice(parts) for _ in range(rng.randrange(1, 60))) + b"."


def changed(data: bytes, rng: random.Random) -> bytes:
    """A file with a few bytes of it flipped, cut, doubled, or made large."""
    new = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        place = rng.randrange(len(new)) if new else 0
        kind = rng.randrange(5)
        if kind == 0 and new:
            new[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del new[place : place + rng.randrange(1, 50)]
        elif kind == 2:
            new[place:place] = new[place : place + rng.randrange(1, 200)]
        elif kind == 3:
            new[place : place + 4] = rng.choice((b"\xff" * 4, b"\x00" * 4, b"\x7f\xff\xff\xff", b"=\x1b[2"))
        else:
            new[place:place] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
    return bytes(new)


def attempt(
    rng: random.Random, folder: Path, mark: Path, files: dict[str, bytes]
) -> tuple[str, Callable[[], object]]:
    """Write a changed file, and what reads it."""
    name = rng.choice(list(files))
    data = files[name]
    if name == "x.pt" and rng.random() < 0.7:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = {n: archive.read(n) for n in archive.namelist()}
        inner = next(n for n in parts if n.endswith("data.pkl"))
        parts[inner] = random_pickle(rng, mark) if rng.random() < 0.5 else changed(parts[inner], rng)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for part, content in parts.items():
                archive.writestr(part, content)
        data = buffer.getvalue()
    elif name.endswith(".pkl") and rng.random() < 0.4:
        data = random_pickle(rng, mark)
    else:
        data = changed(data, rng)
    if name in ("zoo.json", "r.h5"):
        (folder / "line").mkdir()
        for other in ("zoo.json", "r.h5"):
            place = folder / ("line/k.h5" if other == "r.h5" else other)
            place.write_bytes(data if other == name else files[other])
        return name, lambda: (read_contents(folder), read(folder / "line/k.h5") if name == "r.h5" else None)
    if name in ("result.json", "progress.csv"):
        (folder / "t/checkpoint_1").mkdir(parents=True)
        (folder / "t" / name).write_bytes(data)
        (folder / "t/checkpoint_1/model.pt").write_bytes(files["x.pt"])
        return name, lambda: scan_directory(folder)
    path = folder / name
    path.write_bytes(data)

    def look() -> None:
        scan_directory(folder)
        offered(names_in(path))
        read_whole(path)

    return name, look


def campaign(count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """Try so many files; count what happened, and list what must not happen."""
    rng = random.Random(seed)
    happened: Counter[str] = Counter()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as top:
        mark = Path(top) / "mark"
        files = bases(mark)
        for k in range(count):
            folder = Path(top) / f"{k}"
            folder.mkdir()
            name, look = attempt(rng, folder, mark, files)
            before = set(folder.rglob("*"))
            start, memory = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            try:
                look()
                happened[f"{name}: read"] += 1
            except LandscapeError as error:
                happened[f"{name}: a sentence"] += 1
                if not str(error).isprintable() or len(str(error)) > 2000:
                    wrong.append(f"{k} {name}: no sentence: {error!r}")
            except BaseException as error:
                wrong.append(f"{k} {name}: {type(error).__name__}: {error}")
            taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory  # kB
            if mark.exists():
                wrong.append(f"{k} {name}: A PROGRAM RAN")
                mark.rmdir()
            if set(folder.rglob("*")) != before:
                wrong.append(f"{k} {name}: something was written")
            if time.monotonic() - start > LONGEST_S:
                wrong.append(f"{k} {name}: took {time.monotonic() - start:.0f} s")
            if taken > 300_000:
                wrong.append(f"{k} {name}: took {taken} kB")
    return happened, wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    counts, faults = campaign(options.count, options.seed)
    print(*(f"{n:6d} {what}" for what, n in sorted(counts.items())), *faults, sep="\n")
    sys.exit(bool(faults))
