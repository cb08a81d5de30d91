"""Schema: what it builds, what it refuses, and that files keep it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

import landscape
from landscape import Schema, Variable
from landscape.errors import SchemaError

TIME = Variable("t", ("t",), "time", "s")
POSITION = Variable("x", ("t",), "position", "m")
SCHEMA = Schema(
    3,
    coords=(
        TIME,
        Variable("layer", ("layer",), "name of the layer", "", kind="str"),
        Variable("depth", ("layer",), "depth of the layer"),
    ),
    variables=(
        POSITION,
        Variable("field", ("layer", "t"), "field strength", "V/m"),
        Variable("count", (), "how many", kind="int"),
        Variable("done", (), "whether it is done", "", kind="bool"),
        Variable("flags", ("layer",), "a flag per layer", "", kind="bool"),
        Variable("extra", ("t",), "something more", "1", optional=True),
    ),
)


def data(**changes):
    values = {
        "t": np.array([0.0, 1.0, 2.0]),
        "layer": np.array(["conv", "β-head"]),
        "depth": np.array([0.0, 1.0], dtype=np.float32),
        "x": [2.0, np.nan, -np.inf],
        "field": np.arange(6.0).reshape(2, 3),
        "count": 7,
        "done": True,
        "flags": [True, False],
    }
    return {k: v for k, v in (values | changes).items() if v is not None}


def test_a_dataset_carries_dims_units_names_and_values():
    """Oracle: the declaration and the arrays."""
    ds = SCHEMA.dataset(data(), {"seed": 1})
    assert set(ds.coords) == {"t", "layer", "depth"}
    assert ds["field"].dims == ("layer", "t")
    assert (ds["x"].attrs["units"], ds["x"].attrs["long_name"]) == ("m", "position")
    assert (ds["t"].attrs["units"], ds["depth"].attrs["units"]) == ("s", "1")
    np.testing.assert_array_equal(ds["x"], data()["x"])
    assert ds["depth"].dtype == np.float32
    assert ds.attrs == {"seed": 1}
    assert float(ds["field"].sel(layer="β-head", t=1.0)) == 4.0
    assert SCHEMA["x"] is POSITION


def test_tensors_are_taken_as_arrays():
    """Oracle: the tensor's values."""
    ds = SCHEMA.dataset(data(x=torch.tensor([1.0, 2.0, 3.0])))
    assert ds["x"].values.tolist() == [1, 2, 3]


def test_optional_variables_may_come_or_not():
    """Oracle: the declaration."""
    assert "extra" not in SCHEMA.dataset(data())
    assert "extra" in SCHEMA.dataset(data(extra=np.zeros(3)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"velocity": 1.0}, "does not declare velocity"),
        ({"x": None}, r"lacks 'x' \(position\)"),
        ({"layer": None}, r"lacks 'layer' \(name of the layer\)"),
        ({"x": 1.0}, r"'x' has shape \(\) but the schema gives it dimensions \('t',\)"),
        ({"field": np.zeros(3)}, r"'field' has shape \(3,\)"),
        ({"x": np.zeros(4)}, "do not fit together"),
        ({"field": np.zeros((3, 2))}, "do not fit together"),
        ({"x": np.zeros(3, dtype=int)}, "'x' is of type int64; the schema asks for float"),
        ({"x": np.zeros(3, dtype=complex)}, "'x' is of type complex128; the schema asks for float"),
        ({"count": 7.0}, "'count' is of type float64; the schema asks for int"),
        ({"count": True}, "'count' is of type bool; the schema asks for int"),
        ({"done": 1}, "'done' is of type int64; the schema asks for bool"),
        ({"layer": np.array([1, 2])}, "'layer' is of type int64; the schema asks for str"),
    ],
)
def test_what_does_not_fit_is_refused(changes, words):
    """Oracle: the sentence names the variable and what was asked for."""
    values = data()
    for name, value in changes.items():
        values[name] = value
    with pytest.raises(SchemaError, match=words):
        SCHEMA.dataset({k: v for k, v in values.items() if v is not None})


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda ds: ds.drop_vars("x"), "lacks 'x'"),
        (lambda ds: ds.assign(more=1.0), "holds more, which the schema does not declare"),
        (lambda ds: ds.assign(field=ds["field"].T), r"'field' has dimensions \('t', 'layer'\)"),
        (
            lambda ds: ds.assign(x=ds["x"].assign_attrs(units="km")),
            "'x' is in units 'km'; the schema says 'm'",
        ),
        (lambda ds: ds.assign(x=("t", ds["x"].values)), "'x' is in units None"),
        (lambda ds: ds.assign(done=ds["done"].astype(np.int8)), "'done' is of type int8"),
    ],
)
def test_check_finds_what_was_changed(spoil, words):
    """Oracle: one change each, named in the sentence."""
    ds = SCHEMA.dataset(data())
    SCHEMA.check(ds)
    with pytest.raises(SchemaError, match=words):
        SCHEMA.check(spoil(ds))


