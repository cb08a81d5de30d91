"""Settings of training and of networks that several studies share.

A study adds what is its own: ``{**SGD, "schedule": "step", "lr": 0.1}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["ADAMW", "CIFAR10_PIXELS", "CIFAR100", "COLOUR_LENET", "DEIT", "DIGIT_PIXELS", "SGD", "SHORT_SGD"]

ADAMW: Mapping[str, Any] = {"optimizer": "adamw", "weight_decay": 0.05, "schedule": "warmup_cosine"}
"""Training of vision transformers, and of what is compared with them."""

DEIT: Mapping[str, Any] = {"augment": "rand_crop_flip", "mixup": 0.8, "cutmix": 1.0, "label_smoothing": 0.1}
"""Strong augmentation of images for vision transformers (DeiT: Touvron et al. 2021)."""

SGD: Mapping[str, Any] = {"optimizer": "sgd", "weight_decay": 5e-4}
"""Stochastic gradient descent for convolutional networks; studies differ in its schedule."""

SHORT_SGD: Mapping[str, Any] = {
    **SGD,
    "lr": 0.1,
    "schedule": "warmup_cosine",
    "batch_size": 128,
    "epochs": 30,
}
"""Thirty epochs of it, for residual networks on CIFAR-10."""

CIFAR100: Mapping[str, Any] = {"in_channels": 3, "classes": 100}
"""Arguments of every builder of `landscape.reference.models` for CIFAR-100."""

DIGIT_PIXELS: Mapping[str, Any] = {"mean": (0.1307,), "std": (0.3081,)}
"""How `landscape.reference.data.digits` standardises pixels: options of analyses that change images."""

CIFAR10_PIXELS: Mapping[str, Any] = {"mean": (0.4914, 0.4822, 0.4465), "std": (0.2470, 0.2435, 0.2616)}
"""How `landscape.reference.data.cifar10` does."""

COLOUR_LENET: Mapping[str, Any] = {
    "channels": [16, 32],
    "hidden": 64,
    "kernel": 5,
    "stride": 2,
    "in_channels": 3,
    "image": 32,
}
"""A LeNet with strides for CIFAR-10: a sixth of the price of the smallest residual network."""
