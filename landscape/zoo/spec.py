"""What a zoo is made of, as plain values that travel between processes."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape._moved import old_names
from landscape.errors import InputError, suggest
from landscape.store import ModelRecord
from landscape.zoo.checkpoint import without_ending
from landscape.zoo.problem_options import ProblemOptions

__all__ = [
    "Builder",
    "Model",
    "PredictiveModel",
    "PredictiveSpec",
    "SectionSpec",
    "Skipped",
    "ZooSpec",
    "check_name",
    "parse_seed",
    "unique_names",
]

if not TYPE_CHECKING:
    __getattr__ = old_names(__name__)

_SEED = re.compile(r"(?:^|[-_./])(?:seed|s)[-_=]?(\d+)(?=$|[-_./])")


@dataclass(frozen=True)
class Builder:
    """A function of the user's that makes a model or data.

    Attributes:
        reference: ``package.module:function``, ``timm:NAME`` or ``torchvision:NAME``.
        kwargs: Its keyword arguments.
    """

    reference: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """What of it enters a task's key."""
        return {"builder": self.reference, "kwargs": dict(self.kwargs)}


@dataclass(frozen=True)
class Model:
    """One checkpoint of a zoo: as a manifest or a scan describes it, and once planned, as its file is.

    Attributes:
        name: Unique within the zoo.
        path: The file.
        shown: The file as the manifest names it.
        builder: Makes the model that it fits; ``None`` if not known yet.
        group: Models to be compared with one another; may be empty.
        seed: Training seed, if known.
        tags: Free labels.
        metrics: Numbers recorded in training.
        layout: How it was laid out, if a scan found it.
        state: Which weights of the file, if it holds several sets; empty if one fits.
        prefix: Beginning of the keys that are the model's; empty for what the problem's options say.
        loader: Function of the user's that reads the file, ``package.module:function``; empty for ours.
        run: Training run that it is a checkpoint of, among those of its group; may be empty.
        preprocess: How it wants pictures or texts, if the manifest says; see `landscape.zoo.sources`.
        data: Its own data, where it wants those of the zoo prepared in another way; ``None`` for the zoo's.
        data_fingerprint: Content hash of its own data when the plan was made.
        stamp: Size in bytes and time of change in ns of the file when the plan was made; ``None`` before.
        sha256: Content hash of the file then; ``None`` before, or if it cannot be read.
        error: Why the file cannot be read, if that is so.
    """

    name: str
    path: Path
    shown: str = ""
    builder: Builder | None = None
    group: str = ""
    seed: int | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    layout: str = ""
    state: str = ""
    prefix: str = ""
    loader: str = ""
    run: str = ""
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    data: Builder | None = None
    data_fingerprint: str | None = None
    stamp: tuple[int, int] | None = None
    sha256: str | None = None
    error: str | None = None

    @property
    def made_by(self) -> Builder:
        """Its builder.

        Raises:
            InputError: If it is not known.
        """
        if self.builder is None:
            raise InputError(f"model '{self.name}' has no builder; name one in a manifest.")
        return self.builder

    def facts(self) -> dict[str, Any]:
        """What of it enters a task's key: its weights and how it is built, and neither name nor group."""
        chosen = {"state": self.state, "prefix": self.prefix, "loader": self.loader}
        return {
            "checkpoint": self.sha256 or f"unreadable: {self.path}",
            **self.made_by.facts(),
            **{name: value for name, value in chosen.items() if value},
        }

    def record(self) -> ModelRecord:
        """What the store remembers of it."""
        shown = self.shown or self.path.name
        return ModelRecord(
            self.name, self.group, self.seed, dict(self.tags), dict(self.metrics), shown, run=self.run
        )


@dataclass(frozen=True)
class PredictiveSpec:
    """A predictive of a zoo: an ensemble, a posterior, whatever predicts from some of its checkpoints.

    Attributes:
        name: Unique among models and predictives.
        builder: ``(members, **kwargs) -> module``, and with ``fit`` also ``fit_data``.
        members: Globs over the names and the groups of models.
        fit: Makes the data that the builder fits on; ``None`` if it needs none.
        group: Models to be compared with one another; may be empty.
        tags: Free labels.
    """

    name: str
    builder: Builder
    members: tuple[str, ...]
    fit: Builder | None = None
    group: str = ""
    tags: Mapping[str, Any] = field(default_factory=dict)

    @property
    def references(self) -> tuple[str, ...]:
        """What makes it, and the data that it is fitted on."""
        return (self.builder.reference, *([] if self.fit is None else [self.fit.reference]))

    def of(self, models: Sequence[Model]) -> tuple[Model, ...]:
        """Its members, in the order of the zoo.

        Raises:
            InputError: If a glob matches none.
        """
        names = [name for m in models for name in (m.name, m.group) if name]
        for pattern in self.members:
            if not fnmatch.filter(names, pattern):
                raise InputError(
                    f"no checkpoint and no group matches '{pattern}', a member of predictive '{self.name}';"
                    f" {suggest(pattern, dict.fromkeys(names))}"
                )
        return tuple(
            m
            for m in models
            if any(fnmatch.fnmatchcase(name, p) for p in self.members for name in (m.name, m.group) if name)
        )


