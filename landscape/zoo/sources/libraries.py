"""Data sets of libraries: ``torchvision:CIFAR10`` and ``hf:NAME_OR_DIR``, offline unless told otherwise."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from landscape.errors import InputError, one_line, suggest
from landscape.zoo.sources.examples import Asked, Named, pictures, table
from landscape.zoo.sources.tables import inputs_and_targets, labelled

__all__ = ["of_datasets", "of_torchvision"]


def of_torchvision(asked: Asked, root: str, download: bool, split: str) -> Named:
    """A data set of pictures and classes of torchvision's.

    Args:
        asked: What is asked for.
        root: Where it lies, as torchvision's own ``root``.
        download: Whether it may be downloaded.
        split: ``test`` or ``train``, or what the data set itself calls them.

    Raises:
        InputError: If torchvision is not installed, knows no such set, or it is not there.
    """
    module: Any = _imported("torchvision.datasets", "torchvision", asked.where, "vision")
    name = asked.place
    known = [n for n in getattr(module, "__all__", ()) if isinstance(getattr(module, n, None), type)]
    if name not in known:
        raise InputError(f"torchvision has no data set '{name}'; {suggest(name, known)}")
    if not root:
        raise InputError(
            f"""{asked.where} needs the folder where it lies; give --data '{asked.where}(root="DIR")'"""
            ' ([data] kwargs = { root = "DIR" }).'
        )
    made: Any = getattr(module, name)
    takes = inspect.signature(made).parameters
    options: dict[str, Any] = {"root": str(asked.folder / Path(root).expanduser())}
    if "train" in takes:
        options["train"] = split == "train"
    elif "split" in takes:
        options["split"] = split
    if "download" in takes:
        options["download"] = download
    elif download:
        raise InputError(
            f"{asked.where} is a data set that torchvision does not download; leave out download."
        )
    try:
        data = made(**options)
        labels = _labels(data)
    except Exception as error:  # whatever torchvision raises
        hint = "" if download else """; --data '...(root="DIR", download=True)' lets it be downloaded"""
        raise InputError(
            f"{asked.where} cannot be read from '{options['root']}': {one_line(error)}{hint}."
        ) from error
    return pictures(asked, len(labels), lambda i: data[i][0], labels, getattr(data, "classes", ()))


def _labels(data: Any) -> list[int]:
    """The class of every example, without its picture where the set knows it."""
    for name in ("targets", "labels", "_labels"):
        held = getattr(data, name, None)
        if held is not None and len(held) == len(data):
            return [int(v) for v in held]
    return [int(data[i][1]) for i in range(len(data))]


def of_datasets(
    asked: Asked, split: str | None, config: str | None, x: str | None, y: str | None, download: bool
) -> Named:
    """A data set of Hugging Face's: a folder of ``save_to_disk``, or one of the local cache.

    Args:
        asked: What is asked for.
        split: Which part; by default the only one, else ``test`` or ``validation``.
        config: Which configuration of several.
        x: The column of the inputs; by default the pictures or the text.
        y: The column of the targets.
        download: Whether what is not in the cache may be downloaded.

    Raises:
        InputError: If ``datasets`` is not installed, or there is no such set.
    """
    with _offline(not download):
        module: Any = _imported("datasets", "datasets", asked.where, "hf")
        data = _loaded(module, asked, config, download)
        if isinstance(data, dict):
            data = data[_split_of(list(data), split, asked.where)]
        features = data.features
        pictured = [n for n, f in features.items() if type(f).__name__ == "Image"]
        named = {n: f.names for n, f in features.items() if type(f).__name__ == "ClassLabel"}
        target = y or next(iter(named), None)
        image = x if x in pictured else pictured[0] if pictured and x is None else None
        if image is None:
            # Texts and numbers are small beside pictures: a column is read at once.
            columns = {
                n: list(data[n]) for n in features if type(features[n]).__name__ in ("Value", "ClassLabel")
            }
            found = table(asked, columns, x, target)
            said = tuple(named.get(target or "", ())) or found.classes
            return type(found)(found.data, found.count, found.of, said)
        columns = {n: [] for n in features} | ({target: list(data[target])} if target else {})
        _, target = inputs_and_targets(columns, image, target, asked.where)
        labels, names = labelled(list(data[target]), asked.classes, asked.where)
        classes: Sequence[str] = named.get(target) or names
        return pictures(asked, len(labels), lambda i: data[i][image], [int(v) for v in labels], classes)


def _loaded(module: Any, asked: Asked, config: str | None, download: bool) -> Any:
    folder = asked.folder / Path(asked.place).expanduser()
    try:
        if folder.is_dir():
            if (folder / "dataset_info.json").is_file() or (folder / "dataset_dict.json").is_file():
                return module.load_from_disk(str(folder))
            if any(folder.glob("*.py")):  # a loading script: code of whoever made the folder
                raise InputError(
                    f"{asked.where} holds a program (*.py), which is never run; save it as data."
                )
        return module.load_dataset(str(folder) if folder.is_dir() else asked.place, config)
    except InputError:
        raise
    except Exception as error:  # whatever datasets raises
        hint = "" if download else """; --data 'hf:NAME(download=True)' lets it be downloaded"""
        raise InputError(f"{asked.where} cannot be read: {one_line(error)}{hint}.") from error


def _split_of(known: Sequence[str], split: str | None, where: str) -> str:
    if split is not None:
        if split not in known:
            raise InputError(f"{where} has no split '{split}'; {suggest(split, known)}")
        return split
    found = next((s for s in ("test", "validation") if s in known), known[0] if len(known) == 1 else None)
    if found is None:
        raise InputError(
            f"{where} has the splits {', '.join(known)}; name one:"
            f""" --data '{where}(split="{known[0]}")' ([data] kwargs = {{ split = "{known[0]}" }})."""
        )
    return found


@contextlib.contextmanager
def _offline(wanted: bool) -> Iterator[None]:
    """Within it, the libraries of Hugging Face use what is on this machine alone.

    They read these variables when they are first imported; where they were before, their settings are set.
    """
    names = ("HF_DATASETS_OFFLINE", "HF_HUB_OFFLINE")
    before = {n: os.environ.get(n) for n in names}
    places = [("datasets.config", "HF_DATASETS_OFFLINE"), ("datasets.config", "HF_HUB_OFFLINE")]
    places += [("huggingface_hub.constants", "HF_HUB_OFFLINE")]
    try:
        if wanted:
            os.environ.update(dict.fromkeys(names, "1"))
        held = []
        with contextlib.suppress(ImportError):
            importlib.import_module("datasets")
        for module, name in places:
            with contextlib.suppress(ImportError, AttributeError):
                found = importlib.import_module(module)
                held.append((found, name, getattr(found, name)))
                if wanted:  # else as the user's own environment says
                    setattr(found, name, True)
        yield
    finally:
        for found, name, value in held:
            setattr(found, name, value)
        for name, value_ in before.items():
            if value_ is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value_


def _imported(module: str, package: str, where: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"{where} needs {package}, which is not installed: pip install 'landscape-toolkit[{extra}]'."
        ) from error
