"""The papers: each one that a description cites has an entry, and no other is taken for it."""

from __future__ import annotations

import re

import landscape
from landscape.base.registry import find
from landscape.export.papers import cited, papers, software_entry

NAMED = re.compile(r"([A-Z][\w'’-]+)(?: et al\.|(?:,? (?:& )?[A-Z][\w-]+)*) \(?((?:19|20)\d\d)\b")


def test_every_paper_that_a_description_cites_has_an_entry() -> None:
    """Oracle: a pattern of names and years of its own, which knows no list of papers."""
    missing, used = [], set()
    for name in landscape.analyses():
        text = " ".join(find(name).description.split())
        found = cited(text)
        used |= {p.key for p in found}
        for who, year in NAMED.findall(text):
            surname = who.removeprefix("HAWQ ")
            if not any(str(p.year) == year and surname in " ".join(p.authors) for p in found):
                missing.append(f"{name}: {who} {year}")
    assert missing == [], "write their entries into landscape/export/papers.bib"
    assert {p.key for p in papers()} == used


def test_papers_of_one_author_and_year_are_told_apart() -> None:
    """Oracle: which paper is meant, written out by hand."""
    for text, keys in (
        ("density (Papyan 2020; Yao et al. 2020)", ["papyan2020", "yao2020"]),
        ("collapse, after Papyan, Han & Donoho (2020)", ["papyan2020b"]),
        ("the score (Gneiting & Raftery 2007)", ["gneiting2007"]),
        ("histograms (Gneiting et al. 2007)", ["gneiting2007b"]),
        ("Li and others, not in 2017 but 2018 maybe", []),
    ):
        assert [p.key for p in cited(text)] == keys


def test_entries_are_whole() -> None:
    """Oracle: braces counted, keys unlike each other, and what every entry of BibTeX needs."""
    keys = [p.key for p in papers()]
    assert len(set(keys)) == len(keys) > 60
    for paper in papers():
        assert paper.bibtex.count("{") == paper.bibtex.count("}") and "cited =" not in paper.bibtex
        assert paper.title and paper.venue and paper.authors and str(paper.year) in paper.bibtex
        assert not set("{}\\$") & set(paper.line)
    assert "1.2.3" in software_entry("1.2.3")
