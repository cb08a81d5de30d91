"""The registry: what is found, by whose words, and what is never imported."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest
from pydantic import Field

import landscape
from landscape import Analysis, Metric, Params, Problem, Schema, Variable
from landscape.base import registry
from landscape.base.analysis import SECTION_KEYS
from landscape.base.registry import discover, find, find_recorded, listed, named
from landscape.errors import InputError


class NoParams(Params):
    """No options."""


def toy(name="toy", **changes):
    declared = {
        "name": name,
        "title": "Toy",
        "description": "Something simple.",
        "scope": "checkpoint",
        "params": NoParams,
        "schema": Schema(1, variables=(Variable("v", (), "value", "J"),)),
        "compute": lambda *_: {"v": 1.0},
        "plots": lambda datasets: [],
        "summary": lambda ds: [Metric("v", 1.0)],
    }
    return Analysis(**(declared | changes))


class Point:
    """A stand-in for an installed entry point."""

    def __init__(self, value, load):
        self.value, self.load = value, load


@pytest.fixture
def plug(monkeypatch):
    """Let these entry points be installed."""

    def install(*points):
        monkeypatch.setattr(registry, "entry_points", lambda group: list(points))
        forget()

    def forget():
        discover.cache_clear()
        listed.cache_clear()

    yield install
    monkeypatch.undo()
    forget()


@pytest.fixture
def toymodule(monkeypatch):
    """A module that was imported already, with an analysis and with something else."""
    module = types.ModuleType("toymodule")
    module.toy, module.text = toy(), "text"
    monkeypatch.setitem(sys.modules, "toymodule", module)
    return module


def fresh(code):
    """Run code in a new interpreter."""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


# What there is


def test_every_family_is_walked():
    """Oracle: names by hand, one of each family, and of each scope."""
    known = {"spectrum", "surface", "connect", "fourier", "cka", "calibration", "taxonomy"}
    assert known <= set(discover())
    assert {a.scope for a in discover().values()} == {"checkpoint", "pair", "group", "table"}
    assert list(discover()) == sorted(discover())


def test_the_list_and_the_registry_agree():
    """Oracle: the registry itself, which imports every analysis, while the list reads a file."""
    told = {name: (entry.title, entry.scope) for name, entry in listed().items()}
    assert told == {name: (a.title, a.scope) for name, a in discover().items()}
    assert all(find(name) is analysis for name, analysis in discover().items())


def test_plugins_join_the_registry_and_the_list(plug):
    """Oracle: the plug-in itself, besides all of ours."""
    plugin = toy(scope="group")
    plug(Point("pack:toy", lambda: plugin))
    assert discover()["toy"] is find("toy") is find_recorded("toy") is landscape.toy is plugin
    assert listed()["toy"] == ("Toy", "group", "")
    assert "toy" in dir(landscape)
    assert list(listed()) == list(discover()) == sorted(discover())


@pytest.mark.parametrize("tell", [discover, listed])
@pytest.mark.parametrize(
    ("load", "words"),
    [
        (lambda: 1 / 0, "'pack:toy' left out: division by zero"),
        (lambda: "text", "'pack:toy' left out: not an Analysis"),
        (lambda: toy("line"), "'pack:toy' left out: its name is taken"),
    ],
)
def test_a_broken_plugin_is_left_out_with_a_warning(plug, tell, load, words):
    """Oracle: the warning; the other analyses are found as ever."""
    line = landscape.line
    plug(Point("pack:toy", load))
    with pytest.warns(UserWarning, match=words):
        found = tell()
    assert "line" in found and "toy" not in found
    with pytest.warns(UserWarning, match=words):
        listed.cache_clear()
        discover.cache_clear()
        assert discover()["line"] is line


def test_a_plugin_with_an_option_that_a_section_has_is_left_out_and_told(plug):
    """Oracle: ``examples = 5`` of a section is the zoo's, so that such an option would keep its default."""

    class Hidden(Params):
        examples: int = Field(5, description="how many")

    plug(Point("pack:toy", lambda: toy(params=Hidden)))
    with pytest.warns(UserWarning, match="option examples of analysis 'toy' needs another name"):
        assert "toy" not in discover()


def test_the_keys_of_a_section_are_those_of_the_manifest():
    """Oracle: the manifest's own model of a section."""
    from landscape.zoo import manifest

    assert set(SECTION_KEYS) == set(manifest._Section.model_fields)


def test_an_analysis_under_another_attribute_is_refused(monkeypatch):
    """Oracle: an analysis that no module holds under its name, so that the index could not lead to it."""
    from landscape.analyses.curvature import trace

    monkeypatch.setattr(trace, "norm", toy("weight_norm"), raising=False)
    words = r"'weight_norm' is the attribute 'norm' of landscape\.analyses\.curvature\.trace; give both"
    with pytest.raises(InputError, match=words):
        list(registry.declared())


