"""Analysis: the one declaration from which everything else derives.

An analysis says what it is called, what it looks at (a checkpoint, a pair, a group, a table), which options
it takes, what its result holds, how to compute it, how to draw it and which numbers sum it up. Command-line
flags, manifest options, planning, storage, report sections and the contract test are read off this
declaration; adding an analysis is adding one file that makes one `Analysis`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from landscape.base.along_training import numbers_along_training
from landscape.base.context import Context
from landscape.base.description import card_of, document_of, signature_of
from landscape.base.figure import FigureSpec
from landscape.base.from_zoo import FromZoo
from landscape.base.ledger import identity, in_folder
from landscape.base.metric import Metric
from landscape.base.params import DATA_BUILDER, NEW_OPTION, Params, no_option
from landscape.base.progress import shown
from landscape.base.schema import Schema
from landscape.base.table import read_columns, table_sha256
from landscape.base.validation import found_wrong
from landscape.errors import InputError, suggest

if TYPE_CHECKING:
    import xarray as xr

    from landscape.core.features.collector import Collector
    from landscape.core.problem.problem import Problem

__all__ = [
    "DATA_BUILDER",
    "NEW_OPTION",
    "SECTION_KEYS",
    "SUBJECTS",
    "Analysis",
    "Context",
    "Cost",
    "Metric",
    "Pair",
    "Params",
    "Scope",
    "run_together",
]

Scope = Literal["checkpoint", "pair", "group", "table"]

SUBJECTS: dict[str, tuple[str, ...]] = {
    "checkpoint": ("problem",),
    "pair": ("problem", "a", "b"),
    "group": ("problems",),
    "table": ("table",),
}
"""Names of the positional arguments of a call, by scope."""

CALLED = {"transform": "a function", "surrogate": "a model"}
"""Inputs that are called; the others hold tensors."""

SECTION_KEYS = ("analysis", "models", "examples", "together")
"""What a manifest's ``[analyses.NAME]`` says beside options: an option of such a name could not be set."""


@dataclass(frozen=True)
class Cost:
    """What a computation costs, in passes over the data and in work on weights, for estimates.

    Attributes:
        forwards: Forward passes.
        gradients: Loss gradients (forward and backward); a Hessian product counts as about 3.
        example_gradients: Gradients of single examples, however many there are.
        seconds_per_million: Seconds for each million parameters on one core, whatever the data.
        seconds_per_pair: Seconds on one core for each pair of the members of a group, one with itself too.
    """

    forwards: float = 0.0
    gradients: float = 0.0
    example_gradients: float = 0.0
    seconds_per_million: float = 0.0
    seconds_per_pair: float = 0.0


@dataclass(frozen=True)
class Pair:
    """The subject of an analysis of scope ``pair``: one problem and two states of its model."""

    problem: Problem
    a: Any
    b: Any


