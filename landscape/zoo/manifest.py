"""The manifest ``zoo.toml``: read, checked, and turned into a zoo."""

from __future__ import annotations

import glob
import os
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from landscape.base.params import check_numbers
from landscape.base.validation import clause, shown
from landscape.errors import InputError, one_line, suggest
from landscape.imports import REFERENCE
from landscape.zoo.checkpoint import without_ending
from landscape.zoo.problem_options import ProblemOptions
from landscape.zoo.sources.names import DATA_REFERENCE, FORMS, source_of
from landscape.zoo.sources.preprocess import Preprocess
from landscape.zoo.spec import (
    Builder,
    Model,
    PredictiveSpec,
    SectionSpec,
    ZooSpec,
    check_name,
    parse_seed,
    unique_names,
)

__all__ = ["manifest_of", "read_manifest"]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        name = str(info.field_name)
        check_numbers(name, cls.model_fields[name].annotation, value)
        return value


class _Builder(_Table):
    builder: str = Field(pattern=REFERENCE)
    kwargs: dict[str, Any] = {}

    def spec(self) -> Builder:
        return Builder(self.builder, self.kwargs)


class _Model(_Builder):
    preprocess: dict[str, Any] = {}


class _Data(_Builder):
    builder: str = Field(pattern=DATA_REFERENCE)
    split: Literal["train", "validation", "test"] | None = None
    examples: int | None = Field(None, ge=1)
    size: int | list[int] | None = None
    crop: float | None = None
    resize: int | str | None = None
    interpolation: str | None = None
    mean: float | list[float] | None = None
    std: float | list[float] | None = None
    channels: int | None = None
    tokenizer: str | None = None
    length: int | None = None

    def spec(self) -> Builder:
        """The builder; how pictures are prepared, and how many are used, are arguments of data by name."""
        how = {n: v for n in Preprocess.model_fields if (v := getattr(self, n)) is not None}
        given = ({"examples": self.examples} if self.examples else {}) | ({"preprocess": how} if how else {})
        if given and source_of(self.builder) is None:
            name = next(iter(how), "examples")
            raise InputError(
                f"[data] {name} is for data by name ({FORMS.split(',')[0]}, ...), and '{self.builder}' is a"
                " function of yours: have it do that itself, or give it arguments (kwargs)."
            )
        if how:
            Preprocess.check(how, "[data]")
        return Builder(self.builder, {**self.kwargs, **given})


class _Checkpoint(_Table):
    path: str = Field(min_length=1)
    name: str | None = None
    builder: str | None = Field(None, pattern=REFERENCE)
    kwargs: dict[str, Any] | None = None
    state: str = ""
    prefix: str = ""
    loader: str = Field("", pattern=f"^$|{REFERENCE}")
    group: str = ""
    run: str = ""
    seed: int | None = None
    tags: dict[str, Any] = {}
    metrics: dict[str, float] = {}
    preprocess: dict[str, Any] = {}


class _Fit(_Table):
    builder: str | None = Field(None, pattern=DATA_REFERENCE)
    kwargs: dict[str, Any] | None = None


class _Predictive(_Builder):
    name: str
    members: str | list[str] = Field(min_length=1)
    fit: _Fit | None = None
    group: str = ""
    tags: dict[str, Any] = {}


class _Manifest(_Table):
    name: str | None = None
    folder: str = "."
    store: str = ""
    model: _Model | None = None
    data: _Data
    problem: ProblemOptions = ProblemOptions()
    analyses: dict[str, dict[str, Any]] = {}
    checkpoints: tuple[_Checkpoint, ...] = Field(min_length=1)
    predictives: tuple[_Predictive, ...] = ()


_TABLES: dict[str, type[BaseModel]] = {
    "model": _Model,
    "data": _Data,
    "problem": ProblemOptions,
    "checkpoints": _Checkpoint,
    "predictives": _Predictive,
}


