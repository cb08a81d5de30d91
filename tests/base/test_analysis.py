"""Analysis: what follows from a declaration, shown with toy analyses of every scope."""

from __future__ import annotations

import inspect
import json
from typing import Literal

import numpy as np
import pytest
import torch
from cases import CASES, mlp
from pydantic import Field, ValidationError, model_validator

import landscape
from landscape import Analysis, Context, Cost, Metric, Params, Problem, Schema, Variable
from landscape.base.analysis import Pair
from landscape.base.figure import Axis, FigureSpec
from landscape.errors import InputError, SchemaError, suggest


class ToyParams(Params):
    """Options of the toy."""

    power: int = Field(2, ge=1, le=9, description="the power")
    mode: Literal["sum", "mean"] = Field("sum", description="how to reduce")
    pair: tuple[float, float] = Field((0.0, 1.0), description="two numbers")
    seed: int = Field(0, ge=0, description="seed of nothing")

    @model_validator(mode="after")
    def _ordered(self):
        if self.pair[0] >= self.pair[1]:
            raise ValueError("the first must be below the second")
        return self


SCHEMA = Schema(
    5,
    coords=(Variable("i", ("i",), "index", "", kind="int"),),
    variables=(Variable("v", ("i",), "value", "J"),),
)


def compute(subject, params, context):
    context.progress(1.0)
    if isinstance(subject, Pair):
        values = [float(sum(abs(t).sum() for t in state.values())) for state in (subject.a, subject.b)]
    elif isinstance(subject, dict):
        values = [p.loss() if isinstance(p, Problem) else float(p.sum()) for p in subject.values()]
    else:
        values = [subject.loss() ** params.power]
    values += [float(np.asarray(v).sum()) for v in context.inputs.values() if v is not None]
    return {"i": np.arange(len(values)), "v": np.array(values)}


def toy(**changes):
    declared = {
        "name": "toy",
        "title": "Toy",
        "description": "Something simple.",
        "scope": "checkpoint",
        "params": ToyParams,
        "schema": SCHEMA,
        "compute": compute,
        "plots": lambda ds: [FigureSpec("toy", "Toy", Axis("i"), Axis("v"), (), "Nothing.")],
        "summary": lambda ds: [Metric("v", float(ds["v"][0]))],
        "inputs": ("extra",),
    }
    return Analysis(**(declared | changes))


def problem():
    return CASES["mlp"].problem(weight_decay=0.1)


# Calling


def test_a_checkpoint_analysis_is_called_with_a_problem():
    """Oracle: the computation by hand."""
    ds = toy()(problem(), power=3)
    assert ds["v"].values.tolist() == [problem().loss() ** 3]
    SCHEMA.check(ds)


def test_a_pair_analysis_is_called_with_a_problem_and_two_states():
    """Oracle: the computation by hand."""
    p = problem()
    a = p.module.state_dict()
    b = {k: 2 * v for k, v in a.items()}
    first, second = toy(scope="pair")(p, a, b)["v"].values
    assert second == pytest.approx(2 * first, rel=1e-12)
    assert first == pytest.approx(float(p.theta.abs().sum()), rel=1e-12)


def test_a_group_analysis_is_called_with_named_problems():
    """Oracle: the computation by hand; every problem's provenance is kept under its name."""
    group = {"one": problem(), "two": CASES["tied"].problem()}
    ds = toy(scope="group")(group)
    assert ds["v"].values.tolist() == [p.loss() for p in group.values()]
    facts = json.loads(ds.attrs["problems"])
    assert list(facts) == ["one", "two"]
    assert facts["two"]["checkpoint"] == group["two"].fingerprint()[0]
    assert "checkpoint" not in ds.attrs


def test_a_table_analysis_is_called_with_a_table():
    """Oracle: the sums by hand; another table is another hash, and no model is spoken of."""
    one, two = (toy(scope="table")({"load": [1, 2, last], "cka": [0, 0, 1]}) for last in (3, 4))
    assert one["v"].values.tolist() == [6.0, 1.0]
    assert len(one.attrs["table_sha256"]) == 64 and one.attrs["table_sha256"] != two.attrs["table_sha256"]
    assert not {"checkpoint", "data", "problems"} & set(one.attrs)