@dataclass(frozen=True)
class Analysis:
    """The declaration of an analysis. Calling it runs it.

    Attributes:
        name: Identifier: command, manifest table, folder in the store.
        title: Heading in reports.
        description: What is measured and how, with the papers; shown in help and in reports.
        scope: What one result is about. The subject given to ``compute`` is a `Problem` for
            ``checkpoint``, a `Pair` for ``pair``, a ``{name: Problem}`` mapping for ``group`` and
            `Columns` for ``table``; zoos have no tables, so that they do not plan these.
        params: The options.
        schema: The contents of a result.
        plots: ``({label: dataset}) -> figures``: one or several models on shared axes.
        summary: ``(dataset) -> metrics``.
        compute: ``(subject, params, context) -> {variable: array}``. Imports torch inside.
        collect: In place of ``compute``, for analyses of features: ``(params) -> collector``, which looks
            on during one forward pass over the data; several analyses share the pass, see
            `run_together`. Imports torch inside.
        finish: With ``collect``: ``(collector, params) -> {variable: array}`` after the pass.
        needs: What the model must have for there to be anything to measure; others are refused.
        takes: ``predictive`` if it looks at predictions alone: a zoo then runs it on its predictives too.
        cost: ``(params) -> Cost``, for time estimates; or ``(params, problem)``, where it depends on the
            model: ``problem`` is ``None`` where there is none.
        inputs: Names of keyword inputs that are not options (tensors).
        from_zoo: ``(params) -> FromZoo``, which of the inputs a zoo has to fill under these options, or
            ``None``; without it, inputs are for library use only.

    Example:
        >>> import landscape
        >>> "spectrum" in landscape.analyses()
        True
        >>> landscape.spectrum.scope
        'checkpoint'
    """

    name: str
    title: str
    description: str
    scope: Scope
    params: type[Params]
    schema: Schema
    plots: Callable[[Mapping[str, xr.Dataset]], Sequence[FigureSpec]]
    summary: Callable[[xr.Dataset], Sequence[Metric]]
    compute: Callable[[Any, Any, Context], Mapping[str, Any]] | None = None
    collect: Callable[[Any], Collector] | None = None
    finish: Callable[[Any, Any], Mapping[str, Any]] | None = None
    needs: Literal["", "attention", "dropout", "regression", "series"] = ""
    takes: Literal["problem", "predictive"] = "problem"
    cost: Callable[..., Cost] = lambda params: Cost(forwards=1.0)
    inputs: tuple[str, ...] = ()
    from_zoo: Callable[[Any], FromZoo | None] = lambda params: None

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise InputError(f"an analysis needs an identifier as its name; got {self.name!r}.")
        if self.scope not in SUBJECTS:
            raise InputError(
                f"analysis '{self.name}' has no scope '{self.scope}'; {suggest(self.scope, SUBJECTS)}"
            )
        by_pass = self.collect is not None and self.finish is not None and self.scope == "checkpoint"
        if by_pass == (self.compute is not None):
            raise InputError(
                f"analysis '{self.name}' needs either compute, or collect and finish with scope 'checkpoint'."
            )
        bare = [n for n, f in self.params.model_fields.items() if f.is_required() or not f.description]
        if bare:
            raise InputError(
                f"option {', '.join(bare)} of analysis '{self.name}' needs a default and a description."
            )
        taken = [n for n in self.params.model_fields if n in SECTION_KEYS]
        if taken:
            raise InputError(
                f"option {', '.join(taken)} of analysis '{self.name}' needs another name: in a manifest,"
                f" {', '.join(SECTION_KEYS)} are entries of every section."
            )
        object.__setattr__(self, "__signature__", signature_of(self, SUBJECTS[self.scope]))  # for completion
        object.__setattr__(self, "__doc__", document_of(self))

    def validate(self, options: Mapping[str, Any]) -> Params:
        """Check options and fill in defaults.

        Raises:
            InputError: Naming the option, what was given and what is accepted.
        """
        unknown = [name for name in options if name not in self.params.model_fields]
        if unknown:
            raise InputError(no_option(self.name, self.params, unknown[0]))
        try:
            return self.params(**options)
        except ValidationError as error:
            where, wrong = found_wrong(error, self.params.model_fields)
            what = f"option '{where}' of" if where else "the options of"
            raise InputError(f"{what} analysis '{self.name}' {wrong}.") from error

    def __call__(self, *subject: Any, **keywords: Any) -> xr.Dataset:
        """Run the analysis on a subject of its scope.

        Args:
            subject: A problem; for ``pair`` a problem and two states of its model; for ``group`` a mapping of
                problems by name; for ``table`` a data frame, a mapping of columns, or a list of records.
            keywords: Options, inputs that are no options, and ``progress``: whether to show how far it is, or
                a function of the share done.

        Returns:
            The dataset that the schema declares, with provenance in its attributes.

        Raises:
            InputError: If the subject or an option cannot be used.
        """
        inputs = {n: keywords.pop(n) for n in self.inputs if n in keywords}
        own = "progress" in self.params.model_fields
        wanted = False if own else keywords.pop("progress", False)
        for name, given in inputs.items():
            wants = CALLED.get(name, "tensors")
            indexed = hasattr(given, "__getitem__") or hasattr(given, "__iter__")
            usable = callable(given) if name in CALLED else indexed
            if given is not None and not usable:
                raise InputError(f"{name} of landscape.{self.name} takes {wants}; got a {_kind(given)}.")
        params, what = self.validate(keywords), self._subject(subject)
        with shown(self.title, wanted) as tell:
            return self.run(what, params, Context(progress=tell, inputs=inputs))

    def run(self, subject: Any, params: Params, context: Context | None = None) -> xr.Dataset:
        """Compute on a prepared subject with validated options; label and stamp the result."""
        if self.compute is None:
            (result,) = run_together(subject, [(self, params)], context)
            if isinstance(result, Exception):
                raise result
            return result
        start = time.perf_counter()
        context = context or Context()
        folder = context.partial
        if folder is not None:
            inputs = context.inputs
            facts = {"analysis": self.name, "schema version": self.schema.version}
            facts["options"] = params.model_dump_json()
            # Opened when asked for: most computations keep no pieces, and identities hash weights and data.
            context = replace(
                context, open_ledger=lambda: in_folder(folder, identity(facts, self.scope, subject, inputs))
            )
        if self.scope == "table":  # measured already, without torch
            return self.label(self.compute(subject, params, context), subject, params, context, start)
        from landscape.core.ambient import own_context

        for problem in _problems(self.scope, subject):
            problem.derivatives.begin()
        with own_context():
            return self.label(self.compute(subject, params, context), subject, params, context, start)

    def figures(self, results: Mapping[str, xr.Dataset]) -> list[FigureSpec]:
        """The figures of results, by label; with every number over training where models are its checkpoints.

        Raises:
            InputError: If they are of a later version of the schema, or of an earlier one and lack what is
                drawn; see `Schema.other_version`.
        """
        said, later = self.schema.other_version(self.name, results)
        if later:
            raise InputError(f"{said}.")
        try:
            figures = list(self.plots(results))
            if self.scope == "checkpoint":
                figures += numbers_along_training(self.title, results, self.summary)
            return figures
        except Exception as error:
            # Of today's version: then the fault is ours, and has to be seen as it is.
            if not said:
                raise
            raise InputError(f"{said}; what is drawn is not in it.") from error

    def label(
        self, data: Mapping[str, Any], subject: Any, params: Params, context: Context, start: float
    ) -> xr.Dataset:
        """The dataset of what was computed, with its provenance; ``start`` is a ``perf_counter`` time."""
        attrs = self.provenance(subject, params, context.inputs)
        attrs["wall_time_s"] = time.perf_counter() - start
        return self.schema.dataset(data, attrs)

    def provenance(
        self, subject: Any, params: Params, inputs: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The attributes that say where a result comes from; all are strings or numbers."""
        from landscape.core.problem.fingerprint import describe, library_versions

        attrs: dict[str, Any] = {
            "analysis": self.name,
            "title": self.title,
            "schema_version": self.schema.version,
            "parameters": params.model_dump_json(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": json.dumps(library_versions()),
        }
        given = {name: describe(value) for name, value in (inputs or {}).items() if value is not None}
        if given:
            attrs["inputs"] = json.dumps(given)
        if hasattr(params, "seed"):
            attrs["seed"] = int(params.seed)
        if self.scope == "table":
            attrs["table_sha256"] = table_sha256(subject)
        elif self.scope == "group":
            facts = {name: problem.provenance() for name, problem in subject.items()}
            attrs["problems"] = json.dumps(facts)
        else:
            problem = subject
            if self.scope == "pair":
                problem = subject.problem
                attrs["state_a"], attrs["state_b"] = describe(subject.a), describe(subject.b)
            attrs.update(problem.provenance())
        return attrs

    def _subject(self, given: tuple[Any, ...]) -> Any:
        if self.scope == "table" and len(given) == 1:
            return read_columns(given[0])
        from landscape.core.problem.problem import Problem

        if self.scope == "checkpoint" and len(given) == 1 and isinstance(given[0], Problem):
            return given[0]
        if self.scope == "pair" and len(given) == 3 and isinstance(given[0], Problem):
            return Pair(*given)
        problems = given[0] if len(given) == 1 and isinstance(given[0], Mapping) else {}
        if self.scope == "group" and problems and all(isinstance(p, Problem) for p in problems.values()):
            return dict(problems)
        wants = {
            "checkpoint": "one Problem",
            "pair": "a Problem and two states of its model",
            "group": "a mapping {name: Problem}",
            "table": "one table",
        }[self.scope]
        got = ", ".join(map(_kind, given)) or "nothing"
        raise InputError(f"landscape.{self.name} takes {wants}; got {got}.")

    def __repr__(self) -> str:
        return f"Analysis({self.name!r}, scope={self.scope!r})"

    def _repr_html_(self) -> str:
        return card_of(self)


def _kind(given: Any) -> str:
    """What was given, in a word or two."""
    if not isinstance(given, Mapping):
        return type(given).__name__
    if not given:
        return "an empty mapping"
    kinds = {f"{name!r}: {type(value).__name__}": type(value).__name__ for name, value in given.items()}
    return f"a mapping with {next((k for k, v in kinds.items() if v != 'Problem'), 'Problems')}"


def _problems(scope: str, subject: Any) -> list[Problem]:
    """The problems that a subject consists of."""
    if scope == "group":
        return list(subject.values())
    return [subject.problem if scope == "pair" else subject]


def run_together(
    problem: Problem, analyses: Sequence[tuple[Analysis, Params]], context: Context | None = None
) -> list[xr.Dataset | Exception]:
    """Run analyses that collect, in one pass over the data, each as if it were alone.

    Args:
        problem: The subject of all.
        analyses: Analyses with a ``collect``, each with validated options.
        context: Its ``progress`` is that of the pass; analyses that collect take no inputs.

    Returns:
        For each analysis its result, the same as that of a pass of its own but for the wall time, which
        is that of the whole pass; or the error that stopped this one alone.

    Raises:
        Exception: Whatever the model itself raises.
    """
    from landscape.core.ambient import under_own_context

    return under_own_context(_run_together)(problem, analyses, context or Context())


def _run_together(
    problem: Problem, analyses: Sequence[tuple[Analysis, Params]], context: Context
) -> list[xr.Dataset | Exception]:
    from landscape.core.features.collect import collect

    start = time.perf_counter()
    problem.derivatives.begin()
    collectors = [analysis.collect(params) for analysis, params in analyses if analysis.collect is not None]
    errors = collect(problem, collectors, context.progress)
    results: list[xr.Dataset | Exception] = []
    for (analysis, params), collector, error in zip(analyses, collectors, errors, strict=True):
        if error is None and analysis.finish is not None:
            try:
                data = analysis.finish(collector, params)
                results.append(analysis.label(data, problem, params, context, start))
            except Exception as failure:
                error = failure
        if error is not None:
            results.append(error)
    return results
