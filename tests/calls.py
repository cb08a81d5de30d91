"""Calls of the command line that nobody would make on purpose: what a test of all doors knocks with.

``python tests/calls.py [COUNT] [SEED]`` makes them and prints those that are not answered in a sentence.
"""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import torch

import landscape
import landscape.cli.app as cli
from landscape.zoo.problem_options import ProblemOptions

VALUES = (
    *("", " ", "0", "-1", "1", "2", "3", "2.5", "1e-320", "1e999", "nan", "-inf", "true", "none", "null"),
    *(
        "9" * 30,
        "-" + "9" * 30,
        "9" * 5000,
        "18446744073709551616",
        "0x10",
        "1,2",
        "1,2,3,4,5",
        "0,0",
        "-1,1",
    ),
    *("x", "ünï🜁", "*", "[", "[]", "{}", "[1,", "[" * 3000, '"', "'", "\t\n", "../..", "/", "~", "a" * 300),
    *("a:b", "toys:total", "toys:not_one", "toy_losses:missing", "os:getcwd", "loss", "quantum", "cuda:99"),
)
"""Texts for any option: empty, huge, negative, not finite, of another type or alphabet, paths, names."""

PLAUSIBLE = (
    "1",
    "2",
    "3",
    "5",
    "9",
    "0.1",
    "0.9",
    "*",
    "weight",
    "*.weight",
    "none",
    "module",
    "batch",
    "mse",
)
"""Texts that some options take."""

NUMBERS = ("0", "1", "2", "3", "4", "5", "7", "8", "11", "0.1", "0.5", "0.99", "1e-9", "-0.0")
"""Numbers that some options take."""

HUGE = ("100000,100000", "1000000000")
"""For grids alone: whatever else is so large is asked for in earnest, and only takes its time."""

GRIDS = {"surface": "steps", "line": "steps", "connect": "steps", "matrix": "steps", "input_surface": "plane"}

BUILDERS = (
    *(
        "toy_models:mlp",
        "toy_models:raising",
        "toy_models:exiting",
        "toy_models:nothing",
        "toy_models:number",
    ),
    *(
        "toy_models:gone",
        "toy_models:",
        ":mlp",
        "gone:mlp",
        "timm:no_such",
        "json:loads",
        "",
        "ü:ü",
        "toys:total",
    ),
)
DATA = (
    *("toy_data:blobs", "toy_data:empty", "toy_data:bad_labels", "toy_data:raising", "toy_data:nothing"),
    *(
        "toy_data:gone",
        "gone:gone",
        "toy_data",
        "",
        "odd_data:" + "doubles",
        "odd_data:nan",
        "odd_data:bytes",
    ),
    *(
        "odd_data:columns",
        "odd_data:hot",
        "odd_data:one",
        "odd_data:words",
        "odd_data:endless",
        "odd_data:ragged",
    ),
)
JSON = (
    "{}",
    "",
    "[]",
    "3",
    "{",
    '{"width": 3}',
    '{"width": -1}',
    '{"gone": 1}',
    "[" * 100000,
    '{"width": 1e400}',
)

ODD_DATA = """
import itertools, numpy, torch
def doubles(): return torch.randn(12, 2).double().numpy(), (torch.arange(12) % 2).int().numpy()
def nan(): return torch.full((12, 2), float("nan")), torch.arange(12) % 2
def bytes(): return torch.arange(24).reshape(12, 2).byte(), torch.arange(12) % 2
def columns(): return torch.randn(12, 2), (torch.arange(12) % 2)[:, None]
def hot(): return torch.randn(12, 2), torch.eye(2).long().repeat(6, 1)
def one(): return torch.randn(1, 2), torch.zeros(1).long()
def words(): return ["a", "b"]
def endless(): return ((torch.randn(4096, 2), torch.zeros(4096).long()) for _ in itertools.count())
def ragged(): return torch.randn(12, 2), torch.zeros(5).long()
def images(): return torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 2
def pictures(): return (images()[0] * 255).byte(), images()[1]
"""

ODD_MODELS = """
from torch import nn
def net(width=2):
    parts = nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.Dropout(), nn.AvgPool2d(2)
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(width * 16, 2))
"""

GOOD = """[model]
builder = "toy_models:mlp"
[data]
builder = "toy_data:blobs"
[analyses.total]
analysis = "toys:total"
[[checkpoints]]
path = "m0.pt"
"""

