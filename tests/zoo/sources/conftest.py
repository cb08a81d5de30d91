"""Pictures in folders: three classes of one colour each, so that what is read is known."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

LEVELS = {"ant": 40, "bee": 120, "cat": 200}


@pytest.fixture
def photos(tmp_path):
    """Eight pictures of each class, 20 x 24 pixels, each of one level of grey."""
    for name, level in LEVELS.items():
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for i in range(8):
            Image.fromarray(np.full((20, 24, 3), level + i, np.uint8)).save(folder / f"{i}.png")
    return tmp_path / "photos"