def test_two_analyses_of_one_name_are_refused(monkeypatch):
    """Oracle: a second object under a name of ours, in a module that the walk comes to."""
    from landscape.analyses.curvature import trace

    monkeypatch.setattr(trace, "other", toy("line"), raising=False)
    with pytest.raises(InputError, match="two analyses are named 'line'"):
        list(registry.declared())


# By a user's words


def test_find_takes_names_and_paths(toymodule):
    """Oracle: the objects."""
    assert find("line") is landscape.line
    assert find("toymodule:toy") is toymodule.toy


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("spectrm", "no analysis 'spectrm'; did you mean 'spectrum'"),
        ("taxonmy", "no analysis 'taxonmy'; did you mean 'taxonomy'"),
        ("nowhere.toys:toy", "'nowhere.toys:toy': there is no module 'nowhere' installed"),
        ("json:toy", "'json:toy': 'json' has no 'toy'"),
        ("json:dumps", "'json:dumps' is a function, not a landscape Analysis"),
        (":toy", "':toy' must have the form 'package.module:function'"),
        ("json:", "'json:' must have the form 'package.module:function'"),
    ],
)
def test_find_refuses_what_is_no_analysis(name, words):
    """Oracle: the sentence names it."""
    with pytest.raises(InputError, match=words):
        find(name)


def test_named_keeps_both_names(toymodule):
    """Oracle: the objects."""
    given = named(["toymodule:toy", landscape.line])
    assert given == {"toy": toymodule.toy, "toymodule:toy": toymodule.toy, "line": landscape.line}


# By a file's words


def test_what_a_file_names_is_found_if_installed_given_or_imported(toymodule):
    """Oracle: the objects; what the user gives comes before what is installed."""
    assert find_recorded("taxonomy") is landscape.taxonomy
    assert find_recorded("toymodule:toy") is toymodule.toy
    mine = toy("line")
    assert find_recorded("line", named([mine])) is mine


@pytest.mark.parametrize("name", ["trap:toy", "trap", "trap:", ":toy", "", "toymodule:text", "toymodule:no"])
def test_what_a_file_names_is_never_imported(name, toymodule, tmp_path, monkeypatch):
    """Oracle: the module of that name leaves a trace when it is imported."""
    (tmp_path / "trap.py").write_text("import sys\nsys.trapped = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=f"analysis '{name}' is not installed here"):
        find_recorded(name)
    assert not hasattr(sys, "trapped")


def test_a_module_that_imports_on_demand_is_not_asked(monkeypatch):
    """Oracle: a module whose ``__getattr__`` leaves a trace."""
    module = types.ModuleType("lazy")
    module.__getattr__ = lambda name: setattr(sys, "trapped", True) or toy()
    monkeypatch.setitem(sys.modules, "lazy", module)
    with pytest.raises(InputError, match="not installed here"):
        find_recorded("lazy:toy")
    assert not hasattr(sys, "trapped")


# The package


def test_the_package_lends_its_analyses_and_nothing_else():
    """Oracle: attributes and ``dir``."""
    assert landscape.analyses() == discover()
    assert landscape.spectrum is discover()["spectrum"]
    assert {"spectrum", "taxonomy", "Problem", "hessian"} <= set(dir(landscape))
    with pytest.raises(AttributeError, match="no attribute 'spectrm'"):
        _ = landscape.spectrm
    assert Problem is landscape.core.problem.problem.Problem


@pytest.mark.parametrize("before", ["", "import landscape.analyses.curvature.spectrum;"])
def test_analyses_is_a_package_and_a_function(before):
    """Oracle: a fresh interpreter, in which the package is asked for before or after one of its modules."""
    fresh(
        f"import landscape; {before} found = landscape.analyses();"
        "from landscape.analyses.curvature.spectrum import spectrum; import landscape.analyses as package;"
        "assert landscape.analyses is package and package() == found and found['spectrum'] is spectrum;"
        "assert package.__path__ and package.curvature.spectrum.spectrum is spectrum"
    )


def test_importing_is_quick():
    """Oracle: ``sys.modules`` of a fresh interpreter."""
    fresh(
        "import sys, landscape; landscape.analyses; dir(landscape);"
        "heavy = {'torch', 'pydantic', 'numpy', 'xarray', 'rich', 'typer'} & set(sys.modules);"
        "assert not heavy, heavy"
    )


def test_listing_and_options_need_no_torch():
    """Oracle: ``sys.modules`` of a fresh interpreter."""
    fresh(
        "import sys, landscape; landscape.analyses(); landscape.spectrum.validate({'k': 3});"
        "assert 'torch' not in sys.modules"
    )
