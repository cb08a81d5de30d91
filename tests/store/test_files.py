"""Files of results: bits, names and units kept; complete or absent, whatever goes wrong."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from landscape.errors import StoreError
from landscape.store import files
from landscape.store.files import open as open_file
from landscape.store.files import replacing, save, sweep, write_bytes


@pytest.fixture
def ds():
    # a NaN with a payload, a negative zero, a denormal: bits that a careless writer would change
    odd = np.array([np.nan, -0.0, 5e-324, np.inf, 0.1])
    odd[0] = np.frombuffer(np.uint64(0x7FF8DEADBEEF0001).tobytes())[0]
    return xr.Dataset(
        {
            "loss": (("t",), odd, {"units": "nat", "long_name": "loss"}),
            "half": (("t",), odd.astype("f4"), {"units": "1"}),
            "count": ((), np.int64(3), {"units": "1"}),
            "converged": ((), np.bool_(True), {"units": ""}),
            "kind": (("t",), np.array(["a", "", "ü", "λ", "long text"]), {"units": ""}),
            "none": (("z",), np.zeros(0), {"units": "s"}),
        },
        coords={
            "t": ("t", np.arange(5.0), {"units": "s"}),
            "layer": (("t",), np.array(list("vwxyz")), {"units": ""}),
        },
        attrs={"analysis": "toy", "empty": "", "seed": 0, "lr": 0.1, "long": "x" * 200_000},
    )


@contextmanager
def full_disk(size):
    """Writes beyond ``size`` bytes of a file fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_is_written_is_read_bit_for_bit(ds, tmp_path):
    """Oracle: the bytes of the arrays before writing."""
    save(ds, tmp_path / "new" / "x.h5")
    back = open_file(tmp_path / "new" / "x.h5")
    assert back.identical(ds)
    for name in ds.variables:
        if ds[name].dtype.kind == "f":
            assert back[name].values.tobytes() == ds[name].values.tobytes()
            assert back[name].dtype == ds[name].dtype


def test_plain_xarray_and_h5py_open_it(ds, tmp_path):
    """Oracle: other people's readers, without any option of ours."""
    save(ds, tmp_path / "x.h5")
    with xr.open_dataset(tmp_path / "x.h5") as plain:
        assert plain["loss"].dims == ("t",)
        assert plain["loss"].attrs == {"units": "nat", "long_name": "loss"}
        assert plain["converged"].dtype == bool
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["loss"].attrs["units"] == "nat"
        assert file["loss"].dims[0][0].name == "/t"
        assert "_FillValue" not in file["loss"].attrs


def test_full_disk_leaves_nothing(ds, tmp_path):
    """Oracle: the operating system refuses the write; the folder is listed afterwards."""
    with (
        full_disk(1000),
        pytest.raises(StoreError, match=r"x\.h5' cannot be written: File too large"),
    ):
        save(ds, tmp_path / "x.h5")
    assert list(tmp_path.iterdir()) == []


def test_full_disk_keeps_the_former_file(ds, tmp_path):
    """Oracle: the bytes of the former file."""
    save(ds, tmp_path / "x.h5")
    before = (tmp_path / "x.h5").read_bytes()
    with full_disk(1000), pytest.raises(StoreError):
        save(ds.assign_attrs(seed=1), tmp_path / "x.h5")
    assert (tmp_path / "x.h5").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_what_hdf5_cannot_hold_is_refused(tmp_path):
    """Oracle: nothing is left in the folder."""
    with pytest.raises(StoreError, match="cannot be written as HDF5"):
        save(xr.Dataset(attrs={"x": object()}), tmp_path / "x.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_of_a_folder(ds, tmp_path):
    (tmp_path / "results").write_text("I am a file")
    with pytest.raises(StoreError, match="cannot be written"):
        save(ds, tmp_path / "results" / "x.h5")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "there is no file"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.write_bytes(b""), "is not an HDF5 file"),
        (lambda path: path.write_text("text"), "is not an HDF5 file"),
    ],
)
def test_unreadable_files_are_named(make, message, tmp_path):
    make(tmp_path / "x.h5")
    with pytest.raises(StoreError, match=rf"x\.h5'.*{message}|{message}.*x\.h5'"):
        open_file(tmp_path / "x.h5")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated_files_are_named(share, ds, tmp_path):
    save(ds, tmp_path / "x.h5")
    data = (tmp_path / "x.h5").read_bytes()
    (tmp_path / "x.h5").write_bytes(data[: int(share * len(data))])
    with pytest.raises(StoreError, match=r"x\.h5' is truncated or damaged"):
        open_file(tmp_path / "x.h5")


