from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from study_models import trained

import landscape
from landscape.reference.training import augment
from landscape.store import read_contents
from landscape.studies.data import Data
from landscape.studies.measure import On, augmentation_options, sections, spectra
from landscape.zoo.problem_options import ProblemOptions
from landscape.zoo.spec import ZooSpec


def test_hessians_see_images_as_trained_on():
    """Oracle: the margin read off images that the trainer's own augmentation moved."""
    images = torch.arange(28.0).expand(400, 1, 28, 28)
    generator = torch.Generator().manual_seed(0)
    moves = {int(m) for m in (augment.shift(images, generator)[:, 0, 0, 14] - 14)}
    assert augmentation_options({"augment": "shift"}) == {"augment": "shift", "margin": max(moves)}
    assert augmentation_options({"augment": "crop_flip"}) == {"augment": "shift+flip", "margin": 4}


def test_each_seed_has_mini_batches_of_its_own(tmp_path: Path):
    """Oracle: the examples in the results: as many as asked for, alike for models of one seed alone."""
    data = Data.digits(100, 50)
    made = sections([spectra(data, {"augment": "shift"}, 3)], (0, 1))
    models = [trained(kind, seed, tmp_path) for kind in ("a", "b") for seed in (0, 1)]
    specs = tuple(m.spec() for m in models)
    spec = ZooSpec("test", tmp_path, specs, data.train, ProblemOptions(), tuple(made["batch_spectra"]))
    assert not landscape.Zoo(spec).run(store=tmp_path / "store").failed
    found = {s.label: s.results for s in read_contents(tmp_path / "store").sections}
    joined = {name: ds for s in made["batch_spectra"] for name, ds in found[s.label].items()}
    assert sorted(joined) == ["a-s0", "a-s1", "b-s0", "b-s1"]
    seen = {name: ds["example"].values for name, ds in joined.items()}
    assert all(rows.shape == (3, 16) for rows in seen.values())
    np.testing.assert_array_equal(seen["a-s0"], seen["b-s0"])
    np.testing.assert_array_equal(seen["a-s1"], seen["b-s1"])
    assert (seen["a-s0"] != seen["a-s1"]).any()


def test_sections_of_measures():
    """Oracle: labels, models and options by hand; results of one label stand together."""
    measures = [
        On("test", "fourier", {"images": 8}, ("vit*", "resnet"), examples=8),
        On("train", "surface", seeds="first"),
        On("test", "cka", {"layers": ("a",)}, ("vit",)),
        On("test", "cka", {"layers": ("b",)}, ("resnet",)),
        On("train", "batch_spectra", {"fraction": 0.5}, seeds="each", label="spectra"),
    ]
    made = sections(measures, (3, 4))
    assert list(made) == ["fourier", "surface", "cka", "spectra"]
    (fourier,) = made["fourier"]
    assert (fourier.label, fourier.models, fourier.examples) == ("fourier", ("vit*-s*", "resnet-s*"), 8)
    assert [s.models for s in made["surface"]] == [("*-s3",)]
    assert [s.label for s in made["cka"]] == ["cka", "cka-2"]
    assert [(s.label, dict(s.options), s.models) for s in made["spectra"]] == [
        ("spectra_3", {"fraction": 0.5, "seed": 3}, ("*-s3",)),
        ("spectra_4", {"fraction": 0.5, "seed": 4}, ("*-s4",)),
    ]
