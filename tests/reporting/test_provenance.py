"""Facts that results share, and those in which they differ."""

from __future__ import annotations

import xarray as xr

from landscape.reporting.provenance import listed, provenance


def result(**attrs: object) -> xr.Dataset:
    return xr.Dataset(attrs=attrs)


def test_common_facts_are_said_once_and_others_tabled() -> None:
    """Oracle: attributes written by hand, sorted by hand."""
    found = provenance(
        {
            "a": result(seed=1, loss="mse", wall_time_s=2.0, model="a", plugin_fact="p"),
            "b": result(seed=2, loss="mse", wall_time_s=2.0, model="b", plugin_fact="p"),
        }
    )
    common = {fact.label: fact.value.text for fact in found.common}
    assert list(common) == ["loss", "wall time (s)", "plugin fact"] and common["loss"] == "mse"
    assert found.varying is not None
    assert [c.label for c in found.varying.columns] == ["seed"]
    assert [row.cells[0].text for row in found.varying.rows] == ["1", "2"]
    assert [row.head for row in found.varying.rows] == ["a", "b"]


def test_one_result_has_nothing_that_differs() -> None:
    """Oracle: there is nothing to differ from."""
    assert provenance({"a": result(seed=1)}).varying is None


def test_hashes_are_short_and_keep_the_whole_behind() -> None:
    """Oracle: twelve digits and the whole value."""
    (fact,) = provenance({"a": result(checkpoint="0123456789abcdef" * 2)}).common
    assert fact.value.text == "0123456789ab…" and fact.value.full == "0123456789abcdef" * 2


def test_options_are_read_from_their_json_and_bad_json_is_shown_as_it_is() -> None:
    """Oracle: the same facts in plain words."""
    facts = provenance(
        {
            "a": result(
                parameters='{"k": 3, "which": null}', versions="not json", created="2024-01-02T03:04:05+00:00"
            )
        }
    ).common
    texts = {fact.label: fact.value.text for fact in facts}
    assert texts["options"] == "k = 3, which = none"
    assert texts["versions"] == "not json" and texts["computed (UTC)"] == "2024-01-02 03:04:05"
    assert listed({}) == "none"
