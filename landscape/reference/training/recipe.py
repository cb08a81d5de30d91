"""Recipe: how a model of the reference zoo is made."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from landscape.core.problem.memory_layout import has_unsound_convolution

__all__ = ["PostProcessing", "Recipe", "address"]


@dataclass(frozen=True)
class PostProcessing:
    """A step that makes one checkpoint of another, such as pruning.

    Attributes:
        function: Function ``(model, data, **options) -> model`` of `landscape.reference.compression`: it
            leaves the model that it is given alone, and returns one whose state the recipe's builder can
            load. The data are the training inputs (N, ...) and labels (N,).
        options: Its options: what JSON can hold.

    Example:
        >>> from landscape.reference.compression import prune
        >>> PostProcessing(prune, {"share": 0.5}).describe()
        {'function': 'landscape.reference.compression:prune', 'options': {'share': 0.5}}
    """

    function: Callable[..., nn.Module]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, model: nn.Module, data: Any) -> nn.Module:
        """The new model."""
        return self.function(model, data, **self.options)

    def describe(self) -> dict[str, Any]:
        """Where the function is found, and its options."""
        return {"function": address(self.function), "options": dict(self.options)}


@dataclass(frozen=True)
class Recipe:
    """A kind of model and how it is trained.

    Attributes:
        group: Name of the kind; a model is called ``<group>-s<seed>``.
        builder: Function of `landscape.reference.models` that makes the model.
        kwargs: Arguments of the builder.
        training: Arguments of `landscape.reference.training.loop.train`.
        tags: What a reader may want to sort models by.
        after: What is done to the trained weights, in order; the trained weights stay beside the result.
    """

    group: str
    builder: Callable[..., nn.Module]
    kwargs: Mapping[str, Any]
    training: Mapping[str, Any]
    tags: Mapping[str, str]
    after: tuple[PostProcessing, ...] = ()

    @property
    def builder_name(self) -> str:
        """The builder as a manifest names it, ``package.module:function``."""
        return address(self.builder)

    def build(self, seed: int) -> nn.Module:
        """A model with initial weights of its own seed; the caller's random numbers stay.

        Its convolutions are laid out channels last, which trains a third faster on a CPU, unless torch then
        gets their gradients wrong.
        """
        # Models are made on the CPU, so that a seed means the same weights wherever they are trained.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            model = self.builder(**self.kwargs)
        if has_unsound_convolution(model):
            return model
        return convert_conv2d_weight_memory_format(model, torch.channels_last)


def address(function: Callable[..., object]) -> str:
    """Where a manifest finds a function: its name in the outermost package that exports it.

    A manifest written today then stays right when a function moves within its package.

    Example:
        >>> from landscape.reference.models import resnet
        >>> address(resnet)
        'landscape.reference.models:resnet'
    """
    module = function.__module__
    package = module
    while package:
        if getattr(sys.modules.get(package), function.__name__, None) is function:
            module = package
        package = package.rpartition(".")[0]
    return f"{module}:{function.__name__}"