MANIFESTS = {
    "empty": b"",
    "mark": b"\xef\xbb\xbf" + GOOD.encode(),
    "utf16": GOOD.encode("utf-16"),
    "binary": bytes(range(256)),
    "deep": b"x = " + b"[" * 5000 + b"]" * 5000,
    "digits": b"seed = " + b"9" * 5000,
    "nul": GOOD.replace("m0.pt", "m0\\u0000.pt").encode(),
    "misspelt": GOOD.replace("[data]", "[dta]").encode(),
    "loss": (GOOD + '[problem]\nloss = "crossentropy"').encode(),
    "loss module": (GOOD + '[problem]\nloss = "gone:loss"').encode(),
    "device": (GOOD + '[problem]\ndevice = "quantum"').encode(),
    "batch": (GOOD + "[problem]\nbatch_size = 2.5").encode(),
    "truth": (GOOD + "[problem]\nweight_decay = true").encode(),
    "list": (GOOD + "[problem]\nparameters = 3").encode(),
    "section": GOOD.replace("analysis =", 'modelss = ["*"]\nanalysis =').encode(),
    "together": GOOD.replace("analysis =", "together = true\nanalysis =").encode(),
    "option": GOOD.replace("analysis =", "scale = true\nanalysis =").encode(),
    "no analysis": GOOD.replace("toys:total", "toys:gone").encode(),
    "name": GOOD.replace("analyses.total", 'analyses."a/b"').encode(),
    "checkpoints": GOOD.replace("[[checkpoints]]", "[checkpoints]").encode(),
    "no file": GOOD.replace("m0.pt", "gone.pt").encode(),
    "glob": GOOD.replace("m0.pt", "gone-*.pt").encode(),
    "all": GOOD.replace("m0.pt", "**").encode(),
    "bad file": GOOD.replace("m0.pt", "garbage.pt").encode(),
    "seed": (GOOD + "seed = 1e400").encode(),
    "tags": (GOOD + "tags = 3").encode(),
    "predictive": (GOOD + '[[predictives]]\nname = "e"\nbuilder = "toy_models:count"\nmembers = []').encode(),
}


def furnish(folder: Any) -> Path:
    """Put checkpoints, manifests, stores and what only looks like them into a zoo folder."""
    root = folder.root
    for index in range(3):
        folder.add(f"m{index}", seed=index)
    (root / "odd_data.py").write_text(ODD_DATA)
    (root / "odd_models.py").write_text(ODD_MODELS)
    made: dict[str, Any] = {}
    exec(ODD_MODELS, made)
    for index in range(3):
        torch.manual_seed(index)
        torch.save(made["net"]().state_dict(), root / f"c{index}.pt")
    (root / "zoo.toml").write_text(GOOD)
    for name, content in MANIFESTS.items():
        (root / f"{name}.toml").write_bytes(content)
    (root / "garbage.pt").write_bytes(bytes(range(256)) * 9)
    (root / "empty.pt").write_bytes(b"")
    (root / "text.pt").write_text("not a checkpoint")
    (root / "folder.pt").mkdir()
    (root / "nothing").mkdir()
    shutil.copy(root / "m0.pt", root / "ünï 🜁.pt")
    landscape.Zoo.from_manifest(root / "zoo.toml").run(["total", "spectrum"], store=root / "store")
    shutil.copytree(root / "store", root / "damaged")
    for file in (root / "damaged").rglob("*.h5"):
        file.write_bytes(file.read_bytes()[:500])
    shutil.copytree(root / "store", root / "lost")
    for file in (root / "lost").glob("*.json"):
        file.write_text("{")
    result = next((root / "store" / "spectrum").glob("*.h5"))
    shutil.copy(result, root / "result.h5")
    (root / "cut.h5").write_bytes(result.read_bytes()[:-900])
    return Path(root)


PATHS = (
    "gone",
    "",
    ".",
    "zoo.toml",
    "nothing",
    "m0.pt",
    "garbage.pt",
    "result.h5",
    "cut.h5",
    "a" * 300,
    "ünï",
)
STORES = ("store", "store", "damaged", "lost", "nothing", *PATHS)
CHECKPOINTS = (
    "m0.pt",
    "m1.pt",
    "m0.pt",
    "garbage.pt",
    "empty.pt",
    "text.pt",
    "folder.pt",
    "gone.pt",
    "ünï 🜁.pt",
)
OUTPUTS = (
    "",
    ".",
    "nothing",
    "m0.pt/x.h5",
    "new/deep/er/x.h5",
    "x.h5",
    "a" * 300,
    "x.gif",
    "x.pdf",
    "/proc/x",
    "ü.h5",
)


