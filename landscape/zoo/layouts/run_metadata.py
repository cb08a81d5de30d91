"""Facts about a training run, as checkpoints and the files beside them record them."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from landscape.zoo.layouts.side_files import text_of
from landscape.zoo.reading.modules import scalar_of
from landscape.zoo.reading.stubs import attributes

__all__ = [
    "Facts",
    "facts_in_config",
    "facts_in_content",
    "facts_in_row",
    "is_metric",
    "read_flat_yaml",
    "read_rows",
    "read_yaml",
]

_SYNONYMS = {
    "arch": "arch",
    "architecture": "arch",
    "batch_size": "batch_size",
    "batchsize": "batch_size",
    "bs": "batch_size",
    "train_bs": "batch_size",
    "train_batch_size": "batch_size",
    "data_fraction": "data_fraction",
    "dataset": "dataset",
    "depth": "depth",
    "drop": "dropout",
    "dropout": "dropout",
    "epoch": "epoch",
    "global_step": "step",
    "iteration": "step",
    "label_noise": "label_noise",
    "learning_rate": "learning_rate",
    "lr": "learning_rate",
    "model": "arch",
    "model_name": "arch",
    "momentum": "momentum",
    "opt": "optimizer",
    "optimizer": "optimizer",
    "smoothing": "label_smoothing",
    "step": "step",
    "training_iteration": "epoch",
    "wd": "weight_decay",
    "weight_decay": "weight_decay",
    "width": "width",
}
_CONFIGS = ("hyper_parameters", "hparams", "config", "args", "params")
_PROGRESS = ("epoch", "global_step", "iteration", "step", "training_iteration")
_METRICS = {
    "acc",
    "acc1",
    "acc5",
    "accuracy",
    "err",
    "error",
    "loss",
    "metric",
    "nll",
    "prec1",
    "top1",
    "top5",
}
_LONGEST = 60
_LARGEST_YAML = 500_000  # bytes; its reader takes seconds for more


@dataclass(frozen=True)
class Facts:
    """What is known of a checkpoint.

    Attributes:
        tags: Labels by name: width, batch_size, epoch, ...
        metrics: Numbers recorded in training, under the names they were recorded with.
        seed: Training seed.
    """

    tags: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    seed: int | None = None

    def __or__(self, other: Facts) -> Facts:
        """Both; ``other`` decides where they differ."""
        return Facts(
            {**self.tags, **other.tags},
            {**self.metrics, **other.metrics},
            self.seed if other.seed is None else other.seed,
        )


def facts_in_config(config: Mapping[Any, Any], *, known_only: bool = False) -> Facts:
    """Facts in the options of a training run: those that are single values, paths left out.

    Args:
        config: Options by name; ``training::batchsize`` and ``optim/lr`` are understood too.
        known_only: Whether to leave out options whose names mean nothing here.
    """
    tags: dict[str, Any] = {}
    seed: int | None = None
    for key, value in config.items():
        last = re.split(r"::|[/.]", str(key))[-1]
        plain = _plain(value)
        if plain is None:
            continue
        if last in ("seed", "random_seed", "manual_seed"):
            seed = plain if isinstance(plain, int) and not isinstance(plain, bool) else None
        elif last in _SYNONYMS:
            tags[_SYNONYMS[last]] = plain
        elif not known_only:
            tags[re.sub(r"::|[/.\s]", "_", str(key))] = plain
    return Facts(tags, {}, seed)


def facts_in_row(row: Mapping[Any, Any]) -> Facts:
    """Metrics, and how far training had come, in a row of a log."""
    metrics = {
        str(key): float(value)
        for key, value in ((k, _plain(v)) for k, v in row.items())
        if isinstance(value, int | float) and not isinstance(value, bool) and is_metric(str(key))
    }
    progress = {
        k: v for k in _PROGRESS if isinstance(v := _plain(row.get(k)), int | float) and math.isfinite(v)
    }
    return Facts({_SYNONYMS[k]: int(v) for k, v in progress.items()}, metrics)


def is_metric(name: str) -> bool:
    """Whether a number of that name measures how good a model is.

    Example:
        >>> [is_metric(name) for name in ("val/acc", "train_loss", "testAcc", "loss_scale", "epoch")]
        [True, True, True, False, False]
    """
    words = re.split(r"[^a-z0-9]+", name.lower())
    named = any(w in _METRICS or w.endswith(("loss", "acc", "accuracy")) for w in words)
    return named and "scale" not in words


def facts_in_content(content: Mapping[Any, Any]) -> Facts:
    """Facts in what a checkpoint holds beside its weights."""
    found = Facts()
    for name in _CONFIGS:
        config = attributes(content.get(name))
        if config:
            # A command line has a hundred options of which most tell nothing of the model.
            found |= facts_in_config(config, known_only=name == "args")
    found |= facts_in_config({k: content[k] for k in ("arch", "seed") if k in content})
    nested = content.get("metrics")
    return found | facts_in_row({**content, **(nested if isinstance(nested, Mapping) else {})})


def _plain(value: Any) -> int | float | bool | str | None:
    """A single value as Python has it; ``None`` for others, for long texts and for paths."""
    value = scalar_of(value)
    if isinstance(value, str):
        single = 0 < len(value) <= _LONGEST and value.isprintable() and not re.search(r"[/\\]", value)
        return value if single else None
    return value if value is None or isinstance(value, int | float | bool) else None


def read_rows(file: Path) -> list[dict[str, Any]]:
    """Rows of a log: a CSV table, JSON lines or a JSON list; what cannot be read is left out."""
    text = text_of(file)
    if text is None:
        return []
    if file.suffix == ".csv":
        try:
            rows: Iterable[Mapping[str, Any]] = list(csv.DictReader(text.splitlines()))
        except csv.Error:  # a field longer than any number or name
            return []
        return [{k: _scalar(v) for k, v in row.items() if k and v not in (None, "")} for row in rows]
    found = []
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):  # the last line of a run that was killed
            continue
        found.append(value)
    return [row for row in found if isinstance(row, dict)]


def read_yaml(file: Path) -> dict[str, Any]:
    """The options in a YAML file: single values, lists and tables of them; all else is passed over."""
    import yaml

    # The base loader and not the safe one: it makes no object at all, where the safe one refuses a whole file
    # for one tag of Python's, such as Lightning writes. And it leaves what is a number to `_scalar`, as in
    # CSV files: YAML 1.1 takes 1e-3 for a text and "no" for a truth value.
    try:
        content = yaml.load(text_of(file, _LARGEST_YAML) or "", Loader=yaml.BaseLoader)
    except (ValueError, RecursionError, yaml.YAMLError):
        return {}
    return _options(content) if isinstance(content, dict) else {}


def read_flat_yaml(file: Path) -> dict[str, Any]:
    """The single values at the top level of a YAML file; all else in it is passed over."""
    return {k: v for k, v in read_yaml(file).items() if not isinstance(v, list | dict)}


def _options(content: Mapping[Any, Any]) -> dict[str, Any]:
    """The entries of a table of YAML as plain values, one step down.

    No deeper: references to references may be of any size.
    """
    found: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, str):
            found[str(key)] = _value(value)
        elif isinstance(value, list) and all(isinstance(v, str) for v in value):
            found[str(key)] = [_value(v) for v in value]
        elif isinstance(value, dict):
            found[str(key)] = {str(k): _value(v) for k, v in value.items() if isinstance(v, str)}
    return {key: value for key, value in found.items() if value is not None}


def _value(text: str) -> Any:
    return None if text.lower() in ("", "~", "null") else _scalar(text)


def _scalar(text: Any) -> Any:
    """The number or truth value that a text stands for, else the text."""
    words = {"true": True, "false": False}
    if not isinstance(text, str) or text.lower() in words:
        return words[text.lower()] if isinstance(text, str) else text
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