def read_manifest(path: str | Path) -> ZooSpec:
    """Read a manifest. Paths in it are relative to its folder, or to what it calls its ``folder``.

    Checkpoints need not exist: a missing one is a failure of that model alone. The options of the
    analyses are checked when the run is planned.

    Raises:
        InputError: If the manifest is missing, is not TOML, or holds unknown or unusable entries.
    """
    path = Path(path)
    try:
        text = path.read_text("utf-8-sig")  # editors of Windows begin a file with a byte-order mark
    except FileNotFoundError:
        raise InputError(
            f"there is no manifest '{path}'; `landscape scan DIR --write-manifest` writes one."
        ) from None
    except IsADirectoryError:
        raise InputError(
            f"'{path}' is a folder: name its manifest, or have `landscape scan {path} --write-manifest` write"
            " one."
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(f"manifest '{path}' is no text in UTF-8: save it as that.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"manifest '{path}' cannot be read: {one_line(error)}.") from error
    return manifest_of(text, path)


def manifest_of(text: str, path: Path) -> ZooSpec:
    """The zoo that a text describes, as if it stood in that file.

    Raises:
        InputError: As `read_manifest`.
    """
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise InputError(f"manifest '{path}' nests lists or tables too deep; write it with fewer.") from None
    except ValueError as error:  # of TOML, and of Python where a number has too many digits
        raise InputError(f"manifest '{path}' is not valid TOML: {one_line(error)}.") from error
    try:
        manifest = _Manifest(**tables)
    except ValidationError as error:
        raise InputError(f"manifest '{path}': {_sentence(error)}") from error
    home = path.resolve().parent
    folder = (home / Path(manifest.folder).expanduser()).resolve()
    try:
        models = _models(manifest, folder)
        return ZooSpec(
            name=manifest.name or home.name,
            folder=folder,
            models=models,
            predictives=tuple(_predictives(manifest, models)),
            data=manifest.data.spec(),
            problem=manifest.problem,
            split=manifest.data.split,
            sections=tuple(_sections(manifest)),
            manifest=path.resolve(),
            store=(folder / Path(manifest.store).expanduser()).resolve() if manifest.store else None,
        )
    except InputError as error:
        raise InputError(f"manifest '{path}': {error}") from error


class _Section(_Table):
    """What an analysis' table may hold beside the options of the analysis."""

    analysis: str | None = None
    models: list[str] = ["*"]
    examples: int | None = Field(None, ge=1)
    together: bool = False


def _sections(manifest: _Manifest) -> Iterator[SectionSpec]:
    for label, table in manifest.analyses.items():
        own = {k: v for k, v in table.items() if k in _Section.model_fields}
        options = {k: v for k, v in table.items() if k not in own}
        try:
            section = _Section(**own)
        except ValidationError as error:
            raise InputError(_sentence(error, "analyses", label)) from error
        yield SectionSpec(
            check_name("section", label),
            section.analysis or label,
            options,
            models=tuple(section.models),
            examples=section.examples,
            together=section.together,
        )


def _models(manifest: _Manifest, folder: Path) -> tuple[Model, ...]:
    models = [m for entry in manifest.checkpoints for m in _expand(entry, manifest.model, folder)]
    twice = [name for name, count in Counter(m.name for m in models).items() if count > 1]
    if twice:
        raise InputError(f"two checkpoints are named '{twice[0]}'; give each [[checkpoints]] its own name.")
    return tuple(models)


def _predictives(manifest: _Manifest, models: Sequence[Model]) -> Iterator[PredictiveSpec]:
    taken = {m.name: "a checkpoint" for m in models}
    for entry in manifest.predictives:
        name = check_name("predictive", entry.name)
        if name in taken:
            raise InputError(
                f"a predictive and {taken[name]} are both named '{name}'; give each a name of its own."
            )
        taken[name] = "another"
        if entry.group:
            check_name("group", entry.group)
        found = PredictiveSpec(
            name,
            entry.spec(),
            (entry.members,) if isinstance(entry.members, str) else tuple(entry.members),
            None if entry.fit is None else _like(entry.fit, manifest.data.spec()),
            entry.group,
            entry.tags,
        )
        found.of(models)  # a glob that matches nothing is told now
        yield found


def _expand(entry: _Checkpoint, default: _Builder | None, folder: Path) -> Iterator[Model]:
    builder = _builder(entry, default)
    if entry.group:
        check_name("group", entry.group)
    how = entry.preprocess or (default.preprocess if isinstance(default, _Model) else {})
    if how:
        Preprocess.check(how, "preprocess")
    given = os.path.expanduser(entry.path)  # noqa: PTH111 - a glob is not a path yet
    if not glob.has_magic(given) or (folder / given).is_file():  # a file may have brackets in its name
        name = check_name("checkpoint", entry.name or without_ending(Path(given).name))
        yield Model(
            name=name,
            path=folder / given,
            shown=entry.path,
            builder=builder,
            group=entry.group,
            seed=entry.seed,
            tags=entry.tags,
            metrics=entry.metrics,
            state=entry.state,
            prefix=entry.prefix,
            loader=entry.loader,
            run=entry.run,
            preprocess=how,
        )
        return
    if entry.name is not None:
        raise InputError(
            f"path '{entry.path}' stands for many files, which take their names from the files;"
            " drop its name."
        )
    found = sorted(p for p in glob.glob(given, root_dir=folder, recursive=True))  # noqa: PTH207
    places = {file: folder / file for file in found}
    files = [file for file, place in places.items() if place.is_file()]
    if not files:
        raise InputError(f"no file matches path '{entry.path}'.")
    for file, name in zip(files, unique_names(files), strict=True):
        yield Model(
            name=check_name("checkpoint", name),
            path=places[file],
            shown=file,
            builder=builder,
            group=entry.group,
            seed=parse_seed(name) if entry.seed is None else entry.seed,
            tags=entry.tags,
            metrics=entry.metrics,
            state=entry.state,
            prefix=entry.prefix,
            loader=entry.loader,
            run=entry.run,
            preprocess=how,
        )


def _builder(entry: _Checkpoint, default: _Builder | None) -> Builder:
    """The entry's own builder, with the default's arguments unless it names another builder."""
    if entry.builder is not None:
        same = default is not None and default.builder == entry.builder
        inherited = default.kwargs if default is not None and same else {}
        return Builder(entry.builder, {**inherited, **(entry.kwargs or {})})
    if default is None:
        raise InputError(
            f"checkpoint '{entry.name or entry.path}' has no builder; name one there or under [model]."
        )
    return Builder(default.builder, {**default.kwargs, **(entry.kwargs or {})})


def _like(entry: _Fit, data: Builder) -> Builder:
    """The builder of data to fit on: the zoo's own with other arguments, or one of its own."""
    same = entry.builder in (None, data.reference)
    inherited = data.kwargs if same else {}
    return Builder(entry.builder or data.reference, {**inherited, **(entry.kwargs or {})})


def _sentence(error: ValidationError, *parents: str) -> str:
    """The first thing wrong with a manifest, or with a table of it, in a sentence."""
    # a misspelt entry is also missing under its right name: say the former
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    place = [*parents, *(p for p in first["loc"] if p != "[key]")]
    table: type[BaseModel] = _TABLES.get(str(place[0]), _Manifest) if place else _Manifest
    if len(place) == 1:
        table = _Manifest
    if first["type"] == "extra_forbidden":
        hint = suggest(str(place[-1]), table.model_fields)
        return f"{_where(place[:-1])} has no entry '{place[-1]}'; {hint}"
    if first["type"] == "missing":
        return f"{_where(place[:-1])} lacks '{place[-1]}'."
    if first["type"] == "string_pattern_mismatch":
        return (
            f"'{place[-1]}' in {_where(place[:-1])} must be 'package.module:function';"
            f" got {shown(first['input'])}."
        )
    if not place:
        return f"the manifest {clause(first)}."
    return f"'{place[-1]}' in {_where(place[:-1])} cannot be {shown(first['input'])}: {clause(first)}."


def _where(place: list[int | str]) -> str:
    if not place:
        return "the top level"
    if place[0] in ("checkpoints", "predictives"):
        number = f" number {place[1] + 1}" if len(place) > 1 and isinstance(place[1], int) else ""
        return f"[[{place[0]}]]{number}"
    return f"[{'.'.join(str(p) for p in place)}]"
