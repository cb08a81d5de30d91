"""``landscape verify``: exit status, and what it says and does."""

from __future__ import annotations

import numpy as np
import xarray as xr

from landscape.store import Store


def test_damage_is_said_and_repaired(invoke, tmp_path):
    """Oracle: the one file that was changed; exit statuses as documented."""
    store = Store(tmp_path / "s")
    ds = xr.Dataset({"y": ("x", np.arange(3.0))}, attrs={"analysis": "toy", "model": "m"})
    first = store.write(ds, "a")
    store.write(ds, "b")
    whole = invoke("verify", "s")
    assert whole.exit_code == 0 and "2 files checked, 0 damaged" in whole.output
    data = bytearray(first.read_bytes())
    data[50] ^= 1
    first.write_bytes(data)
    found = invoke("verify", "s")
    assert found.exit_code == 1 and "a.h5' is truncated or damaged" in found.output
    assert first.exists()
    assert invoke("verify", "s", "--repair").exit_code == 1
    assert not first.exists() and first.with_name("a.h5.damaged").exists()
    assert invoke("verify", "s").exit_code == 0
    assert invoke("verify", "nowhere").exit_code == 2
