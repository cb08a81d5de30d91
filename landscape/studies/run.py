"""One run of a study: training, analyses through a zoo, pictures and verdicts, on disk and on screen."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import xarray as xr
from rich.console import Console

import landscape
from landscape.base.figure import FigureSpec, Series
from landscape.cli.display import ProgressBar
from landscape.plotting.palette import Palette
from landscape.reference.training.recipe import Recipe
from landscape.store import Store, read_contents, task_key
from landscape.studies import claims as verdicts
from landscape.studies.averages import Average
from landscape.studies.data import Data
from landscape.studies.measure import On, sections
from landscape.studies.options import Options
from landscape.studies.pictures.forest import forest, verdict_palette
from landscape.studies.training import Trained, train_models
from landscape.zoo.events import Done, DoneElsewhere, Event, Failed, Planned
from landscape.zoo.problem_options import ProblemOptions
from landscape.zoo.spec import ZooSpec

__all__ = ["Run"]


@dataclass
class Run:
    """One run of a study.

    Attributes:
        name: Begins the names of its files.
        options: What the command line says.
        folder: Where builders that are not installed are imported from.
        claims: Verdicts so far.
        failures: Sentences of analyses that failed.
        captions: What the pictures show, by file name.
        palette: One look for each kind of model, in every picture of the study.
        about: What verdicts and captions say of the data, see `landscape.studies.data.Data.about`.
    """

    name: str
    options: Options
    folder: Path = field(default_factory=Path.cwd)
    claims: list[verdicts.Claim] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    captions: dict[str, str] = field(default_factory=dict)
    palette: Palette = field(default_factory=Palette)
    about: str = ""
    began: float = field(default_factory=time.perf_counter)
    console: Console = field(default_factory=Console)

    def say(self, text: str) -> None:
        """Tell the user what goes on."""
        print(f"[{time.perf_counter() - self.began:6.0f} s] {text}", flush=True)

    def train(
        self, recipes: Sequence[Recipe], data: Data, folder: str = "", first_seed: Sequence[str] = ()
    ) -> list[Trained]:
        """Train every recipe with every seed, or find that it is done; weights go to this subfolder.

        Args:
            recipes: The kinds of models.
            data: The examples.
            folder: The subfolder.
            first_seed: Kinds that are trained with the first seed alone.
        """
        o = self.options
        pairs = [(r, s) for r in recipes for s in (o.seeds[:1] if r.group in first_seed else o.seeds)]
        for recipe in recipes:  # in the order of the report, whose hues these kinds have too
            self.palette.style(Series(recipe.group))
        self.say(f"training {len(pairs)} models")
        with ProgressBar(self.console) as meter:
            meter.begin(len(pairs), "models")
            counter = _Counter(meter)
            home = o.checkpoints / folder
            found = train_models(pairs, data, home, jobs=o.jobs, device=o.device, on_model=counter)
        # One training that failed would bend a comparison, and not show in a mean.
        worst = max(found, key=lambda t: t.result.train_loss)
        said = f"largest training loss {worst.result.train_loss:.3g} ({worst.name})"
        if not worst.result.is_regression:
            worst = min(found, key=lambda t: t.result.train_accuracy)
            said = f"least training accuracy {worst.result.train_accuracy:.3f} ({worst.name})"
        self.say(f"trained; {said}")
        return found

    def analyse(
        self,
        label: str,
        models: Sequence[Trained],
        looked_at: str,
        data: Data,
        measures: Sequence[On],
        averages: Sequence[Average] = (),
        problem: ProblemOptions | None = None,
    ) -> dict[str, dict[str, xr.Dataset]]:
        """Run analyses over models; results go to ``OUT/results/<label>``, one file per task.

        Args:
            label: Where results go.
            models: The models.
            looked_at: Which of the data they are looked at on.
            data: The examples of their cohort.
            measures: The analyses.
            averages: Ensembles of the models, for analyses of predictions.
            problem: How their losses are made; default: cross-entropy on the device of the run.

        Returns:
            Results by what findings call them and by the name of the subject.
        """
        o = self.options
        self.about = data.about
        requested = sections(measures, o.seeds, averages)
        spec = ZooSpec(
            f"{self.name}: {label}",
            self.folder,
            tuple(m.spec() for m in models),
            data.builder(looked_at),
            problem or ProblemOptions(device=o.device),
            tuple(section for made in requested.values() for section in made),
            predictives=tuple(spec for average in averages for spec in average.specs(models, data)),
        )
        store = o.out / "results" / label
        self.say(f"analysing {len(models)} models: {', '.join(s.label for s in spec.sections)}")
        with ProgressBar(self.console) as meter:
            run = landscape.Zoo(spec).run(store=store, jobs=o.jobs, on_event=_Counter(meter).event)
        self.say(f"{label}: {run.done} tasks done, {run.skipped} done before, {len(run.failed)} failed")
        for failure in (*run.failed, *run.inapplicable):  # a study asks for nothing that need not apply
            self.failures.append(f"{failure.label} of {failure.model}: {failure.error}")
            self.say(f"  failed: {self.failures[-1]}")
        found = {section.label: section.results for section in read_contents(store).sections}
        return {
            of: {name: ds for section in made for name, ds in found[section.label].items()}
            for of, made in requested.items()
        }

    def save(self, ds: xr.Dataset, name: str) -> None:
        """Keep a result of the study as a whole, for `landscape report OUT/results/<study>`."""
        facts = str(ds.attrs["analysis"]), int(ds.attrs["schema_version"]), str(ds.attrs["parameters"])
        key = task_key(*facts, {"name": name})
        Store(self.options.out / "results" / self.name).write(ds.assign_attrs(model=name), key)

    def draw(self, figures: Mapping[str, FigureSpec], palette: Palette | None = None) -> None:
        """Draw figures, by name of file without ending, each after the name of the study.

        Args:
            figures: The figures.
            palette: Their looks, if these are not the kinds of models.
        """
        look = self.palette if palette is None else palette
        self.options.figures.mkdir(parents=True, exist_ok=True)
        for name, spec in figures.items():
            path = self.options.figures / f"{self.name}_{name}.png"
            landscape.plot(spec, backend="matplotlib", palette=look).savefig(path, dpi=160)
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
        o, more = self.options, self.options.more_seeds
        table.attrs |= {"study": self.name, "size": o.size, "seeds": len(o.seeds), "more_seeds": more or 0}
        landscape.save(table, o.out / "claims.h5")
        text = verdicts.markdown(self.claims) + (f"\n{self.about}\n" if self.about else "")
        if more is not None:
            text += f"\nThe last look was at {len(o.seeds)} seeds; there could be one at {more}.\n"
        if self.failures:
            text += "\nFailed analyses:\n\n" + "\n".join(f"- {line}" for line in self.failures) + "\n"
        (self.options.out / "claims.md").write_text(text, "utf-8")
        if self.claims:
            whole = forest(self.claims, f"What holds: {self.options.size} run")
            self.draw({"claims": whole}, verdict_palette())
        o.figures.mkdir(parents=True, exist_ok=True)
        for path in self.options.figures.glob(f"{self.name}_*.png"):
            if path.name not in self.captions:
                path.unlink()
        lines = [
            f"- `{name}`: {caption} {self.about}".rstrip() + "\n" for name, caption in self.captions.items()
        ]
        (self.options.figures / f"{self.name}_captions.md").write_text("".join(lines), "utf-8")
        if self.claims or self.failures:
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
