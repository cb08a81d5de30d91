"""Views: what the page says about a store, before it is HTML."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from dataclasses import replace

import pytest
import xarray as xr

import landscape
from landscape.errors import InputError
from landscape.reporting import page_of
from landscape.reporting.provenance import provenance
from landscape.store.contents import Contents, ModelRecord, Section


def test_warnings_come_first_and_name_their_subjects(contents: Contents) -> None:
    """Oracle: the troubles built into the store, in order of weight."""
    found = page_of(contents).notices
    assert [n.level for n in found] == ["error", "error", "warning", "warning", "warning", "note"]
    texts = {n.text.split(":")[0]: n for n in found}
    assert texts["spectrum"].subjects == ("vit-s0",)
    assert "not converged" in texts["spectrum"].text
    assert "batch statistics" in texts["line with batch statistics"].text
    assert "not installed" in texts["plugin"].text
    assert texts["line"].subjects == ("vit-s0",) and "infinite" in texts["line"].text
    assert found[1].text.startswith("2 tasks not computed")


def test_no_trouble_no_notice(contents: Contents) -> None:
    """Oracle: a store in which all went well."""
    fine = [s for s in contents.sections if s.label == "fourier"]
    assert page_of(replace(contents, sections=fine, failures=[], missing=0)).notices == ()


def test_all_results_are_named_as_such(contents: Contents, make: dict[str, Callable]) -> None:
    """Oracle: a list of every model would say less than "all results"."""
    names = ["resnet-s0", "resnet-s1"]
    loose = Section("s", "spectrum", {}, {m: make["spectrum"](m, converged=False) for m in names})
    (notice,) = page_of(replace(contents, sections=[loose], failures=[], missing=0)).notices
    assert notice.subjects == ("all results",)


def test_the_overview_shows_what_an_analysis_found(contents: Contents) -> None:
    """Oracle: `fourier` counts layers first and marks its ratio as its finding; `spectrum` marks none."""
    table = page_of(contents).models
    shown = {table.columns[i].family: table.columns[i].label for i in table.first}
    assert shown["fourier"] == "ln high/low, last"
    assert shown["spectrum"] == "λ max"
    assert shown["line"] == "worst rise"


def test_model_table_joins_manifest_and_analyses(contents: Contents) -> None:
    """Oracle: values put into the records and datasets, read back by column."""
    table = page_of(contents).models
    assert [r.head for r in table.rows] == [m.name for m in contents.models]
    assert table.caption.startswith("4 models with the summary")
    by = {(c.family, c.label): i for i, c in enumerate(table.columns)}
    first = table.rows[0].cells
    assert first[by["who and training", "group"]].text == "resnet"
    assert first[by["who and training", "width"]].text == "8"
    assert first[by["who and training", "test accuracy"]].text == "0.9"
    metrics = landscape.spectrum.summary(contents.sections[0].results["resnet-s0"])
    for metric in metrics:
        column = table.columns[by["spectrum", metric.name]]
        assert column.meaning == metric.meaning and column.unit == metric.unit
        assert first[by["spectrum", metric.name]].sort == float(metric.value)
    missing = table.rows[3].cells[by["fourier", "layers"]]
    assert missing.text == "–"  # this model's fourier task failed


def test_models_are_found_in_results_without_a_manifest(contents: Contents) -> None:
    """Oracle: a store read from its files alone has no model records."""
    table = page_of(replace(contents, models=[])).models
    assert [r.head for r in table.rows] == [m.name for m in contents.models]


def test_a_training_among_the_results_is_no_model(contents: Contents, make: dict[str, Callable]) -> None:
    """Oracle: one result of a training as a whole beside four models, one of them made of others."""
    whole = make["line"]("resnet-s0").assign_attrs(model="run", group="run")
    path = Section("path", "line", {}, {"run": whole})
    models = [*contents.models[:-1], replace(contents.models[-1], members=("resnet-s0", "resnet-s1"))]
    page = page_of(replace(contents, models=models, sections=[*contents.sections, path]))
    assert page.models.rows[-1].head == "run" and len(page.choices.names) - page.predictives == 3
    assert page.models.caption.startswith("3 models, 1 predictive and 1 training with the summary")


def test_a_model_keeps_its_colour_over_the_page(contents: Contents) -> None:
    """Oracle: the colour in the table is that of the model's line in every figure."""
    page = page_of(contents)
    color = next(r.color for r in page.models.rows if r.head == "vit-s0")
    for section in page.sections:
        for figure in section.figures:
            shown = {m.series.model for m in figure.spec.marks if hasattr(m, "series")}
            if "vit-s0" in shown and figure.spec.color is None:
                assert color in figure.json


