"""The first screen in a browser: its script has the statistics and the sentences of Python.

The numbers are those of made-up models with a few recorded metrics, so that nothing else is drawn.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from landscape.export.findings import found_in, model_table
from landscape.export.sentences import sentences
from landscape.reporting import page_of, render
from landscape.store.contents import Contents, ModelRecord

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium or chrome on the PATH")


def zoo(seeds: int = 3) -> Contents:
    """A grid of two widths and two norms with seeds, and numbers that differ, tie, lack values or spread."""
    rng = np.random.default_rng(0)
    models = []
    for norm in ("batch", "layer"):
        for width in (8, 16):
            for seed in range(seeds):
                accuracy = 0.9 + 0.002 * width + 0.03 * (norm == "batch") + 0.004 * rng.normal()
                metrics = {
                    "test_accuracy": float(accuracy),
                    "flatness": float(1e4 + 50 * accuracy + 0.5 * rng.normal()),
                    "loss": float(1 - accuracy + 0.02 * rng.normal()),
                    "noise": float(rng.normal()),
                    "layers": float(width),
                    "rank": float(seed % 2 + (norm == "batch")),
                    "broken": math.nan if seed == 0 and width == 8 else float(rng.normal()),
                }
                if norm == "batch":
                    metrics["momentum"] = 0.1
                tags = {"norm": norm, "width": width}
                models.append(ModelRecord(f"{norm}{width}-s{seed}", f"{norm}-{width}", seed, tags, metrics))
    return Contents("grid", models, [], [], 0)


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Open the page of a zoo offline; afterwards its console must be empty."""
    said: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])

        def open_page(contents: Contents, width: int = 1280) -> Any:
            path = Path(tmp_path_factory.mktemp("page")) / "report.html"
            path.write_text(render(page_of(contents)), "utf-8")
            context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
            context.set_default_timeout(120_000)
            page = context.new_page()
            page.on("console", lambda m: said.append(m.text))
            page.on("pageerror", lambda e: said.append(str(e)))
            page.goto(path.as_uri())
            return page

        yield open_page
        browser.close()
    assert said == []


def test_the_page_has_the_numbers_and_sentences_of_python(visit: Any) -> None:
    """Oracle: scipy's distributions, by way of Python, which the script does without."""
    contents = zoo()
    page, table = visit(contents), model_table(contents)
    assert page.locator("#findings-said li").all_inner_texts() == list(sentences(found_in(table)))
    worked_out, anew = page.evaluate("""() => {
        const { chosen } = JSON.parse(document.getElementById('findings-data').textContent);
        const known = (v) => Number.isFinite(v) ? v : null;
        const row = (r) => [r.metric?.said ?? '', r.counts,
            ...[...r.means, ...r.errors, r.g, r.low, r.high, r.p, r.q, r.goes?.tau].map(known)];
        return [findings.given(), findings.compute(...chosen)].map((f) => [f.outcome, ...f.rows].map(row));
    }""")
    assert [row[:2] for row in worked_out[1:]] == [row[:2] for row in anew[1:]]
    for ours, theirs in zip(worked_out, anew, strict=True):
        numbers, expected = ([math.nan if v is None else v for v in row[2:]] for row in (ours, theirs))
        assert numbers == pytest.approx(expected, rel=1e-4, abs=1e-6, nan_ok=True)
    pairs = list(permutations(range(len(table.kinds)), 2))
    for outcome, (a, b) in [*((0, pair) for pair in pairs[::2]), *((i, pairs[1]) for i in range(1, 4))]:
        expected = found_in(table, table.metrics[outcome].label, [table.kinds[a], table.kinds[b]])
        rows, said = page.evaluate(
            "([o, a, b]) => { const f = findings.compute(o, a, b); return [f.rows.map((r) => [r.metric.said,"
            " ...[r.g, r.low, r.high, r.p, r.q, r.goes.tau, r.goes.low, r.goes.high, r.goes.psi].map("
            "(v) => Number.isFinite(v) ? v : null)]), findings.sentences(f)]; }",
            [outcome, a, b],
        )
        assert said == list(sentences(expected))
        assert [row[0] for row in rows] == [row.metric.said for row in expected.rows]
        for row, ours in zip(rows, expected.rows, strict=True):
            d, g = ours.difference, ours.association
            numbers = (d.g, d.low, d.high, d.p, ours.q, g.tau, g.low, g.high, g.psi)
            found = [math.nan if v is None else v for v in row[1:]]
            assert found == pytest.approx(numbers, rel=1e-4, abs=1e-6, nan_ok=True), row[0]


def test_the_reader_chooses_outcome_and_groups(visit: Any) -> None:
    """Oracle: what is selected; a group is not compared with itself; nothing juts out on a narrow page."""
    page = visit(zoo(), 390)
    page.select_option("#findings-outcome", label="loss")
    assert "loss" in page.locator("#findings-said li").first.inner_text()
    page.select_option("#findings-first", page.locator("#findings-second").input_value())
    assert page.locator("#findings-first").input_value() != page.locator("#findings-second").input_value()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("#findings-table tbody tr").count() == 8
    assert page.locator("#findings-table tbody a").first.get_attribute("href") == "#summary"


def test_one_model_is_told_in_words_that_there_is_nothing_to_compare(visit: Any) -> None:
    """Oracle: the sentence, and no empty table."""
    one = zoo()
    page = visit(Contents("one", one.models[:1], [], [], 0))
    assert "There is nothing to compare: this zoo has one model" in page.locator("#findings").inner_text()
    assert page.locator("#findings-table").count() == 0
