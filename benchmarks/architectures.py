"""What runs on the networks that people have: one of each family of timm and torchvision, random weights.

    python benchmarks/architectures.py --out sweep.jsonl [--only 'timm:res*'] [--again failed]
    python benchmarks/architectures.py --out sweep.jsonl --table
    python benchmarks/architectures.py --out sweep.jsonl --page docs/architectures.md

A family is a module of the library that defines networks; its smallest published network is taken, up to 30
million parameters, for three classes, and five pictures of the smallest size from 64 pixels on that it takes.
Weights are those of a seed, moved a little at random so that no branch is zero; running statistics are those
of a pass over other noise. Each family has a process of its own, on one thread, within a limit of memory and
of processor time, which other work on the machine does not use up. What is done is in the file at once, and
not done again.

Each part comes out as

- right: the product of the Hessian with a random vector, in float64, is that of plain double backward on a
  copy that landscape has not touched, to a relative 1e-6, mostly 1e-14 (float32: 1e-3, where float64 does not
  fit the memory); feature analyses give finite numbers; CKA of two seeds is 1 on the diagonal, wherever it is
  a number; alignment of two seeds leaves the outputs as they were (it checks that itself);
- nothing to measure: a network without attention has no response of attention;
- refused: landscape says in a sentence why not;
- failed: anything else, wrong numbers, a traceback, too slow or too large.
"""

from __future__ import annotations

import argparse
import fnmatch
import functools
import json
import multiprocessing
import os
import re
import resource
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

CLASSES, PICTURES = 3, 5
SIZES = (64, 96, 112, 128, 160, 192, 224, 240, 256, 288, 320, 384)
PARTS = (
    "build",
    "hessian",
    "fourier",
    "transfer",
    "feature_variance",
    "attention_response",
    "lesion",
    "cka",
    "alignment",
)
FEATURES = PARTS[2:7]
NOTHING = re.compile(r"has no self-attention|has no unit|no units of")
LARGE = re.compile(r"giant|huge|large|gigantic|xlarge|xxlarge|enormous|so400m|so150m|_[xh]l\b")
FORK = multiprocessing.get_context("fork")  # so that the libraries are imported once
TOO_LARGE = ("timm:halonet_h1",)
"""Smallest networks of a family, whose own pass over five of their pictures takes too much memory."""
TOLERANCE = {"float64": 1e-6, "float32": 1e-3}  # some networks compute parts in float32, whatever they are in
LIBRARIES = ("timm", "torchvision")


# Families


def families(library: str) -> dict[str, list[str]]:
    """Names of the networks of each family, as ``library:name``."""
    found: dict[str, list[str]] = {}
    if library == "timm":
        import timm

        for module in timm.list_modules():
            names = [n for n in timm.list_models(module=module) if not n.startswith("test_")]
            found[module] = [f"timm:{name}" for name in names]
    else:
        import torchvision

        for name in torchvision.models.list_models():
            home = torchvision.models.get_model_builder(name).__module__.removeprefix("torchvision.models.")
            if home.split(".")[0] not in ("detection", "optical_flow", "quantization", "video"):
                found.setdefault(home, []).append(f"torchvision:{name}")
    return found


def create(name: str, **options: Any) -> Any:
    """A network without weights of the library's."""
    library, _, network = name.partition(":")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if library == "timm":
            import timm

            return timm.create_model(network, pretrained=False, **options)
        import torchvision

        kind = torchvision.models.get_model_builder(network).__module__
        more = {"weights_backbone": None} if "segmentation" in kind else {}
        if network in ("googlenet", "inception_v3"):
            more["aux_logits"] = False
        return torchvision.models.get_model(network, weights=None, **more, **options)


def count(name: str) -> int | None:
    """Parameters; ``None`` of a network that cannot be made without values."""
    import torch

    try:
        with torch.device("meta"):
            return sum(p.numel() for p in create(name, num_classes=CLASSES).parameters())
    except Exception:
        return None


def smallest(names: list[str]) -> tuple[str, int] | None:
    """The smallest network of a family and its parameters; those that say they are large are not counted."""
    names = [n for n in names if not LARGE.search(n) and n not in TOO_LARGE] or names
    counted = [(parameters, name) for name in names if (parameters := count(name)) is not None]
    if not counted:  # made with values, the first that its library lists
        return names[0], sum(p.numel() for p in create(names[0], num_classes=CLASSES).parameters())
    parameters, name = min(counted)
    return name, parameters


