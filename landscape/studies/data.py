"""Where the examples of a study come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from landscape import imports
from landscape.core.behaviour.corruptions import corrupt_by
from landscape.errors import InputError
from landscape.reference.data.gratings import grating_digits, grating_images
from landscape.reference.training.recipe import address
from landscape.zoo.spec import Builder

__all__ = ["Data", "load", "mixup", "rotated"]

DIGITS = "landscape.reference.data:digits"
NATURAL = "landscape.reference.data:natural_images"
GRATED: Mapping[str, Callable[..., Any]] = {DIGITS: grating_digits, NATURAL: grating_images}
CIFAR_EXAMPLES = 50_000


@dataclass(frozen=True)
class Data:
    """Examples for training and for testing.

    Attributes:
        train: Builder of the training examples.
        test: Builder of the held-out examples.
        examples: Number of training examples.
        channels: Channels of an image.
        side: Pixels along an edge of an image.
        features: Numbers of an example, where examples are no images; else 0.
        others: Builders of other examples by name: held-out ones to fit a temperature on, or data of
            another distribution.
    """

    train: Builder
    test: Builder
    examples: int
    channels: int
    side: int
    features: int = 0
    others: Mapping[str, Builder] = field(default_factory=dict)

    @classmethod
    def digits(cls, train: int, test: int, side: int = 28, seed: int = 0, standardised: bool = True) -> Data:
        """Real digits that an installed package ships: so many for training and for testing.

        The seed decides which of them are taken for training. Pixels are standardised, or 0 to 1.
        """
        # as builders of before there were a seed and a choice of pixels
        pixels = {} if standardised else {"standardised": False}
        own = {**({"seed": seed} if seed else {}), **pixels}
        return cls(
            Builder(DIGITS, {"split": "train", "count": train, "size": side, **own}),
            Builder(DIGITS, {"split": "test", "count": test, "size": side, **pixels}),
            examples=train,
            channels=1,
            side=side,
        )

    @classmethod
    def table(cls, builder: Callable[..., Any], features: int, examples: int = 0, **kwargs: Any) -> Data:
        """A regression whose builder takes ``split``, such as `landscape.reference.data.diabetes`.

        Args:
            builder: The builder.
            features: Numbers of an example.
            examples: Number of training examples, where a measure asks for it.
            **kwargs: Arguments of the builder beside ``split``; with ``root`` it is read from a folder.
        """
        train, test = (Builder(address(builder), {"split": s, **kwargs}) for s in ("train", "test"))
        return cls(train, test, examples=examples, channels=0, side=0, features=features)

    @classmethod
    def cifar(cls, classes: int) -> Data:
        """CIFAR-10 or CIFAR-100 in a folder of the user's, ``data`` unless another is named, see `at`."""
        name = f"landscape.reference.data:cifar{classes}"
        return cls(
            Builder(name, {"root": "data", "split": "train"}),
            Builder(name, {"root": "data", "split": "test"}),
            examples=CIFAR_EXAMPLES,
            channels=3,
            side=32,
        )

    @classmethod
    def natural(cls, train: int, test: int) -> Data:
        """So many images of CIFAR-10 in a folder of the user's, see `reference.data.natural_images`."""
        return cls(
            Builder(NATURAL, {"root": "data", "split": "train", "count": train}),
            Builder(NATURAL, {"root": "data", "split": "test", "count": test}),
            examples=train,
            channels=3,
            side=32,
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an example."""
        return (self.features,) if self.features else (self.channels, self.side, self.side)

    @property
    def in_folder(self) -> bool:
        """Whether they are read from a folder of the user's."""
        return "root" in self.train.kwargs

    @property
    def about(self) -> str:
        """What a reader of every verdict and picture must know of the images; nothing of most."""
        if not self.in_folder or not Path(str(self.train.kwargs["root"]), "cifar10_train.npz").is_file():
            return ""
        return "The images are JPEG files, whose finest frequencies and colours are coarse."

    def at(self, root: Path) -> Data:
        """The same, read from this folder, if they are read from one."""
        if not self.in_folder:
            return self
        return replace(self, train=_with(self.train, root=str(root)), test=_with(self.test, root=str(root)))

    def part(self, seed: int) -> Data:
        """The same, but another random choice of the training examples; the same held-out ones."""
        # zero stands for none, as builders of before there were parts
        return replace(self, train=_with(self.train, seed=seed)) if seed else self

    def subset(self, count: int) -> Data:
        """So many of the training examples alone; all of the held-out ones."""
        return replace(self, train=_with(self.train, count=count), examples=count)

    def beside(self, name: str, builder: Callable[..., Any], **kwargs: Any) -> Data:
        """The same, with other examples that measures and averages find by a name.

        Args:
            name: The name.
            builder: Their builder.
            **kwargs: Its arguments.
        """
        return replace(self, others={**self.others, name: Builder(address(builder), kwargs)})

    def validated(self, count: int) -> Data:
        """The same images, with ``validation``: so many others of the training part, to fit on."""
        others = _with(self.train, count=count, skip=self.examples)
        return replace(self, others={**self.others, "validation": others})

    def with_gratings(self, frequency: float, amplitude: float, share: float) -> Data:
        """The same images, those for training with gratings that tell their classes; held-out ones without.

        Beside them ``grating``, the held-out images with the gratings of their classes, and ``wrong``, with
        those of others. See `landscape.reference.data.grating_digits` and ``grating_images``.

        Args:
            frequency: Cycles per pixel.
            amplitude: In units of the range of pixels.
            share: Of the images for training whose grating is that of their class.

        Raises:
            InputError: If they are neither `digits` nor `natural`.
        """
        grated = GRATED.get(self.train.reference)
        if grated is None:
            raise InputError(
                f"gratings are for Data.digits and Data.natural, not for data of '{self.train.reference}'."
            )
        given = {"frequency": frequency, "amplitude": amplitude}
        train = Builder(address(grated), {**self.train.kwargs, **given, "share": share})
        held_out = {**self.test.kwargs, **given}
        data = replace(self, train=train).beside("grating", grated, **held_out)
        return data.beside("wrong", grated, **held_out, grating="other")

    def noisy(self, share: float) -> Data:
        """A share of the labels of the training examples made random; none of the held-out ones."""
        return replace(self, train=_with(self.train, label_noise=share)) if share else self

    def builder(self, name: str) -> Builder:
        """The builder of ``train``, ``test``, ``mixup`` (blends of training examples, see `mixup`) or others.

        Raises:
            InputError: If it is none of these.
        """
        if name in self.others:
            return self.others[name]
        if name == "mixup":
            facts = {"reference": self.train.reference, "kwargs": dict(self.train.kwargs)}
            return Builder(address(mixup), facts)
        if name not in ("train", "test"):
            known = ", ".join(f"'{one}'" for one in ("train", "test", "mixup", *self.others))
            raise InputError(f"a study has the data {known}, not '{name}'.")
        return self.train if name == "train" else self.test


def _with(builder: Builder, **kwargs: Any) -> Builder:
    return replace(builder, kwargs={**builder.kwargs, **kwargs})


def load(data: Builder) -> Any:
    """The examples of a builder."""
    return imports.call(data.reference, data.kwargs, "data builder")


def mixup(reference: str, kwargs: Mapping[str, Any], alpha: float = 16.0, seed: int = 0) -> Any:
    """Data builder: inputs λx + (1−λ)x′ of random pairs of examples, λ ~ Beta(alpha, alpha).

    Labels are those of x; similarity of outputs does not look at them.

    Args:
        reference: Builder of the examples.
        kwargs: Its arguments.
        alpha: Both parameters of the Beta distribution.
        seed: Seed of the pairs and of λ.

    Reference:
        Zhang et al. (2018), mixup: Beyond empirical risk minimization, equation 1.
    """
    x, y = load(Builder(reference, kwargs))
    rng = np.random.default_rng(seed)
    share = torch.from_numpy(rng.beta(alpha, alpha, len(x))).to(x.dtype).view(-1, *[1] * (x.ndim - 1))
    return share * x + (1 - share) * x[torch.from_numpy(rng.permutation(len(x)))], y


def rotated(
    reference: str,
    kwargs: Mapping[str, Any],
    degrees: Sequence[float],
    mean: float = 0.1307,
    std: float = 0.3081,
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Images turned by several angles, each to a random side, with their labels, by name.

    Args:
        reference: Builder of standardised images and labels.
        kwargs: Its arguments.
        degrees: The angles; 0 for the images as they are.
        mean: What pixels were standardised by.
        std: Likewise.
    """
    x, y = load(Builder(reference, kwargs))
    pixels, made = x * std + mean, {}
    for angle in degrees:
        turned = corrupt_by("rotation", float(angle))(pixels, 0) if angle else pixels
        made[f"{angle:g}°"] = (turned - mean) / std, y
    return made
