"""Names of classes."""

from __future__ import annotations

import pytest
import xarray as xr

from landscape.analyses._shared.class_names import class_names


@pytest.mark.parametrize("said", ["", "no JSON", '{"0": "cat"}', "[]"])
def test_results_that_name_none(said):
    assert class_names(xr.Dataset(attrs={"classes": said}), [0, 2]) == ["class 0", "class 2"]


def test_names_of_strangers_are_one_line():
    assert class_names(xr.Dataset(attrs={"classes": '["a\\u001bb"]'}), [0]) == [r"a\x1bb"]
