"""Pages derived from the registry."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import landscape
from landscape.base.analysis import Analysis
from landscape.base.schema import Variable

__all__ = ["analysis_page", "plain", "write_analyses", "write_scale"]


TOLD = Path(__file__).with_name("analyses.toml")
"""A formula and a picture for each analysis."""


def write_analyses(folder: Path) -> None:
    """One page per analysis, and the table of them."""
    folder.mkdir(parents=True)
    found = landscape.analyses()
    told = tomllib.loads(TOLD.read_text("utf-8"))
    pictures = TOLD.parents[1] / "figures"
    for name, analysis in found.items():
        facts = told.get(name, {})
        if "figure" in facts:
            shutil.copy(pictures / facts["figure"], folder / facts["figure"])
        (folder / f"{name}.md").write_text(analysis_page(analysis, facts), "utf-8")
    rows = [[f"[`{n}`]({n}.md)", a.title, a.scope] for n, a in found.items()]
    contents = "\n".join(found)
    text = "# Analyses\n\n" + _table(["name", "measures", "of a"], rows)
    text += f"\n\n```{{toctree}}\n:hidden:\n\n{contents}\n```\n"
    (folder / "index.md").write_text(text, "utf-8")


def analysis_page(analysis: Analysis, told: Mapping[str, str] | None = None) -> str:
    """What an analysis measures, takes and gives.

    Args:
        analysis: The declaration.
        told: What it does not say: a ``formula`` and a ``figure``, the name of a picture beside the page.
    """
    told = told or {}
    subject = {
        "checkpoint": "problem",
        "pair": "problem, a, b",
        "group": "{name: problem, ...}",
        "table": "table",
    }
    parts = [f"# {plain(analysis.title)}", f"`landscape.{analysis.name}({subject[analysis.scope]}, ...)`"]
    parts += [" ".join(plain(p).split()) for p in analysis.description.split("\n\n")]
    if "formula" in told:
        parts.append(f"$$\n{told['formula']}\n$$\n\nConventions and papers: [](/definitions.md).")
    if "figure" in told:
        parts.append(f"![{plain(analysis.title)}]({told['figure']})")
    parts += ["## Example", _example(analysis)]
    options = [
        [f"`{n}`", plain(f.description or ""), f"`{json.dumps(_default(f.default))}`"]
        for n, f in analysis.params.model_fields.items()
    ]
    parts += ["## Options", _table(["option", "meaning", "default"], options) if options else "None."]
    parts += ["## Result", "An `xarray.Dataset` with these coordinates and variables."]
    parts += [_table(["name", "dimensions", "meaning", "unit"], _variables(analysis))]
    return "\n\n".join(parts) + "\n"


_CALLS = {
    "checkpoint": (
        'problem = landscape.Problem(model, "{loss}", (x, y))\nds = landscape.{name}(problem, progress=True)'
    ),
    "pair": (
        'problem = landscape.Problem(model, "cross_entropy", (x, y))\n'
        "ds = landscape.{name}(problem, model.state_dict(), other.state_dict(), progress=True)"
    ),
    "group": (
        "problems = {{\n"
        '    "one": landscape.Problem(one, "cross_entropy", (x, y)),\n'
        '    "other": landscape.Problem(other, "cross_entropy", (x, y)),\n'
        "}}\n"
        "ds = landscape.{name}(problems, progress=True)"
    ),
    "table": "ds = landscape.{name}(table)    # a pandas.DataFrame, a mapping of columns, or records",
}
"""How an analysis is called, by scope."""


def _example(analysis: Analysis) -> str:
    """The call, the picture, and for those of checkpoints the same in a manifest and for a store."""
    loss = "gaussian_nll" if analysis.needs == "regression" else "cross_entropy"
    call = _CALLS[analysis.scope].format(name=analysis.name, loss=loss)
    text = f"```python\nimport landscape\n\n{call}\nlandscape.plot(ds)\n```"
    if analysis.scope == "table":
        return text
    option = next(((n, f) for n, f in analysis.params.model_fields.items() if _writable(f.default)), None)
    line = f"\n{option[0]} = {json.dumps(option[1].default)}    # the default" if option else ""
    return (
        f"{text}\n\nOf a zoo, in its manifest, and a figure of it for a paper:\n\n"
        f"```toml\n[analyses.{analysis.name}]{line}\n```\n\n"
        "```bash\nlandscape run zoo.toml\n"
        f"landscape figure results --analysis {analysis.name} -o {analysis.name}.pdf\n```"
    )


def _writable(value: object) -> bool:
    return isinstance(value, str | int | float) and value != ""


def _default(value: object) -> object:
    return value if isinstance(value, str | int | float | bool | list | tuple | dict | None) else str(value)


def _variables(analysis: Analysis) -> Iterator[list[str]]:
    def row(v: Variable) -> list[str]:
        meaning = plain(v.meaning) + (" (may be absent)" if v.optional else "")
        return [f"`{v.name}`", ", ".join(f"`{d}`" for d in v.dims), meaning, plain(v.unit)]

    for variable in (*analysis.schema.coords, *analysis.schema.variables):
        yield row(variable)


def write_scale(source: Path, page: Path) -> None:
    """The contents of what there is on scale: the page itself, clusters."""
    found = [source / "scale.md", source / "cluster.md"]
    names = [f"/{p.relative_to(source).with_suffix('').as_posix()}" for p in found if p.exists()]
    lines = ["# Scale", "", "```{toctree}", ":maxdepth: 2", "", *names, "```", ""]
    page.write_text("\n".join(lines), "utf-8")


def plain(text: str) -> str:
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
