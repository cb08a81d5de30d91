"""Folders of pictures: classes in order, only what is used is read, and what is wrong is said."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PIL import Image

from landscape.errors import InputError
from landscape.zoo.sources.images import decoded, find_pictures, opened
from landscape.zoo.sources.preprocess import Preprocess


def test_classes_are_the_folders(photos):
    found = find_pictures(photos)
    assert found.classes == ["ant", "bee", "cat"]
    assert found.labels == [0] * 8 + [1] * 8 + [2] * 8
    assert [f.rsplit("/", 1)[1] for f in found.files[:2]] == ["0.png", "1.png"]


def test_classes_in_the_order_of_the_model(photos):
    found = find_pictures(photos, ["cat", "dog", "bee", "ant"])
    assert (found.labels[0], found.labels[-1]) == (3, 0)
    with pytest.raises(InputError, match=r"folder 'cat' is none of the 2 classes"):
        find_pictures(photos, ["ant", "bee"])


def test_folders_of_splits_are_not_classes(photos):
    with pytest.raises(InputError, match=r"holds val/ rather than .* --data imagefolder:data/val"):
        (photos.parent / "data").mkdir()
        photos.rename(photos.parent / "data" / "val")
        find_pictures(photos.parent / "data", shown="data")


@pytest.mark.parametrize(
    "make", [lambda p: None, lambda p: p.mkdir(), lambda p: (p / "ant").mkdir(parents=True)]
)
def test_nothing_there_is_said(tmp_path, make):
    make(tmp_path / "x")
    with pytest.raises(InputError, match=r"no such folder|no pictures in folders of classes"):
        find_pictures(tmp_path / "x")


def test_pictures_come_in_order(photos):
    """Oracle: the levels that they were made of."""
    files = find_pictures(photos).files
    told = []
    out = decoded(24, lambda i: opened(files[i]), Preprocess(size=2), lambda n, of: told.append((n, of)))
    levels = [level + i for level in (40, 120, 200) for i in range(8)]
    np.testing.assert_allclose(out[:, 0, 0, 0] * 255, levels, atol=1e-3)
    assert told[-1] == (24, 24)


def test_damaged_pictures_are_said(photos):
    (photos / "ant" / "0.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"picture '.*0.png' cannot be read"):
        opened(str(photos / "ant" / "0.png"))


def test_pictures_of_several_sizes_want_a_size(photos):
    Image.new("RGB", (5, 5)).save(photos / "ant" / "1.png")
    files = find_pictures(photos).files
    with pytest.raises(InputError, match=r"differ in shape .* give --size 224"):
        decoded(3, lambda i: opened(files[i]), Preprocess(mean=(0.0,), std=(1.0,)))


def test_ten_thousand_pictures_of_which_256_are_used(tmp_path):
    """In under 3 s; here with hard links to one small JPEG, since only what is used is opened."""
    from landscape.zoo.sources.read import named_data

    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / "one.jpg")
    for name in "abcdefghij":
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(1000):
            (tmp_path / "photos" / name / f"{i}.jpg").hardlink_to(tmp_path / "one.jpg")
    start = time.process_time()
    how = {"size": 8, "mean": [0.5], "std": [0.5]}
    found = named_data("imagefolder:photos", tmp_path, examples=256, preprocess=how)
    assert (found.count, found.of) == (256, 10_000)
    assert time.process_time() - start < 3
