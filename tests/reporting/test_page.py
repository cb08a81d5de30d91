"""The page: one file, nothing loaded, nothing run but its own scripts, every text a text."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import landscape
from landscape.errors import InputError, StoreError
from landscape.reporting import page_of, render
from landscape.store import Store
from landscape.store.contents import Contents
from landscape.store.records import SectionRecord, Snapshot

EVIL = "<script>alert(1)</script>"


VOID = {"meta", "link", "input", "br"}


class Reader(HTMLParser):
    """Collects tags, attributes, scripts and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] == "script":
            attrs, text = self.scripts[-1]
            self.scripts[-1] = (attrs, text + data)
        elif self.stack and self.stack[-1] != "style":
            self.text.append(data)


@pytest.fixture(scope="module")
def html(contents: Contents) -> str:
    return render(page_of(contents))


def test_page_is_well_formed_and_has_unique_ids(html: str) -> None:
    """Oracle: an independent parser; every element closes, every id and every link target exists once."""
    page = Reader(html)
    assert page.stack == []
    ids = [a["id"] for _, a in page.tags if a.get("id")]
    assert len(ids) == len(set(ids))
    targets = [a["href"][1:] for t, a in page.tags if t == "a" and a["href"].startswith("#")]
    assert set(targets) <= set(ids)
    assert {a["data-figure"] for _, a in page.tags if "data-figure" in a} <= set(ids)


def test_texts_of_a_store_stay_text(html: str) -> None:
    """Oracle: the parser sees the evil name as text, and two programs and data blocks of ours alone."""
    page = Reader(html)
    assert sum(EVIL in t for t in page.text) > 1
    programs = [text for attrs, text in page.scripts if attrs.get("type") in (None, "text/plain")]
    assert len(programs) == 2
    assert not any("alert(1)" in text for text in programs)
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert "the image model's <b>layer</b> gives no maps." in page.text


def test_data_blocks_are_json_and_cannot_end_their_script(html: str) -> None:
    """Oracle: a strict JSON parser; no sign of HTML left in the raw text."""
    scripts = [(attrs.get("type"), text) for attrs, text in Reader(html).scripts]
    blocks = [(kind, text) for kind, text in scripts if kind not in (None, "text/plain")]
    assert len(blocks) > 15
    for kind, text in blocks:
        assert not set("<>&") & set(text)
        json.loads(text if kind == "application/json" else gzip.decompress(base64.b64decode(text)))


