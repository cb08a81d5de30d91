"""Hugging Face folders: configurations are data."""

from __future__ import annotations

from landscape.zoo.spec import Builder


def test_hub(of_layout, facts):
    """A configuration is data: what would read other files is left out of the builder's arguments."""
    mine, trainer = of_layout("hugging face")
    assert mine.builder == Builder("timm:resnet18", {"in_chans": 1, "num_classes": 10})
    assert mine.tags == {"arch": "resnet18"}
    assert trainer.builder == Builder(
        "transformers:ViTForImageClassification", {"config": {"model_type": "vit"}}
    )
    tags = {"arch": "ViTForImageClassification", "epoch": 2, "step": 500}
    assert facts(trainer) == ("hub-vit-run", None, tags, {"loss": 1.0, "eval_loss": 0.7})
