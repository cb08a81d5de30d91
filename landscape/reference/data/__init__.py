"""Data of the reference zoo: digits that come with a package, and torchvision's sets from a folder."""

from __future__ import annotations

from landscape.reference.data.digits import digits, noisy_labels
from landscape.reference.data.torchvision import cifar10, cifar100, image_folder

__all__ = ["cifar10", "cifar100", "digits", "image_folder", "noisy_labels"]
