"""Pages derived from the registry and from the pictures of the repository."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import landscape
from landscape.base.analysis import Analysis
from landscape.base.schema import Variable

__all__ = ["analysis_page", "write_analyses", "write_gallery", "write_scale"]


def write_analyses(folder: Path) -> None:
    """One page per analysis, and the table of them."""
    folder.mkdir(parents=True)
    found = landscape.analyses()
    for name, analysis in found.items():
        (folder / f"{name}.md").write_text(analysis_page(analysis), "utf-8")
    rows = [[f"[`{n}`]({n}.md)", a.title, a.scope] for n, a in found.items()]
    contents = "\n".join(found)
    text = "# Analyses\n\n" + _table(["name", "measures", "of a"], rows)
    text += f"\n\n```{{toctree}}\n:hidden:\n\n{contents}\n```\n"
    (folder / "index.md").write_text(text, "utf-8")


def analysis_page(analysis: Analysis) -> str:
    """What an analysis measures, takes and gives."""
    subject = {
        "checkpoint": "problem",
        "pair": "problem, a, b",
        "group": "{name: problem, ...}",
        "table": "table",
    }
    parts = [f"# {_plain(analysis.title)}", f"`landscape.{analysis.name}({subject[analysis.scope]}, ...)`"]
    parts += [" ".join(_plain(p).split()) for p in analysis.description.split("\n\n")]
    options = [
        [f"`{n}`", _plain(f.description or ""), f"`{json.dumps(_default(f.default))}`"]
        for n, f in analysis.params.model_fields.items()
    ]
    parts += ["## Options", _table(["option", "meaning", "default"], options) if options else "None."]
    parts += ["## Result", "An `xarray.Dataset` with these coordinates and variables."]
    parts += [_table(["name", "dimensions", "meaning", "unit"], _variables(analysis))]
    return "\n\n".join(parts) + "\n"


def _default(value: object) -> object:
    return value if isinstance(value, str | int | float | bool | list | tuple | dict | None) else str(value)


def _variables(analysis: Analysis) -> Iterator[list[str]]:
    def row(v: Variable) -> list[str]:
        meaning = _plain(v.meaning) + (" (may be absent)" if v.optional else "")
        return [f"`{v.name}`", ", ".join(f"`{d}`" for d in v.dims), meaning, _plain(v.unit)]

    for variable in (*analysis.schema.coords, *analysis.schema.variables):
        yield row(variable)


def write_gallery(pictures: Path, folder: Path) -> None:
    """A page with the pictures of the repository, each under its own name, with its caption if it has one."""
    folder.mkdir(parents=True)
    parts = [
        "# Gallery",
        "Figures of the demo zoo and of published findings, as the scripts in `analysis_scripts/` draw them.",
    ]
    texts = "".join(path.read_text("utf-8") for path in sorted(pictures.glob("*_captions.md")))
    captions = dict(re.findall(r"^- `(.+?)`: (.+)$", texts, re.MULTILINE))
    for picture in sorted(pictures.glob("*.png")):
        shutil.copy(picture, folder / picture.name)
        words = picture.stem.replace("_", " ")
        parts += [f"## {words.capitalize()}", f"![{words}]({picture.name})"]
        if picture.name in captions:
            parts.append(_plain(captions[picture.name]))
    (folder / "index.md").write_text("\n\n".join(parts) + "\n", "utf-8")


def write_scale(source: Path, page: Path) -> None:
    """The contents of what there is on scale: the page itself, clusters, studies."""
    found = [source / "scale.md", source / "cluster.md", *sorted((source / "studies").glob("*.md"))]
    names = [f"/{p.relative_to(source).with_suffix('').as_posix()}" for p in found if p.exists()]
    lines = ["# Scale and studies", "", "```{toctree}", ":maxdepth: 2", "", *names, "```", ""]
    page.write_text("\n".join(lines), "utf-8")


def _plain(text: str) -> str:
    """Text that markdown shows as it is, but for code between backticks."""
    parts = text.split("`")
    escaped = [_escaped(p) if i % 2 == 0 else p for i, p in enumerate(parts)]
    return "`".join(escaped) if len(parts) % 2 else "\\`".join(map(_escaped, parts))


def _escaped(text: str) -> str:
    for sign in "\\*_[]<>$|{}#~":
        text = text.replace(sign, f"\\{sign}")
    return text


def _table(heads: list[str], rows: Iterable[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
