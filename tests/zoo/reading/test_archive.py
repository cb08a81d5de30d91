"""Archives and older files: as torch reads them, and only as much as they hold."""

from __future__ import annotations

import argparse
import io
import pickle
import struct
import zipfile

import pytest
import torch
from torch import nn

from landscape.zoo.reading.archive import names_in, read_inert
from landscape.zoo.reading.stubs import DamagedError, RefusedError


def members(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive(path, parts, how=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", how) as file:
        for name, data in parts.items():
            file.writestr(name, data)


@pytest.fixture
def content():
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    optimiser = torch.optim.Adam(layer.parameters())
    layer(torch.randn(2, 2, 5, 5)).sum().backward()
    optimiser.step()
    base = torch.arange(24.0)
    return {
        "state": layer.state_dict(),
        "parameters": dict(layer.named_parameters()),
        "optimiser": optimiser.state_dict(),
        "views": [base[2:8], base.view(4, 6).t(), base[::5], torch.zeros(()), torch.zeros(0, 3)],
        "types": [torch.ones(2, dtype=d) for d in (torch.bfloat16, torch.bool, torch.int8, torch.complex64)],
        "conj": torch.tensor([1 + 2j]).conj(),
        "plain": (1, "a", torch.Size([2]), torch.float16),
    }


def compare(a, b):
    if isinstance(b, torch.Tensor):
        assert torch.equal(a, b.detach())
        assert a.dtype == b.dtype
        assert a.stride() == b.stride()
    elif isinstance(b, dict):
        assert list(a) == list(b)
        for key in b:
            compare(a[key], b[key])
    elif isinstance(b, list | tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            compare(one, other)
    else:
        assert a == b


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
def test_files_of_torch_are_read_bit_for_bit(zipped, mapped, protocol, content, tmp_path):
    """Oracle: what was saved, and torch's own loader of the same file."""
    path = tmp_path / "x.pt"
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    found = read_inert(path, mmap=mapped)
    compare(found.value, content)
    assert found.unknown == ()
    if protocol == 2:
        compare(found.value, torch.load(path, weights_only=True))


def test_tensors_in_a_plain_pickle(content, tmp_path):
    """Oracle: what was pickled; Python's own way would load each storage with ``weights_only=False``."""
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps(content["state"], 2))
    found = read_inert(path)
    assert {k: v.tolist() for k, v in found.value.items()} == {
        k: v.tolist() for k, v in content["state"].items()
    }
    assert found.value._metadata == content["state"]._metadata
    assert found.unknown == ()


def test_a_program_in_a_storage_in_a_pickle(tmp_path):
    """Oracle: the file that it would make; the names of both pickles are told."""
    mark = tmp_path / "mark"

    class Evil:
        def __reduce__(self):
            return (exec, (f"import os; os.mkdir({str(mark)!r})",))

    class Wrap:
        def __reduce__(self):
            inner = io.BytesIO()
            torch.save(Evil(), inner, _use_new_zipfile_serialization=False)
            return (torch.storage._load_from_bytes, (inner.getvalue(),))

    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({"model": Wrap()}, 2))
    assert names_in(path) == ["builtins.exec"]
    assert not mark.exists()
    pickle.loads(path.read_bytes())
    assert mark.exists()


GOOD = io.BytesIO()
torch.save({"w": torch.arange(8.0)}, GOOD)
PARTS = members(GOOD.getvalue())
ROOT = next(n for n in PARTS if n.endswith("data.pkl")).removesuffix("data.pkl")


def changed(data):
    """The pickle of the file, with another number of entries of its only tensor."""
    return PARTS[f"{ROOT}data.pkl"].replace(b"K\x08t", data + b"t", 1)


@pytest.mark.parametrize(
    "parts",
    [
        PARTS | {f"{ROOT}data.pkl": changed(b"J\xff\xff\xff\x7f")},
        PARTS | {f"{ROOT}data.pkl": changed(b"\x8a\x08" + b"\xff" * 7 + b"\x0f")},
        PARTS | {f"{ROOT}data/0": bytes(8)},
        {n: d for n, d in PARTS.items() if not n.endswith("/0")},
        {n: d for n, d in PARTS.items() if not n.endswith("data.pkl")},
        PARTS | {"other/data.pkl": b"\x80\x02}."},
    ],
)
def test_an_archive_that_declares_more_than_it_holds(parts, tmp_path):
    """Oracle: each is changed so."""
    archive(tmp_path / "x.pt", parts)
    with pytest.raises((RefusedError, DamagedError)):
        read_inert(tmp_path / "x.pt")


@pytest.mark.parametrize("name", ["data.pkl", "data/0"])
def test_compressed_records_are_refused(name, tmp_path):
    """Oracle: 100 MB of zeros in a file of 100 kB; torch never compresses."""
    archive(tmp_path / "x.pt", PARTS | {f"{ROOT}{name}": bytes(100_000_000)}, zipfile.ZIP_DEFLATED)
    assert (tmp_path / "x.pt").stat().st_size < 200_000
    with pytest.raises(RefusedError, match="compressed"):
        read_inert(tmp_path / "x.pt")
    archive(tmp_path / "x.pt", PARTS, zipfile.ZIP_DEFLATED)
    with pytest.raises(RefusedError, match="compressed"):
        read_inert(tmp_path / "x.pt")


def test_a_flipped_bit_in_a_tensor_is_noticed(tmp_path):
    """Oracle: the sum that zip keeps of each record, which torch's own loader does not look at."""
    data = bytearray(GOOD.getvalue())
    place = data.index(torch.arange(8.0).numpy().tobytes()) + 9
    data[place] ^= 4
    (tmp_path / "x.pt").write_bytes(data)
    torch.load(tmp_path / "x.pt", weights_only=True)
    with pytest.raises(DamagedError, match="CRC"):
        read_inert(tmp_path / "x.pt")


def test_files_without_sums_are_read(tmp_path, monkeypatch):
    """Oracle: the tensor saved; torch writes zeros for sums if told to take none."""
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"w": torch.arange(8.0)}, tmp_path / "x.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(read_inert(tmp_path / "x.pt").value["w"], torch.arange(8.0))


