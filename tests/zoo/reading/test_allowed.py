"""Names that may be allowed: classes of values, and nothing that loads or runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from landscape.errors import CheckpointError
from landscape.zoo.reading.allowed import allowed, listed, offered

PROGRAMS = [
    *("builtins.exec", "builtins.eval", "__builtin__.eval", "builtins.getattr", "builtins.open"),
    *("builtins.__import__", "builtins.type", "os.system", "posix.system", "nt.system", "subprocess.Popen"),
    *(
        "subprocess.run",
        "functools.partial",
        "operator.attrgetter",
        "operator.methodcaller",
        "runpy.run_path",
    ),
    *("timeit.timeit", "timeit.Timer", "pickle.loads", "ctypes.CDLL", "importlib.import_module", "io.FileIO"),
    *("threading.Thread", "multiprocessing.Process", "code.InteractiveInterpreter", "logging.FileHandler"),
    *("torch.load", "torch.storage._load_from_bytes", "torch.serialization.load", "torch.hub.load"),
    *("torch.jit.load", "torch.package.PackageImporter", "torch.fx.graph_module._exec_with_source"),
    *("numpy.load", "numpy.memmap", "numpy.lib.npyio.NpzFile", "joblib.load", "pandas.read_pickle"),
    *("landscape.base.registry.find", "landscape.zoo.reading.weights.read_whole", "landscape.Zoo"),
    *("h5py.File", "argparse.FileType", "collections.abc.sys", "types.FunctionType", "types.CodeType"),
]
VALUES = [
    *(
        "argparse.Namespace",
        "collections.OrderedDict",
        "datetime.timedelta",
        "pathlib.PosixPath",
        "uuid.UUID",
    ),
    *("decimal.Decimal", "types.SimpleNamespace", "torch.nn.modules.linear.Linear", "torch.optim.adam.Adam"),
    *(
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray._reconstruct",
        "torch._utils._rebuild_tensor_v2",
    ),
]


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_loads_or_runs_is_neither_offered_nor_accepted(name):
    """Oracle: each of them is known to load or to run what it is given."""
    assert offered([name]) == ([], [name])
    with pytest.raises(CheckpointError, match=r"cannot be allowed for checkpoint 'x\.pt'.*--trust-pickle"):
        allowed([name], Path("x.pt"))


@pytest.mark.parametrize("name", VALUES)
def test_classes_of_values_are_offered_and_what_is_offered_is_accepted(name):
    """Oracle: none of them does anything but hold values."""
    assert offered([name]) == ([name], [])
    if not name.startswith("numpy.core"):  # an old place, which newer versions of numpy warn of
        assert allowed([name], Path("x.pt"))[0][1] == name


def test_nothing_is_imported_to_offer_a_name(tmp_path, monkeypatch):
    """Oracle: a module that writes a file when it is imported."""
    mark = tmp_path / "mark"
    (tmp_path / "planted.py").write_text(f"open({str(mark)!r}, 'w')\nclass Config: pass\ndef load(): pass\n")
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack/__init__.py").write_text(f"open({str(mark)!r}, 'w')\n")
    (tmp_path / "pack/inner.py").write_text("class Config: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    names = [
        "planted.Config",
        "planted.load",
        "planted.no",
        "pack.inner.Config",
        "pack.none.Config",
        "gone.x",
    ]
    assert offered(names) == (
        ["planted.Config", "pack.inner.Config"],
        ["planted.load", "planted.no", "pack.none.Config", "gone.x"],
    )
    assert not mark.exists()
    assert "planted" not in sys.modules


def test_a_class_under_another_name_is_still_refused(tmp_path, monkeypatch):
    """Oracle: the class itself, whose module is subprocess."""
    (tmp_path / "innocent.py").write_text(
        "from subprocess import Popen as Config\nimport threading\nclass Mine(threading.Thread): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("innocent.Config", "innocent.Mine"):
        with pytest.raises(CheckpointError, match="cannot be allowed"):
            allowed([name], Path("x.pt"))


def test_names_in_a_message_are_few_and_plain():
    """Oracle: the form of the list."""
    assert listed(["a.\x1b[2Jb", *"cdefgh"]) == r"a.\x1b[2Jb, c, d, e, f and 2 more"
