"""Data of the reference zoo: what comes with installed packages, and sets of data from a folder."""

from __future__ import annotations

from landscape.reference.data.curves import curve
from landscape.reference.data.digits import digits, noisy_labels
from landscape.reference.data.gratings import grating_digits, grating_images
from landscape.reference.data.other_digits import inverted_digits, quartered_digits
from landscape.reference.data.packed_cifar import natural_images
from landscape.reference.data.patches import colour_patches, patches
from landscape.reference.data.plane import circle, plane_grid, two_moons
from landscape.reference.data.regression import cubic, diabetes, uci
from landscape.reference.data.torchvision import cifar10, cifar100, image_folder

__all__ = [
    "cifar10",
    "cifar100",
    "circle",
    "colour_patches",
    "cubic",
    "curve",
    "diabetes",
    "digits",
    "grating_digits",
    "grating_images",
    "image_folder",
    "inverted_digits",
    "natural_images",
    "noisy_labels",
    "patches",
    "plane_grid",
    "quartered_digits",
    "two_moons",
    "uci",
]
