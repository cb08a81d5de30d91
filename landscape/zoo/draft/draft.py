"""A scanned directory and what its user says of it, as a zoo that can be run; what lacks is asked for."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from landscape.errors import CheckpointError, InputError, suggest
from landscape.zoo.described.preprocessing import preprocessing_of
from landscape.zoo.described.transformers import why_not_described
from landscape.zoo.draft.arguments import classes_of, completed
from landscape.zoo.layouts.grouping import regrouped
from landscape.zoo.layouts.side_files import json_of
from landscape.zoo.problem_options import ProblemOptions
from landscape.zoo.reading.parts import adapter_beside
from landscape.zoo.sources.names import FORMS, source_of
from landscape.zoo.sources.preprocess import Preprocess
from landscape.zoo.spec import Builder, Model, ZooSpec

__all__ = ["EXAMPLES", "Wishes", "drafted", "lacking"]

EXAMPLES = 512
"""How many examples of data by name a first run takes."""

_SHOWN = 3


@dataclass(frozen=True)
class Wishes:
    """What a user says of a directory.

    Attributes:
        models: Globs over names and groups of checkpoints, and what makes these; an empty glob is for all
            that do not say what they are, or for all if each does.
        data: Data by name, or a function of theirs; ``None`` if not known.
        examples: How many examples of data by name; 0 for all, ``None`` for `EXAMPLES`.
        preprocess: Entries of `landscape.zoo.sources.preprocess.Preprocess` that come before the models' own.
        split: Which split the data are, if that is known.
        loss: The loss.
        group_by: What makes a group; see `landscape.zoo.layouts.grouping.regrouped`.
    """

    models: tuple[tuple[str, Builder], ...] = ()
    data: Builder | None = None
    examples: int | None = None
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    split: str | None = None
    loss: str | None = None
    group_by: str = "name"

    @property
    def placed(self) -> bool:
        """Whether anything is said that has a place: a file, a folder, a module."""
        return bool(self.models) or self.data is not None or bool(self.preprocess.get("tokenizer"))


def drafted(spec: ZooSpec, wishes: Wishes, home: Path) -> ZooSpec:
    """A scanned zoo with what its user says, as far as it goes; nothing is built or read.

    Args:
        spec: As a scan found it.
        wishes: What the user says.
        home: What the user's paths and modules are relative to: where they stand.

    Raises:
        InputError: If what they say cannot be.
    """
    models = _made_by(regrouped(spec.models, wishes.group_by), wishes.models, home, spec.problem.allow)
    data = _data(wishes)
    problem = spec.problem
    if wishes.loss is not None:
        problem = ProblemOptions.check({**dict(problem), "loss": wishes.loss})
    if data is not None and source_of(data.reference) is not None:
        kind, place = source_of(data.reference) or ("", "")
        if kind == "imagefolder" and "classes" not in data.kwargs:
            classes = classes_of(models, home / Path(place).expanduser())
            data = Builder(data.reference, {**data.kwargs, **({"classes": classes} if classes else {})})
        models = tuple(replace(m, preprocess=_preprocess(m, home)) for m in models)
    folder = home.resolve() if wishes.placed else spec.folder
    return replace(
        spec,
        models=tuple(replace(m, builder=_below(m.builder, folder)) for m in models),
        data=data,
        problem=problem,
        folder=folder,
        split=wishes.split or spec.split,
    )


def _below(builder: Builder | None, folder: Path) -> Builder | None:
    """A builder whose weights, found at a scan, are named from where the manifest's paths are."""
    place = None if builder is None else builder.kwargs.get("weights")
    if builder is None or not isinstance(place, str) or not Path(place).is_absolute():
        return builder
    return Builder(builder.reference, {**builder.kwargs, "weights": os.path.relpath(place, folder)})


def _preprocess(model: Model, home: Path) -> dict[str, Any]:
    how = preprocessing_of(model)
    if how.get("tokenizer"):
        how["tokenizer"] = os.path.relpath(how["tokenizer"], home)
    return how


