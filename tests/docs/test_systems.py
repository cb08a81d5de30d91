"""The table of published systems is that of the studies' pages."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from landscape.errors import InputError

DOCS = Path(__file__).resolve().parents[2] / "docs"
SPEC = spec_from_file_location("systems", DOCS / "systems.py")
systems = module_from_spec(SPEC)
SPEC.loader.exec_module(systems)


@pytest.fixture
def copied(tmp_path):
    """The documentation, to be changed."""
    shutil.copytree(DOCS / "studies", tmp_path / "studies")
    shutil.copy(DOCS / "systems.toml", tmp_path)
    return tmp_path


def counted(page):
    return {
        heading: Counter(verdict for _, verdict in table) for heading, table in systems.claims(page).items()
    }


def test_the_readme_holds_the_table_of_today():
    """Oracle: the table made anew of the pages; run ``python docs/systems.py`` where they differ."""
    readme = (DOCS / "studies" / "README.md").read_text("utf-8")
    assert systems.with_table(readme, systems.systems_table()) == readme


def test_there_are_twenty_and_no_row_with_a_study_is_empty():
    """Oracle: the numbers 1 to 20, and the cells of rows whose study has a page."""
    rows = [[c.strip() for c in r.split("|")[1:-1]] for r in systems.systems_table().splitlines()[2:-2]]
    assert [row[0] for row in rows if row[0]] == [str(n) for n in range(1, 21)]
    for row in rows:
        if row[4].startswith("["):
            assert all(row[5:]), row
            assert not row[0] or all(row), row
    pages = {path.stem for path in (DOCS / "studies").glob("*.md")} - {"README", "all_studies"}
    assert pages == {page for page in pages if any(f"({page}.md)" in row[4] for row in rows)}


def test_the_first_page_counts_the_same_claims():
    """Oracle: the last row of the table."""
    counts = re.search(
        r"\*\*the (\d+) claims, each at its largest size\*\*.*?(\d+)\D+(\d+)\D+(\d+)",
        systems.systems_table(),
    )
    assert counts is not None
    claims, *verdicts = counts.groups()
    text = (DOCS.parent / "README.md").read_text("utf-8")
    text = " ".join(text.split())
    assert f"measure {claims} published claims" in text
    assert "{} were reproduced, {} were not, {} are undecided".format(*verdicts) in text


def test_a_changed_verdict_changes_the_table(copied):
    """Oracle: the verdicts of a page as they stand, and one of them turned by hand."""
    page = copied / "studies" / "deep_ensembles.md"
    (before,) = counted(page).values()
    table = systems.systems_table(copied)
    page.write_text(
        page.read_text("utf-8").replace("| **reproduced** |", "| not at this scale |", 1), "utf-8"
    )
    (after,) = counted(page).values()
    assert after["reproduced"] == before["reproduced"] - 1
    assert after["undecided"] == before["undecided"] + 1
    assert systems.systems_table(copied) != table


def test_tables_of_claims_are_counted_apart(tmp_path):
    """Oracle: a page by hand, with a table of something else, and a second size."""
    page = tmp_path / "p.md"
    table = "| claim | effect | verdict |\n|---|---|---|\n"
    page.write_text(
        "# P\n## Found\n"
        + table
        + "| a | +1 | **reproduced** |\n| b | 0 | undecided |\n\n| kind | NLL |\n|---|---|\n| x | 1 |\n"
        + "## On photographs\n"
        + table
        + "| a | -1 | **not reproduced** |\n| b | 0 | not at this scale |\n",
        "utf-8",
    )
    assert counted(page) == {
        "Found": {"reproduced": 1, "undecided": 1},
        "On photographs": {"not reproduced": 1, "undecided": 1},
    }


def test_a_claim_counts_once_at_its_largest_size():
    """Oracle: by hand: a turns on natural images, b says what its networks were, c has no larger size."""
    small, large = "a (30 cells; by seed)", "a (12 cells; by seed)"
    found = {
        "Found": [(small, "reproduced"), ("b (x: 3k parameters)", "undecided"), ("c (x)", "reproduced")],
        "Natural images": [(large, "undecided"), ("b (x: 9k parameters)", "reproduced")],
    }
    assert Counter(systems.at_largest(found).values()) == {"reproduced": 2, "undecided": 1}
    twice = {
        "Over all": [("a", "reproduced")],
        "One at a time": [("a", "undecided")],
        "Natural images, over all": [("a", "not reproduced")],
        "Natural images, one at a time": [("a", "reproduced")],
    }
    assert Counter(systems.at_largest(twice).values()) == {"reproduced": 1, "not reproduced": 1}


def test_what_cannot_be_counted_is_named(tmp_path):
    """Oracle: the sentences a writer must see."""
    page = tmp_path / "p.md"
    page.write_text("| claim | verdict |\n|---|---|\n| a | perhaps |\n", "utf-8")
    with pytest.raises(InputError, match="the claim 'a' has no verdict but 'perhaps'"):
        systems.claims(page)
    page.write_text("nothing", "utf-8")
    with pytest.raises(InputError, match="no table from 'claim' to 'verdict'"):
        systems.claims(page)
    with pytest.raises(InputError, match="needs the lines"):
        systems.with_table("text", "table")
