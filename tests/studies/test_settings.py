from __future__ import annotations

import importlib
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


def test_scales_of_pixels_are_those_of_the_data():
    """Oracle: the constants of the modules that standardise the images."""
    # the package exports a function of the module's name
    digits, torchvision = (
        importlib.import_module(f"landscape.reference.data.{n}") for n in ("digits", "torchvision")
    )
    assert settings.DIGIT_PIXELS == {"mean": (digits.MEAN,), "std": (digits.STD,)}
    assert tuple(settings.CIFAR10_PIXELS.values()) == torchvision.CIFAR10
