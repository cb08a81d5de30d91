"""Names of the classes that a result is about, as its data names them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from landscape.text import foreign

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["class_names"]

_LONGEST = 40


def class_names(ds: xr.Dataset, numbers: Iterable[int]) -> list[str]:
    """The name of each class, and ``class 3`` where the data names none.

    Args:
        ds: A result; data by name leaves the names of its classes in the attribute ``classes``.
        numbers: Classes by number.

    Example:
        >>> import xarray as xr
        >>> class_names(xr.Dataset(attrs={"classes": '["cat", "dog"]'}), [1, 5])
        ['dog', 'class 5']
    """
    try:
        known = json.loads(str(ds.attrs.get("classes", "[]")))
    except ValueError:  # of another program
        known = []
    names = dict(enumerate(known)) if isinstance(known, list) else {}
    return [foreign(names.get(int(n), f"class {int(n)}"), _LONGEST) for n in numbers]
