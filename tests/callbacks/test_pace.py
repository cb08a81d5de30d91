"""When a callback measures."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from landscape.callbacks.pace import Pace
from landscape.errors import InputError


def test_what_every_divides_and_the_end_once_each():
    """Oracle: by hand."""
    pace = Pace(SimpleNamespace(every=3), "step")
    assert [at for at in (0, 0, 1, 2, 3, 3, 4) if pace.is_due(at)] == [0, 3]
    assert pace.is_due(4, end=True) and not pace.is_due(4, end=True)


def test_another_unit_is_refused():
    with pytest.raises(InputError, match="unit must be 'epoch' or 'step'; got 'batch'"):
        Pace(SimpleNamespace(every=1), "batch")