@dataclass(frozen=True)
class PredictiveModel(Model):
    """A predictive as one more model of a plan; its file is that of none.

    Attributes:
        members: The checkpoints it is made of.
        fit: Makes the data that its builder fits on.
        fit_fingerprint: Content hash of these data when the plan was made.
    """

    members: tuple[Model, ...] = ()
    fit: Builder | None = None
    fit_fingerprint: str | None = None

    def facts(self) -> dict[str, Any]:
        """What of it enters a task's key: how it is built, of what weights, and on what data it is fitted."""
        return {
            "predictive": self.made_by.facts(),
            "members": [member.facts() for member in self.members],
            "fit": self.fit_fingerprint,
        }

    def record(self) -> ModelRecord:
        """What the store remembers of it."""
        members = [member.name for member in self.members]
        return ModelRecord(self.name, self.group, tags=dict(self.tags), members=members)


@dataclass(frozen=True)
class SectionSpec:
    """One analysis to run, under its label.

    Attributes:
        label: Unique within the zoo.
        analysis: What `landscape.base.registry.find` takes.
        options: Options other than the defaults.
        models: Globs over model names: whom it looks at.
        examples: How many examples it uses, the first of a fixed random order; ``None`` for all.
        together: Whether the models of all groups form one subject of an analysis of groups.
    """

    label: str
    analysis: str
    options: Mapping[str, Any] = field(default_factory=dict)
    models: tuple[str, ...] = ("*",)
    examples: int | None = None
    together: bool = False


@dataclass(frozen=True)
class Skipped:
    """A file that a scan left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class ZooSpec:
    """A whole zoo.

    Attributes:
        name: Shown in reports.
        folder: Where the manifest is; builders are imported from here.
        models: The checkpoints, in order.
        data: Makes the data; ``None`` if not known yet.
        problem: How problems are made.
        sections: The analyses to run.
        skipped: What a scan left out.
        split: Which split the data are, if that is known; for comparing with recorded metrics.
        predictives: What predicts from several of the checkpoints, or is fitted to one.
        manifest: The file; ``None`` if there is none.
        store: Where results go by default; ``None`` for ``results/`` in the folder.
        notes: What a scan could not tell for sure, a sentence each.
    """

    name: str
    folder: Path
    models: tuple[Model, ...]
    data: Builder | None = None
    problem: ProblemOptions = field(default_factory=ProblemOptions)
    sections: tuple[SectionSpec, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    split: str | None = None
    predictives: tuple[PredictiveSpec, ...] = ()
    manifest: Path | None = None
    store: Path | None = None
    notes: tuple[str, ...] = ()


def check_name(kind: str, name: str) -> str:
    """A name that can be a group in an HDF5 file.

    Raises:
        InputError: If it is empty, has a slash, or is ``.`` or ``..``.
    """
    if not name or "/" in name or name in (".", "..") or not name.isprintable():
        raise InputError(f"{name!r} cannot be the name of a {kind}: names are printable and have no slash.")
    return name


def parse_seed(name: str) -> int | None:
    """The training seed that a file name states, if it does.

    Example:
        >>> parse_seed("resnet-s3"), parse_seed("vit_seed=12_last"), parse_seed("resnet18")
        (3, 12, None)
    """
    match = _SEED.search(name)
    return int(match[1]) if match else None


def unique_names(files: Sequence[str]) -> list[str]:
    """Short, different names for files given by relative paths.

    They are the names without the endings of checkpoint files; if two are alike, the folders below the
    common one come before; if that is not enough, the endings come after, and in the end numbers.

    Example:
        >>> unique_names(["a/x.pt", "a/y.pt"]), unique_names(["r/a/x.pt", "r/b/x.pt"])
        (['x', 'y'], ['a-x', 'b-x'])
    """
    if not files:
        return []
    stems = [without_ending(Path(f).name) for f in files]
    if len(set(stems)) == len(stems):  # as mostly, and the rest takes long for thousands
        return stems
    common = os.path.commonpath([str(Path(f).parent) for f in files])
    short = [Path(os.path.relpath(f, common)) for f in files]
    joined = ["-".join(Path(without_ending(str(p))).parts) for p in short]
    whole = ["-".join(p.parts) for p in short]
    for names in (joined, whole):
        if len(set(names)) == len(names):
            return names
    return [f"{name}-{index}" for index, name in enumerate(whole)]
