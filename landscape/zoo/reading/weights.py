"""Reading a checkpoint's weights: as data first, and by torch's own loader only as far as a user allowed."""

from __future__ import annotations

import re
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.errors import CheckpointError, one_line
from landscape.text import foreign
from landscape.zoo.fitting.weight_sets import USUAL, WeightSet, likeliest, sets_within
from landscape.zoo.reading.allowed import allowed, listed, offered
from landscape.zoo.reading.modules import as_tensor, module_state
from landscape.zoo.reading.parts import is_index, parts_of
from landscape.zoo.reading.safetensors_header import check_header
from landscape.zoo.reading.stubs import DamagedError, RefusedError, Stub, UnsupportedError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Read", "State", "load_by", "read_whole", "unreadable"]

State = dict[str, "Tensor"]

_SHOWN = 3
_DEEPEST = 10  # of mappings around a state_dict
_MADE_BY_TORCH = (
    "torch._utils._rebuild_qtensor",
    "torch._utils._rebuild_sparse_tensor",
    "torch._utils._rebuild_wrapper_subclass",
)


@dataclass(frozen=True)
class Read:
    """What was read of a checkpoint.

    Attributes:
        state: Tensors by name, as the file names them: of several sets, the likeliest.
        beside: The other entries of the mapping around them; a `Stub` stands for what was not made.
        unread: Dotted names of what the file wanted to import and what stayed a stub.
        sets: All mappings of the file that may be weights; see `landscape.zoo.fitting.weight_sets`.
    """

    state: State
    beside: Mapping[Any, Any]
    unread: tuple[str, ...] = ()
    sets: tuple[WeightSet, ...] = ()


def read_whole(
    path: Path, *, allow: Iterable[str] = (), trust_pickle: bool = False, mmap: bool = False
) -> Read:
    """The state_dict of a file, what stands beside it, and the names of what was left unread.

    Args:
        path: The file.
        allow: Dotted names that the pickle may import where its weights stand behind them.
        trust_pickle: Run whatever the pickle says.
        mmap: Leave the tensors of an archive on disk until they are used.

    Raises:
        CheckpointError: If the file is missing, damaged, no checkpoint, or would run something.
    """
    if not path.is_file():
        reason = (
            "is a folder" if path.is_dir() else "is no regular file" if path.exists() else "does not exist"
        )
        raise CheckpointError(f"checkpoint '{path}' {reason}.")
    if path.stat().st_size == 0:
        raise CheckpointError(f"checkpoint '{path}' is empty (0 bytes).")
    if is_index(path):
        return _read_parts(path, allow, trust_pickle, mmap)
    if path.suffix == ".safetensors":
        state = _read_safetensors(path)
        return Read(state, {}, sets=(WeightSet((), state),))
    return _read_pickle(path, list(allow), trust_pickle, mmap)


def load_by(function: Callable[[str], Any], reference: str, path: Path) -> Read:
    """What a user's own function makes of a file: a state_dict, or anything that holds one.

    Args:
        function: Called with the path.
        reference: Its name, for error messages.
        path: The file.

    Raises:
        CheckpointError: If it raises, or returns no weights.
    """
    try:
        content = function(str(path))
    except Exception as error:
        raise CheckpointError(f"loader '{reference}' failed on '{path}': {one_line(error)}.") from error
    try:
        return _split(path, content)
    except (CheckpointError, UnsupportedError) as error:
        raise CheckpointError(
            f"loader '{reference}' returned a {type(content).__name__} without weights for '{path}'; return a"
            " state_dict."
        ) from error