# One network


def prepared(name: str, seed: int, options: dict[str, Any], size: int) -> Any:
    """The network with the weights of a seed, no branch of it zero, statistics as in training."""
    import torch

    torch.manual_seed(seed)
    model = create(name, num_classes=CLASSES, **options)
    with torch.no_grad():
        for p in model.parameters():
            spread = 0.1 * float(p.std()) if p.numel() > 1 else 0.0
            p.add_(torch.randn_like(p) * max(spread, 0.02))
        model.train()
        output_of(model, torch.randn(2 * PICTURES, 3, size, size))
    return model.eval()


def output_of(model: Any, x: Any) -> Any:
    """Scores (B, classes), or (B, classes, H, W) of a segmentation."""
    output = model(x)
    return output["out"] if isinstance(output, dict) else output


def fit(name: str) -> dict[str, Any]:
    """The options it is made with, the smallest size of pictures that it takes, and its parameters."""
    import torch

    for size in SIZES:
        for options in ({"img_size": size}, {"image_size": size}, {}):
            try:
                model = create(name, num_classes=CLASSES, **options).eval()
                with torch.no_grad():
                    output = output_of(model, torch.randn(2, 3, size, size))
            except Exception:
                continue
            if output.shape[:2] == (2, CLASSES):
                parameters = sum(p.numel() for p in model.parameters())
                return {"options": options, "size": size, "parameters": parameters}
    raise RuntimeError(f"{name} takes no pictures of {SIZES[0]} to {SIZES[-1]} pixels")


class Subject:
    """A network as the parts need it."""

    def __init__(self, name: str, options: dict[str, Any], size: int) -> None:
        import torch

        self.name, self.options, self.size = name, options, size
        generator = torch.Generator().manual_seed(7)
        self.x = torch.randn(PICTURES, 3, size, size, generator=generator)
        model = self.model(0)
        with torch.no_grad():
            shape = output_of(model, self.x).shape
        self.y = torch.arange(PICTURES) % CLASSES
        if len(shape) == 4:
            self.y = torch.randint(CLASSES, (PICTURES, *shape[2:]), generator=generator)

    def fresh(self) -> Any:
        """A network that landscape has not seen, with the weights of the first seed."""
        return prepared(self.name, 0, self.options, self.size)

    @functools.cache  # noqa: B019 - there is one subject per process
    def model(self, seed: int) -> Any:
        """The network with the weights of a seed."""
        return prepared(self.name, seed, self.options, self.size)

    @functools.cache  # noqa: B019
    def problem(self, seed: int = 0, dtype: Any = None) -> Any:
        """Cross-entropy on the five pictures."""
        import landscape

        forward = None if self.y.ndim == 1 else lambda network, batch: output_of(network, batch[0])
        data = (self.x, self.y)
        return landscape.Problem(self.model(seed), "cross_entropy", data, dtype=dtype, forward=forward)


def hessian(subject: Subject) -> dict[str, Any]:
    """A product against plain double backward, in float64 where it fits."""
    import torch

    try:
        return _hessian(subject, torch.float64)
    except (RuntimeError, MemoryError) as error:
        if "allocate memory" not in str(error) and not isinstance(error, MemoryError):
            raise
    return _hessian(subject, torch.float32)


def _hessian(subject: Subject, dtype: Any) -> dict[str, Any]:
    import torch

    import landscape

    problem = subject.problem(0, dtype)
    v = torch.randn(problem.size, generator=torch.Generator().manual_seed(3), dtype=torch.float64).to(dtype)
    product = landscape.hessian(problem) @ v
    reference, how = double_backward(subject, problem.space.names, v)
    error = float((product - reference).norm() / reference.norm())
    kind = str(dtype).removeprefix("torch.")
    if not error <= TOLERANCE[kind]:
        raise ArithmeticError(f"the product is off by {error:.1e} of {how}'s, in {kind}")
    return {"error": error, "dtype": kind, "against": how}


