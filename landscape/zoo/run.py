"""Zoo, the public face: makes a plan of a manifest or folder, chooses an executor, and has it run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.errors import CheckpointError, InputError
from landscape.store import Store
from landscape.zoo.checkpoint import TRUST_WARNING
from landscape.zoo.code import KEEP, REDO
from landscape.zoo.described.preprocessing import with_preprocessing
from landscape.zoo.events import Event, Listener, Message, Reading
from landscape.zoo.executors.base import Executor, SerialExecutor
from landscape.zoo.executors.pool import PoolExecutor, refuse_in_worker
from landscape.zoo.executors.torchrun import launched, over_ranks
from landscape.zoo.layouts import scan_directory, write_manifest
from landscape.zoo.loader import Loader
from landscape.zoo.manifest import read_manifest
from landscape.zoo.plan import Plan, Shard, choose_sections, make_plan
from landscape.zoo.problem_options import ProblemOptions
from landscape.zoo.run_plan import RunResult, of_older_code, run_plan
from landscape.zoo.runner import Runner
from landscape.zoo.spec import Builder, ZooSpec
from landscape.zoo.task import Setup

if TYPE_CHECKING:
    import xarray as xr

    from landscape.zoo.estimate import Estimate

__all__ = ["RunResult", "Zoo", "analyse", "scan"]

Chosen = Iterable[str] | Mapping[str, Mapping[str, Any]] | None

_READING_EVERY_S = 5.0
_READING_OF_EVERY_S = 0.2


class Zoo:
    """A set of checkpoints with what it takes to analyse them.

    Make one with `Zoo.from_manifest` or with `scan`.

    Args:
        spec: Its contents.

    Attributes:
        spec: Its contents.

    Example:
        >>> zoo = Zoo.from_manifest("zoo.toml")                      # doctest: +SKIP
        >>> result = zoo.run(["spectrum"], jobs=2)                   # doctest: +SKIP
        >>> result.done, len(result.failed)                          # doctest: +SKIP
        (12, 0)
    """

    def __init__(self, spec: ZooSpec) -> None:
        self.spec = spec

    @classmethod
    def from_manifest(cls, path: str | Path) -> Zoo:
        """The zoo that a ``zoo.toml`` describes.

        Raises:
            InputError: If the manifest is missing or cannot be used.
        """
        return cls(read_manifest(path))

    def __repr__(self) -> str:
        """Name and sizes."""
        spec = self.spec
        more = f", {len(spec.predictives)} predictives" if spec.predictives else ""
        return f"<Zoo '{spec.name}': {len(spec.models)} models{more}, {len(spec.sections)} analyses>"

    @property
    def models(self) -> list[str]:
        """Names of the models, in order."""
        return [m.name for m in self.spec.models]

    @property
    def predictives(self) -> list[str]:
        """Names of the predictives, in order."""
        return [p.name for p in self.spec.predictives]

    @property
    def skipped(self) -> dict[str, str]:
        """Files that a scan left out, and why."""
        return {s.path: s.reason for s in self.spec.skipped}

    @property
    def store(self) -> Path:
        """Where results go by default: what the manifest says, else ``results/`` beside it."""
        return self.spec.store or self.spec.folder / "results"

    def with_builders(
        self,
        model: str | None,
        data: str,
        *,
        model_kwargs: Mapping[str, Any] | None = None,
        data_kwargs: Mapping[str, Any] | None = None,
        split: str | None = None,
        **problem: Any,
    ) -> Zoo:
        """The same checkpoints with builders, for a zoo that was scanned.

        Args:
            model: ``package.module:function`` that makes the model of every checkpoint; ``None`` keeps the
                builders that the scan found, as of timm's folders.
            data: ``package.module:function`` that makes the data.
            model_kwargs: Its keyword arguments.
            data_kwargs: Its keyword arguments.
            split: Which split the data are, to compare with metrics recorded in training.
            **problem: Options of `landscape.zoo.problem_options.ProblemOptions`, such as ``loss`` or
                ``weight_decay``; others stay as they are.

        Raises:
            InputError: If an option is unknown or cannot be what is given.
        """
        models = self.spec.models
        if model is not None:
            models = tuple(replace(m, builder=Builder(model, model_kwargs or {})) for m in models)
        options = ProblemOptions.check({**dict(self.spec.problem), **problem})
        made_by = Builder(data, data_kwargs or {})
        return Zoo(
            replace(self.spec, models=models, data=made_by, problem=options, split=split or self.spec.split)
        )

    def write_manifest(self, path: str | Path | None = None) -> Path:
        """Write a manifest with the checkpoints filled in and the builders left to you.

        Raises:
            InputError: If there are no checkpoints, or the file exists.
        """
        return write_manifest(self.spec, path or self.spec.folder / "zoo.toml")

    def estimate(
        self,
        analyses: Chosen = None,
        *,
        store: str | Path | None = None,
        overwrite: bool = False,
        shard: str | None = None,
        changed: str = KEEP,
        trust_pickle: bool = False,
        on_event: Listener | None = None,
    ) -> list[Estimate]:
        """What `run` would do, how long it would take on one worker, what will fail; nothing is written.

        Each checkpoint is loaded once.

        Args: as in `run`.
        """
        from landscape.zoo.costs import Costs
        from landscape.zoo.estimate import estimate

        home = Store(store or self.store)
        redo = _redo(changed)
        plan, loader = self._plan(analyses, home, trust_pickle)
        part = None if shard is None else Shard.parse(shard)
        older = [] if overwrite else of_older_code(plan, home, part, redo, on_event or _ignore)
        again = [task for task, _ in older] if redo else []
        return estimate(plan, plan.todo(home, overwrite, part, again), loader, part, Costs.of(home))

    def run(
        self,
        analyses: Chosen = None,
        *,
        store: str | Path | None = None,
        jobs: int = 1,
        cluster: str | None = None,
        executor: Executor | None = None,
        overwrite: bool = False,
        shard: str | None = None,
        changed: str = KEEP,
        trust_pickle: bool = False,
        on_event: Listener | None = None,
    ) -> RunResult:
        """Do what is not done yet. A model that fails stops no other; a killed run resumes by itself.

        Several runs may work on one store at once, on one machine or on several that share its file
        system: each task is done by one of them, and each run ends when all its tasks are done.

        Under torchrun, every process calls this; all carry out each task together, the first one writes, and
        each returns the same.

        Args:
            analyses: Labels of the manifest or names of analyses, or a mapping from them to options;
                ``None`` for all of the manifest.
            store: Folder of the results; by default ``results/`` beside the manifest.
            jobs: Number of worker processes; 1 works in this process.
            cluster: Address or scheduler file of a Dask cluster to carry out the tasks, instead of ``jobs``;
                see `landscape.zoo.executors.dask.ClusterExecutor`.
            executor: Where to carry out the tasks, instead of ``jobs`` and ``cluster``.
            overwrite: Do again what is done.
            shard: Do only one of several equal parts, ``"i/n"`` with i from 1 to n. The results are
                consolidated by the shard that ends last.
            changed: What becomes of results that are of other code, since a module beside the manifest that
                its builders, loss or analyses come from was changed: ``"keep"`` or ``"redo"``. They are
                named in either case. Comments, docstrings and layout are no change.
            trust_pickle: Let pickles run code while loading: only for your own files.
            on_event: Called with each event (see `landscape.zoo.events`), in this process.

        Returns:
            Counts and failures.

        Raises:
            InputError: If manifest, builders, data or options cannot be used; nothing is computed.
            StoreError: If the store cannot be written to.
        """
        refuse_in_worker()
        if executor is None and launched():
            if jobs != 1 or cluster is not None:
                raise InputError(
                    "torchrun's processes carry out each task together; leave out jobs and cluster."
                )
            given: dict[str, Any] = {"store": store, "overwrite": overwrite, "trust_pickle": trust_pickle}
            given |= {"shard": shard, "on_event": on_event, "changed": changed}
            return over_ranks(lambda together: self.run(analyses, executor=together, **given))
        emit = on_event or _ignore
        _redo(changed)
        part = None if shard is None else Shard.parse(shard)
        home = Store(store or self.store)
        home.lock()  # to know before any work that it can be written to
        if trust_pickle:
            emit(Message(TRUST_WARNING))
        plan, loader = self._plan(analyses, home, trust_pickle, emit)
        plan = replace(plan, setup=replace(plan.setup, overwrite=overwrite, changed=changed))
        executor = executor or _executor(loader, jobs, cluster)
        del loader  # a pool's workers have their own data; ours need not stay in memory
        return run_plan(plan, home, executor, part, emit)

    def _plan(
        self, analyses: Chosen, home: Store, trust_pickle: bool, emit: Listener | None = None
    ) -> tuple[Plan, Loader]:
        chosen = [analyses] if isinstance(analyses, str) else analyses
        spec, labels = choose_sections(with_preprocessing(self.spec), chosen)
        emit = emit or _ignore
        loader = Loader(
            _setup(spec, home, trust_pickle), on_read=_now_and_then(emit), on_decoded=_now_and_then(emit)
        )
        plan = make_plan(spec, labels, loader, home)
        if loader.changing:
            emit(
                Message(
                    f"examples of {loader.setup.data.reference} change each time they are read (random"
                    " augmentation?); each was read once, and results are of what came: to measure the data"
                    " as they are, give them without."
                )
            )
        return plan, loader


def scan(directory: str | Path, *, allow: Iterable[str] = ()) -> Zoo:
    """Find the checkpoints below a directory, without needing the model and without running code.

    Args:
        directory: Where to look, with all folders below; or ``hf:ORGANISATION/NAME``, the revisions of a
            repository that are in the cache of the Hugging Face Hub. Nothing is downloaded.
        allow: Dotted names that pickles may import, one by one, such as ``argparse.Namespace``.

    Returns:
        A zoo without builders: `Zoo.skipped` says what was left out and why; `Zoo.write_manifest`
        writes a manifest to fill in, `Zoo.with_builders` takes them here.

    Raises:
        InputError: If there is no such directory.
    """
    return Zoo(scan_directory(directory, allow=allow))


def analyse(
    spec: ZooSpec,
    *,
    trust_pickle: bool = False,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> xr.Dataset:
    """The result of a zoo that has one section and just the models of one subject; not stored.

    Args:
        spec: One section; one model, two for a pair, any number for a group.
        trust_pickle: Let pickles run code while loading.
        on_progress: Called with the finished fraction.

    Raises:
        LandscapeError: If anything given cannot be used.
    """
    store = Store(spec.folder)
    spec = with_preprocessing(spec)
    loader = Loader(_setup(spec, store, trust_pickle))
    plan = make_plan(spec, (spec.sections[0].label,), loader, store)
    if len(plan.tasks) != 1:
        raise InputError(
            f"analysis '{spec.sections[0].analysis}' cannot take {len(spec.models)} checkpoints at once."
        )
    task = plan.tasks[0]
    if task.error is not None:
        raise CheckpointError(task.error)
    return Runner(loader).compute(task, on_progress, whole=True)


def _executor(loader: Loader, jobs: int, cluster: str | None) -> Executor:
    """Where tasks are carried out."""
    if cluster is None:
        return SerialExecutor(Runner(loader)) if jobs == 1 else PoolExecutor(jobs)
    if jobs != 1:
        raise InputError("a cluster has workers of its own; leave out jobs.")
    try:
        from landscape.zoo.executors.dask import ClusterExecutor
    except ImportError as error:
        raise InputError(
            "a cluster needs dask.distributed; install it with: pip install 'landscape-toolkit[cluster]'."
        ) from error
    return ClusterExecutor(cluster)


def _setup(spec: ZooSpec, home: Store, trust_pickle: bool) -> Setup:
    if spec.data is None:
        raise InputError(
            f"zoo '{spec.name}' has no data builder; write a manifest (Zoo.write_manifest) or use"
            " Zoo.with_builders."
        )
    return Setup(spec.folder, spec.data, spec.problem, home.directory, trust_pickle, split=spec.split)


def _redo(changed: str) -> bool:
    if changed not in (KEEP, REDO):
        raise InputError(f"changed must be '{KEEP}' or '{REDO}'; got {changed!r}.")
    return changed == REDO


def _ignore(event: Event) -> None:
    """Nobody listens."""


def _now_and_then(emit: Listener) -> Callable[..., None]:
    """What tells how far the data is read, if that takes long; more often where it is known how far it is."""
    last = time.perf_counter()

    def tell(examples: int, of: int = 0) -> None:
        nonlocal last
        if time.perf_counter() - last > (_READING_OF_EVERY_S if of else _READING_EVERY_S):
            last = time.perf_counter()
            emit(Reading(examples, of))

    return tell