def _read_parts(index: Path, allow: Iterable[str], trust_pickle: bool, mmap: bool) -> Read:
    """The weights of all parts that an index names, each as it says."""
    state: State = {}
    unread: set[str] = set()
    for part, keys in parts_of(index).items():
        read = read_whole(part, allow=allow, trust_pickle=trust_pickle, mmap=mmap)
        lacking = [key for key in keys if key not in read.state]
        if lacking:
            raise CheckpointError(
                f"checkpoint '{part}' lacks {len(lacking)} tensors that its index names"
                f" ({foreign(lacking[0], 60)})."
            )
        state |= {key: read.state[key] for key in keys}
        unread |= set(read.unread)
    return Read(state, {}, tuple(sorted(unread)), (WeightSet((), state),))


def _read_safetensors(path: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        check_header(path)
        state: State = load_file(path, device="cpu")
    except OSError as error:
        raise unreadable(path, error) from error
    except (SafetensorError, ValueError, KeyError) as error:
        raise _damaged(path, error) from error
    if not state:
        raise CheckpointError(f"checkpoint '{path}' holds no tensors.")
    return state


def _read_pickle(path: Path, allow: list[str], trust: bool, mmap: bool) -> Read:
    with path.open("rb") as file:
        start = file.read(2)
    # A zip archive, as torch.save writes today, or a pickle, with which older files begin.
    if start != b"PK" and start[:1] != b"\x80":
        raise CheckpointError(f"'{path}' is not a checkpoint: no file of torch.save begins like this.")
    named = allowed(allow, path)
    if trust:
        return _split(path, _load(path, [], mmap and start == b"PK", trust=True))
    from landscape.zoo.reading.archive import TORCHSCRIPT, read_inert

    try:
        content = read_inert(path, mmap=mmap)
    except OSError as error:
        raise unreadable(path, error) from error
    except (RefusedError, UnsupportedError) as error:
        raise CheckpointError(
            f"checkpoint '{path}' is refused: {error}; if you trust it, load it and save its state_dict."
        ) from error
    except Exception as error:
        if str(error) == TORCHSCRIPT:
            raise CheckpointError(f"'{path}' {error}; save the model's state_dict instead.") from error
        raise _damaged(path, error) from error
    try:
        return replace(_split(path, content.value), unread=content.unknown)
    except UnsupportedError:
        pass  # tensors that torch can make and the machine cannot; all else in the file was within bounds
    except RefusedError as error:
        raise CheckpointError(f"checkpoint '{path}' is refused: {error}.") from error
    except CheckpointError:
        unknown = [n for n in content.unknown if n not in allow]
        if unknown:
            raise CheckpointError(_advice(path, unknown)) from None
        if not content.unknown:
            raise
    if tarfile.is_tarfile(path):  # torch would unpack it into a folder
        raise CheckpointError(f"checkpoint '{path}' is refused: it is a tar archive too.")
    return _split(path, _load(path, named, mmap and start == b"PK"))


def _load(path: Path, named: list[Any], mmap: bool, trust: bool = False) -> Any:
    """What torch's own loader makes of a file."""
    import torch

    try:
        # With the names as the pickle spells them: an object that has moved calls itself otherwise by now.
        with torch.serialization.safe_globals(named), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=not trust, mmap=mmap)
    except OSError as error:
        raise unreadable(path, error) from error
    except Exception as error:
        raise _damaged(path, error) from error


def _advice(path: Path, unknown: list[str]) -> str:
    """What to say of a file whose weights stand behind names that were not followed."""
    possible, others = offered(unknown)
    if others:
        return (
            f"checkpoint '{path}' is refused: to make its weights it would run a program ({listed(others)});"
            " nothing of it was run, and only --trust-pickle, which lets it do whatever it says, would."
        )
    names = ", ".join(f'"{name}"' for name in possible)
    return (
        f"checkpoint '{path}' is refused: its weights stand behind {listed(possible)}, which its pickle wants"
        f" to import; if you trust the file, allow the names one by one (allow = [{names}] under [problem] in"
        " the manifest) or pass --trust-pickle."
    )


