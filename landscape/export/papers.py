"""Papers: the entries of BibTeX of all that descriptions of analyses cite, found by author and year."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

__all__ = ["Paper", "cited", "papers", "software_entry"]

_LATEX = {r"{\'a}": "á", r"{\'e}": "é", r"{\`u}": "ù", r"{\"a}": "ä", r"{\"u}": "ü", r"{\u{g}}": "ğ"}


@dataclass(frozen=True)
class Paper:
    """One paper.

    Attributes:
        key: Of its entry: first author and year.
        authors: Surnames, in order.
        title: Its title.
        venue: Where it appeared.
        year: When.
        named: How descriptions name it, if first author and year are not enough.
        bibtex: Its entry.
    """

    key: str
    authors: tuple[str, ...]
    title: str
    venue: str
    year: int
    named: str
    bibtex: str

    @property
    def short(self) -> str:
        """As a text names it: ``Li et al. (2018)``."""
        names = self.authors
        who = names[0] if len(names) == 1 else " & ".join(names) if len(names) == 2 else f"{names[0]} et al."
        return f"{who} ({self.year})"

    @property
    def line(self) -> str:
        """As a list of references has it."""
        return f"{', '.join(self.authors)}. {self.title.rstrip('.')}. {self.venue}, {self.year}."

    def is_cited(self, text: str) -> bool:
        """Whether a text names it."""
        name = re.escape(self.named or self.authors[0]).replace(r"\ ", r"\s+")
        # Other authors may stand between, but no other year: that would be another paper's.
        between = "" if re.search(r"\d$", self.named) else rf"(?:(?!\d{{4}}).){{0,60}}?\b{self.year}\b"
        return re.search(rf"\b{name}{between}", text, re.DOTALL) is not None


@cache
def papers() -> tuple[Paper, ...]:
    """All papers, by key."""
    text = resources.files("landscape.export").joinpath("papers.bib").read_text(encoding="utf-8")
    return tuple(_paper(entry) for entry in re.findall(r"^@\w+\{.*?^\}", text, re.DOTALL | re.MULTILINE))


def cited(text: str) -> list[Paper]:
    """The papers that a text names, by key.

    Example:
        >>> [p.short for p in cited("Filters are normalised (Li et al. 2018, section 4).")]
        ['Li et al. (2018)']
    """
    return [paper for paper in papers() if paper.is_cited(text)]


def software_entry(version: str) -> str:
    """The entry of this toolkit itself, as in CITATION.cff."""
    title = "landscape: loss landscapes, similarity and frequency response of trained networks"
    fields = {"author": "{The landscape developers}", "title": title, "version": version}
    return "\n".join(["@software{landscape,", *(f"  {n} = {{{v}}}," for n, v in fields.items()), "}"])


def _paper(entry: str) -> Paper:
    key = re.match(r"@\w+\{([^,]+),", entry)
    assert key is not None
    fields = dict(re.findall(r"^  (\w+) = \{(.*)\},$", entry, re.MULTILINE))
    venue = fields.get("booktitle") or fields.get("journal") or f"arXiv:{fields.get('eprint', '')}"
    return Paper(
        key=key[1],
        authors=tuple(_plain(name.split(",")[0]) for name in fields["author"].split(" and ")),
        title=_plain(fields["title"]),
        venue=venue,
        year=int(fields["year"]),
        named=fields.get("cited", ""),
        bibtex="\n".join(line for line in entry.splitlines() if not line.startswith("  cited = ")),
    )


def _plain(text: str) -> str:
    """Words without the marks of LaTeX."""
    for mark, letter in _LATEX.items():
        text = text.replace(mark, letter)
    return text.replace(r"$4/\sqrt{3}$", "4/√3").replace("{", "").replace("}", "").replace("--", "–")
