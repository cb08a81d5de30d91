"""Small networks with clean module names, used as builders of a manifest."""

from __future__ import annotations

from landscape.reference.models.alternet import alternet
from landscape.reference.models.autoencoder import autoencoder
from landscape.reference.models.bounded import bounded
from landscape.reference.models.film_resnet import film_resnet
from landscape.reference.models.lenet import lenet
from landscape.reference.models.mixer import mixer
from landscape.reference.models.mlp import gaussian_mlp, mlp
from landscape.reference.models.residual_mlp import residual_mlp
from landscape.reference.models.resnet import resnet
from landscape.reference.models.swin import windowed
from landscape.reference.models.vgg import vgg
from landscape.reference.models.vit import vit

__all__ = [
    "alternet",
    "autoencoder",
    "bounded",
    "film_resnet",
    "gaussian_mlp",
    "lenet",
    "mixer",
    "mlp",
    "residual_mlp",
    "resnet",
    "vgg",
    "vit",
    "windowed",
]
