"""The resolver of ``package.module:attribute``: what it finds, and what it says where it finds nothing."""

import collections
import importlib
import importlib.util
import re
import sys
from pathlib import Path

import pytest

from landscape.errors import InputError
from landscape.imports import REFERENCE, call, import_module, importing_from, invoke, resolve


@pytest.fixture
def module(tmp_path):
    """Writes a module into a folder; what it left among the loaded ones is taken away again."""
    before, path = set(sys.modules), list(sys.path)

    def write(name, text, folder="a"):
        home = tmp_path / folder
        home.mkdir(exist_ok=True)
        (home / f"{name}.py").write_text(text)
        return home

    yield write
    assert sys.path == path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_what_is_installed_is_found():
    """Oracle: Python's own import."""
    assert resolve("collections:OrderedDict.fromkeys", "function") == collections.OrderedDict.fromkeys
    assert call("collections:Counter", {"a": 2}, "function") == {"a": 2}
    assert import_module("collections", "test") is collections


def test_a_function_is_called_and_its_errors_are_sentences():
    """Oracle: Python's own call, and the words of its error."""
    assert invoke(dict, {"a": 2}, "function 'dict'") == {"a": 2}
    with pytest.raises(InputError, match=r"^loss 'a:b' is a int, not a function\.$"):
        invoke(3, {}, "loss 'a:b'")
    with pytest.raises(InputError, match=r"^loss 'a:b' called with \(base=1\) raised TypeError: .*\.$"):
        invoke(len, {"base": 1}, "loss 'a:b'")


def test_modules_beside_two_manifests_do_not_mix(module):
    """Oracle: what each file says; two manifests may each have a module of one name."""
    first = module("resolved_models", "def name(): return 'first'", "a")
    second = module("resolved_models", "def name(): return 'second'", "b")
    for folder, word in ((first, "first"), (second, "second"), (first, "first")):
        assert call("resolved_models:name", {}, "model builder", folder) == word
    again = resolve("resolved_models:name", "model builder", first)
    assert again is resolve("resolved_models:name", "model builder", first), "loaded once"


def test_a_folder_is_importable_within_the_block_alone(module):
    """Oracle: Python's list of folders, also after an error."""
    folder = module("resolved_once", "")
    with pytest.raises(KeyError), importing_from(folder):
        assert sys.path[-1] == str(folder)
        raise KeyError
    assert str(folder) not in sys.path
    with importing_from(None):
        assert str(folder) not in sys.path


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("resolved_bad", "must have the form 'package.module:function'"),
        (":f", "must have the form"),
        ("no_such_module_at_all:f", "there is no module 'no_such_module_at_all' beside the manifest"),
        ("resolved_bad:builder", "'resolved_bad' has no 'builder'; did you mean 'build'?"),
        ("resolved_bad:number", "is a int, not a function"),
        ("resolved_bad:build", r"called with \(x=1\) raised NameError: name 'undefined' is not defined\.$"),
        ("resolved_bad:leave", r"raised SystemExit: 3\.$"),
        ("resolved_broken:f", "importing 'resolved_broken' raised ZeroDivisionError: division by zero"),
        ("resolved_needs:f", "there is no module 'no_such_library' beside the manifest"),
    ],
)
def test_what_cannot_be_called_is_said_in_one_sentence(module, reference, words):
    """Oracle: the words; no error of the user's code comes through as it is."""
    folder = module(
        "resolved_bad",
        "import sys\nnumber = 1\ndef build(x): return undefined\ndef leave(x): sys.exit(3)\n",
    )
    module("resolved_broken", "1 / 0")
    module("resolved_needs", "import no_such_library")
    with pytest.raises(InputError, match=words) as caught:
        call(reference, {"x": 1}, "model builder", folder)
    assert "\n" not in str(caught.value)


def test_the_pattern_takes_what_can_be_resolved():
    """Oracle: by inspection."""
    for reference in ("a:b", "package.module:Class.method", "_a1:_b"):
        assert re.match(REFERENCE, reference)
    for reference in ("a", "a:", ":b", "a b:c", "a:b c", "1a:b", "a.py"):
        assert not re.match(REFERENCE, reference)


def test_a_file_beside_the_manifest_is_never_a_library(module, tmp_path, monkeypatch):
    """Oracle: a file that each planted module writes; libraries that are there, that are not, of Python."""
    mark = tmp_path / "mark"
    evil = f"open({str(mark)!r}, 'w').close()\n"
    for name in ("h5py", "ray", "dask_jobqueue", "wave"):
        folder = module(name, evil)
    module("own_models", "def build(): return 1\n")
    for name in ("ray", "dask_jobqueue"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with importing_from(folder):
        assert import_module("h5py", "test").__file__ != str(folder / "h5py.py")
        assert import_module("wave", "test").__file__ != str(folder / "wave.py")
        with pytest.raises(InputError, match="there is no module 'dask_jobqueue'"):
            import_module("dask_jobqueue", "test")
    assert call("own_models:build", {}, "model builder", folder) == 1
    assert not mark.exists()


@pytest.mark.parametrize("name", ["tqdm", "accelerate"])
def test_a_library_that_is_nowhere_may_be_asked_for(module, monkeypatch, name):
    """Oracle: `importlib.util.find_spec` says None of what is missing; torch asks so for tqdm and others.

    A file of that name beside the manifest is an error still.
    """
    without = [entry for entry in sys.path if not (Path(entry) / name).is_dir()]
    monkeypatch.setattr(sys, "path", without)
    monkeypatch.delitem(sys.modules, name, raising=False)
    importlib.invalidate_caches()
    with importing_from(module("models", "")):
        assert importlib.util.find_spec(name) is None
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(name)
    with importing_from(module(name, "", "b")), pytest.raises(ModuleNotFoundError):
        importlib.import_module(name)


def test_a_module_that_another_hides_is_said(module, tmp_path):
    """Oracle: the file beside the manifest, and the module of that name which Python finds first."""
    mark = tmp_path / "mark"
    folder = module("colorsys", f"open({str(mark)!r}, 'w').close()\ndef build(): return 1\n")
    with pytest.raises(
        InputError, match=r"a module 'colorsys' beside the manifest, and another .*another name"
    ):
        call("colorsys:build", {}, "model builder", folder)
    assert not mark.exists()


def test_libraries_stay_loaded(module):
    """Oracle: the module itself; one of the manifest's has its name."""
    folder = module("collections", "")
    with pytest.raises(InputError, match="another name"):
        resolve("collections:Counter", "function", folder)
    assert sys.modules["collections"] is collections


def test_secrets_are_in_no_message():
    """Oracle: the secrets given; the error of the function repeats one of them."""
    given = {
        "token": "hf_abc'1",
        "api_key": "k-2",
        "options": {"password": "pw3"},
        "url": "s3://me:pw4@host/x",
        "n": 5,
    }

    def build(**keywords):
        raise OSError(f"no leave for {keywords['token']} at {keywords['url']}")

    with pytest.raises(InputError, match=r"n=5.*raised OSError") as caught:
        invoke(build, given, "data builder 'a:b'")
    for secret in ("hf_abc", "k-2", "pw3", "pw4"):
        assert secret not in str(caught.value)
