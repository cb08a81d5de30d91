"""Study: a paper's findings and all that is needed to test them, as one declaration."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from landscape.errors import InputError
from landscape.reference.training.recipe import Recipe
from landscape.studies.associations import Association
from landscape.studies.averages import Average
from landscape.studies.claims import LEVEL, LOOKS, Claim, level_of, worth_more
from landscape.studies.data import Data
from landscape.studies.findings import Judgeable
from landscape.studies.measure import On
from landscape.studies.measured import ENSEMBLE, TRAINING, Measured, Part
from landscape.studies.options import Options, Size
from landscape.studies.phases import Grid
from landscape.studies.pictures.figures import Figure, Sweep
from landscape.studies.pictures.ladder import Ladder
from landscape.studies.rankings import Ranking
from landscape.studies.recalibrate import recalibrate_batchnorm
from landscape.studies.run import Run
from landscape.zoo.problem_options import ProblemOptions

__all__ = ["Cohort", "Size", "Study"]

T = TypeVar("T")
PerSize = Sequence[T] | Callable[[Size], Sequence[T]]
"""The same for all sizes of a study, or made for each."""


@dataclass(frozen=True)
class Cohort:
    """Models trained on the same examples, and what is measured of them.

    Attributes:
        recipes: The kinds of models; every one is trained with every seed, unless it is of `first_seed`.
        data: The examples.
        measure: The analyses.
        name: Unique within the study: the folder of its weights, and how folders of its results begin.
        without_dropout: Whether models trained with dropout are looked at without it, with BatchNorm
            statistics taken anew (see `landscape.studies.recalibrate`), unless a measure says
            ``with_dropout``.
        averages: Ensembles of all seeds of a kind and other predictives, looked at by all analyses of
            predictions.
        loss: The loss of the models' landscapes, by name.
        first_seed: Kinds that are trained with the first seed alone: those that no average is made of, where
            cohorts stand for seeds.
        weight_decay: λ of the term (λ/2)‖θ‖² in the loss of landscapes on training examples, for papers whose
            Hessians hold it.
    """

    recipes: Sequence[Recipe]
    data: Data
    measure: Sequence[On]
    name: str = ""
    without_dropout: bool = False
    averages: Sequence[Average] = ()
    loss: str = "cross_entropy"
    first_seed: tuple[str, ...] = ()
    weight_decay: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study: what is trained and measured, which findings that decides, what is drawn.

    Attributes:
        name: Begins the names of its files.
        script: The file that declares it as ``STUDY``: ``__file__``.
        paper: Where its findings are published.
        sizes: How large a run is, by name: ``default``, ``quick`` (for tests, it decides nothing), ``full``
            (the paper's setting).
        cohorts: The models and what is measured of them, of a size.
        findings: What is decided.
        figures: What is drawn, beside the verdicts.
        grids: Tables over the cells of several cohorts, or over all models, if it has any.
        seeds: Number of training seeds.
        least_seeds: Fewer are refused.
    """

    name: str
    script: str
    paper: str
    sizes: Mapping[str, Size]
    cohorts: Callable[[Size], Sequence[Cohort]]
    findings: PerSize[Judgeable]
    figures: PerSize[Figure | Sweep | Ladder]
    grids: PerSize[Grid | Ranking] = field(default=())
    seeds: int = 3
    least_seeds: int = 2

    def main(self) -> None:
        """Run it as ``landscape study SCRIPT`` does, with the arguments of this program."""
        from landscape.cli.app import app

        app(["study", self.script, *sys.argv[1:]], prog_name="landscape")

    def run(self, **given: Any) -> Run:
        """Train, measure, judge and draw; what an earlier run did is not done again.

        Args:
            **given: What `landscape.studies.options.Options.read` takes: ``size``, ``out``, ``seeds``, ...

        Raises:
            InputError: If an option cannot be used, or the declaration names what is not there.
        """
        script = Path(self.script).resolve()
        options = Options.read(
            script.stem, self.sizes, default_seeds=self.seeds, least_seeds=self.least_seeds, **given
        )
        # Before hours of training, not after them.
        self.check(self.sizes[options.size].at(options))
        more = options.more_seeds
        if more is not None and all(_by_cohort(f) for f in _of(self.findings, self.sizes[options.size])):
            raise InputError(
                f"study '{self.name}': --more-seeds decides nothing, since every finding is over random parts"
                " of the data; give more parts in its sizes."
            )
        run = self._look(Run(self.name, options, script.parent))
        if more is not None and any(worth_more(claim, more) for claim in self._over_seeds(run)):
            run.say(f"a second look, at {more} seeds")
            fresh: dict[str, Any] = {"claims": [], "failures": [], "captions": {}}
            run = self._look(replace(run, options=replace(options, seeds=tuple(range(more))), **fresh))
        run.finish()
        return run

    def _over_seeds(self, run: Run) -> Sequence[Claim]:
        """The claims of a look that more seeds may decide: not those over random parts of the data."""
        findings = _of(self.findings, self.sizes[run.options.size].at(run.options))
        pairs = zip(findings, run.claims, strict=True)
        return [claim for finding, claim in pairs if not _by_cohort(finding)]

    def _look(self, run: Run) -> Run:
        """Train, measure, judge and draw with the seeds of the run."""
        options = run.options
        size = self.sizes[options.size].at(options)
        level = LEVEL if options.more_seeds is None else level_of(LOOKS)
        parts = [_measure(run, cohort) for cohort in self.cohorts(size)]
        measured = Measured(parts, options.device, level=level)
        for grid in _of(self.grids, size):
            measured.tables[grid.name] = table = grid.measure(measured)
            run.save(table.dataset, grid.what)
        for finding in _of(self.findings, size):
            run.judge(finding.judge(measured, self.paper))
        for figure in _of(self.figures, size):
            run.draw(figure.draw(measured))
        return run

    def check(self, size: Size) -> None:
        """Refuse a declaration that names results or kinds of models that it does not have.

        Args:
            size: One of the sizes, with ``seeds``.

        Raises:
            InputError: Naming them.
        """
        cohorts = self.cohorts(size)
        for cohort in cohorts:
            homes = {(on.of, on.data, on.with_dropout) for on in cohort.measure}
            labels = [label for label, _, _ in homes]
            twice = sorted({label for label in labels if labels.count(label) > 1})
            if twice:
                raise InputError(
                    f"study '{self.name}': results '{twice[0]}' are measured on different data; give each a"
                    " label of its own."
                )
            _check_names(self.name, cohort)
        kinds = {recipe.group for cohort in cohorts for recipe in cohort.recipes}
        kinds |= {average.name for cohort in cohorts for average in cohort.averages}
        results = {on.of for cohort in cohorts for on in cohort.measure} | {TRAINING, ENSEMBLE}
        results |= {grid.name for grid in _of(self.grids, size)}
        parts: list[Judgeable | Figure | Sweep | Ladder] = [
            *_of(self.findings, size),
            *_of(self.figures, size),
        ]
        for part in parts:
            if isinstance(part, Sweep):
                read = tuple(part.over)
            else:
                read = (part.of, part.over_of) if isinstance(part, Association) else (part.of,)
            for what, named, known in (("results", read, results), ("models", part.kinds, kinds)):
                unknown = [name for name in named if name not in known]
                if unknown:
                    raise InputError(
                        f"study '{self.name}': there are no {what} '{unknown[0]}' for {part}; there are"
                        f" {', '.join(sorted(known))}."
                    )