def test_an_analysis_that_is_not_installed_is_listed_and_not_drawn(contents: Contents) -> None:
    """Oracle: no figure, one sentence, and the provenance all the same."""
    section = next(s for s in page_of(contents).sections if s.label == "plugin")
    assert section.figures == () and section.numbers is None and section.results == 1
    assert "not installed" in section.problems[0]
    assert section.provenance.common


def test_an_analysis_that_fails_to_draw_leaves_the_rest(contents: Contents) -> None:
    """Oracle: the sentence of the exception, and the other sections untouched."""
    broken = Section("broken", "line", {}, {"resnet-s0": xr.Dataset(attrs={"analysis": "line"})})
    page = page_of(replace(contents, sections=[*contents.sections, broken]))
    assert "could not be made: KeyError" in page.sections[-1].problems[0]
    assert page.sections[0].figures


def test_results_of_another_version_of_the_schema_are_told_to_be_run_again(contents: Contents) -> None:
    """Oracle: the two versions in the sentence; a result without anything to draw."""
    old = xr.Dataset(attrs={"analysis": "line", "schema_version": 999})
    page = page_of(replace(contents, sections=[Section("old", "line", {}, {"resnet-s0": old})]))
    assert (
        "of schema version 999 of 'line', and this version of landscape writes"
        in page.sections[0].problems[0]
    )
    assert "run the analysis again" in page.sections[0].problems[0]
    fine = next(s for s in contents.sections if s.results and s.analysis == "fourier")
    older = {name: ds.assign_attrs(schema_version=1) for name, ds in fine.results.items()}
    page = page_of(replace(contents, sections=[replace(fine, results=older)]))  # which can be drawn
    assert page.sections[0].figures
    assert any("schema version 1" in p and "may mean something else" in p for p in page.sections[0].problems)