def _made_by(
    models: Sequence[Model], wishes: Sequence[tuple[str, Builder]], home: Path, allow: Sequence[str]
) -> tuple[Model, ...]:
    """The checkpoints with the builders that the user names; the last that names one counts."""
    found = list(models)
    for glob, builder in sorted(wishes, key=lambda wish: bool(wish[0])):
        if glob:
            chosen = [any(fnmatch.fnmatchcase(n, glob) for n in (m.name, m.group)) for m in models]
            if not any(chosen):
                raise InputError(
                    f"no checkpoint and no group matches '{glob}' of --model;"
                    f" {suggest(glob, dict.fromkeys(n for m in models for n in (m.group, m.name) if n))}"
                )
        else:  # whoever says what the unknown ones are says nothing of the others
            chosen = [m.builder is None for m in models]
            chosen = chosen if any(chosen) else [True] * len(models)
        found = [
            completed(replace(m, builder=builder), home, allow) if of else m
            for m, of in zip(found, chosen, strict=True)
        ]
    return tuple(found)


def _data(wishes: Wishes) -> Builder | None:
    said = next(iter(wishes.preprocess), None if wishes.examples is None else "examples")
    if wishes.data is None:
        if said is not None:
            raise InputError(f"--{said} is about data; give --data as well, such as --data imagefolder:DIR.")
        return None
    if source_of(wishes.data.reference) is None:
        if said is not None:
            raise InputError(
                f"--{said} is for data by name ({FORMS.split(',')[0]}, ...), and '{wishes.data.reference}' is"
                " a function of yours: have it do that itself, or give it arguments."
            )
        return wishes.data
    given: dict[str, Any] = dict(wishes.data.kwargs)
    count = EXAMPLES if wishes.examples is None else wishes.examples
    if count:
        given["examples"] = count
    if wishes.preprocess:
        Preprocess.check(wishes.preprocess, "preprocessing")
        given["preprocess"] = dict(wishes.preprocess)
    return Builder(wishes.data.reference, given)


def lacking(spec: ZooSpec) -> None:
    """Raise unless a drafted zoo can be run.

    Raises:
        InputError: What is unknown, and the flag that says it.
    """
    if not spec.models:
        raise InputError(_nothing(spec))
    unknown = [m.name for m in spec.models if m.builder is None]
    for model in spec.models:
        base = "" if model.builder is not None else _base_of(model)
        if base:
            raise InputError(
                f"'{model.name}' is an adapter on the model '{base}', whose weights are not in it and not"
                f""" on this machine; give --model '{model.name}=transformers:CLASS(weights="DIR")' with"""
                " the folder where that model was saved, or package.module:function, which loads it."
            )
    for model in spec.models:
        why = "" if model.builder is not None else _why_not(model)
        if why:
            raise InputError(f"'{model.name}': {why}.")
    if unknown:
        every = len(unknown) == len(spec.models)
        who = "none of the checkpoints says" if every else f"{_some(unknown)} do not say"
        raise InputError(
            f"{who} which architecture {'it is' if every else 'they are'}; give --model timm:NAME, --model"
            " torchvision:NAME or --model package.module:function, with arguments as in --model"
            " 'torchvision:resnet18(num_classes=10)', of some checkpoints as in --model 'GLOB=...'."
        )
    if spec.data is None:
        raise InputError(
            f"nothing says on which data the models are to be measured; give --data with one of {FORMS}, or"
            " package.module:function."
        )


def _base_of(model: Model) -> str:
    """The model that an adapter was trained on; empty if the checkpoint is none."""
    try:
        adapter = adapter_beside(model.path)
    except CheckpointError:
        return ""
    return "" if adapter is None else adapter.base or "that its configuration does not name"


def _why_not(model: Model) -> str:
    """Why the configuration beside a checkpoint makes no model, if it is one of Hugging Face's with code."""
    config = json_of(model.path.parent / "config.json")
    return why_not_described(config) if config is not None and config.get("auto_map") else ""


def _nothing(spec: ZooSpec) -> str:
    why = f" ({spec.skipped[0].path}: {spec.skipped[0].reason.rstrip('.')})" if spec.skipped else ""
    return f"'{spec.folder}' holds no checkpoints{why}."


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