def test_a_name_declared_twice_is_refused():
    """Oracle: the sentence names it."""
    with pytest.raises(SchemaError, match="declares t twice"):
        Schema(1, coords=(TIME,), variables=(POSITION, Variable("t", (), "again")))


def test_a_name_that_is_a_dimension_and_another_variable_is_refused():
    """Oracle: netCDF holds no variable named as a dimension that has another one."""
    with pytest.raises(SchemaError, match="'picture' as a dimension and as a variable"):
        Schema(1, coords=(), variables=(Variable("picture", ("picture", "row"), "an image"),))


@pytest.mark.parametrize("extra", [None, np.array([np.nan, 1.5, -0.0])])
def test_netcdf_keeps_values_types_and_declaration(tmp_path, extra):
    """Oracle: identity after writing and reading with plain xarray, and with landscape's own reader."""
    attrs = {"seed": 1, "weight_decay": 0.1, "parameters": '{"k": 5}', "note": "é"}
    ds = SCHEMA.dataset(data(extra=extra), attrs)
    ds.to_netcdf(tmp_path / "plain.h5", engine="h5netcdf")
    landscape.save(ds, tmp_path / "ours.h5")
    for name in ("plain.h5", "ours.h5"):
        with xr.open_dataset(tmp_path / name, engine="h5netcdf") as lazy:
            again = lazy.load()
        SCHEMA.check(again)
        xr.testing.assert_identical(again, ds)
        assert again["depth"].dtype == np.float32
    ours = landscape.open(tmp_path / "ours.h5")
    SCHEMA.check(ours)
    xr.testing.assert_identical(ours, ds)


@pytest.mark.parametrize("unit", ["s", "seconds", "days", "hours since launch", "", "1", "% of max", "°"])
def test_no_unit_changes_the_numbers_in_a_file(tmp_path, unit):
    """Oracle: the values written; readers of netCDF turn some units into dates and durations."""
    schema = Schema(
        1, (Variable("i", ("i",), "index", "", kind="int"),), (Variable("v", ("i",), "value", unit),)
    )
    ds = schema.dataset({"i": np.arange(3), "v": np.array([0.5, 1.5, np.nan])})
    landscape.save(ds, tmp_path / "unit.h5")
    again = landscape.open(tmp_path / "unit.h5")
    schema.check(again)
    xr.testing.assert_identical(again, ds)


def test_empty_dimensions_survive():
    """Oracle: the shape."""
    schema = Schema(1, (Variable("i", ("i",), "index", "", kind="int"),), (Variable("v", ("i",), "value"),))
    ds = schema.dataset({"i": np.arange(0), "v": np.zeros(0)})
    assert ds.sizes == {"i": 0}


def test_another_version_is_told_with_both():
    """Oracle: the versions, by hand; of a later one nobody here knows what it means."""
    schema = Schema(2, variables=(Variable("y", (), "a value"),))
    results = {
        name: xr.Dataset(attrs=attrs) for name, attrs in (("now", {"schema_version": 2}), ("none", {}))
    }
    assert schema.other_version("toy", results) == ("", False)
    older, later = (
        schema.other_version("toy", results | {"x": xr.Dataset(attrs={"schema_version": v})}) for v in (1, 3)
    )
    both = "of schema version {} of 'toy', and this version of landscape writes version 2: "
    assert both.format(1) + "run the analysis again" in older[0]
    assert both.format(3) + "read it with the landscape that wrote it" in later[0]
    assert (older[1], later[1]) == (False, True)
    assert schema.other_version("toy", {"x": xr.Dataset(attrs={"schema_version": "?" * 99})})[1] is False
