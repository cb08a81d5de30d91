"""Loader: the data of a zoo, and a problem of each of its models."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from landscape.errors import CheckpointError, InputError, LandscapeError, one_line
from landscape.imports import importing_from
from landscape.zoo.builders import build_data, build_model, resolve
from landscape.zoo.fitting.adapters import put_on, untouched
from landscape.zoo.fitting.fit import Loaded, load_best
from landscape.zoo.layouts.run_metadata import facts_in_content
from landscape.zoo.predictives import build_predictive, enough, fit_tensors
from landscape.zoo.reading.model_file import read_model
from landscape.zoo.reading.parts import Adapter, adapter_beside
from landscape.zoo.reading.seeding import seeded
from landscape.zoo.recorded_metrics import comparable, differences, not_compared
from landscape.zoo.sources.names import source_of
from landscape.zoo.sources.read import Named, facts_of
from landscape.zoo.spec import Builder, Model, PredictiveModel
from landscape.zoo.task import Setup

if TYPE_CHECKING:
    import torch
    from torch import nn

    from landscape.core.data.batches import Batch
    from landscape.core.problem.problem import Problem
    from landscape.core.problem.sharding import Ranks

__all__ = ["Loader", "seeded"]


class Loader:
    """Builds the data once, and keeps the last problem: tasks of one model come in a row.

    What it gives does not depend on what was asked for before: problems are never changed by an analysis,
    and the global random generators are seeded anew for data and each model, and restored afterwards.

    Args:
        setup: What all tasks share.
        ranks: The processes that share the data of each problem, if there are several.
        on_read: Told the number of examples read so far, once per batch, while the data is read.
        on_decoded: Told, while data by name is read, how many examples are, and of how many.

    Attributes:
        changing: Whether the data, once read, has examples that change each time they are read.
        setup: As given; once a plan is made, with the fingerprint of its data.
        metric_mismatches: By name of a model, what recorded metrics differ from those measured here; empty
            text if none does.
        not_compared: By name of a model, what recorded metrics were not compared, and why.
        loaded: By name of a model, which weights of its file it was filled with, and how they came to fit.
        left_out: By name of a predictive, the members that the last one built is without, and why.
        unread: By name of a model, what its checkpoint holds beside the weights that was not made, since that
            would have meant to import something.
    """

    def __init__(
        self,
        setup: Setup,
        ranks: Ranks | None = None,
        *,
        on_read: Callable[[int], None] | None = None,
        on_decoded: Callable[[int, int], None] | None = None,
    ) -> None:
        self.setup = setup
        self.changing = False
        self._on_read, self._on_decoded = on_read, on_decoded
        self.metric_mismatches: dict[str, str] = {}
        self.not_compared: dict[str, str] = {}
        self.left_out: dict[str, dict[str, str]] = {}
        self.loaded: dict[str, Loaded] = {}
        self.unread: dict[str, tuple[str, ...]] = {}
        self._ranks = ranks
        self._data: tuple[list[Any], str] | None = None
        self._sizes: list[int] = []
        self._last: tuple[Model, Problem] | None = None
        self._fits: list[tuple[Builder, Any, str]] = []
        self._others: list[tuple[Builder, str]] = []
        self._named: list[tuple[Builder, Named]] = []
        self._own: tuple[Builder, list[Any], str] | None = None

    def check(self) -> None:
        """Raise unless loss, functions and device of the problem are there, before any work is done.

        Raises:
            InputError: Naming what is not.
        """
        options, folder = self.setup.problem, self.setup.folder
        named = {"loss": options.loss if ":" in options.loss else None}
        named |= {"forward": options.forward, "size": options.size}
        for kind, reference in named.items():
            if reference:
                resolve(reference, folder, kind)
        if options.device is not None and self._ranks is None:
            from landscape.core.problem.door.arguments import usable_device

            usable_device(options.device)

    def data(self, model: Model | None = None) -> tuple[list[Any], str]:
        """The batches of the zoo's data, and their content hash.

        Args:
            model: Whose data they are to be, which may be prepared in another way; ``None`` for the zoo's.

        Raises:
            InputError: If the builder fails, or its data differ from what the plan was made for.
        """
        if model is not None and model.data is not None:
            if self._own is None or self._own[0] != model.data:
                self._own = None  # its memory is free before the next data need it
                self._own = model.data, *self._read(model.data)[:2]
            raw, content = self._own[1:]
            self._check_data(model.data, content, model.data_fingerprint)
            return raw, content
        if self._data is None:
            raw, content, self._sizes = self._read(self.setup.data)
            self._data = raw, content
        self._check_data(self.setup.data, self._data[1], self.setup.fingerprint)
        return self._data

    @staticmethod
    def _check_data(builder: Builder, content: str, expected: str | None) -> None:
        # Keys hold the hash of the data that the plan saw. A worker builds the data itself: with other data,
        # its results would stand under keys that promise something else.
        if expected is not None and content != expected:
            raise InputError(
                f"data builder '{builder.reference}' is not deterministic: it made other data"
                " here than when the run was planned; seed it."
            )

    def named(self, model: Model | None = None) -> Named | None:
        """What is known of data by name, without the data; ``None`` for a function's."""
        self.data(model)
        wanted = self.setup.data if model is None or model.data is None else model.data
        return next((named for builder, named in self._named if builder == wanted), None)

    def about_data(self, model: Model) -> dict[str, str]:
        """Attributes that say where the data of a model comes from; none for a function's."""
        named = self.named(model)
        return {} if named is None else facts_of(self.setup.data.reference, named)

    def fit_data(self, builder: Builder) -> tuple[Any, str]:
        """What predictives are fitted on, as their builders get it, and its content hash.

        Raises:
            InputError: If the builder fails.
        """
        known = next(((data, content) for b, data, content in self._fits if b == builder), None)
        if known is None:
            raw, content, _ = self._read(builder)
            known = fit_tensors(raw), content
            self._fits.append((builder, *known))
        return known

    def other_data(self, builder: Builder) -> str:
        """Content hash of data that an analysis reads beside the zoo's, as it is built now.

        Where it cannot be built, a sentence in its place: the analysis will say so, and others go on.
        """
        known = next((content for b, content in self._others if b == builder), None)
        if known is None:
            try:
                known = self._content(builder)
            except LandscapeError as error:
                known = f"unreadable: {one_line(error)}"
            self._others.append((builder, known))
        return known

    def _content(self, builder: Builder) -> str:
        """Content hash of what a builder makes."""
        with importing_from(self.setup.folder), seeded():
            given = build_data(builder, self.setup.folder)
            return self._told(given.data if isinstance(given, Named) else given)

    def _told(self, given: Any) -> str:
        """Content hash of inputs alone, one tensor; of data as a problem takes it; of several by name."""
        import torch

        from landscape.core.problem.fingerprint import fingerprint

        if torch.is_tensor(given):
            return fingerprint([("inputs", given)])
        try:
            return self._hashed(self._batches(given))[1]
        except LandscapeError:
            if not isinstance(given, Mapping):
                raise
        # Several data, or the weights of a model: together they are no batch, since their lengths differ.
        parts = "".join(f"{name} {self._told(part)}, " for name, part in given.items())
        return hashlib.sha256(parts.encode()).hexdigest()[:32]

    def sizes(self) -> list[int]:
        """Examples in each batch of the data."""
        self.data()
        return self._sizes

    def problem(self, model: Model) -> Problem:
        """The problem of a model; the last one is kept.

        Raises:
            LandscapeError: If builder, checkpoint, data or loss cannot be used.
        """
        if self._last is not None and self._last[0] == model:
            return self._last[1]
        self._last = None  # its memory is free before the next model needs it
        module, carried = self._load(model)
        problem = self._make_problem(model, module)
        split, metrics = self.setup.split, {**carried, **model.metrics}
        self.not_compared[model.name] = not_compared(metrics, split)
        if split is not None and comparable(metrics, split):
            measure, what = problem.measure(), problem.classification
            if what is not None and what.kind == "labels" and what.several:
                measure = replace(measure, correct=None)  # the recorded accuracy may be that of whole sets
            self.metric_mismatches[model.name] = " ".join(differences(metrics, split, measure))
        self._last = model, problem
        return problem

    def passing_problem(self, model: Model) -> Problem:
        """The problem of a model that is not kept, for tasks that need several at once."""
        return self._make_problem(model, self.module(model))

    def first_batch_problem(self, model: Model) -> Problem:
        """The problem of a model on the first batch alone, to take the time of.

        Raises:
            LandscapeError: If builder, checkpoint, data or loss cannot be used.
        """
        return self._make_problem(model, self.module(model), self.data(model)[0][:1])

    def untrained_problem(self, model: PredictiveModel) -> Problem:
        """As `first_batch_problem`, for a predictive that is not fitted, of members without their weights."""
        folder = self.setup.folder
        with importing_from(folder), seeded():
            members = [build_model(m.made_by, folder).eval() for m in model.members]
            module = build_predictive(model.made_by, folder, members, None)
        return self._make_problem(model, module, self.data(model)[0][:1])

    def module(self, model: Model) -> nn.Module:
        """A module with the weights of a checkpoint.

        Raises:
            LandscapeError: If its builder or its checkpoint cannot be used.
        """
        return self._load(model)[0]

    def forget(self) -> None:
        """Drop the problem that is kept: a failure may have left it in any state, or memory short."""
        self._last = None

    def _load(self, model: Model) -> tuple[nn.Module, Mapping[str, float]]:
        """A module with its weights, and the metrics that its checkpoint carries."""
        if isinstance(model, PredictiveModel):
            return self._assemble(model), {}
        options = self.setup.problem
        if model.error is not None:
            raise CheckpointError(model.error)
        with importing_from(self.setup.folder), seeded():
            module = build_model(model.made_by, self.setup.folder)
        own = model.loader or self.setup.problem.loader
        read = read_model(model, self.setup)
        self.unread[model.name] = read.unread
        adapter = None if own else adapter_beside(model.path)
        if adapter is not None:
            self._check_base(model, module, read.state, adapter)
            self.loaded[model.name] = put_on(module, read.state, adapter, str(model.path))
            return module, {}
        self.loaded[model.name] = load_best(
            module,
            read.sets,
            str(model.path),
            prefix=model.prefix or options.prefix,
            state=model.state or options.state,
            ignore=options.ignore_keys,
        )
        return module, facts_in_content(read.beside).metrics

    def _check_base(
        self, model: Model, module: nn.Module, state: Mapping[str, torch.Tensor], adapter: Adapter
    ) -> None:
        """Raise if the weights below an adapter are random: then nothing would be what it was trained on."""
        import torch

        with importing_from(self.setup.folder), seeded():
            torch.manual_seed(1)
            again = untouched(build_model(model.made_by, self.setup.folder), state)
        if any(not torch.equal(v, again[k]) for k, v in untouched(module, state).items()):
            named = f" (here '{adapter.base}')" if adapter.base else ""
            raise CheckpointError(
                f"checkpoint '{model.path}' is an adapter, and builder '{model.made_by.reference}' makes"
                f" other base weights each time: have it load those that the adapter was trained on{named}."
            )

    def _assemble(self, model: PredictiveModel) -> nn.Module:
        """A predictive of those members that can be used; `left_out` says which cannot."""
        left_out: dict[str, str] = {}
        members: list[nn.Module] = []
        for member in model.members:
            try:
                module = self._load(member)[0]
                self._check(module)
                members.append(module.to(self._device()).eval())
            except LandscapeError as error:
                left_out[member.name] = f"{one_line(error)}."
        enough(model, left_out)
        fit_data = None
        if model.fit is not None:
            fit_data, content = self.fit_data(model.fit)
            if content != model.fit_fingerprint:
                raise InputError(
                    f"data builder '{model.fit.reference}' of predictive '{model.name}' is not deterministic:"
                    " it made other data here than when the run was planned; seed it."
                )
        with importing_from(self.setup.folder), seeded():
            built = build_predictive(model.made_by, self.setup.folder, members, fit_data)
        self.left_out[model.name] = left_out
        return built

    def _read(self, builder: Builder) -> tuple[list[Any], str, list[int]]:
        """The batches that a data builder makes, their content hash, and the examples of each."""
        from landscape.core.data.data_forms import changes_when_read

        with importing_from(self.setup.folder), seeded():
            given = build_data(builder, self.setup.folder, self._on_decoded)
            if isinstance(given, Named):
                self._named.append((builder, replace(given, data=None)))
                given = given.data
            batches = self._batches(given, self._on_read)
        if self._on_read is not None:  # who listens wants to know
            with importing_from(self.setup.folder), seeded():
                self.changing = self.changing or changes_when_read(given)
        return *self._hashed(batches), [b.size for b in batches]

    def _batches(self, given: Any, progress: Callable[[int], None] | None = None) -> list[Batch]:
        """Data as batches of the zoo's size."""
        from landscape.core.data.batches import read_batches

        return read_batches(
            given,
            batch_size=self.setup.problem.batch_size,
            device=self._device(),
            dtype=None,
            size=self._size(),
            progress=progress,
        )

    @staticmethod
    def _hashed(batches: list[Batch]) -> tuple[list[Any], str]:
        """The batches as they were given, and their content hash."""
        from landscape.core.data.batches import tensors_in
        from landscape.core.problem.fingerprint import fingerprint

        raw = [b.raw for b in batches]
        return raw, fingerprint(item for i, b in enumerate(raw) for item in tensors_in(b, str(i)))

    def _device(self) -> torch.device:
        """Where data lie: each rank keeps only its share of all batches on its own device."""
        import torch

        return torch.device("cpu" if self._ranks else self.setup.problem.device or "cpu")

    @staticmethod
    def _check(module: nn.Module) -> None:
        """Raise unless the weights are finite: of a predictive, only the member would be at fault."""
        from landscape.core.problem.private_model import check_weights

        check_weights(module)

    def _make_problem(self, model: Model, module: nn.Module, batches: list[Any] | None = None) -> Problem:
        from landscape.core.problem.problem import Problem

        predictive = isinstance(model, PredictiveModel)

        options, folder = self.setup.problem, self.setup.folder
        loss: Any = resolve(options.loss, folder, "loss") if ":" in options.loss else options.loss
        problem = Problem(
            module,
            loss,
            self.data(model)[0] if batches is None else batches,
            weight_decay=options.weight_decay,
            # globs name parameters of members; whoever looks at predictions alone has no use for them
            parameters=None if predictive else options.parameters,
            forward=resolve(options.forward, folder, "forward") if options.forward else None,
            device=self._ranks.device(options.device) if self._ranks else options.device,
            batchnorm=options.batchnorm,
            batch_size=options.batch_size,
            sharding=self._ranks,
            size=self._size(),
            channels_last=options.channels_last,
            check_derivatives=options.check_derivatives,
        )
        self._check_classes(model, problem)
        return problem

    def _check_classes(self, model: Model, problem: Problem) -> None:
        """Raise if a folder of pictures has fewer classes than the model, and nothing says which they are."""
        builder, named = model.data or self.setup.data, self.named(model)
        kind, _ = source_of(builder.reference) or ("", "")
        if named is None or not named.classes or kind != "imagefolder" or "classes" in builder.kwargs:
            return
        import torch

        with torch.no_grad():
            output, _ = problem.output(problem.first)
        if torch.is_tensor(output) and output.ndim == 2 and output.shape[1] > len(named.classes):
            raise InputError(
                f"{builder.reference} has {len(named.classes)} folders and '{model.name}' {output.shape[1]}"
                " outputs, and nothing says which folder is which output: name all classes in the order of"
                " the outputs, classes = [...] among the kwargs of [data], or --data"
                f" '{builder.reference}(classes=[...])'."
            )

    def _size(self) -> Any:
        """The user's function that counts the examples of a batch, if there is one."""
        reference = self.setup.problem.size
        return resolve(reference, self.setup.folder, "size") if reference else None
