"""What a reader must know before trusting a number, result by result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from landscape.reporting.notices import notices
from landscape.store.contents import Contents

TROUBLES = {
    "not converged": xr.Dataset({"converged": ((), False)}),
    "batch statistics": xr.Dataset(attrs={"batchnorm": "batch"}),
    "standard errors above 25%": xr.Dataset({"trace": ((), 1.0), "trace_se": ((), 0.3)}),
    "scores describe the outputs": xr.Dataset(
        {"nll": 1.0}, {}, {"scores_notice": "scores describe the outputs"}
    ),
    "values are sums over all examples": xr.Dataset(attrs={"loss_reduction": "sum"}),
    "return one loss per example": xr.Dataset(attrs={"loss_reduction": "batch mean"}),
    "derivatives were not checked": xr.Dataset(
        attrs={"derivatives_notice": "derivatives were not checked (check_derivatives=False)"}
    ),
    "gradients may be masked": xr.Dataset({"notice": ((), "a sign: gradients may be masked")}),
    "more steps narrow it": xr.Dataset(
        {"converged": False, "converged_notice": "wide; more steps narrow it"}
    ),
    "infinite values": xr.Dataset({"loss": ("t", [1.0, np.inf])}),
}
FINE = xr.Dataset({"converged": ((), True), "trace": ((), 1.0), "trace_se": ((), 0.2)})


def told(contents: Contents, results: dict[str, xr.Dataset]) -> list:
    section = replace(contents.sections[0], results=results)
    return notices(replace(contents, sections=[section], failures=[], missing=0), {}, {})


@pytest.mark.parametrize("text", TROUBLES)
def test_each_trouble_is_told_of_the_result_that_has_it(contents: Contents, text: str) -> None:
    """Oracle: one result with the trouble built in, one without; both with it are all results."""
    (found,) = told(contents, {"bad": TROUBLES[text], "good": FINE})
    assert text in found.text and found.subjects == ("bad",)
    (found,) = told(contents, {"one": TROUBLES[text], "two": TROUBLES[text]})
    assert found.subjects == ("all results",)


def test_no_trouble_is_made_up(contents: Contents) -> None:
    """Oracle: an error of a fifth; that of a zero, which has no share; a bracket; a limit at infinity."""
    fine = {
        "a": FINE,
        "b": xr.Dataset({"trace": ((), 0.0), "trace_se": ((), 0.3)}),
        "bracket": xr.Dataset({"share": ((), 0.3), "share_se": ((), 0.2), "share_low": ((), 0.1)}),
        "no scores": xr.Dataset({"eigenvalues": 1.0}, {}, {"scores_notice": "of scores alone"}),
        "unmasked": xr.Dataset({"notice": ((), "")}),
        "c": xr.Dataset({"limit": ((), np.inf, {"unbounded": 1})}),
    }
    assert told(contents, fine) == []


def test_the_gravest_come_first(contents: Contents) -> None:
    """Oracle: the order of levels; what kept a section from being shown is told under its name."""
    section = replace(contents.sections[0], results={"a": TROUBLES["infinite values"]})
    store = replace(contents, sections=[section], failures=[], missing=3)
    found = notices(store, {section.label: "s1"}, {section.label: ["It could not be drawn."]})
    assert [n.level for n in found] == ["error", "warning", "note"]
    assert found[0].text.startswith("3 tasks not computed")
    assert found[1].text == f"{section.label}: It could not be drawn." and found[1].anchor == "s1"


def test_a_group_without_a_member_says_so(contents: Contents) -> None:
    """Oracle: the attribute that a run writes, one sentence for each member."""
    reasons = '{"m3": "training diverged.", "m4": "checkpoint \'m4.pt\' does not exist."}'
    ds = xr.Dataset(attrs={"members_asked": 5, "left_out": reasons})
    found = told(contents, {"all": ds, "others": FINE})
    assert [n.level for n in found] == ["warning", "warning"]
    assert "'m3' is left out: training diverged." in found[0].text
    assert "'m4' is left out: checkpoint 'm4.pt' does not exist." in found[1].text
    assert found[0].subjects == ("all",)


def test_one_reason_of_many_models_is_one_line(contents: Contents) -> None:
    """Oracle: two models with the analysis's own reason, one without: two lines, the second graver."""
    wide = xr.Dataset({"converged": False, "converged_notice": "the bracket is wide"})
    fine = xr.Dataset({"converged": True, "converged_notice": ""})
    found = told(contents, {"a": wide, "b": wide, "c": xr.Dataset({"converged": False}), "d": fine})
    assert [(n.level, n.subjects) for n in found] == [("warning", ("c",)), ("note", ("a", "b"))]
    assert "the bracket is wide" in found[1].text
