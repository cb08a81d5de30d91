"""Data sets of libraries: nothing is downloaded unless told, and what is on disk is what was saved."""

from __future__ import annotations

import numpy as np
import pytest

from landscape.errors import InputError
from landscape.zoo.sources.read import named_data

PLAIN = {"mean": [0.0], "std": [1.0]}


def test_torchvision_does_not_download(tmp_path):
    pytest.importorskip("torchvision")
    with pytest.raises(InputError, match=r'give --data .*root="DIR"'):
        named_data("torchvision:CIFAR10", tmp_path, preprocess=PLAIN)
    with pytest.raises(InputError, match=r"cannot be read .* download=True"):
        named_data("torchvision:CIFAR10", tmp_path, root="cifar", preprocess=PLAIN)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="no data set 'CIFAR11'; did you mean 'CIFAR10'"):
        named_data("torchvision:CIFAR11", tmp_path, root="x")


def test_a_data_set_of_torchvision(tmp_path):
    """Oracle: the arrays that were written in MNIST's format (idx)."""
    pytest.importorskip("torchvision")
    images = np.random.default_rng(0).integers(0, 256, (6, 28, 28), np.uint8)
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for stem, array in (("images-idx3", images), ("labels-idx1", np.arange(6, dtype=np.uint8))):
        head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
        for part in ("t10k", "train"):
            (raw / f"{part}-{stem}-ubyte").write_bytes(head + array.tobytes())
    found = named_data("torchvision:MNIST", tmp_path, root="data", preprocess=PLAIN)
    np.testing.assert_allclose(found.data[0][:, 0] * 255, images, atol=1e-3)
    assert found.data[1].tolist() == list(range(6))
    assert found.classes[:2] == ("0 - zero", "1 - one")


def test_a_saved_data_set_of_hugging_face(tmp_path):
    """Oracle: what was saved; a name that is not in the cache is not looked up elsewhere."""
    datasets = pytest.importorskip("datasets")
    names = datasets.ClassLabel(names=["neg", "pos"])
    rows = {"a": [1.0, 2.0, 3.0], "label": [0, 1, 1]}
    features = datasets.Features({"a": datasets.Value("float32"), "label": names})
    made = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict({"train": made, "test": made.select([0, 1])}).save_to_disk(tmp_path / "set")
    found = named_data("hf:set", tmp_path)
    assert (found.data[0].tolist(), found.data[1].tolist()) == ([[1.0], [2.0]], [0, 1])
    assert found.classes == ("neg", "pos")
    assert named_data("hf:set", tmp_path, split="train").count == 3
    with pytest.raises(InputError, match="no split 'trian'; did you mean 'train'"):
        named_data("hf:set", tmp_path, split="trian")
    with pytest.raises(InputError, match=r"cannot be read.*download=True"):
        named_data("hf:nobody/nothing", tmp_path)


def test_pictures_of_hugging_face(tmp_path):
    datasets = pytest.importorskip("datasets")
    from PIL import Image

    pictures = [Image.new("RGB", (4, 4), (v, v, v)) for v in (10, 20)]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    made = datasets.Dataset.from_dict({"image": pictures, "label": [1, 0]}, features=features)
    made.save_to_disk(tmp_path / "set")
    found = named_data("hf:set", tmp_path, preprocess=PLAIN)
    np.testing.assert_allclose(found.data[0][:, 0, 0, 0] * 255, [10, 20], atol=1e-3)
    assert (found.data[1].tolist(), found.classes) == ([1, 0], ("a", "b"))


def test_a_program_in_a_folder_is_not_run(tmp_path):
    pytest.importorskip("datasets")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "set.py").write_text("raise SystemExit('run')")
    with pytest.raises(InputError, match="holds a program"):
        named_data("hf:set", tmp_path)


@pytest.mark.parametrize(("name", "package"), [("torchvision:MNIST", "torchvision"), ("hf:x", "datasets")])
def test_what_is_not_installed_is_said(tmp_path, monkeypatch, name, package):
    import landscape.zoo.sources.libraries as libraries

    def missing(module):
        raise ImportError(module)

    monkeypatch.setattr(libraries.importlib, "import_module", missing)
    with pytest.raises(InputError, match=f"needs {package}, which is not installed: pip install"):
        named_data(name, tmp_path, preprocess=PLAIN)
