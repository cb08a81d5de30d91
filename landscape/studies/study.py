"""What the studies share: sizes, training in parallel, analyses through a zoo, figures and verdicts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from rich.console import Console

import landscape
from landscape.base.figure import FigureSpec
from landscape.cli.display import ProgressBar
from landscape.plotting import figures_of
from landscape.plotting.groups import by_group
from landscape.reference.training import augment
from landscape.reference.training.loop import TrainResult, train
from landscape.reference.training.pool import run_all
from landscape.reference.training.recipe import Recipe
from landscape.store import Store, read_contents, task_key
from landscape.studies import claims as verdicts
from landscape.studies.forest import forest
from landscape.studies.options import Options
from landscape.zoo.builders import resolve
from landscape.zoo.events import Done, DoneElsewhere, Event, Failed, Planned
from landscape.zoo.problem_options import ProblemOptions
from landscape.zoo.spec import Builder, Model, SectionSpec, ZooSpec

__all__ = [
    "Data",
    "Study",
    "Trained",
    "augmented",
    "by_seed",
    "load",
    "measured",
    "mixed",
    "of_kinds",
    "size",
    "spectra",
    "together",
]

HERE = Path(__file__).parent  # builders of the studies are imported from here
DIGITS = "landscape.reference.data:digits"


@dataclass(frozen=True)
class Data:
    """Where the examples of a study come from.

    Attributes:
        train: Builder of the training examples.
        test: Builder of the held-out examples.
    """

    train: Builder
    test: Builder

    @classmethod
    def digits(cls, count: int, test: int, size: int = 28, label_noise: float = 0.0) -> Data:
        """Real digits that an installed package ships."""
        noise = _noise(label_noise)
        return cls(
            Builder(DIGITS, {"split": "train", "count": count, "size": size, **noise}),
            Builder(DIGITS, {"split": "test", "count": test, "size": size}),
        )

    @classmethod
    def cifar(cls, classes: int, root: Path, label_noise: float = 0.0) -> Data:
        """CIFAR-10 or CIFAR-100 in a folder of the user's."""
        name = f"landscape.reference.data:cifar{classes}"
        return cls(
            Builder(name, {"root": str(root), "split": "train", **_noise(label_noise)}),
            Builder(name, {"root": str(root), "split": "test"}),
        )


@dataclass(frozen=True)
class Trained:
    """A trained model of a study."""

    name: str
    recipe: Recipe
    seed: int
    path: Path
    result: TrainResult

    def spec(self) -> Model:
        """The model as a zoo knows it."""
        builder = Builder(self.recipe.builder_name, dict(self.recipe.kwargs))
        return Model(
            self.name,
            self.path,
            self.path.name,
            builder,
            self.recipe.group,
            self.seed,
            dict(self.recipe.tags),
            self.result.metrics(),
        )