def double_backward(subject: Subject, names: tuple[str, ...], v: Any) -> tuple[Any, str]:
    """The product by plain autograd on a fresh network; by differences of gradients where torch has none."""
    import torch
    import torch.nn.functional as F  # noqa: N812 - the field's name for it
    from torch.nn.attention import SDPBackend, sdpa_kernel

    plain = F.hardsigmoid

    def fresh() -> tuple[Any, list[Any]]:
        model = subject.fresh().to(v.dtype)
        parameters = dict(model.named_parameters())
        return model, [parameters[name] for name in names]

    def loss(model: Any) -> Any:
        return F.cross_entropy(output_of(model, subject.x.to(v.dtype)), subject.y)

    def flat(grads: Any, parameters: list[Any]) -> Any:
        pairs = zip(grads, parameters, strict=True)
        return torch.cat([(torch.zeros_like(p) if g is None else g).reshape(-1) for g, p in pairs])

    model, parameters = fresh()  # with statistics of the pass that landscape's was made with
    with sdpa_kernel(SDPBackend.MATH):
        torch.set_default_dtype(v.dtype)  # to which torch's attention rounds its scale
        F.hardsigmoid = lambda x, inplace=False: F.relu6(x + 3.0) / 6.0
        try:
            first = flat(
                torch.autograd.grad(loss(model), parameters, create_graph=True, allow_unused=True), parameters
            )
            second = torch.autograd.grad(first @ v, parameters, allow_unused=True)
            return flat(second, parameters), "double backward"
        except RuntimeError as error:
            if "derivative" not in str(error) and "double backward" not in str(error):
                raise
        finally:
            F.hardsigmoid = plain
            torch.set_default_dtype(torch.float32)
    sides = []
    step = 1e-6 / float(v.norm()) * len(v) ** 0.5
    for sign in (1.0, -1.0):
        model, parameters = fresh()
        pieces = v.split([p.numel() for p in parameters])
        with torch.no_grad():
            for p, piece in zip(parameters, pieces, strict=True):
                p.add_(piece.view_as(p), alpha=sign * step)
        grads = torch.autograd.grad(loss(model), parameters, allow_unused=True)
        sides.append(flat(grads, parameters))
    return (sides[0] - sides[1]) / (2 * step), "differences of gradients"


def feature(analysis: str) -> Callable[[Subject], dict[str, Any]]:
    """A feature analysis; the units it found, and the share of its numbers that are finite."""

    def run(subject: Subject) -> dict[str, Any]:
        import numpy as np

        import landscape

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = getattr(landscape, analysis)(subject.problem())
        numbers = [v.values for v in result.data_vars.values() if v.dtype.kind == "f" and v.size]
        finite = float(np.mean([np.isfinite(v).mean() for v in numbers])) if numbers else 0.0
        if not finite:
            raise ArithmeticError(f"none of the numbers of {analysis} is finite")
        sizes = {str(k): int(n) for k, n in result.sizes.items()}
        return {
            "sizes": sizes,
            "finite": round(finite, 4),
            "warnings": sorted({str(w.message) for w in caught}),
        }

    return run


def cka(subject: Subject) -> dict[str, Any]:
    """Two seeds; 1 on the diagonal."""
    import numpy as np

    import landscape

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = landscape.cka({"a": subject.problem(0), "b": subject.problem(1)})
    own = np.diagonal(result["cka"].values)
    if not np.isfinite(own).any():
        raise ArithmeticError("no layer has a similarity")
    gap = float(np.nanmax(np.abs(own - 1.0)))
    if gap > 1e-9:
        raise ArithmeticError(f"the CKA of a layer with itself is off by {gap:.1e}")
    notices = {k: str(v) for k, v in result.attrs.items() if "notice" in k}
    return {
        "layers": int(result.sizes["unit_a"]),
        "finite": float(np.isfinite(own).mean()),
        "notices": notices,
        "warnings": sorted({str(w.message) for w in caught}),
    }


