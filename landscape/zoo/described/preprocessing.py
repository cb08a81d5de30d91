"""Preprocessing of a model, as the files beside its weights, or the library that it comes from, tell it."""

from __future__ import annotations

import hashlib
import importlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from landscape.zoo.layouts.run_metadata import read_yaml
from landscape.zoo.layouts.side_files import json_of
from landscape.zoo.sources.names import source_of
from landscape.zoo.sources.preprocess import Preprocess
from landscape.zoo.spec import Builder, Model, ZooSpec

__all__ = ["mixed", "preprocessing_of", "with_own_data", "with_preprocessing"]

_FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
_KNOWN = set(_FILTERS.values())
_CONVNEXT_SQUASHED_FROM = 384  # as its processor: from this size on it does not crop


def preprocessing_of(model: Model) -> dict[str, Any]:
    """Entries of `Preprocess`; empty if nothing tells.

    What the manifest says of the model comes first, then what stands beside its weights, then its library.

    Args:
        model: A checkpoint; nothing of it is read but the files beside it.
    """
    if model.preprocess:
        return dict(model.preprocess)
    found = _beside(model.path.parent, model.builder)
    base = None if model.builder is None else model.builder.kwargs.get("weights")
    if not found and isinstance(base, str):  # of an adapter, whose folder may hold no tokenizer of its own
        found = _beside(Path(base), None)
    if not found and model.builder is not None:
        library, _, name = model.builder.reference.partition(":")
        if library == "timm":
            found = _of_timm(name, model.builder.kwargs)
        elif library == "torchvision":
            found = _of_torchvision(name)
    try:
        return Preprocess(**found).given() if found else {}
    except ValueError:  # of a file that says something else
        return {}


def _beside(folder: Path, builder: Builder | None) -> dict[str, Any]:
    processor = json_of(folder / "preprocessor_config.json")
    if processor is not None:
        return _of_processor(processor)
    config = json_of(folder / "config.json") or {}
    if isinstance(config.get("pretrained_cfg"), dict):  # as timm pushes its models to the hub
        return _of_timm_config(config["pretrained_cfg"])
    if (folder / "args.yaml").is_file() and builder is not None and builder.reference.startswith("timm:"):
        options = read_yaml(folder / "args.yaml")
        library = _of_timm(builder.reference.partition(":")[2], builder.kwargs)
        said = {n: options.get(n) for n in ("input_size", "crop_pct", "interpolation", "mean", "std")}
        if said["input_size"] is None and isinstance(options.get("img_size"), int):
            said["input_size"] = [0, options["img_size"], options["img_size"]]
        found = {**library, **_of_timm_config({k: v for k, v in said.items() if v})}
        if "crop" in found:
            found.pop("resize", None) if found.get("resize") != "squash" else None
        return found
    if any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt")):
        return {"tokenizer": str(folder)}
    return {}


def _of_processor(config: Mapping[str, Any]) -> dict[str, Any]:
    """``preprocessor_config.json`` of a model of pictures, as Hugging Face's processors read it."""
    found: dict[str, Any] = {"channels": 3}
    size, crop = config.get("size"), config.get("crop_size")
    if isinstance(size, int):
        size = {"height": size, "width": size}
    if config.get("do_resize", True) and isinstance(size, dict):
        cropped = _sides(crop) if config.get("do_center_crop") else None
        shorter = size.get("shortest_edge")
        if "crop_pct" in config and isinstance(shorter, int):  # ConvNeXt's
            found["size"] = shorter
            if shorter < _CONVNEXT_SQUASHED_FROM:
                found["resize"] = int(shorter / float(config["crop_pct"]))
            else:
                found["resize"] = "squash"
        elif isinstance(shorter, int):
            found |= {"size": cropped or shorter, "resize": shorter}
        elif _sides(size):
            found |= {"size": _sides(size), "resize": "squash"}
            if cropped and cropped != _sides(size):
                return {}  # squashed, then cropped: said by no entry of ours
    found["interpolation"] = _FILTERS.get(config.get("resample", 2), "bilinear")
    plain = not config.get("do_normalize", True)
    if not config.get("do_rescale", True):
        return {}
    found |= {
        "mean": [0.0] if plain else config.get("image_mean"),
        "std": [1.0] if plain else config.get("image_std"),
    }
    return {k: v for k, v in found.items() if v is not None}


def _sides(size: Any) -> list[int] | int | None:
    if isinstance(size, int):
        return size
    if not isinstance(size, dict) or not isinstance(size.get("height"), int):
        return None
    height: int = size["height"]
    width = size.get("width", height)
    if not isinstance(width, int):
        return None
    return height if height == width else [height, width]