def test_inputs_that_are_no_options_reach_the_computation_and_the_provenance():
    """Oracle: the computation by hand; the content hash tells inputs apart."""
    one, two, none = (toy()(problem(), extra=e) for e in (np.ones(3), torch.ones(4), None))
    assert one["v"].values[1:].tolist() == [3.0]
    assert two["v"].values[1:].tolist() == [4.0]
    assert len(none["v"]) == 1
    assert one.attrs["inputs"] != two.attrs["inputs"]
    assert "inputs" not in none.attrs


def test_run_lends_the_context():
    """Oracle: what was lent."""
    seen = []
    analysis = toy()
    analysis.run(problem(), analysis.validate({}), Context(progress=seen.append))
    assert seen == [1.0]


@pytest.mark.parametrize(
    ("scope", "subject", "words"),
    [
        ("checkpoint", (), "landscape.toy takes one Problem; got nothing"),
        ("checkpoint", (mlp(),), "takes one Problem; got Sequential"),
        ("checkpoint", (problem(), problem()), "got Problem, Problem"),
        ("pair", (problem(),), "takes a Problem and two states of its model; got Problem"),
        ("pair", (1, 2, 3), "got int, int, int"),
        ("group", ({},), "a mapping {name: Problem}; got an empty mapping"),
        ("group", ({"a": mlp()},), "a mapping {name: Problem}; got a mapping with 'a': Sequential"),
        ("table", ([], []), "landscape.toy takes one table; got list, list"),
        ("group", (problem(),), "a mapping {name: Problem}; got Problem"),
    ],
)
def test_the_wrong_subject_is_refused(scope, subject, words):
    """Oracle: the sentence says what is wanted and what came."""
    with pytest.raises(InputError, match=words):
        toy(scope=scope)(*subject)


def test_a_result_that_breaks_its_schema_is_refused():
    """Oracle: the schema."""
    with pytest.raises(SchemaError, match="lacks 'v'"):
        toy(compute=lambda *_: {"i": np.arange(2)})(problem())


# Options


def test_options_get_defaults_and_are_frozen():
    """Oracle: the declaration."""
    params = toy().validate({"power": 4})
    assert (params.power, params.mode, params.pair, params.seed) == (4, "sum", (0.0, 1.0), 0)
    with pytest.raises(ValidationError):
        params.power = 5
    assert json.loads(params.model_dump_json()) == {"power": 4, "mode": "sum", "pair": [0.0, 1.0], "seed": 0}


@pytest.mark.parametrize("name", ["fourier", "transfer", "feature_variance", "lesion", "cka", "similarity"])
def test_one_glob_is_as_good_as_a_list_of_one(name):
    """Oracle: the list written out; commas part several."""
    analysis = landscape.analyses()[name]
    for given, meant in (("conv*", ["conv*"]), ("a.*, head", ["a.*", "head"]), (["x", "y"], ["x", "y"])):
        assert analysis.validate({"layers": given}) == analysis.validate({"layers": meant})
    with pytest.raises(InputError, match=r"option 'layers' .* cannot be ''"):
        analysis.validate({"layers": ""})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"powr": 2}, "analysis 'toy' has no option 'powr'; did you mean 'power'"),
        ({"zzz": 2}, "no option 'zzz'; known: mode, pair, power, seed"),
        ({"power": 0}, "option 'power' of analysis 'toy' cannot be 0: give at least 1"),
        ({"power": "many"}, "option 'power' .*'many': give a whole number"),
        ({"power": float("nan")}, "option 'power' .*nan"),
        ({"mode": "median"}, "option 'mode' .*'median': .*'sum' or 'mean'"),
        ({"pair": (0.0, float("inf"))}, r"option 'pair.1' .*inf: .*finite"),
        ({"pair": (2.0, 1.0)}, "the options of analysis 'toy' .*the first must be below the second"),
    ],
)
def test_useless_options_are_refused(options, words):
    """Oracle: the sentence names option, value and what is accepted, on one line."""
    with pytest.raises(InputError, match=words) as caught:
        toy().validate(options)
    assert "\n" not in str(caught.value)


class Taken(Params):
    """Options of which two are entries of every section of a manifest."""

    examples: int = Field(5, description="arrives as its default, whatever a manifest says")
    together: bool = Field(False, description="likewise")


class Bare(Params):
    """Options without defaults or descriptions."""

    needed: int = Field(description="has no default")
    silent: int = 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "two words"}, "needs an identifier as its name; got 'two words'"),
        ({"scope": "chekpoint"}, "'toy' has no scope 'chekpoint'; did you mean 'checkpoint'"),
        ({"params": Taken}, "option examples, together of analysis 'toy' needs another name: in a manifest"),
        ({"params": Bare}, "option needed, silent of analysis 'toy' needs a default and a description"),
    ],
)
def test_an_incomplete_declaration_is_refused(changes, words):
    """Oracle: the sentence names what is missing."""
    with pytest.raises(InputError, match=words):
        toy(**changes)