def calls(count: int, seed: int) -> Iterator[list[str]]:
    """So many different calls, always the same of one seed."""
    rng = random.Random(seed)
    names = sorted(n for n, a in landscape.analyses().items() if a.scope != "table")
    kinds = [_run, _run, _scan, _show, _report, _figure, _figure, _other, *[_analysis] * 8]
    seen: set[tuple[str, ...]] = set()
    while len(seen) < count:
        kind = rng.choice(kinds)
        call = kind(rng, names[len(seen) % len(names)]) if kind is _analysis else kind(rng)
        if tuple(call) not in seen:
            seen.add(tuple(call))
            yield call


def _some(rng: random.Random, options: dict[str, tuple[str, ...]], most: int = 3) -> list[str]:
    chosen = rng.sample(sorted(options), rng.randint(0, min(most, len(options))))
    return [
        part for name in chosen for part in ([name, rng.choice(options[name])] if options[name] else [name])
    ]


def _run(rng: random.Random) -> list[str]:
    manifest = rng.choice([f"{name}.toml" for name in MANIFESTS] * 2 + ["zoo.toml", "zoo.toml", *PATHS])
    options = {
        "--only": ("total", "gone", "", ",", "total,total", "spectrum", "toys:broken", "taxonomy", "losses"),
        "--jobs": ("0", "-1", "1", "x", "2.5"),
        "--cluster": ("", "tcp://127.0.0.1:1", "gone.json"),
        "--dry-run": (),
        "--overwrite": (),
        "--shard": ("1/1", "0/1", "2/1", "x", "", "1/2/3", "9" * 50 + "/1"),
        "--store": ("other", *PATHS),
        "--no-report": (),
    }
    if rng.random() < 0.9:
        del options["--cluster"]
    return ["run", manifest, *_some(rng, options)]


def _scan(rng: random.Random) -> list[str]:
    return [
        "scan",
        rng.choice(PATHS),
        *_some(rng, {"--write-manifest": (), "--allow": ("", "x", "os.system")}),
    ]


def _show(rng: random.Random) -> list[str]:
    files = [rng.choice(("store/zoo.h5", "result.h5", *PATHS)) for _ in range(rng.randint(1, 2))]
    return ["show", *files, *_some(rng, {"--group": ("", "gone", "spectrum/m0", "/", "..", "total")})]


def _report(rng: random.Random) -> list[str]:
    options = {
        "-o": OUTPUTS,
        "--analysis": ("spectrum", "gone", "toys:total", "toys:not_one", ""),
        "--models": ("m0", "gone", "*", "[", ""),
    }
    return ["report", rng.choice(STORES), *_some(rng, options)]


def _figure(rng: random.Random) -> list[str]:
    options = {
        "-o": (*OUTPUTS, "x.vtk", "x.svg"),
        "-f": ("gone", "", "spectrum"),
        "--models": ("m0", "gone", "*", ""),
        "--by": ("zzz", "", "group", "seed"),
        "--column": ("single", "triple", ""),
    }
    analysis = rng.choice(("spectrum", "spectrum", "total", "gone", "", "surface", "toys:total"))
    return ["figure", rng.choice(STORES), "-a", analysis, *_some(rng, options)]


def _other(rng: random.Random) -> list[str]:
    fixed = [
        ["demo", "--out", "m0.pt"],
        ["demo", "--out", "m0.pt/x", "--quick"],
        ["demo", "--out", "a" * 300],
        ["study", rng.choice(PATHS), "--quick"],
        ["study", "toys.py", "--size", rng.choice(VALUES)],
        ["study", "toys.py", "--quick", "--full"],
        ["study", "toys.py", "--out", "m0.pt"],
        ["study", "toys.py", "--seeds", rng.choice(("0", "-1", "x"))],
        ["--version", rng.choice(VALUES)],
        [rng.choice(VALUES)],
        ["spectrm", "m0.pt"],
        ["taxonomy", "m0.pt"],
        [rng.choice(("run", "show", "figure", "spectrum", "scan", "report")), "--help", "x"],
    ]
    return rng.choice(fixed)


