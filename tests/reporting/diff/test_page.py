"""The page of a difference."""

from __future__ import annotations

import re

from landscape.reporting.diff import difference_of
from landscape.reporting.diff.page import change_table, example_table, layer_table, short_html


def test_tables_say_what_the_numbers_are(two_groups):
    """Oracle: the trace of the fixture, the layer that was changed, and the examples that differ."""
    found = difference_of(two_groups, "plain-s0", "smooth-s0")
    row = change_table(found).rows[0]
    assert row.head == "tr (SLQ) (nats/example)"
    assert [c.text for c in row.cells[:5]] == ["density", "10", "16", "6", "4.614 … 7.386"]
    layer = layer_table(found)
    assert layer.rows[0].head == "block.0" and layer.columns[-1].label == "CKA"
    assert {r.head for r in example_table(found).rows} == {"2", "5", "7"}


def test_the_page_has_every_part_and_no_id_twice(two_groups, tmp_path):
    """Oracle: anchors of the parts; ids read back from the file; two surfaces beside one another."""
    path = difference_of(two_groups, "plain-s0", "smooth-s0").save(tmp_path / "diff.html")
    html = path.read_text("utf-8")
    assert "<title>plain-s0 against smooth-s0: landscape report</title>" in html
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert {"differences", "layers", "beside", "examples", "s-density", "d-differences", "d-layers"} <= set(
        ids
    )
    assert len(ids) == len(set(ids))
    assert len(re.findall(r'<figure id="beside-', html)) == 3
    assert "smooth-s1" not in html.split("<script>")[0]


def test_names_are_escaped_in_notebooks(two_groups):
    """Oracle: the text that HTML shows as it is."""
    found = difference_of(two_groups, "plain-s0", "smooth-s0")
    html = short_html(found)
    assert html == found._repr_html_() and "<b>plain-s0</b> against <b>smooth-s0</b>" in html
    evil = type(found.a)("<script>", found.a.models)
    from dataclasses import replace

    assert "<script>" not in short_html(replace(found, a=evil))
