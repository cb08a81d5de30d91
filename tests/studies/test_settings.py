from __future__ import annotations

import inspect

import pytest

from landscape.reference import models
from landscape.reference.training.loop import train
from landscape.studies import settings


@pytest.mark.parametrize("name", ["ADAMW", "DEIT", "SGD"])
def test_settings_of_training_are_arguments_of_the_loop(name: str):
    """Oracle: the signature of the training loop."""
    assert set(getattr(settings, name)) <= set(inspect.signature(train).parameters)


@pytest.mark.parametrize("builder", [models.resnet, models.vgg, models.vit])
def test_settings_of_networks_are_arguments_of_builders(builder):
    """Oracle: the signatures of the builders."""
    assert set(settings.CIFAR100) <= set(inspect.signature(builder).parameters)
