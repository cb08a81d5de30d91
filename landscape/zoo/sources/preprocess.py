"""Preprocessing: from a picture, or a text, to what a model was trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from landscape.base.validation import found_wrong
from landscape.errors import InputError, suggest

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Preprocess", "check_known", "in_words", "normalised", "prepared"]

_RESAMPLING = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}


class Preprocess(BaseModel):
    """How pictures become inputs: resized, cropped at the centre, pixels 0 to 1, then (pixel - mean)/std.

    Attributes:
        size: Height and width that the model gets; ``None`` leaves pictures as they are.
        resize: The shorter side before the crop; ``"squash"`` resizes to ``size`` whatever the shape.
        crop: The share of the shorter side that the crop keeps, instead of ``resize``.
        interpolation: Filter of the resizing, of Pillow's.
        mean: Per channel, of pixels from 0 to 1; empty for none.
        std: Per channel.
        channels: 1 (grey) or 3 (RGB); ``None`` as the pictures are.
        tokenizer: Folder of the tokenizer that makes inputs of texts; empty for none.
        length: Most tokens of a text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int | tuple[int, int] | None = None
    resize: int | Literal["squash"] | None = None
    crop: float | None = Field(None, gt=0, le=1)
    interpolation: Literal["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"] = "bilinear"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    channels: Literal[1, 3] | None = None
    tokenizer: str = ""
    length: int = Field(128, ge=1)

    @field_validator("mean", "std", mode="before")
    @classmethod
    def _one_for_all(cls, value: object) -> object:
        return (value,) if isinstance(value, int | float) and not isinstance(value, bool) else value

    @field_validator("size")
    @classmethod
    def _positive(cls, value: int | tuple[int, int] | None) -> int | tuple[int, int] | None:
        if value is not None and min(value if isinstance(value, tuple) else (value,)) < 1:
            raise ValueError("give pixels, at least 1")
        return value

    @model_validator(mode="after")
    def _mean_with_std(self) -> Preprocess:
        if bool(self.mean) != bool(self.std):
            raise ValueError("mean and std belong together: give both")
        if any(not s > 0 for s in self.std):
            raise ValueError("std must be positive")
        return self

    @classmethod
    def check(cls, given: Mapping[str, Any], where: str = "preprocessing") -> Preprocess:
        """Check what was given and fill in defaults.

        Raises:
            InputError: Naming the entry, and what it may be.
        """
        for name in given:
            if name not in cls.model_fields:
                raise InputError(f"{where} has no entry '{name}'; {suggest(name, cls.model_fields)}")
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors()[0]
            if not first["loc"]:
                raise InputError(f"{where}: {first['msg'].removeprefix('Value error, ')}.") from error
            name, wrong = found_wrong(error, cls.model_fields)
            raise InputError(f"{where}: '{name}' {wrong}.") from error

    @property
    def shape(self) -> tuple[int, int] | None:
        """Height and width that come out."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def given(self) -> dict[str, Any]:
        """What is not at its default, as plain values for a manifest."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def __call__(self, picture: Image) -> np.ndarray[Any, Any]:
        """A picture as what the model gets: (C, H, W), float32."""
        mode = self._mode(picture)
        wanted = picture if picture.mode == mode else picture.convert(mode)  # which copies in any case
        return normalised(np.asarray(self._fitted(wanted)), self)

    def _mode(self, picture: Image) -> str:
        if self.channels is not None:
            return "L" if self.channels == 1 else "RGB"
        if len(self.mean) == 3:
            return "RGB"
        return "L" if picture.mode in ("1", "L", "LA") else "RGB"

    def _fitted(self, picture: Image) -> Image:
        if self.shape is None:
            return picture
        height, width = self.shape
        filter_ = _RESAMPLING[self.interpolation]
        if self.resize == "squash":
            return picture.resize((width, height), filter_)
        shorter = self.resize
        if shorter is None:
            # As timm does; a hair more, since 224/(224/232) need not be 232.
            shorter = math.floor(min(height, width) / (self.crop or 1.0) + 1e-6)
        picture = _resized(picture, shorter, filter_)
        left, top = round((picture.width - width) / 2), round((picture.height - height) / 2)
        if left < 0 or top < 0:  # as torchvision: what is missing at the edges is black
            left, top = math.floor((picture.width - width) / 2), math.floor((picture.height - height) / 2)
        return picture.crop((left, top, left + width, top + height))


