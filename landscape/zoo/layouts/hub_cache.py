"""The cache of the Hugging Face Hub: the revisions of a repository, in folders named by their commits."""

from __future__ import annotations

import os
import re
from pathlib import Path

from landscape.errors import InputError
from landscape.zoo.layouts.run_metadata import Facts

__all__ = ["PREFIX", "cached", "revision_of"]

PREFIX = "hf:"
_REPOSITORY = re.compile(r"[\w.-]+(?:/[\w.-]+)?")
_FOLDER, _SNAPSHOTS, _SEPARATOR = "models--", "snapshots", "--"
_STEP = re.compile(r"(?:.*[-_])?(step|epoch)[-_=]?(\d+)")
_LONGEST = 1000  # of a file that holds a commit


def cached(name: str) -> Path:
    """The folder of a repository in the cache; nothing is downloaded.

    Args:
        name: ``hf:organisation/name``.

    Raises:
        InputError: If it is no name of a repository, or the cache has none of it.
    """
    repository = name.removeprefix(PREFIX).strip("/")
    if not _REPOSITORY.fullmatch(repository) or ".." in repository:
        raise InputError(f"'{name}' names no repository of the Hub; give hf:ORGANISATION/NAME.")
    home = _cache()
    folder = home / (_FOLDER + repository.replace("/", _SEPARATOR))
    if not (folder / _SNAPSHOTS).is_dir():
        raise InputError(
            f"the cache '{home}' holds nothing of '{repository}', and landscape downloads nothing: fetch the"
            f" revisions first, each with: hf download {repository} --revision NAME."
        )
    return folder


def _cache() -> Path:
    """Where huggingface_hub keeps what it has downloaded."""
    given = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if given:
        return Path(given).expanduser()
    home = os.environ.get("HF_HOME") or str(Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface"))
    return Path(home).expanduser() / "hub"


def revision_of(folder: Path) -> tuple[str, Facts] | None:
    """What a snapshot in the cache is called, ``NAME/REVISION``, and what that says; ``None`` for others.

    The revision is the branch or tag that was asked for, or the beginning of its commit. One such as
    ``step1000`` is a moment of a training.
    """
    parts = folder.parts
    at = max((i for i, part in enumerate(parts[:-2]) if part.startswith(_FOLDER)), default=-1)
    if at < 0 or parts[at + 1] != _SNAPSHOTS:
        return None
    repository, commit, below = Path(*parts[: at + 1]), parts[at + 2], parts[at + 3 :]
    revision = _names(repository / "refs").get(commit, commit[:8])
    name = repository.name.removeprefix(_FOLDER).split(_SEPARATOR)[-1]
    moment = _STEP.fullmatch(revision)
    facts = Facts({moment[1]: int(moment[2])} if moment else {"revision": revision})
    return "/".join([name, revision, *below]), facts


def _names(refs: Path) -> dict[str, str]:
    """Branches and tags by commit; of one commit the first by name that is not ``main``."""
    found: dict[str, str] = {}
    for file in sorted(refs.rglob("*")) if refs.is_dir() else []:
        if file.is_file() and file.stat().st_size < _LONGEST:
            commit, name = file.read_text("utf-8", "replace").strip(), file.relative_to(refs).as_posix()
            if found.get(commit, "main") == "main":
                found[commit] = name
    return found
