from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from landscape.core.behaviour.corruptions import corrupt_by
from landscape.errors import InputError
from landscape.reference.data import (
    circle,
    diabetes,
    digits,
    grating_digits,
    grating_images,
    natural_images,
    uci,
)
from landscape.studies.data import Data, load, mixup, rotated


def test_mixed_inputs_are_blends_of_two_examples():
    """Oracle: blends near one half, as Beta(16, 16) gives: mean 1/2, variance 1/132; labels stay."""
    kwargs = {"split": "test", "count": 300}
    x, y = digits(**kwargs)
    blend, labels = mixup("landscape.reference.data:digits", kwargs)
    again, _ = mixup("landscape.reference.data:digits", kwargs)
    assert torch.equal(blend, again)
    assert torch.equal(labels, y)
    rng = np.random.default_rng(0)
    share, partner = rng.beta(16, 16, 300), rng.permutation(300)
    assert abs(share.mean() - 0.5) < 4 * (1 / 132 / 300) ** 0.5
    want = share[7] * x[7] + (1 - share[7]) * x[partner[7]]
    torch.testing.assert_close(blend[7], want.float())


def test_turned_images_are_those_of_the_corruption():
    """Oracle: `corrupt_by` on pixels, undone and redone by hand; 0° leaves images and labels alone."""
    kwargs = {"split": "test", "count": 20, "size": 14}
    x, y = digits(**kwargs)
    made = rotated("landscape.reference.data:digits", kwargs, [0, 60])
    assert list(made) == ["0°", "60°"]
    torch.testing.assert_close(made["0°"][0], x)
    turned = corrupt_by("rotation", 60.0)(x * 0.3081 + 0.1307, 0)
    torch.testing.assert_close(made["60°"][0], (turned - 0.1307) / 0.3081)
    assert all(torch.equal(labels, y) for _, labels in made.values())


def test_data_as_declared():
    """Oracle: the builder of digits, called by hand; held-out examples are never changed."""
    data = Data.digits(train=40, test=30, side=14)
    x, y = load(data.train)
    assert x.shape == (40, 1, 14, 14)
    assert (data.examples, data.channels, data.side) == (40, 1, 14)
    few = data.subset(10)
    assert few.examples == len(load(few.train)[1]) == 10
    assert few.test == data.test
    noisy = data.noisy(0.5)
    want = digits("train", 40, size=14, label_noise=0.5)[1]
    assert torch.equal(load(noisy.train)[1], want)
    assert not torch.equal(want, y)
    assert noisy.test == data.test
    assert data.noisy(0.0) == data
    blend, _ = load(data.builder("mixup"))
    assert torch.equal(blend, mixup(data.train.reference, data.train.kwargs)[0])
    with pytest.raises(InputError, match="has the data 'train', 'test', 'mixup', not 'validation'"):
        data.builder("validation")


def test_other_data_of_a_study_have_names():
    """Oracle: builders called by hand; what temperatures are fitted on is in no other part."""
    data = Data.digits(40, 30, side=14, seed=2).validated(20).beside("ring", circle, radius=3.0)
    x, _ = load(data.builder("validation"))
    assert x.shape == (20, 1, 14, 14)
    want = digits("train", 60, size=14, seed=2)[0]
    rows = {tuple(one.flatten().tolist()) for one in want}
    taken = [
        {tuple(one.flatten().tolist()) for one in load(data.builder(n))[0]} for n in ("train", "validation")
    ]
    assert taken[0] | taken[1] == rows
    assert not taken[0] & taken[1]
    assert torch.equal(load(data.builder("ring"))[0], circle(3.0)[0])
    with pytest.raises(InputError, match="'validation', 'ring', not 'rim'"):
        data.builder("rim")


def test_gratings_tell_classes_in_training_and_not_of_held_out_digits():
    """Oracle: the builder's own images; the digits beneath are those without gratings."""
    data = Data.digits(60, 20, side=12).with_gratings(0.42, 0.2, share=0.9)
    given = {"size": 12, "frequency": 0.42, "amplitude": 0.2}
    wanted = {
        "train": grating_digits("train", 60, share=0.9, **given),
        "test": digits("test", 20, size=12),
        "grating": grating_digits("test", 20, **given),
        "wrong": grating_digits("test", 20, grating="other", **given),
    }
    for name, (images, labels) in wanted.items():
        x, y = load(data.builder(name))
        assert torch.equal(x, images), name
        assert torch.equal(y, labels), name
    assert data.examples == 60


