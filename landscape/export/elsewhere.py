"""A whole store for other programs: a tree of xarray (and so zarr), one table, a research object crate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from landscape.errors import InputError, StoreError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ENDINGS", "crate", "export_store", "tree"]

ENDINGS = (".zarr", ".nc", ".csv", ".parquet", ".json")
"""What `export_store` writes, by the ending of a name."""

_CONTEXT = "https://w3id.org/ro/crate/1.1/context"
_PROFILE = "https://w3id.org/ro/crate/1.1"
_DESCRIPTOR = "ro-crate-metadata.json"


def tree(store: str | Path) -> xr.DataTree:
    """All results of a store as one tree of xarray: ``tree["spectrum/resnet-s0"]`` is one of them.

    Raises:
        StoreError: If the store cannot be read.

    Example:
        >>> landscape.tree("results").to_zarr("results.zarr")   # doctest: +SKIP
    """
    import xarray as xr

    from landscape.store.contents import read_contents

    contents = read_contents(store)
    results = {f"/{s.label}/{subject}": ds for s in contents.sections for subject, ds in s.results.items()}
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs={"zoo": contents.name}), **results})


def crate(
    store: str | Path,
    *,
    description: str = "",
    authors: Mapping[str, str] | None = None,
    license: str = "",
) -> dict[str, Any]:
    """What a store is, whence it came and what to cite with it, as a research object crate (RO-Crate 1.1).

    Every result is a file with its size and time; the run of an analysis is an action, with its options, of
    landscape in its version on the hashes of weights and data. Written as ``ro-crate-metadata.json`` into the
    folder of the store, it makes of this a crate that Zenodo and others read.

    Args:
        store: Folder of the results.
        description: A sentence on what was measured.
        authors: Names by ORCID address, such as ``{"https://orcid.org/0000-...": "A. Researcher"}``.
        license: Address of the licence of the results.

    Returns:
        The metadata, to be written as JSON.

    Raises:
        StoreError: If the store cannot be read.
    """
    import landscape
    from landscape.base.registry import find_recorded
    from landscape.export.papers import cited
    from landscape.store.contents import located, read_contents
    from landscape.store.store import Store

    contents, home = read_contents(store), Store(store)
    places = {(entry.label, entry.subject): entry.path for entry in located(home)[1]}
    tool = {
        "@id": "#landscape",
        "@type": "SoftwareApplication",
        "name": "landscape-toolkit",
        "softwareVersion": landscape.__version__,
    }
    files: list[dict[str, Any]] = []
    actions: list[dict[str, Any]] = []
    papers: dict[str, dict[str, Any]] = {}
    times: list[str] = []
    for section in contents.sections:
        try:
            description_of = find_recorded(section.analysis).description
        except InputError:  # not installed here
            description_of = ""
        found = {p.key: p for p in cited(description_of)}
        papers |= {k: _article(p.key, p.title, p.authors, p.year) for k, p in found.items()}
        made = []
        for subject, ds in section.results.items():
            path = places[section.label, subject]
            made.append({"@id": path.relative_to(home.directory).as_posix()})
            times.append(str(ds.attrs.get("created", "")))
            files.append(
                {
                    **made[-1],
                    "@type": "File",
                    "name": f"{section.label} of {subject}",
                    "encodingFormat": "application/x-hdf5",
                    "contentSize": str(path.stat().st_size),
                    "dateCreated": times[-1],
                    "identifier": json.dumps(  # of several parts, as one text
                        {k: str(ds.attrs[k]) for k in ("checkpoint", "data") if k in ds.attrs}, sort_keys=True
                    ),
                }
            )
        actions.append(
            {
                "@id": f"#{section.label}",
                "@type": "CreateAction",
                "name": section.label,
                "description": " ".join(description_of.split()),
                "instrument": {"@id": tool["@id"]},
                "object": json.dumps(section.parameters, sort_keys=True),
                "result": made,
                "citation": [{"@id": papers[key]["@id"]} for key in found],
            }
        )
    people = [{"@id": at, "@type": "Person", "name": name} for at, name in (authors or {}).items()]
    root: dict[str, Any] = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Results of '{contents.name}'",
        "description": description
        or f"{len(files)} measurements of {len(contents.models)} models by landscape, in HDF5.",
        "datePublished": (max(times, default="") or datetime.now(UTC).isoformat())[:10],
        "hasPart": [{"@id": file["@id"]} for file in files],
        "mentions": [{"@id": action["@id"]} for action in actions],
    }
    root |= {"author": [{"@id": person["@id"]} for person in people]} if people else {}
    root |= {"license": {"@id": license}} if license else {}
    descriptor = {
        "@id": _DESCRIPTOR,
        "@type": "CreativeWork",
        "conformsTo": {"@id": _PROFILE},
        "about": {"@id": "./"},
    }
    return {
        "@context": _CONTEXT,
        "@graph": [descriptor, root, tool, *people, *files, *actions, *papers.values()],
    }


def _article(key: str, title: str, authors: tuple[str, ...], year: int) -> dict[str, Any]:
    return {
        "@id": f"#{key}",
        "@type": "ScholarlyArticle",
        "name": title,
        "author": ", ".join(authors),
        "datePublished": str(year),
    }


def export_store(store: str | Path, path: str | Path) -> Path:
    """Write a whole store for other programs, as the ending of the name says.

    ``.zarr`` and ``.nc`` hold all results as one tree of xarray; ``.csv`` and ``.parquet`` the table of
    `landscape.table`, with one row per model and columns such as ``spectrum: λ max``; ``.json`` the metadata
    of `crate`, which belong into the folder of the store as ``ro-crate-metadata.json``.

    Raises:
        InputError: If the ending is another, or the library that it needs is not installed.
        StoreError: If the store cannot be read, or the file cannot be written.
    """
    from landscape.export.frame import table
    from landscape.store.files import as_path, replacing, write_bytes

    target = as_path(path, "an export")
    kind = target.suffix.lower()
    if kind not in ENDINGS:
        raise InputError(f"'{target}' must end in one of {', '.join(ENDINGS)}.")
    try:
        if kind == ".json":
            write_bytes(target, json.dumps(crate(store), indent=1, ensure_ascii=False).encode())
        elif kind == ".zarr":
            if target.exists():
                raise StoreError(f"'{target}' exists; remove it, or give another name.")
            _plain(tree(store)).to_zarr(target)
        else:
            with replacing(target) as temporary:
                if kind == ".nc":
                    _plain(tree(store)).to_netcdf(temporary, engine="h5netcdf")
                elif kind == ".csv":
                    table(store, flat=True).to_csv(temporary)
                else:
                    table(store, flat=True).to_parquet(temporary)
    except ImportError as error:
        package = {".zarr": "zarr", ".parquet": "pyarrow"}.get(kind, "h5netcdf")
        raise InputError(f"'{kind}' needs {package}; install it with: pip install {package}.") from error
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"'{target}' cannot be written: {error.strerror or error}.") from error
    return target


def _plain(results: xr.DataTree) -> xr.DataTree:
    """The tree with attributes that every format holds: Python's own numbers and texts."""

    def own(value: Any) -> Any:
        return value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value

    made: xr.DataTree = results.map_over_datasets(
        lambda ds: ds.assign_attrs({name: own(value) for name, value in ds.attrs.items()})
    )
    return made
