"""The manifest's own code: what counts as a change of it, and what becomes of results when it changed."""

from __future__ import annotations

import json
import re
import sys

import pytest

from landscape.errors import InputError
from landscape.reporting.notices import notices
from landscape.store import Store, read_contents
from landscape.zoo import Zoo
from landscape.zoo.code import ensure_loaded, mark_of, own_code
from landscape.zoo.events import Message

SOURCE = '''
"""What this is."""
import torch
from torch import nn

def build(width=3):
    """Make it."""
    return nn.Sequential(nn.Linear(2, width), nn.Tanh())

class Empty(nn.Module):
    pass
'''


def hashes(folder, *references):
    return own_code(references or ("my:build",), folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: "# a comment\n" + s.replace("Make it.", "Make it, in other words."),
        lambda s: s.replace('"""What this is."""\n', "").replace("    pass", '    """Nothing."""'),
        lambda s: s.replace(
            "nn.Linear(2, width), nn.Tanh()", "\n        nn.Linear(2,width), # one\n nn.Tanh(),"
        ),
        lambda s: s.replace("return", "return (").replace("nn.Tanh())", "nn.Tanh()))"),
    ],
)
def test_comments_docstrings_and_layout_are_no_change(change, tmp_path):
    """Oracle: Python's own definition of what a comment and a docstring are; the programs do the same."""
    (tmp_path / "my.py").write_text(SOURCE)
    before = hashes(tmp_path)
    (tmp_path / "my.py").write_text(change(SOURCE))
    assert hashes(tmp_path) == before
    compile((tmp_path / "my.py").read_text(), "my.py", "exec")


@pytest.mark.parametrize(
    ("this", "that"),
    [
        ("Tanh", "ReLU"),
        ("width=3", "width=4"),
        ("Linear(2", "Linear(2.0"),
        ("import torch\n", ""),
        ("3", "True"),
    ],
)
def test_all_else_is(this, that, tmp_path):
    """Oracle: the programs differ."""
    (tmp_path / "my.py").write_text(SOURCE)
    before = hashes(tmp_path)
    (tmp_path / "my.py").write_text(SOURCE.replace(this, that))
    assert hashes(tmp_path) != before
    assert mark_of(hashes(tmp_path)) != mark_of(before)