def _of(parts: PerSize[T], size: Size) -> Sequence[T]:
    return parts(size) if callable(parts) else parts


def _by_cohort(finding: Judgeable) -> bool:
    """Whether its numbers are those of random parts of the data, which more seeds do not make more."""
    return bool(getattr(finding, "by_cohort", False))


def _check_names(study: str, cohort: Cohort) -> None:
    """Refuse a cohort that names data or models that it does not have."""
    for name in {on.data for on in cohort.measure} | {a.fit for a in cohort.averages if a.fit}:
        cohort.data.builder(name)
    kinds = [recipe.group for recipe in cohort.recipes]
    for name in (*(a.kind for a in cohort.averages), *cohort.first_seed):
        if name not in kinds:
            raise InputError(
                f"study '{study}': cohort '{cohort.name}' has no models '{name}'; it has {', '.join(kinds)}."
            )


def _measure(run: Run, cohort: Cohort) -> Part:
    """Train the models of a cohort and measure them, one store for each kind of data."""
    trained = models = run.train(cohort.recipes, cohort.data, cohort.name, cohort.first_seed)
    if cohort.without_dropout:
        run.say(f"statistics of BatchNorm without dropout, for {len(trained)} models")
        home = run.options.checkpoints / cohort.name / "without-dropout"
        models = recalibrate_batchnorm(trained, cohort.data, home, run.options.device)
    results: dict[str, Any] = {}
    for data, dropout in dict.fromkeys((on.data, on.with_dropout) for on in cohort.measure):
        measures = [on for on in cohort.measure if (on.data, on.with_dropout) == (data, dropout)]
        label = "-".join(filter(None, (cohort.name, data, "dropout" if dropout else "")))
        looked_at = trained if dropout else models
        problem = ProblemOptions(
            device=run.options.device,
            loss=cohort.loss,
            weight_decay=cohort.weight_decay if data == "train" else 0.0,
        )
        results |= run.analyse(label, looked_at, data, cohort.data, measures, cohort.averages, problem)
    return Part(cohort.name, models, cohort.data, results, cohort.averages)
