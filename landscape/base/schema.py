"""Schema: what a result holds, written down once and checked each time.

Every analysis declares its variables here in the form ``name, dims, unit, meaning``. The dataset that
it returns is built and checked against that declaration, so that files, plots and reports can rely on
names, units and dimensions without knowing the analysis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from landscape.errors import SchemaError

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Kind", "Schema", "Variable"]

Kind = Literal["float", "int", "bool", "str"]
"""What a variable holds. ``float`` admits float32 and float64; NaN means "not measurable here"."""

_NUMPY_KINDS: dict[str, str] = {"float": "f", "int": "iu", "bool": "b", "str": "UOT"}


@dataclass(frozen=True)
class Variable:
    """One variable of a dataset.

    Attributes:
        name: Its name in the dataset and in the file.
        dims: Its dimensions, in order; ``()`` for a scalar.
        meaning: One phrase for captions and ``long_name``.
        unit: The unit as shown on an axis; ``"1"`` for a pure number, ``""`` for labels.
        kind: What it holds.
        optional: Whether a dataset may come without it.
        unbounded: Whether infinity is an ordinary value of it, not a sign of trouble.
    """

    name: str
    dims: tuple[str, ...]
    meaning: str
    unit: str = "1"
    kind: Kind = "float"
    optional: bool = False
    unbounded: bool = False


@dataclass(frozen=True)
class Schema:
    """The declared contents of a dataset.

    Attributes:
        version: Raised whenever a variable changes its meaning; part of a result's key.
        coords: The coordinates: each labels the dimension of the same name, or several dimensions.
        variables: The data variables.

    Example:
        >>> schema = Schema(1, coords=(Variable("t", ("t",), "time", "s"),),
        ...                 variables=(Variable("x", ("t",), "position", "m"),))
        >>> ds = schema.dataset({"t": [0.0, 1.0], "x": [2.0, 3.0]})
        >>> ds["x"].attrs["units"]
        'm'
    """

    version: int
    coords: tuple[Variable, ...] = ()
    variables: tuple[Variable, ...] = ()
    _by_name: dict[str, Variable] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = [v.name for v in (*self.coords, *self.variables)]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise SchemaError(f"schema declares {', '.join(twice)} twice; give each variable one name.")
        sizes = {dim for v in (*self.coords, *self.variables) for dim in v.dims}
        both = [v.name for v in (*self.coords, *self.variables) if v.name in sizes and v.dims != (v.name,)]
        if both:  # no file of netCDF holds them
            raise SchemaError(f"schema declares '{both[0]}' as a dimension and as a variable of other ones.")
        object.__setattr__(self, "_by_name", {v.name: v for v in (*self.coords, *self.variables)})

    def __getitem__(self, name: str) -> Variable:
        """The declaration of a variable or coordinate."""
        return self._by_name[name]

    def other_version(self, name: str, results: Mapping[str, xr.Dataset]) -> tuple[str, bool]:
        """Whether results are of another version of the schema.

        Args:
            name: Of the analysis.
            results: Its results, of which the first that is so counts; one that states no version counts as
                of this one.

        Returns:
            A sentence with both versions, without its full stop, empty if all are of this one; and whether
            that other one is later, so that nothing here knows what it means.
        """
        for ds in results.values():
            stated = str(ds.attrs.get("schema_version", self.version))[:20]
            if stated == str(self.version):
                continue
            later = stated.isdecimal() and int(stated) > self.version
            cure = "read it with the landscape that wrote it, or run the analysis again"
            said = (
                f"a result is of schema version {stated} of '{name}', and this version of landscape writes"
                f" version {self.version}: {cure if later else 'run the analysis again'}"
            )
            return said, later
        return "", False

    def dataset(self, data: Mapping[str, Any], attrs: Mapping[str, Any] | None = None) -> xr.Dataset:
        """Build a labelled dataset from plain arrays and check it.

        Args:
            data: Arrays (or scalars) by name, for coordinates and variables alike.
            attrs: Attributes of the dataset.

        Returns:
            The dataset, each variable with ``units`` and ``long_name``.

        Raises:
            SchemaError: If a name is unknown or missing, or a shape or type does not fit.
        """
        import xarray as xr

        unknown = sorted(set(data) - set(self._by_name))
        if unknown:
            raise SchemaError(f"the schema does not declare {', '.join(unknown)}; add it to the schema.")
        arrays: dict[str, xr.Variable] = {}
        for name, value in data.items():
            want = self._by_name[name]
            array = np.asarray(value)
            if array.ndim != len(want.dims):
                raise SchemaError(
                    f"'{name}' has shape {array.shape} but the schema gives it dimensions {want.dims}."
                )
            attrs_of: dict[str, Any] = {"units": want.unit, "long_name": want.meaning}
            if want.unbounded:
                # No truth value, which netCDF does not know.
                attrs_of["unbounded"] = 1
            arrays[name] = xr.Variable(want.dims, array, attrs_of)
        coords = {v.name: arrays[v.name] for v in self.coords if v.name in arrays}
        variables = {v.name: arrays[v.name] for v in self.variables if v.name in arrays}
        try:
            ds = xr.Dataset(variables, coords=coords, attrs=dict(attrs or {}))
        except ValueError as error:
            raise SchemaError(f"the arrays do not fit together: {error}") from error
        self.check(ds)
        return ds

    def check(self, ds: xr.Dataset) -> None:
        """Raise `SchemaError` unless ``ds`` holds what this schema declares, and nothing else."""
        present = {str(n) for n in ds.variables}
        unknown = sorted(present - set(self._by_name))
        if unknown:
            raise SchemaError(f"the dataset holds {', '.join(unknown)}, which the schema does not declare.")
        for want in self._by_name.values():
            if want.name not in present:
                if want.optional:
                    continue
                raise SchemaError(f"the dataset lacks '{want.name}' ({want.meaning}).")
            have = ds.variables[want.name]
            if tuple(have.dims) != want.dims:
                raise SchemaError(
                    f"'{want.name}' has dimensions {tuple(have.dims)}; the schema gives it {want.dims}."
                )
            if have.dtype.kind not in _NUMPY_KINDS[want.kind]:
                raise SchemaError(f"'{want.name}' is of type {have.dtype}; the schema asks for {want.kind}.")
            if have.attrs.get("units") != want.unit:
                raise SchemaError(
                    f"'{want.name}' is in units {have.attrs.get('units')!r}; the schema says {want.unit!r}."
                )