def alignment(subject: Subject) -> dict[str, Any]:
    """The units of one seed put in the order of another's."""
    import landscape

    forward = (lambda network, x: output_of(network, x)) if subject.y.ndim > 1 else None
    one, two = subject.model(0), subject.model(1)
    found = landscape.align(one, one.state_dict(), two.state_dict(), inputs=subject.x, forward=forward)
    if not found.objective_after >= found.objective_before * (1 - 1e-9):
        raise ArithmeticError(f"objective {found.objective_before} fell to {found.objective_after}")
    moved = sum(p.numel() for p in found.permutations.values())
    return {"groups": len(found.permutations), "units": moved, "output_error": found.output_error}


WORK: dict[str, Callable[[Subject], dict[str, Any]]] = {
    "hessian": hessian,
    **{name: feature(name) for name in FEATURES},
    "cka": cka,
    "alignment": alignment,
}


def one(
    network: str, parts: list[str], gigabytes: float, seconds: int, tell: Callable[[dict[str, Any]], None]
) -> None:
    """Work off the parts of one network within limits of memory and time; each is told when it is done."""
    import torch

    from landscape.errors import LandscapeError

    limit = int(gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    torch.set_num_threads(1)

    def attempt(part: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        line: dict[str, Any] = {"part": part, "outcome": "right"}
        start, result = time.process_time(), None
        try:
            result = work()
            line |= result
        except LandscapeError as error:
            text = " ".join(str(error).split())
            line |= {"outcome": "nothing" if NOTHING.search(text) else "refused", "reason": text}
        except Exception as error:
            text = " ".join(str(error).split())
            line |= {"outcome": "failed", "reason": f"{type(error).__name__}: {text}"[:400]}
            line["trace"] = traceback.format_exc()[-2000:]
        line["seconds"] = round(time.process_time() - start, 1)
        tell(line)
        return result

    fitted = attempt("build", lambda: fit(network))
    if fitted is None:
        return
    subject = Subject(network, fitted["options"], fitted["size"])
    for part in parts:
        if part != "build":
            attempt(part, functools.partial(WORK[part], subject))


# The sweep


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of the file; the last one of an interrupted run may be cut off."""
    for text in path.read_text().splitlines() if path.exists() else ():
        try:
            yield json.loads(text)
        except json.JSONDecodeError:
            continue


def choose(given: argparse.Namespace) -> list[tuple[str, str, int]]:
    """Family, network and parameters, the smallest network first; counted once, then read from the file."""
    known = {line["family"]: line for line in read(given.out) if "chosen" in line}
    for library in given.libraries:
        for module, names in families(library).items():
            family = f"{library}:{module}"
            if family in known or not names:
                continue
            found = smallest(names)
            if found is not None:
                known[family] = {"family": family, "chosen": found[0], "parameters": found[1]}
                append(given.out, known[family])
    chosen = [(f, line["chosen"], line["parameters"]) for f, line in known.items()]
    chosen = [c for c in chosen if c[2] <= given.parameters]
    chosen = [c for c in chosen if any(fnmatch.fnmatch(c[0], glob) for glob in given.only)]
    return sorted(chosen, key=lambda c: c[2])


def append(path: Path, line: dict[str, Any]) -> None:
    """One more line."""
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def sweep(given: argparse.Namespace) -> None:
    """Each network that has parts to do, in a process of its own."""
    import torch

    import landscape

    torch.set_num_threads(1)
    for name in (*FEATURES, "Problem", "hessian", "align", "cka"):  # imported once, before the first fork
        getattr(landscape, name)
    for family, network, parameters in choose(given):
        done = {line["part"]: line["outcome"] for line in read(given.out) if line.get("network") == network}
        parts = [p for p in given.parts if p not in done or done[p] in given.again]
        parts = [p for p in parts if p != "build"] or (["build"] if "build" not in done else [])
        if not parts:
            continue
        print(f"{family} {network} {parameters / 1e6:.1f} M: {' '.join(parts)}", flush=True)
        start, facts = time.time(), {"family": family, "network": network, "parameters": parameters}

        def tell(line: dict[str, Any], facts: dict[str, Any] = facts) -> None:
            append(given.out, facts | line)
            if line["outcome"] not in ("right", "nothing"):
                print(f"    {line['part']} {line['outcome']}: {line['reason']}", flush=True)

        before = len(list(read(given.out)))
        process = FORK.Process(target=one, args=(network, parts, given.memory, given.seconds, tell))
        process.start()
        process.join()
        end = f"the process ended with status {process.exitcode}"
        if process.exitcode in (-signal.SIGXCPU, -signal.SIGKILL):
            end = f"not done after {given.seconds} s of processor time, or killed for memory"
        told = {line["part"]: line["outcome"] for line in list(read(given.out))[before:]}
        missing = [p for p in parts if p not in told]
        if missing and told.get("build", "right") == "right":
            tell({"part": missing[0], "outcome": "failed", "reason": end})
        print(f"    {time.time() - start:.0f} s", flush=True)


def table(given: argparse.Namespace) -> str:
    """Markdown: what each network gives, the latest outcome of each part."""
    latest: dict[str, dict[str, dict[str, Any]]] = {}
    for line in read(given.out):
        if "part" in line:
            latest.setdefault(line["family"], {})[line["part"]] = line
    marks = {"right": "✓", "nothing": "–", "refused": "refused", "failed": "**failed**"}
    shown = [p for p in PARTS if p != "build"]
    rows = ["| family | network | parameters | pixels | " + " | ".join(shown) + " |"]
    rows.append("|" + "---|" * (4 + len(shown)))
    notes: dict[str, list[str]] = {}
    for family, parts in sorted(latest.items()):
        some = next(iter(parts.values()))
        cells = []
        for part in shown:
            built = parts.get("build", {"outcome": "right"})
            line = parts.get(part, {"outcome": ""} if built["outcome"] == "right" else built)
            cells.append(marks.get(line["outcome"], ""))
            if "error" in line:
                cells[-1] += f" {line['error']:.0e}"
            if line["outcome"] in ("refused", "failed"):
                notes.setdefault(f"{part}: {line['reason']}", []).append(some["network"])
        pixels = parts.get("build", {}).get("size", "")
        network = some["network"].partition(":")[2]
        rows.append(
            f"| {family} | {network} | {some['parameters'] / 1e6:.1f} M | {pixels} | {' | '.join(cells)} |"
        )
    said = [f"- {', '.join(names)}: {text}" for text, names in notes.items()]
    return "\n".join([*rows, "", *said])


def left_out(given: argparse.Namespace) -> str:
    """Markdown: the families that are not in the table, and why."""
    lines = list(read(given.out))
    done = {line["family"] for line in lines if "part" in line}
    chosen = {line["family"]: line["parameters"] for line in lines if "chosen" in line}
    waiting = sorted(f for f, n in chosen.items() if f not in done and n <= given.parameters)
    large = sorted(f for f, n in chosen.items() if n > given.parameters)
    text = ""
    for what, names in (
        ("Not swept yet", waiting),
        (f"Without a network of up to {given.parameters / 1e6:.0f} million parameters", large),
    ):
        if names:
            text += f"\n{what}: {', '.join(f'`{name}`' for name in names)}.\n"
    return text


def main() -> int:
    """Sweep, or print the table; status 1 if anything failed."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--out", type=Path, default=Path("architectures.jsonl"))
    options.add_argument(
        "--libraries", nargs="+", choices=["timm", "torchvision"], default=["timm", "torchvision"]
    )
    options.add_argument("--only", nargs="+", default=["*"], help="globs over families, as 'timm:res*'")
    options.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options.add_argument("--parameters", type=float, default=30e6, help="no network has more")
    options.add_argument("--seconds", type=int, default=600, help="limit for one network, processor time")
    options.add_argument("--memory", type=float, default=5.0, help="limit for one network, GiB")
    options.add_argument("--again", nargs="*", default=[], help="outcomes to try again: failed, refused")
    options.add_argument("--table", action="store_true", help="print the table of what is in the file")
    options.add_argument("--page", type=Path, help="put the table into this page, from its first table on")
    given = options.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if given.page is not None:
        head = given.page.read_text("utf-8").partition("| family |")[0]
        given.page.write_text(f"{head}{table(given)}\n{left_out(given)}", encoding="utf-8")
    elif not given.table:
        sweep(given)
    print(table(given))
    latest = {(n["network"], n["part"]): n["outcome"] for n in read(given.out) if "part" in n}
    return int("failed" in latest.values())


if __name__ == "__main__":
    raise SystemExit(main())