def test_gratings_and_label_noise_of_natural_images(packed_cifar):
    """Oracle: the builders of images called by hand; a table has no pixels for a grating."""
    natural = Data.natural(6, 4).at(packed_cifar)
    data = natural.with_gratings(0.42, 0.03, share=0.5)
    given = {"frequency": 0.42, "amplitude": 0.03}
    wanted = {
        "train": grating_images(packed_cifar, "train", 6, share=0.5, **given),
        "test": natural_images(packed_cifar, "test", 4),
        "grating": grating_images(packed_cifar, "test", 4, **given),
        "wrong": grating_images(packed_cifar, "test", 4, grating="other", **given),
    }
    for name, (images, labels) in wanted.items():
        x, y = load(data.builder(name))
        assert torch.equal(x, images), name
        assert torch.equal(y, labels), name
    x, y = load(natural.noisy(0.5).train)
    want = natural_images(packed_cifar, "train", 6, label_noise=0.5)
    assert torch.equal(x, want[0]) and torch.equal(y, want[1])
    assert not torch.equal(y, natural_images(packed_cifar, "train", 6)[1])
    with pytest.raises(InputError, match=r"not for data of 'landscape\.reference\.data"):
        Data.table(diabetes, 10).with_gratings(0.42, 0.1, share=0.9)


def test_only_data_in_a_folder_take_another():
    """Oracle: the arguments of the builders."""
    cifar = Data.cifar(100).at(Path("here"))
    assert cifar.train.kwargs == {"root": "here", "split": "train"}
    assert cifar.test.kwargs == {"root": "here", "split": "test"}
    assert cifar.in_folder
    assert Data.digits(4, 2).at(Path("here")) == Data.digits(4, 2)


def test_tables_are_read_by_their_builder():
    """Oracle: the builder called by hand; a folder only where there is one; other digits by a seed."""
    data = Data.table(diabetes, 10, part=3)
    assert torch.equal(load(data.test)[0], diabetes("test", 3)[0])
    assert (data.shape, data.in_folder, data.at(Path("here"))) == ((10,), False, data)
    folder = Data.table(uci, 8, name="concrete", root="data").at(Path("here"))
    assert folder.train.kwargs == {"split": "train", "name": "concrete", "root": "here"}
    assert Data.digits(10, 5).shape == (1, 28, 28)
    assert Data.digits(10, 5, seed=0) == Data.digits(10, 5)
    a, b = (load(Data.digits(10, 5, seed=s).train)[0] for s in (0, 1))
    assert not torch.equal(a, b)


def test_digits_whose_pixels_stay_as_they_are():
    """Oracle: the arguments of both builders; those of before are what they were."""
    plain = Data.digits(20, 10, seed=3, standardised=False)
    assert plain.train.kwargs == {"split": "train", "count": 20, "size": 28, "seed": 3, "standardised": False}
    assert plain.test.kwargs == {"split": "test", "count": 10, "size": 28, "standardised": False}
    assert "standardised" not in Data.digits(20, 10).train.kwargs


def test_parts_are_other_choices_and_validation_follows_them():
    """Oracle: the builders of digits and of natural images, called by hand."""
    data = Data.digits(train=40, test=30, side=14)
    assert data.part(0) == data
    other = data.part(2).validated(20)
    want = digits("train", 40, size=14, seed=2)[0]
    assert torch.equal(load(other.train)[0], want)
    assert torch.equal(load(other.builder("validation"))[0], digits("train", 20, size=14, seed=2, skip=40)[0])
    assert other.test == data.test
    natural = Data.natural(train=4, test=2).part(1).validated(3)
    held = natural.builder("validation")
    assert (held.reference, held.kwargs["count"], held.kwargs["skip"]) == (natural.train.reference, 3, 4)
    assert natural.train.kwargs["seed"] == held.kwargs["seed"] == 1
    assert "seed" not in natural.test.kwargs