# Provenance


@pytest.mark.parametrize("scope", ["checkpoint", "pair", "group", "table"])
def test_attributes_are_strings_and_numbers_that_a_file_keeps(scope, tmp_path):
    """Oracle: types, and identity after writing and reading."""
    subject = {
        "checkpoint": (problem(),),
        "pair": (problem(), {}, {}),
        "group": ({"one": problem()},),
        "table": ({"load": [1, 2]},),
    }[scope]
    ds = toy(scope=scope)(*subject, power=3, extra=np.ones(2))
    assert {type(v) for v in ds.attrs.values()} <= {str, int, float}
    landscape.save(ds, tmp_path / "toy.h5")
    assert landscape.open(tmp_path / "toy.h5").attrs == ds.attrs


def test_attributes_say_where_a_result_comes_from():
    """Oracle: the declaration, the problem and the options."""
    attrs = toy()(problem(), power=3, seed=7).attrs
    assert (attrs["analysis"], attrs["title"], attrs["schema_version"], attrs["seed"]) == ("toy", "Toy", 5, 7)
    assert json.loads(attrs["parameters"])["power"] == 3
    assert set(json.loads(attrs["versions"])) >= {"torch", "numpy"}
    assert (attrs["checkpoint"], attrs["data"]) == problem().fingerprint()
    assert attrs["loss"] == "cross_entropy"
    assert attrs["weight_decay"] == 0.1
    assert attrs["examples"] == 13
    assert attrs["parameters_count"] == 43
    assert attrs["wall_time_s"] >= 0
    assert attrs["created"].endswith("+00:00")


def test_the_states_of_a_pair_are_told_apart():
    """Oracle: two pairs of different states must not carry the same provenance."""
    p = problem()
    a = p.module.state_dict()
    b = {k: 2 * v for k, v in a.items()}
    one, two = (toy(scope="pair")(p, a, other).attrs for other in (a, b))
    assert one["state_a"] == two["state_a"] == one["state_b"]
    assert two["state_b"] != two["state_a"]
    flat = toy(scope="pair").provenance(Pair(p, p.theta, 2 * p.theta), ToyParams())
    assert len({flat["state_a"], flat["state_b"], one["state_a"]}) == 3


# Documentation


@pytest.mark.parametrize(
    ("scope", "names"),
    [
        ("checkpoint", ["problem"]),
        ("pair", ["problem", "a", "b"]),
        ("group", ["problems"]),
        ("table", ["table"]),
    ],
)
def test_the_signature_lists_subject_options_and_inputs(scope, names):
    """Oracle: the declaration."""
    parameters = inspect.signature(toy(scope=scope)).parameters
    assert list(parameters) == [*names, "power", "mode", "pair", "seed", "extra", "progress"]
    assert all(parameters[n].kind is inspect.Parameter.POSITIONAL_ONLY for n in names)
    assert parameters["power"].kind is inspect.Parameter.KEYWORD_ONLY
    assert parameters["power"].default == 2
    assert parameters["extra"].default is None


def test_the_docstring_lists_options_and_variables_with_units():
    """Oracle: the declaration."""
    doc = inspect.getdoc(toy())
    call = "toy(problem, /, *, power=2, mode='sum', pair=(0.0, 1.0), seed=0, extra=None, progress=False)"
    for part in ("Toy.", call, "Something simple.", "power: the power Default: 2.", "v(i): value [J]"):
        assert part in doc


# Helpers


def test_a_pass_is_what_an_analysis_costs_unless_it_says_otherwise():
    """Oracle: the declared default."""
    assert toy().cost(None) == Cost(forwards=1.0)


def test_suggestions():
    """Oracle: the nearest name, else all of them."""
    assert suggest("spectrm", ["spectrum", "line"]) == "did you mean 'spectrum'?"
    assert suggest("qqq", ["spectrum", "line"]) == "known: line, spectrum."


def test_help_shows_the_signature_and_the_name(capsys):
    """Oracle: what Python's own ``help`` prints."""
    help(landscape.surface)
    printed = capsys.readouterr().out
    assert "surface(problem, /, *, directions='filter'" in printed
    assert "Analysis('surface', scope='checkpoint')" in printed