def test_missing_group_is_named(ds, tmp_path):
    save(ds, tmp_path / "x.h5")
    with pytest.raises(StoreError, match="has no group 'a/b'"):
        open_file(tmp_path / "x.h5", group="a/b")


def test_any_error_while_writing_removes_the_temporary_file(tmp_path):
    """Oracle: the folder, listed afterwards; also for Ctrl-C."""
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "x") as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="tells ended processes by /proc")
def test_sweep_removes_those_of_a_process_whose_end_nobody_has_asked_for(tmp_path):
    """Oracle: a child that has ended, which keeps its number until it is waited for."""
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as child:
        child.stdout.read()  # it ends with its output, or very soon after
        while Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            time.sleep(0.01)
        left = tmp_path / f".landscape-{files._HOST}-{child.pid}-{'0' * 16}.tmp"
        left.touch()
        assert sweep(tmp_path) == 1
    assert not left.exists()


def test_sweep_removes_only_orphans(tmp_path):
    """Oracle: a process known to be dead, and this one, known to live."""
    code = (
        "import os, sys; from pathlib import Path; from landscape.store.files import replacing\n"
        "with replacing(Path(sys.argv[1]) / 'x.h5') as t: t.write_bytes(b'half'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    (tmp_path / ".landscape-elsewhere-1-ab.tmp").write_bytes(b"of another machine, still young")
    (tmp_path / ".landscape-elsewhere-2-ab.tmp").write_bytes(b"of another machine, old")
    os.utime(tmp_path / ".landscape-elsewhere-2-ab.tmp", (0, 0))
    assert len(list(tmp_path.iterdir())) == 3
    with replacing(tmp_path / "y.h5") as mine:
        mine.write_bytes(b"whole")
        assert sweep(tmp_path) == 2
    assert {f.name for f in tmp_path.iterdir()} == {"y.h5", ".landscape-elsewhere-1-ab.tmp"}


def test_write_bytes_replaces(tmp_path):
    write_bytes(tmp_path / "a", b"1")
    write_bytes(tmp_path / "a", b"2")
    assert (tmp_path / "a").read_bytes() == b"2"


def test_a_file_that_another_program_holds_is_read(ds, tmp_path):
    """Oracle: the values written; the holder has it open for writing, with HDF5's own lock."""
    path = tmp_path / "held.h5"
    save(ds, path)
    code = f"import h5py\nheld = h5py.File({str(path)!r}, 'r+')\nprint('held', flush=True)\ninput()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        xr.testing.assert_identical(open_file(path), ds)
    finally:
        holder.communicate("\n", timeout=60)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(13, "Permission denied"), "cannot be read: Permission denied"),
        (OSError(116, "Stale file handle"), "cannot be read: Stale file handle"),
        (BlockingIOError(11, "Resource temporarily unavailable"), "is held by another program"),
        (ImportError("No module named 'h5netcdf'"), "cannot be read here: ImportError"),
    ],
)
def test_a_file_that_cannot_be_read_is_not_called_damaged(error, words, ds, tmp_path, monkeypatch):
    """Oracle: the file is whole; what fails is the system."""
    save(ds, tmp_path / "x.h5")

    def fail(*args, **options):
        raise error

    monkeypatch.setattr(xr, "load_dataset", fail)
    with pytest.raises(StoreError, match=words):
        open_file(tmp_path / "x.h5")


def test_a_file_written_again_keeps_its_mode(tmp_path):
    """Oracle: the mode that its owner set."""
    path = tmp_path / "report.html"
    write_bytes(path, b"1")
    path.chmod(0o600)
    write_bytes(path, b"2")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes() == b"2"