def _resized(picture: Image, shorter: int, filter_: int) -> Image:
    """With the shorter side as long as asked for, the other one cut to whole pixels as torchvision does."""
    w, h = picture.size
    if min(w, h) == shorter:
        return picture
    new = (shorter, int(shorter * h / w)) if w <= h else (int(shorter * w / h), shorter)
    return picture.resize(new, filter_)


def normalised(pixels: np.ndarray[Any, Any], how: Preprocess) -> np.ndarray[Any, Any]:
    """Pixels (H, W) or (H, W, C) from 0 to 255 as (C, H, W), normalised, float32."""
    planes = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    scaled = planes.astype(np.float32) / np.float32(255)
    if not how.mean:
        return scaled
    channels = len(planes)
    for name in ("mean", "std"):
        if len(getattr(how, name)) not in (1, channels):
            raise InputError(
                f"{name} holds {len(getattr(how, name))} numbers and the pictures have {channels} channel(s);"
                f" give one or {channels}."
            )
    mean, std = (np.asarray(v, np.float32).reshape(-1, 1, 1) for v in (how.mean, how.std))
    return np.asarray((scaled - mean) / std, np.float32)


def prepared(arrays: np.ndarray[Any, Any], how: Preprocess, where: str) -> np.ndarray[Any, Any]:
    """Inputs from an array of a file: bytes of pictures as in `Preprocess`, other numbers as they are.

    Args:
        arrays: (B, H, W), (B, H, W, C) or (B, C, H, W) of bytes; anything else of numbers.
        how: What the model wants of pictures.
        where: The file, for error messages.

    Raises:
        InputError: If bytes are no pictures.
    """
    if arrays.dtype != np.uint8:
        return arrays
    if arrays.ndim == 4 and arrays.shape[1] in (1, 3) and arrays.shape[3] not in (1, 3):
        arrays = np.moveaxis(arrays, 1, -1)
    if arrays.ndim == 4 and arrays.shape[3] == 1:
        arrays = arrays[..., 0]
    if arrays.ndim not in (3, 4) or (arrays.ndim == 4 and arrays.shape[3] != 3):
        raise InputError(
            f"'{where}' holds bytes of shape {arrays.shape}, which are no pictures (B, H, W) or (B, H, W, 3);"
            " store numbers as float32."
        )
    from PIL import Image

    check_known(how, where)
    return np.stack([how(Image.fromarray(one)) for one in arrays])


def in_words(how: Preprocess) -> str:
    """Preprocessing as a report says it.

    Example:
        >>> in_words(Preprocess(size=224, crop=0.875, mean=(0.5,), std=(0.25,)))
        '224 x 224 pixels (bilinear), centre crop 0.875, mean 0.5, std 0.25'
        >>> in_words(Preprocess())
        'as the data is'
    """
    parts = []
    if how.shape is not None:
        parts.append(f"{how.shape[0]} x {how.shape[1]} pixels ({how.interpolation})")
        if how.resize == "squash":
            parts.append("squashed")
        elif how.resize is not None:
            parts.append(f"centre crop of shorter side {how.resize}")
        elif how.crop is not None:
            parts.append(f"centre crop {how.crop:g}")
    if how.channels == 1:
        parts.append("grey")
    parts += [f"{name} {_numbers(v)}" for name, v in (("mean", how.mean), ("std", how.std)) if v]
    if how.tokenizer:
        parts.append(f"tokenizer '{how.tokenizer}', up to {how.length} tokens")
    return ", ".join(parts) or "as the data is"


def _numbers(values: Sequence[float]) -> str:
    return (
        " ".join(f"{v:.4g}" for v in dict.fromkeys(values))
        if len(set(values)) == 1
        else " ".join(f"{v:.4g}" for v in values)
    )


def check_known(how: Preprocess, where: str) -> None:
    """Raise unless something tells how pictures are prepared: a wrong guess would pass for a result."""
    if not how.mean:
        raise InputError(
            f"nothing says how these models want the pictures of {where}; give --size, --mean and --std"
            " (--mean 0 --std 1 for pixels from 0 to 1), in a manifest [data] size, mean and std."
        )