def test_policy_allows_exactly_the_scripts_of_the_page(html: str) -> None:
    """Oracle: SHA-256 of each script as a browser reads it."""
    page = Reader(html)
    (policy,) = [a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    for attrs, text in page.scripts:
        if attrs.get("type") not in (None, "text/plain"):
            continue
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "http" not in policy


def test_page_loads_nothing(html: str) -> None:
    """Oracle: no element with an address that is not within the page."""
    for tag, attrs in Reader(html).tags:
        assert "src" not in attrs
        if "href" in attrs:
            assert attrs["href"].startswith(("#", "data:,")), tag
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style and "@import" not in style


def test_page_is_small_enough(html: str) -> None:
    """Oracle: the budget; plotly.js stands in it once, without what this page has no use for."""
    assert len(html.encode()) < 3e6
    assert html.count("plotly.js (cartesian - minified) v") == 1


def test_code_in_descriptions_is_marked_and_escaped(contents: Contents) -> None:
    """Oracle: the HTML written out by hand; a lone backtick is left alone."""
    section = page_of(contents).sections[0]
    for text, expected in (
        ("call `f(<x>)` & see", "call <code>f(&lt;x&gt;)</code> &amp; see"),
        ("a ` <b>", "a ` &lt;b&gt;"),
    ):
        page = replace(page_of(contents), sections=(replace(section, description=(text,)),))
        assert f'<p class="description">{expected}</p>' in render(page)


def test_captions_units_options_and_meanings_are_shown(html: str) -> None:
    """Oracle: the words of the analyses' own declarations."""
    text = " ".join(" ".join(Reader(html).text).split())
    page_titles = ["Summary", "Failures", "What the columns mean"]
    assert "eigenvalue λ (nats/example)" in html
    for words in (*page_titles, "k = 5, which = LM", "What is stored", "residuals"):
        assert words in text
    for analysis in (landscape.spectrum, landscape.line, landscape.fourier):
        assert analysis.title in text
        assert " ".join(analysis.description.split())[:80] in text


def test_errors_are_told_of_single_models_and_not_of_groups(contents: Contents, html: str) -> None:
    """Oracle: the bands of one model are standard errors; those of a group are percentiles."""
    (section,) = (s for s in page_of(contents).sections if s.label == "line")
    ways = json.loads(section.figures[0].json)
    assert "Bands: 95 % intervals, ±2 standard errors" in ways["model"]["caption"]
    assert "standard errors" not in ways["group"]["caption"] and "percentile" in ways["group"]["caption"]
    assert "Bands: 95 % intervals, ±2 standard errors over examples.</figcaption>" in html


def fill(directory: Path, contents: Contents) -> Store:
    """Write contents as a store."""
    store = Store(directory)
    records = []
    for section in contents.sections:
        tasks = {}
        for subject, ds in section.results.items():
            key = hashlib.sha256(f"{section.label}{subject}".encode()).hexdigest()[:32]
            store.write(ds, key)
            tasks[subject] = key
        records.append(
            SectionRecord(section.label, section.analysis, section.analysis, section.parameters, tasks)
        )
    store.write_snapshot(Snapshot(contents.name, tuple(contents.models), tuple(records)))
    return store


def test_report_of_a_store(contents: Contents, tmp_path: Path) -> None:
    """Oracle: the page made from files says what the page made from memory says."""
    fill(tmp_path / "store", contents)
    path = landscape.report(tmp_path / "store")
    assert path == tmp_path / "store" / "report.html"
    text = " ".join(Reader(path.read_text("utf-8")).text)
    assert "zoo & <friends>" in text and EVIL in text and "not converged" in text
    again = landscape.report(tmp_path / "store", tmp_path / "deep" / "other.html")
    assert again.read_bytes() == path.read_bytes()  # the same store gives the same page
    assert {p.name for p in (tmp_path / "deep").iterdir()} == {"other.html"}


def test_a_page_of_one_model_leaves_nothing_to_choose(contents: Contents, html: str) -> None:
    """Oracle: the selects of the bar, by an independent parser."""
    assert [a["id"] for t, a in Reader(html).tags if t == "select"][:4] == ["way", "group", "seed", "model"]
    alone = render(page_of(replace(contents, models=contents.models[:1], sections=[])))
    assert [t for t, _ in Reader(alone).tags if t == "select"] == []


def test_every_figure_and_section_has_its_own_link(html: str) -> None:
    """Oracle: a link inside each of them that points at its id."""
    tags = Reader(html).tags
    parts = [a.get("id") or "" for t, a in tags if t in ("figure", "section")]
    ids = [i for i in parts if i.startswith("s-") or i == "layer-map"]
    links = [a["href"] for t, a in tags if t == "a" and a.get("class") == "mark"]
    assert len(ids) > 8 and links == [f"#{i}" for i in ids]


def test_report_of_some_models(contents: Contents, tmp_path: Path) -> None:
    """Oracle: the names that the pattern matches; the failed model is not among them."""
    fill(tmp_path / "store", contents)
    path = landscape.report(tmp_path / "store", models=["resnet-*"])
    html = path.read_text("utf-8")
    assert "2 trained models" in html and "vit-s0" not in html
    with pytest.raises(InputError, match="no result is of a model like x"):
        landscape.report(tmp_path / "store", models=["x"])


def test_report_of_nothing_is_refused(tmp_path: Path) -> None:
    """Oracle: one sentence that names the folder."""
    with pytest.raises(StoreError, match="no store"):
        landscape.report(tmp_path / "nowhere")


def test_a_page_that_cannot_be_written_leaves_the_old_one(contents: Contents, tmp_path: Path) -> None:
    """Oracle: a folder in the way of the page; nothing half-written stays beside it."""
    fill(tmp_path / "store", contents)
    (tmp_path / "out" / "report.html").mkdir(parents=True)
    with pytest.raises(StoreError):
        landscape.report(tmp_path / "store", tmp_path / "out" / "report.html")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["report.html"]


def test_report_needs_no_torch(contents: Contents, tmp_path: Path) -> None:
    """Oracle: a new interpreter in which importing torch raises."""
    fill(tmp_path / "store", contents)
    code = f"""
import sys
sys.modules["torch"] = None
import landscape
landscape.report({str(tmp_path / "store")!r})
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    html = (tmp_path / "store" / "report.html").read_text("utf-8")
    assert len(re.findall(r'class="plot"', html)) > 5