def test_an_older_file_that_declares_more_than_it_holds(tmp_path):
    """Oracle: the count of entries is changed in the pickle, and before the entries."""
    buffer = io.BytesIO()
    torch.save({"w": torch.arange(8.0)}, buffer, _use_new_zipfile_serialization=False)
    whole = buffer.getvalue()
    first = whole.replace(b"K\x08N", b"J\xff\xff\xff\x7fN", 1)
    second = whole[:-40] + struct.pack("<q", 1 << 50) + whole[-32:]
    for data in (first, second, whole[:-1], whole[:-33]):
        (tmp_path / "x.pt").write_bytes(data)
        with pytest.raises((RefusedError, DamagedError)):
            read_inert(tmp_path / "x.pt")


def test_numbers_of_the_other_byte_order(tmp_path):
    """Oracle: the numbers, whose bytes are turned round here."""
    turned = torch.arange(8.0).numpy().byteswap().tobytes()
    archive(tmp_path / "x.pt", PARTS | {f"{ROOT}byteorder": b"big", f"{ROOT}data/0": turned})
    assert torch.equal(read_inert(tmp_path / "x.pt").value["w"], torch.arange(8.0))


def test_names_of_a_file_that_is_cut(tmp_path):
    """Oracle: the name stands before the cut."""
    data = pickle.dumps([argparse.Namespace(a=1), "x" * 99], 2)
    (tmp_path / "x.pkl").write_bytes(data[:-60])
    assert "argparse.Namespace" in names_in(tmp_path / "x.pkl")


def test_files_within_files_within_files(tmp_path):
    """Oracle: a storage in a storage; torch writes none."""

    class Wrap:
        def __init__(self, inner):
            self.inner = inner

        def __reduce__(self):
            return (torch.storage._load_from_bytes, (self.inner,))

    data = pickle.dumps(1, 2)
    for _ in range(3):
        data = pickle.dumps(Wrap(data), 2)
    (tmp_path / "x.pkl").write_bytes(data)
    with pytest.raises(RefusedError, match="files within files"):
        read_inert(tmp_path / "x.pkl")
    assert [f.name for f in tmp_path.iterdir()] == ["x.pkl"]
