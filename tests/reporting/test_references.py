"""References: papers, the toolkit's entry, and a line that draws the figure again."""

from __future__ import annotations

import shlex

import landscape
from landscape.export.papers import cited
from landscape.reporting import page_of
from landscape.reporting.references import references, reproducing
from landscape.store.contents import Contents


def test_papers_of_the_sections_and_no_others(contents: Contents) -> None:
    """Oracle: the papers that the descriptions of these analyses name."""
    page = page_of(contents)
    told = references(page)
    known = landscape.analyses()  # one section is of an analysis that is not installed
    described = [known[s.analysis].description for s in contents.sections if s.analysis in known]
    wanted = {p.key for text in described for p in cited(text)}
    assert set(told["papers"]) == wanted and "li2018" in wanted
    assert told["papers"]["li2018"]["bibtex"].startswith("@inproceedings{li2018,")
    assert landscape.__version__ in told["software"] and told["store"] == "STORE"
    assert references(page_of(contents, data="results/zoo.h5"))["store"] == "results"


def test_the_line_names_section_and_figure(contents: Contents) -> None:
    """Oracle: the words of the command as a shell splits them."""
    page = page_of(contents)
    (section,) = (s for s in page.sections if s.label == "line")
    words = shlex.split(reproducing(section, section.figures[0]))
    assert words[:5] == ["landscape", "figure", "STORE", "-a", "line"]
    assert words[5:] == ["--figure", section.figures[0].spec.name, "-o"]