def _of_timm(name: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Timm's configuration of an architecture, from its register: nothing is downloaded."""
    try:
        timm: Any = importlib.import_module("timm")
        cfg = timm.models.get_pretrained_cfg(name)
    except Exception:  # not installed, or no such model: the builder will say so
        return {}
    config = {} if cfg is None else cfg.to_dict()
    found = _of_timm_config(config)
    if isinstance(kwargs.get("img_size"), int):
        found["size"] = kwargs["img_size"]
    if isinstance(kwargs.get("in_chans"), int) and kwargs["in_chans"] in (1, 3):
        found["channels"] = kwargs["in_chans"]
        if kwargs["in_chans"] == 1 and len(found.get("mean", ())) == 3:
            # as timm's own resolve_data_config: the mean over the channels
            found |= {n: [sum(found[n]) / 3] for n in ("mean", "std")}
    return found


def _of_timm_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """``pretrained_cfg`` and the options of timm's scripts."""
    if config.get("crop_mode") == "border":  # resized whole and padded: said by no entry of ours
        return {}
    found: dict[str, Any] = {}
    size = config.get("input_size")
    if isinstance(size, list | tuple) and len(size) == 3:
        found["size"] = size[1] if size[1] == size[2] else [size[1], size[2]]
        if size[0] in (1, 3):
            found["channels"] = size[0]
    if isinstance(config.get("crop_pct"), int | float):
        found["crop"] = float(config["crop_pct"])
    if config.get("crop_mode") == "squash":
        found["resize"] = "squash"
        found.pop("crop", None)
    if config.get("interpolation") in _KNOWN:
        found["interpolation"] = config["interpolation"]
    found |= {n: list(config[n]) for n in ("mean", "std") if isinstance(config.get(n), list | tuple)}
    return found


def _of_torchvision(name: str) -> dict[str, Any]:
    """The transforms of torchvision's weights of that architecture, those it calls its default."""
    try:
        models: Any = importlib.import_module("torchvision.models")
        how = models.get_model_weights(name).DEFAULT.transforms()
    except Exception:  # not installed, no such model, or one without weights
        return {}
    if not hasattr(how, "crop_size"):
        return {}
    crop, resize = how.crop_size[0], how.resize_size[0]
    return {
        "size": crop,
        "resize": resize,
        "interpolation": str(getattr(how.interpolation, "value", "bilinear")),
        "mean": list(how.mean),
        "std": list(how.std),
        "channels": 3,
    }


def with_preprocessing(spec: ZooSpec) -> ZooSpec:
    """The zoo whose data by name is prepared as its models want it, each with its own where they differ.

    What ``[data]`` says comes before what a model says. A zoo whose data is a function's stays as it is.

    Args:
        spec: The zoo.

    Raises:
        InputError: If what ``[data]`` says cannot be.
    """
    if spec.data is None or source_of(spec.data.reference) is None:
        return spec
    said = dict(spec.data.kwargs.get("preprocess", {}))
    wanted = [_together(preprocessing_of(m), said) for m in spec.models]
    found = [
        Builder(spec.data.reference, {**spec.data.kwargs, "preprocess": how}) for how in _alike(wanted, spec)
    ]
    if not found:
        return spec
    usual = Counter(map(repr, found)).most_common(1)[0][0]
    main = next(b for b in found if repr(b) == usual)
    models = tuple(replace(m, data=None if b == main else b) for m, b in zip(spec.models, found, strict=True))
    return replace(spec, models=models, data=main)


def _together(of_model: dict[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """What the user says over what a model says."""
    if "size" in said and not {"resize", "crop"} & set(said) and isinstance(of_model.get("resize"), int):
        size = of_model.get("size")
        if isinstance(size, int):  # the same share of the picture, whatever its size
            of_model = {**of_model, "crop": size / of_model["resize"]}
            del of_model["resize"]
    if {"resize", "crop"} & set(said):
        of_model = {k: v for k, v in of_model.items() if k not in ("resize", "crop")}
    merged = {**of_model, **said}
    return Preprocess.check(merged, "[data]").given()


def _alike(wanted: Sequence[dict[str, Any]], spec: ZooSpec) -> list[dict[str, Any]]:
    """The same, where folders with one and the same tokenizer count as one."""
    first: dict[str, str] = {}
    out = []
    for how in wanted:
        if how.get("tokenizer"):
            folder = spec.folder / Path(how["tokenizer"]).expanduser()
            place = os.path.relpath(folder, spec.folder)  # no path of this machine's in a result
            how = {**how, "tokenizer": first.setdefault(_content(folder), place)}
        out.append(how)
    return out


def _content(folder: Path) -> str:
    digest = hashlib.sha256()
    for name in (
        "tokenizer.json",
        "vocab.txt",
        "vocab.json",
        "merges.txt",
        "spiece.model",
        "tokenizer.model",
    ):
        file = folder / name
        if file.is_file():
            digest.update(name.encode() + file.read_bytes())
    return digest.hexdigest()


def with_own_data(models: Sequence[Model], content: Callable[[Model], str]) -> list[Model]:
    """The models, those that have data of their own with its content hash.

    Args:
        models: All of a zoo.
        content: Reads the data of a model; called once for each data.
    """
    known: list[tuple[Builder, str]] = []
    out = []
    for model in models:
        if model.data is not None:
            found = next((text for builder, text in known if builder == model.data), None)
            if found is None:
                found = content(model)
                known.append((model.data, found))
            model = replace(model, data_fingerprint=found)
        out.append(model)
    return out


def mixed(models: Sequence[Model]) -> str | None:
    """Why an analysis cannot compare some models on the same inputs; ``None`` if it can."""
    first = next((m for m in models if m.data != models[0].data), None)
    if first is None:
        return None
    return (
        f"'{models[0].name}' and '{first.name}' get their inputs prepared in different ways, so nothing"
        " can be compared on the same inputs; choose models that are alike (models = [...]), or prepare all"
        " in one way ([data] size, mean, std)."
    )
