"""Models that config.json describes; the real library's files where it is installed."""

from __future__ import annotations

import json

import pytest

from landscape.errors import InputError
from landscape.zoo.described.transformers import (
    labels_in,
    transformers_builder,
    transformers_model,
    why_not_described,
)

CONFIG = {
    "architectures": ["ViTForImageClassification"],
    "model_type": "vit",
    "hidden_size": 16,
    "sliding_window": None,
    "id2label": {"0": "ant", "1": "bee"},
    "_name_or_path": "/home/somebody/vit",
    "torch_dtype": "float32",
}


def test_what_describes_the_model_is_kept():
    builder = transformers_builder(CONFIG)
    assert builder.reference == "transformers:ViTForImageClassification"
    assert builder.kwargs == {
        "config": {"model_type": "vit", "hidden_size": 16, "num_labels": 2},
        "none": ["sliding_window"],
    }
    assert labels_in(CONFIG) == ("ant", "bee")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"auto_map": {"AutoModel": "evil.Model"}}, "code of its own .* never run"),
        ({"architectures": []}, "names no architecture"),
        ({"architectures": ["os.system"]}, "names no architecture"),
        ({"architectures": None}, "names no architecture"),
    ],
)
def test_what_makes_no_model(change, said):
    import re

    assert transformers_builder(CONFIG | change) is None
    assert re.search(said, why_not_described(CONFIG | change))


def test_labels_that_are_none():
    assert (
        labels_in({"id2label": {"0": "a", "2": "c"}}) == labels_in({"id2label": ["a"]}) == labels_in({}) == ()
    )


def test_only_models_of_the_library_are_made():
    pytest.importorskip("transformers")
    for name in ("AutoModel", "pipeline", "PretrainedConfig"):
        with pytest.raises(InputError, match="no such model"):
            transformers_model(name)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_saved_model_comes_back(tmp_path, layers):
    """Oracle: the library's own from_pretrained, on the same inputs."""
    transformers = pytest.importorskip("transformers")
    import torch

    from landscape.zoo.checkpoint import load_checkpoint, load_into

    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=8,
        image_size=8,
        patch_size=4,
        num_labels=3,
    )
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path)
    builder = transformers_builder(json.loads((tmp_path / "config.json").read_text()))
    made = transformers_model(builder.reference.partition(":")[2])(**builder.kwargs).eval()
    load_into(made, load_checkpoint(tmp_path / "model.safetensors"), "model.safetensors")
    theirs = transformers.ViTForImageClassification.from_pretrained(
        tmp_path, attn_implementation="eager"
    ).eval()
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(made(x).logits, theirs(x).logits, atol=0, rtol=0)
