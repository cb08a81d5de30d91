"""Preprocessing of models: as files beside the weights and the libraries tell it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from landscape.zoo.described.preprocessing import mixed, preprocessing_of, with_own_data, with_preprocessing
from landscape.zoo.sources.preprocess import Preprocess
from landscape.zoo.spec import Builder, Model, ZooSpec

VIT = {
    "do_resize": True,
    "do_rescale": True,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.25, 0.25, 0.25],
    "resample": 3,
    "size": {"height": 32, "width": 32},
}


def model(folder, config=None, name="preprocessor_config.json", builder=None, **more):
    if config is not None:
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(config))
    return Model(folder.name, folder / "model.safetensors", builder=builder, **more)


def test_a_processor_of_hugging_face(tmp_path):
    found = preprocessing_of(model(tmp_path / "a", VIT))
    assert found == {
        "size": 32,
        "resize": "squash",
        "interpolation": "bicubic",
        "mean": [0.5] * 3,
        "std": [0.25] * 3,
        "channels": 3,
    }
    clip = VIT | {
        "size": {"shortest_edge": 36},
        "do_center_crop": True,
        "crop_size": {"height": 32, "width": 32},
    }
    assert (found | {"resize": 36}) == preprocessing_of(model(tmp_path / "b", clip))
    plain = preprocessing_of(model(tmp_path / "c", VIT | {"do_normalize": False}))
    assert (plain["mean"], plain["std"]) == ([0.0], [1.0])
    assert preprocessing_of(model(tmp_path / "d", VIT | {"do_rescale": False})) == {}


@pytest.mark.parametrize(
    "config", [VIT | {"size": "x"}, VIT | {"image_mean": "x"}, {"size": [1]}, {"image_std": {}}]
)
def test_files_of_strangers_raise_nothing(tmp_path, config):
    preprocessing_of(model(tmp_path / "a", config))


def test_the_pixels_are_those_of_the_processor(tmp_path):
    """Oracle: Hugging Face's own processor on the same picture."""
    transformers = pytest.importorskip("transformers")
    from PIL import Image

    (tmp_path / "a").mkdir()
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    processor.save_pretrained(tmp_path / "a")
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8))
    theirs = np.asarray(processor(picture, return_tensors="np")["pixel_values"])[0]
    ours = Preprocess(**preprocessing_of(model(tmp_path / "a")))(picture)
    np.testing.assert_allclose(
        ours, theirs, atol=2.1 / 255 / 0.5
    )  # they round to bytes after resizing, as we do


def test_what_the_manifest_says_comes_first(tmp_path):
    assert preprocessing_of(model(tmp_path / "a", VIT, preprocess={"size": 8})) == {"size": 8}


def test_timm_from_its_register_and_from_a_hub_folder(tmp_path):
    timm = pytest.importorskip("timm")
    found = preprocessing_of(model(tmp_path / "a", builder=Builder("timm:resnet18")))
    cfg = timm.models.get_pretrained_cfg("resnet18")
    assert (found["size"], found["crop"], found["mean"]) == (cfg.input_size[1], cfg.crop_pct, list(cfg.mean))
    hub = {
        "architecture": "resnet18",
        "pretrained_cfg": {"input_size": [3, 64, 64], "crop_pct": 0.9, "mean": [0.1] * 3, "std": [0.2] * 3},
    }
    assert preprocessing_of(model(tmp_path / "b", hub, "config.json"))["size"] == 64


def test_torchvision_from_its_weights(tmp_path):
    pytest.importorskip("torchvision")
    from torchvision.models import ResNet18_Weights

    how = ResNet18_Weights.DEFAULT.transforms()
    found = preprocessing_of(model(tmp_path / "a", builder=Builder("torchvision:resnet18")))
    assert (found["size"], found["resize"], found["mean"]) == (
        how.crop_size[0],
        how.resize_size[0],
        list(how.mean),
    )


def zoo(folder, *models, **kwargs):
    return ZooSpec("zoo", folder, models, Builder("imagefolder:photos", kwargs))