@dataclass
class Study:
    """One run of a study.

    Attributes:
        name: Begins the names of its files.
        options: What the command line says.
        claims: Verdicts so far.
        failures: Sentences of analyses that failed.
        captions: What the pictures show, by file name.
    """

    name: str
    options: Options
    claims: list[verdicts.Claim] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)
    console: Console = field(default_factory=Console)
    captions: dict[str, str] = field(default_factory=dict)

    def say(self, text: str) -> None:
        """Tell the user what goes on."""
        print(f"[{time.perf_counter() - self.began:6.0f} s] {text}", flush=True)

    def train(self, recipes: Sequence[Recipe], data: Data, folder: str = "") -> list[Trained]:
        """Train every recipe with every seed, or find that it is done."""
        o = self.options
        home = o.checkpoints / folder if folder else o.checkpoints
        wanted = [(recipe, seed) for recipe in recipes for seed in o.seeds]
        self.say(f"training {len(wanted)} models")
        shares = [wanted[i :: o.jobs] for i in range(min(o.jobs, len(wanted)))]  # one process for many models
        calls = [(share, home, data, o.device) for share in shares]
        with ProgressBar(self.console) as meter:
            meter.begin(len(wanted), "models")
            done = run_all(_train, calls, jobs=o.jobs, on_report=_Counter(meter))
        found = sorted((m for part in done for m in part), key=lambda m: wanted.index((m.recipe, m.seed)))
        worst = min(found, key=lambda t: t.result.train_accuracy)
        self.say(f"trained; least training accuracy {worst.result.train_accuracy:.3f} ({worst.name})")
        return found

    def analyse(
        self,
        label: str,
        models: Sequence[Trained],
        data: Builder,
        sections: Sequence[SectionSpec],
        problem: ProblemOptions | None = None,
    ) -> dict[str, dict[str, xr.Dataset]]:
        """Run analyses over models; results go to ``OUT/results/<label>``, one file per task.

        Returns:
            Results by label of the section and name of the subject.
        """
        o = self.options
        spec = ZooSpec(
            f"{self.name}: {label}",
            HERE,
            tuple(m.spec() for m in models),
            data,
            problem or ProblemOptions(device=o.device),
            tuple(sections),
        )
        store = o.out / "results" / label
        self.say(f"analysing {len(models)} models: {', '.join(s.label for s in sections)}")
        with ProgressBar(self.console) as meter:
            run = landscape.Zoo(spec).run(store=store, jobs=o.jobs, on_event=_Counter(meter).event)
        self.say(f"{label}: {run.done} tasks done, {run.skipped} done before, {len(run.failed)} failed")
        for failure in run.failed:
            self.failures.append(f"{failure.label} of {failure.model}: {failure.error}")
            self.say(f"  failed: {self.failures[-1]}")
        return {section.label: section.results for section in read_contents(store).sections}

    def save(self, ds: xr.Dataset, name: str) -> None:
        """Keep a result of the study as a whole, for `landscape report OUT/results/<study>`."""
        facts = str(ds.attrs["analysis"]), int(ds.attrs["schema_version"]), str(ds.attrs["parameters"])
        key = task_key(*facts, {"name": name})
        Store(self.options.out / "results" / self.name).write(ds.assign_attrs(model=name), key)

    def draw(
        self,
        results: Mapping[str, xr.Dataset] | xr.Dataset | FigureSpec | Sequence[FigureSpec],
        *only: str,
        tag: str = "",
        models: Sequence[Trained] = (),
    ) -> None:
        """Draw figures of results on shared axes: all, or those of these names.

        Seeds of one kind of these models are drawn together, see `landscape.plotting.groups.by_group`.
        """
        self.options.figures.mkdir(parents=True, exist_ok=True)
        kinds = {m.name: m.recipe.group for m in models}
        for spec in figures_of(results):
            if not only or spec.name in only:
                spec = by_group(spec, kinds, "kind")
                label = f"{tag}_{spec.name}" if tag else spec.name
                path = self.options.figures / f"{self.name}_{label}.png"
                landscape.plot(spec, backend="matplotlib").savefig(path, dpi=160)
                self.captions[path.name] = f"{spec.title}. {spec.whole_caption}"

    def judge(self, claim: verdicts.Claim) -> None:
        """Take down a verdict; a quick run decides nothing."""
        if self.options.size == "quick":
            claim = replace(claim, verdict="not at this scale")
        self.claims.append(claim)
        self.say(f"{claim.verdict}: {claim.claim} ({claim.effect:+.3g})")

    def finish(self) -> None:
        """Write ``OUT/claims.h5`` and ``OUT/claims.md``, and the captions of the pictures beside them.

        Pictures of an earlier run that this one lacks are removed.
        """
        columns = verdicts.rows(self.claims)
        table = xr.Dataset({name: ("claim_number", column) for name, column in columns.items()})
        table.attrs |= {"study": self.name, "size": self.options.size, "seeds": len(self.options.seeds)}
        landscape.save(table, self.options.out / "claims.h5")
        text = verdicts.markdown(self.claims)
        if self.failures:
            text += "\nFailed analyses:\n\n" + "\n".join(f"- {line}" for line in self.failures) + "\n"
        (self.options.out / "claims.md").write_text(text, "utf-8")
        self.draw(forest(self.claims, f"What holds: {self.options.size} run"))
        for path in self.options.figures.glob(f"{self.name}_*.png"):
            if path.name not in self.captions:
                path.unlink()
        lines = [f"- `{name}`: {caption}\n" for name, caption in self.captions.items()]
        (self.options.figures / f"{self.name}_captions.md").write_text("".join(lines), "utf-8")
        self.say(f"wrote {self.options.out / 'claims.md'}\n\n{text}")


class _Counter:
    """Shows how many models are trained, or tasks done."""

    def __init__(self, meter: ProgressBar) -> None:
        self.meter = meter
        self.count = 0

    def __call__(self, what: str) -> None:
        self.count += 1
        self.meter.update(self.count, what)

    def event(self, event: Event) -> None:
        match event:
            case Planned(todo, _):
                self.meter.begin(todo, "tasks")
            case Done(task) | DoneElsewhere(task) | Failed(task):
                self(f"{task.label} of {task.subject}")
            case _:
                pass