def _analysis(rng: random.Random, name: str) -> list[str]:
    analysis = landscape.analyses()[name]
    takes = {"checkpoint": 1, "pair": 2}.get(analysis.scope, 2)
    files = ["m0.pt", "m1.pt", "m2.pt"][:takes]
    model, data = "toy_models:mlp", "toy_data:blobs"
    if rng.random() < 0.6:
        model, data = (
            "odd_models:net",
            rng.choice(("odd_data:images", "odd_data:images", "odd_data:pictures")),
        )
        files = [file.replace("m", "c") for file in files]
    own: list[str] = []
    roll = rng.random()
    if roll < 0.15:
        files = [rng.choice(CHECKPOINTS) for _ in range(rng.randint(1, 3))]
    elif roll < 0.25:
        model = rng.choice(BUILDERS)
    elif roll < 0.4:
        data = rng.choice(DATA)
    elif roll < 0.5:
        own = [rng.choice(("--model-kwargs", "--data-kwargs")), rng.choice(JSON)]
    elif roll < 0.6:
        own = ["-o", rng.choice(OUTPUTS)]
    elif roll < 0.65 and name in GRIDS:
        own = [f"--{GRIDS[name].replace('_', '-')}", rng.choice(HUGE)]
    if not own or rng.random() < 0.3:
        shared = {n: f for n, f in ProblemOptions.model_fields.items() if n != "allow"}
        options = {**analysis.params.model_fields, **(shared if rng.random() < 0.3 else {})}
        for option in rng.sample(sorted(options), min(len(options), rng.choice((1, 1, 1, 2)))):
            flag = option.replace("_", "-")
            if options[option].annotation in (bool, bool | None):
                own.append(rng.choice((f"--{flag}", f"--no-{flag}")))
            else:
                own += [f"--{flag}", rng.choice(_texts(rng, options[option].annotation))]
    return [name, *files, "--model", model, "--data", data, *own]


def _texts(rng: random.Random, kind: Any) -> tuple[str, ...]:
    """Texts for an option of a type: of all kinds, or such as it takes."""
    roll, choices = rng.random(), get_args(kind)
    if roll < 0.4:
        return VALUES
    if roll < 0.7 and choices and all(isinstance(choice, str) for choice in choices):
        return choices
    return NUMBERS if kind in (int, float) or any(part in (int, float) for part in choices) else PLAUSIBLE


def answer(invoke: Any, call: list[str]) -> str:
    """What is wrong with the answer to a call; empty if it is one of the documented kinds."""
    result = invoke(*call)
    words = result.output
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return f"raised {type(result.exception).__name__}: {result.exception}"
    if "unexpected error" in words or "Traceback" in words:
        return words
    if result.exit_code not in (0, 1, 2):
        return f"exit status {result.exit_code}"
    if result.exit_code == 2 and not words.strip():
        return "exit status 2 without a word"
    return ""


def main(count: int = 400, seed: int = 0) -> int:
    """Make the calls in a folder of their own; the number of those that are not answered well."""
    import os
    import tempfile
    import time
    import warnings
    from collections import Counter

    from typer.testing import CliRunner

    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from toyzoo import ZooFolder

    warnings.simplefilter("ignore")
    wrong, statuses = 0, Counter[int]()
    with tempfile.TemporaryDirectory() as home:
        os.chdir(home)
        sys.path.insert(0, home)
        furnish(ZooFolder(Path(home)))

        def invoke(*arguments: str) -> Any:
            result = CliRunner().invoke(cli.app, list(arguments), env={"COLUMNS": "200"})
            statuses[result.exit_code] += 1
            return result

        for call in calls(count, seed):
            begun = time.perf_counter()
            said = answer(invoke, call)
            took = time.perf_counter() - begun
            if said or took > 20:
                wrong += bool(said)
                print(f"{took:.1f} s", [part[:60] for part in call], said[-600:], flush=True)
        os.chdir("/")
    print(f"{count} calls of seed {seed}: {wrong} answered badly; exits {dict(sorted(statuses.items()))}")
    return wrong


if __name__ == "__main__":
    sys.exit(min(1, main(*map(int, sys.argv[1:]))))