def test_modules_in_the_folder_and_what_they_import(tmp_path):
    """Oracle: the files that Python would import, written here, without libraries and what nobody imports."""
    files = {
        "my.py": "import torch\nfrom parts.layers import act\nimport parts.deep.end\n",
        "torch.py": "",
        "unused.py": "",
        "parts/__init__.py": "from .more import x\nfrom . import other\n",
        "parts/layers.py": "def act():\n    import importlib\n    return importlib.import_module('late')\n",
        "parts/more.py": "from ..outside import y\nx = 1\n",
        "parts/other.py": "",
        "parts/deep/end.py": "from ..layers import act\n",
        "late.py": "import my\n",
        "named.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = hashes(tmp_path, "my:build", "torch:nn", "timm:resnet18", "json:loads", "named:f", "absent:f")
    assert list(found) == sorted(set(files) - {"torch.py", "unused.py"})


def test_a_file_that_is_no_program_has_a_hash(tmp_path):
    (tmp_path / "my.py").write_text("def f(:")
    before = hashes(tmp_path)
    (tmp_path / "my.py").write_text("(" * 5000)
    assert list(hashes(tmp_path)) == list(before)
    assert hashes(tmp_path) != before


def test_a_process_that_has_other_code_imports_it_anew(tmp_path, monkeypatch):
    """Oracle: what the module holds. A cluster's worker, or a notebook, outlives the files it imported."""
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "outlived.py"
    file.write_text("x = 1\n")
    code = own_code(["outlived:x"], tmp_path)
    ensure_loaded(code, tmp_path)
    import outlived

    file.write_text("x = 2000\n")
    ensure_loaded(code, tmp_path)  # a run goes on with the code that it has begun with
    assert sys.modules["outlived"].x == outlived.x == 1
    with pytest.raises(InputError, match=r"late.py changed while the run was under way"):
        ensure_loaded(code | {"late.py": "of another"}, tmp_path)
    ensure_loaded(own_code(["outlived:x"], tmp_path), tmp_path)
    assert "outlived" not in sys.modules
    import outlived as again

    assert again.x == 2000
    monkeypatch.delitem(sys.modules, "outlived")


@pytest.fixture
def zoo(folder):
    """Two models and two sections, one of a loss of the manifest's own."""
    for i in range(2):
        folder.add(f"m{i}", seed=i)
    path = folder.write(problem='loss = "toy_losses:scalar"', analyses="[analyses.line]\nsteps = 2")

    def change(name, this, that):
        file = folder.root / name
        text = file.read_text()
        assert this in text
        file.write_text(text.replace(this, that))

    def run(**options):
        told = []
        result = Zoo.from_manifest(path).run(on_event=told.append, **options)
        return result, [e.text for e in told if isinstance(e, Message)]

    return path, change, run


def losses(store):
    results = read_contents(store).sections[0].results
    return {name: ds["loss"].values.tolist() for name, ds in results.items()}


@pytest.mark.parametrize(
    "change",
    [
        ("toy_models.py", "nn.Tanh()", "nn.ReLU()"),
        (
            "toy_losses.py",
            "return F.cross_entropy(output, target)\n",
            "return 10 * F.cross_entropy(output, target)\n",
        ),
    ],
)
def test_changed_code_is_said_and_redone_when_asked(change, zoo):
    """Oracle: a store of its own, filled by the changed code alone; and a comment, which changes nothing."""
    path, edit, run = zoo
    first, told = run()
    assert not told
    before = losses(first.store)
    edit("toy_models.py", "return nn.Sequential", "# a comment\n    return nn.Sequential")
    assert run()[1] == []
    edit(*change)
    kept, told = run()
    assert told == [
        f"2 results are of older code ({change[0]} changed since): line of m0, m1. They are kept; to compute"
        " again: --changed redo (in Python changed='redo')."
    ]
    assert (kept.done, kept.skipped, kept.older) == (0, 2, ("line of m0", "line of m1"))
    assert losses(first.store) == before
    warned = [n for n in notices(read_contents(first.store), {}, {}) if "older code" in n.text]
    assert [(n.level, n.subjects) for n in warned] == [("warning", ("m0", "m1"))]
    said = []
    rows = Zoo.from_manifest(path).estimate(changed="redo", on_event=said.append)
    assert rows[0].todo == 2
    assert "computed again" in said[0].text
    redone, told = run(changed="redo")
    assert (redone.done, redone.older) == (2, ())
    assert told == [
        f"2 results are of older code ({change[0]} changed since): line of m0, m1. They are computed again."
    ]
    fresh, _ = run(store=path.parent / "fresh")
    assert losses(first.store) == losses(fresh.store) != before
    assert not [n for n in notices(read_contents(first.store), {}, {}) if "older code" in n.text]
    assert run(changed="redo")[1] == []


def test_only_results_that_the_changed_module_can_have_made_are_old(zoo):
    """Oracle: `toy_data` is behind all, `toys` behind the results of its own analysis."""
    path, edit, run = zoo
    path.write_text(path.read_text() + '\n[analyses.total]\nanalysis = "toys:total"\n')
    run()
    edit("toys.py", "draw.numpy()}", "2 * draw.numpy()}")
    result, told = run()
    assert result.older == ("total of m0", "total of m1")
    assert told[0].startswith("2 results are of older code (toys.py changed since): total of m0, m1.")


def test_results_without_a_hash_are_neither_old_nor_new(zoo):
    """Oracle: a store of a version that kept none, made here by taking the attribute away."""
    import landscape

    _, edit, run = zoo
    first, _ = run()
    for file in first.store.glob("line/*.h5"):
        ds = landscape.open(file)
        assert set(json.loads(ds.attrs.pop("code"))) == {"toy_data.py", "toy_losses.py", "toy_models.py"}
        landscape.save(ds, file)
    edit("toy_models.py", "Tanh", "ReLU")
    result, told = run(changed="redo")
    assert (result.done, told) == (0, [])
    assert not any("older code" in n.text for n in notices(read_contents(first.store), {}, {}))


def test_pieces_of_other_code_are_not_gone_on_with(folder):
    """Oracle: the surface in a store of its own. Pieces that a killed run of other code left are not used."""
    folder.add("m0")
    path = folder.write(analyses="[analyses.surface]\nsteps = [2, 2]")
    tasks = []
    undisturbed = Zoo.from_manifest(path).run(on_event=lambda e: tasks.append(getattr(e, "task", None)))
    task = next(t for t in tasks if t)
    result = Store(undisturbed.store).path(task.folder, task.key)
    right = read_contents(undisturbed.store).sections[0].results["m0"]
    store = Store(folder.root / "second")
    theirs = store.partial(task.folder, task.key, "01234567")
    theirs.mkdir(parents=True)
    (theirs / "identity.json").write_text('{"another": 1}')
    again = Zoo.from_manifest(path).run(store=store.directory)
    assert again.failed == ()
    found = read_contents(store.directory).sections[0].results["m0"]
    assert found["loss"].equals(right["loss"])
    assert not theirs.exists()
    assert result.exists()


def test_words_for_what_becomes_of_them(zoo):
    with pytest.raises(InputError, match=re.escape("changed must be 'keep' or 'redo'; got 'yes'.")):
        zoo[2](changed="yes")


def test_libraries_are_no_code_of_ours(tmp_path):
    assert hashes(tmp_path, "torch.nn:Linear") == {}
    assert mark_of({}) == ""
