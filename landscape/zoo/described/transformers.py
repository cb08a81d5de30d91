"""Models that Hugging Face's ``config.json`` describes, made offline and without code of the folder's."""

from __future__ import annotations

import contextlib
import copy
import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from landscape.errors import InputError, one_line, suggest
from landscape.zoo.layouts.side_files import json_of
from landscape.zoo.spec import Builder

__all__ = [
    "WEIGHTS",
    "labels_in",
    "transformers_builder",
    "transformers_model",
    "weights_in",
    "why_not_described",
]

WEIGHTS = (
    "model.safetensors",
    "pytorch_model.bin",
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
)
"""Names of the weights in a folder that the library wrote."""

_NAME = re.compile(r"[A-Za-z]\w*")
# What describes a file or a program rather than the model, and what would make it run code or read files.
_LEFT_OUT = {
    "_name_or_path",
    "name_or_path",
    "architectures",
    "auto_map",
    "custom_pipelines",
    "dtype",
    "id2label",
    "label2id",
    "torch_dtype",
    "transformers_version",
    "quantization_config",
    "_commit_hash",
    "_attn_implementation",
    "_attn_implementation_internal",
    "attn_implementation",
    "trust_remote_code",
    "use_cache",
}


def transformers_builder(config: Mapping[str, Any]) -> Builder | None:
    """The builder that a ``config.json`` describes; ``None`` if it describes no model of the library's.

    The configuration itself is the argument, so that models of one architecture have one builder wherever
    they lie, and a manifest says what it builds. What is null there is listed: TOML lacks it.

    Args:
        config: What the file holds.
    """
    if why_not_described(config):
        return None
    names = config.get("architectures")
    kept: dict[str, Any] = {k: v for k, v in config.items() if k not in _LEFT_OUT}
    labels = labels_in(config)
    if labels:
        kept["num_labels"] = len(labels)
    null = sorted(k for k, v in kept.items() if v is None)
    kept = {k: _without_null(v) for k, v in kept.items() if v is not None}
    kwargs: dict[str, Any] = {"config": kept}
    if null:
        kwargs["none"] = null
    return Builder(f"transformers:{names[0]}", kwargs)  # type: ignore[index]


def why_not_described(config: Mapping[str, Any]) -> str:
    """Why a configuration of Hugging Face's form makes no model here; empty if it does."""
    names = config.get("architectures")
    if "model_type" not in config or not isinstance(names, list) or not names:
        return "its config.json names no architecture"
    if not isinstance(names[0], str) or _NAME.fullmatch(names[0]) is None:
        return "its config.json names no architecture"
    if config.get("auto_map"):
        return "its config.json wants code of its own (auto_map), which is never run; give --model a function"
    return ""


