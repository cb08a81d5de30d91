"""Layers of published methods and the blocks of small networks, one file for each kind."""

from __future__ import annotations

from landscape.reference.layers.attention import Attention, DropPath, TransformerBlock, WindowAttention
from landscape.reference.layers.convolution import PreActBlock, ResidualBlock
from landscape.reference.layers.film import FiLMNorm2d
from landscape.reference.layers.filtering import (
    FilterRanges,
    FrequencyDropout,
    draw_filters,
    filter_kernels,
)
from landscape.reference.layers.lowpass import LowPass2d
from landscape.reference.layers.quantile import FilteredReLU, QuantileReLU
from landscape.reference.layers.spatial_smoothing import Blur, Prob, Smooth
from landscape.reference.layers.spectral import SpectralBound, spectral_bound

__all__ = [
    "Attention",
    "Blur",
    "DropPath",
    "FiLMNorm2d",
    "FilterRanges",
    "FilteredReLU",
    "FrequencyDropout",
    "LowPass2d",
    "PreActBlock",
    "Prob",
    "QuantileReLU",
    "ResidualBlock",
    "Smooth",
    "SpectralBound",
    "TransformerBlock",
    "WindowAttention",
    "draw_filters",
    "filter_kernels",
    "spectral_bound",
]