def by_seed(models: Sequence[Trained], group: str, number: Callable[[Trained], float]) -> list[float]:
    """A number of every model of a group, in order of its seed."""
    chosen = sorted((m for m in models if m.recipe.group == group), key=lambda m: m.seed)
    return [number(m) for m in chosen]


def measured(
    results: Mapping[str, xr.Dataset], models: Sequence[Trained], group: str, number: Callable[..., Any]
) -> list[float]:
    """A number of the result of every model of a group, by seed; NaN where the analysis failed."""

    def value(model: Trained) -> float:
        ds = results.get(model.name)
        return float("nan") if ds is None else float(number(ds))

    return by_seed(models, group, value)


def size(models: Sequence[Trained], group: str) -> str:
    """Parameters and epochs of a kind of model, for notes on what is compared."""
    model = next(m for m in models if m.recipe.group == group)
    count = sum(p.numel() for p in model.recipe.build(model.seed).parameters())
    loss = np.mean(by_seed(models, group, lambda m: m.result.train_loss))
    return f"{group}: {count / 1000:.3g}k parameters, {model.result.epochs} epochs, training loss {loss:.2g}"


def augmented(training: Mapping[str, Any]) -> dict[str, Any]:
    """Options of ``batch_spectra`` that change images as the training did, RandAugment and mixing apart."""
    if training["augment"] == "shift":
        return {"augment": "shift", "margin": augment.SHIFT}
    return {"augment": "shift+flip", "margin": augment.CROP}


def spectra(
    seeds: Sequence[int], training: Mapping[str, Any], batches: int, examples: int
) -> list[SectionSpec]:
    """Sections of ``batch_spectra``, one per seed: so many mini-batches of 16 out of so many examples.

    Seeds have mini-batches of their own, which models of one seed share: intervals over seeds then speak of
    mini-batches as well, and means over seeds rest on more of them. See `together`.
    """
    options = {**augmented(training), "fraction": min(1.0, batches / (examples // 16))}
    return [
        SectionSpec(f"batch_spectra_{seed}", "batch_spectra", {**options, "seed": seed}, (f"*-s{seed}",))
        for seed in seeds
    ]


def together(results: Mapping[str, Mapping[str, xr.Dataset]], label: str) -> dict[str, xr.Dataset]:
    """The results, by model, of all sections whose label is this one and a seed."""
    return {
        name: ds
        for section, found in results.items()
        if section.startswith(f"{label}_")
        for name, ds in found.items()
    }


def of_kinds(
    results: Mapping[str, xr.Dataset], models: Sequence[Trained], *kinds: str
) -> dict[str, xr.Dataset]:
    """The results of all seeds of these kinds of models, in that order; of all kinds if none is named."""
    names = [m.name for kind in kinds for m in models if m.recipe.group == kind]
    return {name: results[name] for name in names or [m.name for m in models] if name in results}


def load(data: Builder) -> Any:
    """The examples of a builder."""
    return resolve(data.reference, HERE, "data builder")(**data.kwargs)


def mixed(reference: str, kwargs: Mapping[str, Any], alpha: float = 16.0, seed: int = 0) -> Any:
    """Data builder: inputs λx + (1−λ)x′ of random pairs of examples, λ ~ Beta(alpha, alpha), as in mixup.

    Labels are those of x; similarity of outputs does not look at them.
    """
    x, y = load(Builder(reference, kwargs))
    rng = np.random.default_rng(seed)
    share = torch.from_numpy(rng.beta(alpha, alpha, len(x))).to(x.dtype).view(-1, *[1] * (x.ndim - 1))
    return share * x + (1 - share) * x[torch.from_numpy(rng.permutation(len(x)))], y


def _noise(share: float) -> dict[str, float]:
    return {"label_noise": share} if share else {}


def _train(
    wanted: Sequence[tuple[Recipe, int]],
    folder: Path,
    data: Data,
    device: str | None,
    report: Callable[..., None],
) -> list[Trained]:
    """Train some models, one after the other, in a process of its own."""
    torch.set_num_threads(1)
    examples, held_out = load(data.train), load(data.test)
    trained = []
    for recipe, seed in wanted:
        name = f"{recipe.group}-s{seed}"
        path = folder / f"{name}.safetensors"
        result = train(
            recipe.build(seed).to(device or "cpu"),
            examples,
            held_out,
            path=path,
            seed=seed,
            note={"builder": recipe.builder_name, "kwargs": dict(recipe.kwargs)},
            **recipe.training,
        )
        trained.append(Trained(name, recipe, seed, path, result))
        report(name)
    return trained