def test_models_alike_share_the_data_of_the_zoo(tmp_path):
    spec = with_preprocessing(zoo(tmp_path, model(tmp_path / "a", VIT), model(tmp_path / "b", VIT)))
    assert spec.data.kwargs["preprocess"]["size"] == 32
    assert [m.data for m in spec.models] == [None, None]
    assert mixed(spec.models) is None


def test_each_model_has_its_own_where_they_differ(tmp_path):
    large = VIT | {"size": {"height": 48, "width": 48}}
    models = [model(tmp_path / n, c) for n, c in (("a", VIT), ("b", large), ("c", VIT))]
    spec = with_preprocessing(zoo(tmp_path, *models))
    assert [m.data is None for m in spec.models] == [True, False, True]
    assert spec.models[1].data.kwargs["preprocess"]["size"] == 48
    assert "'a' and 'b' get their inputs prepared in different ways" in mixed(spec.models)
    marked = with_own_data(spec.models, lambda m: f"hash of {m.name}")
    assert [m.data_fingerprint for m in marked] == [None, "hash of b", None]


def test_what_the_data_says_comes_before_the_models(tmp_path):
    """A smaller size keeps the share of the picture: 224 of 256 is 28 of 32."""
    how = {"size": 224, "resize": 256, "mean": [0.5], "std": [0.5]}
    spec = with_preprocessing(zoo(tmp_path, model(tmp_path / "a", preprocess=how), preprocess={"size": 28}))
    found = Preprocess(**spec.data.kwargs["preprocess"])
    assert (found.size, found.crop, found.resize, found.mean) == (28, 0.875, None, (0.5,))


def test_a_tokenizer_is_one_wherever_it_lies(tmp_path):
    for name in "ab":
        model(tmp_path / name, {"vocab": 1}, "tokenizer.json")
    spec = with_preprocessing(zoo(tmp_path, model(tmp_path / "a"), model(tmp_path / "b")))
    assert spec.data.kwargs["preprocess"] == {"tokenizer": "a"}
    assert [m.data for m in spec.models] == [None, None]


def test_data_of_a_function_stays(tmp_path):
    spec = ZooSpec("zoo", tmp_path, (Model("a", Path("a.pt")),), Builder("my:data"))
    assert with_preprocessing(spec) is spec


@pytest.mark.parametrize(
    "said",
    [
        {"input_size": [3, 64, 64]},
        {"img_size": 96, "crop_pct": 0.9},
        {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.1], "interpolation": "bilinear"},
        {"input_size": [1, 28, 28], "mean": [0.13], "std": [0.31]},
    ],
)
def test_options_of_a_run_of_timm(tmp_path, said):
    """Oracle: the transform that timm's script makes of the same options to evaluate."""
    timm = pytest.importorskip("timm")
    import yaml
    from PIL import Image
    from timm.data import create_transform, resolve_data_config

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "args.yaml").write_text(yaml.safe_dump({"model": "resnet18", "img_size": None, **said}))
    channels = said.get("input_size", [3])[0]
    builder = Builder("timm:resnet18", {} if channels == 3 else {"in_chans": channels})
    ours = Preprocess(**preprocessing_of(model(tmp_path / "a", builder=builder)))
    net = timm.create_model("resnet18", in_chans=channels)
    config = resolve_data_config(said, model=net)
    theirs = create_transform(
        config["input_size"],
        interpolation=config["interpolation"],
        mean=config["mean"],
        std=config["std"],
        crop_pct=config["crop_pct"],
    )
    pixels = np.random.default_rng(0).integers(0, 256, (120, 150, 3), np.uint8)
    picture = Image.fromarray(pixels if channels == 3 else pixels[..., 0])
    np.testing.assert_allclose(ours(picture), theirs(picture).numpy(), atol=1e-6)


def test_pictures_padded_at_the_border_are_asked_about(tmp_path):
    """No entry of ours says how timm fills what it pads, so the user is asked."""
    hub = {"architecture": "x", "pretrained_cfg": {"input_size": [3, 64, 64], "crop_mode": "border"}}
    assert preprocessing_of(model(tmp_path / "b", hub, "config.json")) == {}