def test_a_store_cannot_have_a_module_imported(contents: Contents, tmp_path, monkeypatch) -> None:
    """Oracle: the module leaves a trace when it is imported; only the caller may ask for that."""
    (tmp_path / "plug_of_store.py").write_text(
        "import landscape, sys\nsys.plug_was_imported = True\n"
        "from dataclasses import replace\nmine = replace(landscape.line, name='mine')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    name = "plug_of_store:mine"
    lines = contents.sections[1].results
    store = replace(contents, sections=[Section("mine", name, {}, lines)])
    assert "not installed" in page_of(store).sections[0].problems[0]
    assert not hasattr(sys, "plug_was_imported")
    try:
        assert page_of(store, analyses=[name]).sections[0].figures
        assert page_of(store).sections[0].figures  # the run that made the store imported it already
    finally:
        del sys.plug_was_imported
        sys.modules.pop("plug_of_store")


def test_what_an_imported_module_calls_an_analysis_must_be_one(contents: Contents) -> None:
    """Oracle: an attribute of another kind is not installed; a wrong name given by the caller is an error."""
    module = types.ModuleType("odd_plug")
    module.thing = 3
    sys.modules["odd_plug"] = module
    try:
        store = replace(contents, sections=[Section("x", "odd_plug:thing", {}, contents.sections[1].results)])
        assert "not installed" in page_of(store).sections[0].problems[0]
    finally:
        del sys.modules["odd_plug"]
    with pytest.raises(InputError, match="there is no module 'no_such_module' installed"):
        page_of(contents, analyses=["no_such_module:x"])


def test_anchors_are_plain_and_unique(contents: Contents) -> None:
    """Oracle: labels that differ in signs alone must not share an anchor."""
    line = contents.sections[1]
    labels = ["a b", "a-b", "ä", "<x>", ""]
    page = page_of(replace(contents, sections=[replace(line, label=s) for s in labels]))
    anchors = [s.anchor for s in page.sections]
    assert len(set(anchors)) == len(labels)
    assert all(a.isascii() and a.replace("-", "").isalnum() for a in anchors)


def test_provenance_says_common_facts_once(contents: Contents) -> None:
    """Oracle: what the fixture gave every result alike, and what it made differ."""
    found = provenance(contents.sections[0].results)
    common = {f.label: f.value.text for f in found.common}
    assert common["device"] == "cpu" and common["loss"] == "cross_entropy"
    assert common["versions"] == "landscape = 0.1.0, torch = 2.13.0"
    assert {"k = 10", "which = LM"} <= set(common["options"].split(", "))
    assert found.varying is not None
    assert {c.title for c in found.varying.columns} == {
        "checkpoint hash", "wall time (s)", "computed (UTC)", "key in the store",
    }  # fmt: skip
    row = found.varying.rows[0]
    assert row.cells[0].text == "000000000000…" and row.cells[0].full == "0" * 64


def test_an_older_result_without_a_metric_gets_a_dash(contents: Contents) -> None:
    """Oracle: a dataset that the summary cannot read must not take the table down."""
    old = Section("line", "line", {}, {"resnet-s0": xr.Dataset(attrs={"analysis": "line"})})
    table = page_of(replace(contents, sections=[contents.sections[0], old])).models
    assert all(c.family != "line" for c in table.columns)


def test_many_models_of_few_in_each_section_are_drawn_one_by_one(make: dict[str, Callable]) -> None:
    """Oracle: 14 models, 7 in each of two sections; 14 in one section are drawn by group."""
    names = [f"{'ab'[i % 2]}-{i}" for i in range(14)]
    records = [ModelRecord(n, n[0], i) for i, n in enumerate(names)]
    made = {n: make["spectrum"]("resnet-s0").assign_attrs(model=n) for n in names}
    halves = [Section(g, "spectrum", {}, {n: made[n] for n in names if n[0] == g}) for g in "ab"]
    page = page_of(Contents("two", records, halves, [], 0))
    assert page.choices.ways[0] == "model" and not page.details.packs
    page = page_of(Contents("one", records, [Section("spectrum", "spectrum", {}, made)], [], 0))
    assert "model" not in page.choices.ways and len(page.details.packs) == 14


def test_pairs_of_models_stand_among_the_findings(similarity: Callable) -> None:
    """Oracle: two groups of two in a row: neighbours have 1/2, the outer 1/4; by hand."""
    models = [ModelRecord(f"{g}{i}", g, i, {}, {"test_accuracy": i / 2}) for g in "ab" for i in (0, 1)]
    section = Section("cka", "cka", {}, {"all": similarity([m.name for m in models])})
    pairs = page_of(Contents("z", models, [section], [], 0)).findings.pairs
    assert pairs is not None
    assert [c.label for c in pairs.columns] == ["within a", "within b", "between groups"]
    rows = {row.head: [cell.text for cell in row.cells] for row in pairs.rows}
    assert rows["cka: output cka"] == ["0.5 (1 pair)", "0.5 (1 pair)", "0.3542, 0.25 to 0.5 (4 pairs)"]


def test_each_result_is_summed_up_once(contents: Contents) -> None:
    """Oracle: the number of results; the section's table, that of all models, and findings ask for it."""
    asked: list[xr.Dataset] = []
    analysis = landscape.spectrum

    def summary(ds: xr.Dataset) -> list:
        asked.append(ds)
        return analysis.summary(ds)

    (section,) = (s for s in contents.sections if s.label == "spectrum")
    page = page_of(replace(contents, sections=[section]), [replace(analysis, summary=summary)])
    assert len(asked) == len(section.results) == len(page.sections[0].numbers.rows)
