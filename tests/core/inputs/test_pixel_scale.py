"""The way from pixels to what the model gets, and back."""

import pytest
import torch
from cases import CASES, images

from landscape.core.inputs.pixel_scale import PixelScale
from landscape.errors import InputError


def test_pixel_scale_there_and_back():
    """Oracle: the data's own range becomes 0 to 1; a given normalisation is undone as written."""
    problem = CASES["conv_batchnorm"].problem()
    x = images()[0]
    scale = PixelScale.of(problem, (), ())
    pixels = scale.to_pixels(x)
    assert float(pixels.min()) == pytest.approx(0.0, abs=1e-12)
    assert float(pixels.max()) == pytest.approx(1.0)
    torch.testing.assert_close(scale.to_inputs(pixels), x)
    given = PixelScale.of(problem, (0.5,), (0.25,))
    torch.testing.assert_close(given.to_pixels(x), x * 0.25 + 0.5)
    with pytest.raises(InputError, match="mean and std hold 2 and 1"):
        PixelScale.of(problem, (0.5, 0.5), (0.25,))
