"""Make the modules beside this one importable from every test, whatever the import mode."""

from __future__ import annotations

import importlib.util
import io
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import settings


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


# The same examples each time, so that a run says something of the change and not of the draw. To search
# further: pytest --hypothesis-profile=default.
settings.register_profile("landscape", derandomize=True, deadline=None)
settings.load_profile("landscape")

_load("architectures")
_load("calls")
_load("cases")
_load("equivariance")
_load("error_bars")
_load("feature_sets")
_load("posterior_cases")
_stored = _load("stored")
_load("three_orders")
_load("vtk_text")
_toyzoo = _load("toyzoo")


@pytest.fixture
def folder(tmp_path: Path):
    """A folder to make a zoo in."""
    return _toyzoo.ZooFolder(tmp_path)


@pytest.fixture
def packed_cifar(tmp_path: Path) -> Path:
    """A folder as of packed CIFAR-10: eight images of one colour each, which JPEG keeps but for rounding."""
    import numpy as np
    from PIL import Image

    files = []
    for i in range(8):
        file = io.BytesIO()
        Image.new("RGB", (32, 32), (30 * i, 100, 200)).save(file, "JPEG", quality=95)
        files.append(np.frombuffer(file.getvalue(), np.uint8))
    offsets = np.cumsum([0, *map(len, files)])
    for split in ("train", "test"):
        np.savez(
            tmp_path / f"cifar10_{split}.npz",
            jpeg=np.concatenate(files),
            offsets=offsets,
            labels=np.arange(8, dtype=np.uint8),
        )
    return tmp_path


contents = _stored.contents
make = _stored.make


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """Run the command line in this process, in a folder of its own."""
    from typer.testing import CliRunner

    from landscape.cli import app as cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LANDSCAPE_DEBUG", raising=False)

    def invoke(*arguments):
        return CliRunner().invoke(cli.app, [str(a) for a in arguments], env={"COLUMNS": "200"})

    return invoke
