"""The table of published systems in docs/studies/README.md, made of docs/systems.toml and the studies' pages.

Run ``python docs/systems.py`` after a page of a study has changed; a test holds the table current.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from landscape.errors import InputError

__all__ = ["at_largest", "claims", "systems_table", "with_table"]

Table = Sequence[tuple[str, str]]
"""Claims with their verdicts."""

HERE = Path(__file__).resolve().parent
FIRST, LAST = "<!-- systems: written by docs/systems.py -->", "<!-- end of systems -->"
VERDICTS = ("reproduced", "not reproduced", "undecided")
UNDECIDED = "not at this scale"  # as a run says it; pages use both words
LARGER = "natural images"
SIZES = re.compile(r" \([^()]*\b(?:parameters|epochs|cells|patches)\b[^()]*\)")
"""What a claim says of the networks or cells behind it, which are others at another size."""
HEADS = ("no.", "system", "paper", "in the package", "study", *VERDICTS, "picture")


def systems_table(docs: Path = HERE) -> str:
    """The table, one row for each system and each of its studies, with totals over all studies.

    Args:
        docs: The folder of ``systems.toml`` and of ``studies``.

    Raises:
        InputError: If a page has no claims, or a verdict that is none.
    """
    facts = tomllib.loads((docs / "systems.toml").read_text("utf-8"))
    rows: list[list[str]] = []
    pages: dict[Path, Mapping[str, Table]] = {}
    for number, system in enumerate(facts["systems"], 1):
        of = [docs / "studies" / f"{page}.md" for page in system["pages"]]
        there = [page for page in of if page.exists()]
        first = [str(number), system["name"], system["paper"], _places(system["lives"])]
        for page in there or of[:1]:
            if page in there:
                pages[page] = claims(page)
            for study, counts in _studies(page, pages.get(page, {})):
                rows.append([*first, study, *counts, _picture(page)])
                first = [""] * len(first)
    every = Counter(verdict for found in pages.values() for table in found.values() for _, verdict in table)
    last = Counter(verdict for found in pages.values() for verdict in at_largest(found).values())
    for what, total in (
        (f"all {every.total()} verdicts of {len(pages)} studies", every),
        (f"the {last.total()} claims, each at its largest size", last),
    ):
        rows.append(["", f"**{what}**", "", "", "", *(f"**{total[verdict]}**" for verdict in VERDICTS), ""])
    lines = [HEADS, ["---"] * len(HEADS), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def claims(page: Path) -> dict[str, list[tuple[str, str]]]:
    """The claims of a page with their verdicts, by the heading above each of its tables of claims.

    Args:
        page: A page with tables whose first column is ``claim`` and of which one is ``verdict``.

    Raises:
        InputError: If there is no such table, or a verdict is none.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    heading, column = "", -1
    for line in page.read_text("utf-8").splitlines():
        if line.startswith("#"):
            heading = line.strip("# ")
        cells = [cell.strip(" *") for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            column = -1
        elif cells[0] == "claim" and "verdict" in cells:
            column = cells.index("verdict")
        elif column > 0 and not set(line) <= set("|-: "):
            verdict = VERDICTS[-1] if cells[column] == UNDECIDED else cells[column]
            if verdict not in VERDICTS:
                raise InputError(f"{page.name}: the claim '{cells[0]}' has no verdict but '{cells[column]}'.")
            found.setdefault(heading, []).append((cells[0], verdict))
    if not found:
        raise InputError(f"{page.name} has no table from 'claim' to 'verdict'.")
    return found


def at_largest(found: Mapping[str, Table]) -> dict[tuple[str, str], str]:
    """The verdict of each claim of a page; on natural images where it was judged on digits and on these.

    Args:
        found: What `claims` gives.

    Returns:
        Verdicts by table and claim, both without what tells their size.
    """
    last: dict[tuple[str, str], str] = {}
    large = [heading for heading in found if LARGER in heading.lower()]
    for headings in ([heading for heading in found if heading not in large], large):
        for heading in headings:
            # the only table of a size stands for that of the other, whatever their headings are
            table = re.sub(rf"{LARGER},? ?", "", heading.lower()) if len(headings) > 1 else ""
            last |= {(table, SIZES.sub("", claim)): verdict for claim, verdict in found[heading]}
    return last


def with_table(text: str, table: str) -> str:
    """The text with the table between its two marks.

    Raises:
        InputError: If it lacks the marks.
    """
    if FIRST not in text or LAST not in text:
        raise InputError(f"the page needs the lines '{FIRST}' and '{LAST}'.")
    before, _, rest = text.partition(FIRST)
    return f"{before}{FIRST}\n{table}\n{LAST}{rest.partition(LAST)[2]}"


def _studies(page: Path, found: Mapping[str, Table]) -> Iterator[tuple[str, Sequence[str]]]:
    """A page and its counts, table by table."""
    if not found:
        yield f"`{page.stem}`", [""] * len(VERDICTS)
    for heading, table in found.items():
        counts = Counter(verdict for _, verdict in table)
        what = f", {heading[0].lower()}{heading[1:]}" if len(found) > 1 else ""
        yield f"[{page.stem}]({page.name}){what}", [str(counts[verdict]) for verdict in VERDICTS]


def _picture(page: Path) -> str:
    """The first picture of a page, which shows its claims."""
    found = re.search(r"!\[.*?\]\((.*?)\)", page.read_text("utf-8")) if page.exists() else None
    return f"[claims]({found[1]})" if found else ""


def _places(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names if _exists(name))


def _exists(name: str) -> bool:
    room, _, attribute = name.rpartition(".")
    module = room if room.startswith("landscape") else f"landscape.reference.{room}"
    return hasattr(import_module(module), attribute)


if __name__ == "__main__":
    readme = HERE / "studies" / "README.md"
    readme.write_text(with_table(readme.read_text("utf-8"), systems_table()), "utf-8")
