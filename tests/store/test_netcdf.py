"""The writer: what xarray reads back, and what xarray's own writer would have written."""

from __future__ import annotations

import io

import h5py
import numpy as np
import pytest
import xarray as xr

from landscape.store.netcdf import WRITTEN_HERE, image

DATASETS = {
    "numbers": xr.Dataset(
        {
            "y": (("x", "z"), np.arange(12.0).reshape(3, 4), {"units": "nat", "long_name": "λ"}),
            "f32": ((), np.float32(3.5)),
            "counts": (("x",), np.array([1, -2, 2**62])),
            "odd": (("x",), np.array([np.nan, np.inf, -0.0])),
        },
        coords={"x": ("x", np.arange(3.0), {"units": "s"})},
        attrs={"a": "b", "k": 3, "f": 1.5, "l": [1, 2, 3], "none": "", "names": ["a", "é"]},
    ),
    "truth values": xr.Dataset({"ok": (("x",), [True, False]), "all": ((), True)}),
    "strings": xr.Dataset(
        {"who": (("x",), np.array(["a", "bé", ""])), "what": (("x",), np.array(["a", "b", ""], dtype=object))}
    ),
    "coordinates of other names": xr.Dataset(
        {"y": (("z",), [1.0, 2.0])}, coords={"label": (("z",), ["p", "q"]), "lonely": ("e", [0, 1])}
    ),
    "nothing": xr.Dataset(attrs={"a": "b"}),
    "empty dimension": xr.Dataset({"y": (("x",), np.zeros(0))}),
}


def read(data):
    return xr.load_dataset(io.BytesIO(data), engine="h5netcdf")


@pytest.mark.parametrize("name", DATASETS)
def test_what_is_read_is_what_was_written(name):
    """Oracle: the dataset, and xarray's own writer; bit for bit."""
    ds = DATASETS[name]
    found = read(image(ds))
    assert found.identical(ds)
    theirs = read(bytes(ds.to_netcdf(engine="h5netcdf")))
    assert found.identical(theirs)
    assert list(found.variables) == list(theirs.variables)
    assert list(found.attrs) == list(theirs.attrs)
    for variable in ds.variables:
        if ds[variable].dtype.kind == "f":
            assert found[variable].values.tobytes() == ds[variable].values.tobytes()


def test_layout():
    """Oracle: h5py's view of dimension scales, and the marks that the netCDF-4 layout asks for."""
    with h5py.File(io.BytesIO(image(DATASETS["numbers"]))) as file:
        assert [[s.name for s in d.values()] for d in file["y"].dims] == [["/x"], ["/z"]]
        assert file["x"].attrs["CLASS"] == b"DIMENSION_SCALE"
        assert file["z"].attrs["NAME"] == b"This is a netCDF dimension but not a netCDF variable.         4"
        assert [file[n].attrs["_Netcdf4Dimid"] for n in ("x", "z")] == [0, 1]


def test_bytes_are_those_of_the_general_way():
    """Oracle: the same calls of h5py's general way, bit for bit: types, spaces, orders, encodings."""
    given = {
        "a": "b",
        "é": "λ",
        "k": 3,
        "f": np.float32(1.5),
        "l": [1, 2, 3],
        "names": ["a", "é"],
        "none": "",
    }
    values = {
        "n": np.arange(6.0).reshape(2, 3).T,
        "i": np.arange(3),
        "s": np.array("text"),
        "one": np.float32(2),
    }
    ds = xr.Dataset({n: (tuple("xy"[: np.ndim(v)]), v, given) for n, v in values.items()}, attrs=given)
    text = h5py.string_dtype()

    def mark(attributes, name, value):
        array = np.asarray(value)
        if array.dtype.kind == "U":
            attributes.create(name, array.astype(object), dtype=text)
        else:
            attributes.create(name, np.atleast_1d(array))

    with h5py.File("in memory", "w", driver="core", backing_store=False, track_order=True) as file:
        mark(file.attrs, "_NCProperties", WRITTEN_HERE)
        for name, value in values.items():
            texts = np.asarray(value).dtype.kind == "U"
            data = {"data": np.asarray(value).astype(object), "dtype": text} if texts else {"data": value}
            variable = file.create_dataset(name, **data, track_order=True)
            for key, mark_of in given.items():
                mark(variable.attrs, key, mark_of)
        for number, (name, size) in enumerate(ds.sizes.items()):
            scale = file.create_dataset(name, shape=(size,), dtype=">f4", track_order=True)
            scale.make_scale(f"This is a netCDF dimension but not a netCDF variable.{size:>10}")
            mark(scale.attrs, "_Netcdf4Dimid", np.int32(number))
        for name, value in values.items():
            for axis in range(np.ndim(value)):
                file[name].dims[axis].attach_scale(file["xy"[axis]])
        for key, value in given.items():
            mark(file.attrs, key, value)
        file.flush()
        expected = file.id.get_file_image()
    assert image(ds) == expected


@pytest.mark.parametrize(
    ("ds", "message"),
    [
        (xr.Dataset({"y": (("x",), np.array([1j]))}), "'y' holds complex128"),
        (
            xr.Dataset({"y": (("x",), np.array([{}, 1], dtype=object))}),
            "'y' holds objects that are not strings",
        ),
        (xr.Dataset(attrs={"t": True}), "attribute 't' is a truth value"),
        (xr.Dataset({"y": (("x",), np.array(["2020"], "M8[ns]"))}), "'y' holds datetime64"),
    ],
)
def test_what_cannot_be_written(ds, message):
    with pytest.raises(TypeError, match=message):
        image(ds)
