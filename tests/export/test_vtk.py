"""VTK files, read back by a parser written from the format's definition."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from vtk_text import parse

from landscape.errors import InputError, StoreError
from landscape.export.vtk import write_vtk

X, Y = np.array([-1.0, 0.1, 2.0]), np.array([0.0, 1.0])
Z = np.array([[1.0, 2.5, 1 / 3], [4.0, np.nan, np.inf]])


def dataset():
    fields = {"loss": Z, "accuracy": Z / 10, "evaluated": np.isfinite(Z)}
    ds = xr.Dataset({n: (("y", "x"), v) for n, v in fields.items()}, {"x": X, "y": Y})
    ds["center_loss"] = 1.0
    return ds.assign_attrs(analysis="surface", model="ünï\ncode")


def test_points_and_fields_survive_bit_for_bit(tmp_path):
    """Oracle: the dataset; x runs fastest, as the format asks."""
    write_vtk(dataset(), tmp_path / "s.vtk")
    points, fields = parse((tmp_path / "s.vtk").read_text("ascii"))
    np.testing.assert_array_equal(points[..., 0], [X, X])
    np.testing.assert_array_equal(points[..., 1], [[0.0] * 3, [1.0] * 3])
    np.testing.assert_array_equal(points[..., 2], [[1.0, 2.5, 1 / 3], [4.0, 0.0, 0.0]])
    np.testing.assert_array_equal(fields["loss"], Z)
    np.testing.assert_array_equal(fields["evaluated"], np.isfinite(Z))
    assert set(fields) == {"loss", "accuracy", "evaluated"}


def test_heights_may_be_logarithms_or_another_field(tmp_path):
    """Oracle: NumPy; an adaptive surface rises by its filled field."""
    write_vtk(dataset(), tmp_path / "s.vtk", scale="log")
    points, _ = parse((tmp_path / "s.vtk").read_text())
    np.testing.assert_array_equal(points[0, :, 2], np.log(Z[0]))
    write_vtk(dataset(), tmp_path / "s.vtk", height="accuracy")
    points, _ = parse((tmp_path / "s.vtk").read_text())
    np.testing.assert_array_equal(points[0, :, 2], Z[0] / 10)
    adaptive = dataset().assign(loss_filled=(("y", "x"), np.ones((2, 3))))
    write_vtk(adaptive, tmp_path / "s.vtk")
    assert (parse((tmp_path / "s.vtk").read_text())[0][..., 2] == 1.0).all()


def test_what_cannot_be_written(tmp_path):
    """Oracle: one sentence each."""
    with pytest.raises(InputError, match="no field 'los' over x and y; did you mean 'loss'"):
        write_vtk(dataset(), tmp_path / "s.vtk", height="los")
    with pytest.raises(InputError, match="a result of 'line' has no field over x and y; give one of 'surf"):
        write_vtk(xr.Dataset({"loss": ("x", X)}).assign_attrs(analysis="line"), tmp_path / "s.vtk")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        write_vtk(dataset(), tmp_path / "file" / "s.vtk")