def _split(path: Path, content: Any) -> Read:
    """The state_dict within what a file holds, and what stands beside it."""
    if any(v.name in _MADE_BY_TORCH for v in _stubs_in(content)):
        raise UnsupportedError("it holds tensors that only torch can make")
    sets = sets_within(content)
    best = likeliest(sets)
    around = module_state(content)
    if best is None or _is_beside_closed(best, around):
        raise _without_weights(path, around)
    beside = around if isinstance(around, Mapping) else {}
    rest = {k: v for k, v in beside.items() if k not in best.state and k not in USUAL}
    return Read(dict(best.state), rest, sets=tuple(sets))


def _is_beside_closed(best: WeightSet, content: Any) -> bool:
    """Whether weights stand where they usually do, but behind a stub, so that the best is something else."""
    closed = (k for k in USUAL if isinstance(content, Mapping) and isinstance(content.get(k), Stub))
    return any(k not in best.path and not isinstance(module_state(content[k]), Mapping) for k in closed)


def _stubs_in(content: Any) -> Iterator[Stub]:
    """The stubs among the values of a mapping, and of the mappings that weights usually stand in."""
    content = module_state(content)
    for _ in range(_DEEPEST):
        if not isinstance(content, Mapping):
            return
        yield from (v for v in content.values() if isinstance(v, Stub))
        content = next((module_state(content[k]) for k in USUAL if k in content), None)


def _without_weights(path: Path, content: Any) -> CheckpointError:
    """What to say of a file in which nothing is weights."""
    if not isinstance(content, Mapping):
        kind = content.name if isinstance(content, Stub) else type(content).__name__
        return CheckpointError(f"checkpoint '{path}' holds a {foreign(kind)}, not a state_dict.")
    odd = next((k for k, v in content.items() if not isinstance(k, str) and as_tensor(v) is not None), None)
    if odd is not None:
        return CheckpointError(
            f"checkpoint '{path}' is not a state_dict: its keys are not all names ({foreign(odd, 60)})."
        )
    inner: Any = content
    for _ in range(_DEEPEST):
        inner = next((inner[k] for k in USUAL if isinstance(inner, Mapping) and k in inner), None)
    if isinstance(inner, Mapping):
        return CheckpointError(f"checkpoint '{path}' is not a state_dict: its mappings hold one another.")
    keys = ", ".join(foreign(k, 60) for k in list(content)[:_SHOWN]) or "none"
    return CheckpointError(
        f"checkpoint '{path}' holds no tensors at its top level or below it (keys: {keys})."
    )


def unreadable(path: Path, error: OSError) -> CheckpointError:
    """What to say of a file that cannot be opened."""
    reason = "does not exist" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
    if reason == "does not exist":
        return CheckpointError(f"checkpoint '{path}' does not exist.")
    return CheckpointError(f"checkpoint '{path}' cannot be read: {reason}.")


def _damaged(path: Path, error: Exception) -> CheckpointError:
    """What to say of a file that could not be loaded: damage only if its format does not show it whole."""
    detail = re.split(r"[.;] ", one_line(error), maxsplit=1)[0]
    if isinstance(error, MemoryError) or "not enough memory" in str(error):
        return CheckpointError(f"checkpoint '{path}' cannot be loaded: there is not enough memory.")
    known = isinstance(error, DamagedError)  # the file's own words do not fit together, whole as it may be
    if isinstance(error, ImportError | AttributeError) or (not known and _is_whole(path)):
        return CheckpointError(
            f"checkpoint '{path}' is whole, but cannot be loaded here: {type(error).__name__}: {detail}."
        )
    return CheckpointError(
        f"checkpoint '{path}' is truncated or damaged" + (f" ({detail})." if detail else ".")
    )


def _is_whole(path: Path) -> bool:
    """Whether a file is an archive of torch.save whose parts have the sums that its directory gives."""
    try:
        with zipfile.ZipFile(path) as file:
            return any(n.endswith("/data.pkl") for n in file.namelist()) and file.testzip() is None
    except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError):
        return False