def labels_in(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the classes in the order of the outputs; empty if it has none."""
    table = config.get("id2label")
    if not isinstance(table, Mapping):
        return ()
    try:
        names = {int(k): str(v) for k, v in table.items()}
    except (TypeError, ValueError):
        return ()
    if sorted(names) != list(range(len(names))):
        return ()
    return tuple(names[i] for i in range(len(names)))


def transformers_model(name: str, folder: Path | None = None) -> Callable[..., Any]:
    """The function that makes a model of a class of the library's, with new weights or those of a folder.

    Args:
        name: The class.
        folder: What the folder of its weights is relative to.

    Raises:
        InputError: If the library is not installed, or has no such class.
    """
    try:
        transformers: Any = importlib.import_module("transformers")
    except ImportError as error:
        raise InputError(
            f"model builder 'transformers:{name}' needs transformers, which is not installed:"
            " pip install 'landscape-toolkit[hf]'."
        ) from error
    except Exception as error:  # such as a build for another version of torch
        raise InputError(
            f"model builder 'transformers:{name}': importing transformers raised {one_line(error)}."
        ) from error
    found = getattr(transformers, name, None) if _NAME.fullmatch(name) else None
    base = transformers.PreTrainedModel
    # Never another object of the library: a name may come from a file in a zoo.
    if not (isinstance(found, type) and issubclass(found, base)):
        known = [
            n
            for n in dir(transformers)
            if n.endswith(("ForImageClassification", "ForSequenceClassification"))
        ]
        raise InputError(
            f"model builder 'transformers:{name}': transformers has no such model; {suggest(name, known)}"
        )
    return partial(_made, found, home=folder or Path())


def _made(
    kind: Any,
    config: Mapping[str, Any] | None = None,
    none: list[str] | None = None,
    weights: str = "",
    sha256: str = "",
    *,
    home: Path,
) -> Any:
    """A model of a class, made as its configuration says.

    Args:
        kind: The class.
        config: Its configuration; by default ``config.json`` in the folder of the weights.
        none: What is null in it.
        weights: A folder with the weights to start from, of an adapter's base; empty for new ones.
        sha256: Of their file, so that other ones are noticed.
        home: What that folder is relative to.
    """
    place = home / Path(weights).expanduser()
    if config is None:
        if not weights:
            raise InputError("give config, a table as config.json holds it, or weights, a folder with both.")
        config = json_of(place / "config.json")
        if config is None:
            raise InputError(f"'{place}' holds no config.json; name a folder that save_pretrained wrote.")
        labels_there = labels_in(config)
        config = {**config, **({"num_labels": len(labels_there)} if labels_there else {})}
    given = {**dict(config), **dict.fromkeys(none or ())}
    labels = given.pop("num_labels", None)
    made = kind.config_class.from_dict({k: v for k, v in given.items() if k not in _LEFT_OUT})
    if labels is not None:
        made.num_labels = labels
    if hasattr(made, "use_cache"):
        made.use_cache = False  # of keys and values between calls, of which an analysis makes one
    made._attn_implementation = "eager"  # the others have no second derivatives on every device
    model = _with_weights(kind, made, place, sha256) if weights else kind(made)
    # Files keep the names of the version that wrote them, which the library translates as it reads a folder.
    model._register_load_state_dict_pre_hook(partial(_in_todays_names, kind, made, tuple(model.state_dict())))
    return model


def _with_weights(kind: Any, config: Any, folder: Path, sha256: str) -> Any:
    """A model with the weights of a folder, read as data; what the folder lacks is new."""
    from landscape.zoo.checkpoint import file_sha256, read_checkpoint

    file = weights_in(folder)
    if file is None:
        raise InputError(
            f"'{folder}' holds no weights ({', '.join(WEIGHTS[:2])}); name the folder that does."
        )
    if sha256 and file_sha256(file) != sha256:
        raise InputError(f"'{file}' is not what it was when the run was planned; run again.")
    state, _ = read_checkpoint(file)
    with _quiet():
        return kind.from_pretrained(None, config=config, state_dict=dict(state))


def weights_in(folder: Path) -> Path | None:
    """The weights of a folder of Hugging Face's; ``None`` if there are none."""
    return next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)


def _in_todays_names(
    kind: Any, config: Any, own: tuple[str, ...], state: dict[str, Any], prefix: str, *_: object
) -> None:
    """Give weights of a file the names that the model has now; leave them alone if the library cannot.

    Args:
        kind: The class.
        config: Its configuration.
        own: The names of the model's weights.
        state: Tensors by name, changed in place.
        prefix: Where the model stands in a larger one; weights of that are not touched.
    """
    if prefix or set(state) == set(own):
        return
    try:
        with _quiet():
            loaded, info = kind.from_pretrained(
                None, config=copy.deepcopy(config), state_dict=dict(state), output_loading_info=True
            )
    except Exception:  # weights of something else: torch says what does not fit
        return
    if any(info.get(name) for name in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")):
        return
    found = loaded.state_dict()
    if set(found) == set(own):
        state.clear()
        state.update(found)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Within it the library shows no bar of its own and says nothing below an error."""
    logging: Any = importlib.import_module("transformers.utils.logging")
    level, shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()


def _without_null(value: Any) -> Any:
    """A value of TOML's: what is null within tables and lists is left out."""
    if isinstance(value, Mapping):
        return {str(k): _without_null(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_null(v) for v in value if v is not None]
    return value
