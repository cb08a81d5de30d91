"""Blocks of convolutional networks, and the heads that read their last feature map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor, nn

from landscape.errors import InputError, suggest
from landscape.reference.layers.lowpass import LowPass2d
from landscape.reference.layers.quantile import FilteredReLU, QuantileReLU
from landscape.reference.layers.spatial_smoothing import Smooth

__all__ = [
    "ActName",
    "DownName",
    "HeadName",
    "PreActBlock",
    "ResidualBlock",
    "SmoothName",
    "Style",
    "check_positive",
    "head",
    "stem",
]

ActName = Literal["relu", "relu6", "gelu", "quantile_relu", "filtered_relu"]
DownName = Literal["stride", "max", "blur", "flc", "asap", "kaiser"]
HeadName = Literal["gap", "mlp"]
SmoothName = Literal["same", "grow"]

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "relu6": nn.ReLU6, "gelu": nn.GELU}
_ACTIVATIONS |= {"quantile_relu": QuantileReLU, "filtered_relu": FilteredReLU}
MLP_WIDTH = 4  # of the hidden layers of an MLP head, in channels of the last feature map


@dataclass(frozen=True)
class Style:
    """Choices that all blocks of a convolutional network share.

    Attributes:
        activation: ``relu``, ``relu6``, ``gelu``, ``quantile_relu`` or ``filtered_relu``.
        dropout: Probability of dropping an activation between the convolutions of a block; 0 for none.
        smooth: Spatial smoothing at the end of every stage: ``"same"`` keeps the size of the map,
            ``"grow"`` pads with zeros as published; None for none.
        down: How maps are halved: ``"stride"``, by convolutions with stride 2; or before convolutions with
            stride 1, by 2 × 2 maxima, ``"max"``, or by a `LowPass2d` of that kind.
    """

    activation: ActName = "relu"
    dropout: float = 0.0
    smooth: SmoothName | None = None
    down: DownName = "stride"

    def __post_init__(self) -> None:
        if self.activation not in _ACTIVATIONS:
            raise InputError(
                f"there is no activation '{self.activation}'; {suggest(self.activation, _ACTIVATIONS)}"
            )
        if not 0 <= self.dropout < 1:
            raise InputError(f"dropout must be at least 0 and below 1, not {self.dropout}.")
        if self.smooth not in (None, *get_args(SmoothName)):
            raise InputError(
                f"there is no smoothing '{self.smooth}'; {suggest(str(self.smooth), get_args(SmoothName))}"
            )

        if self.down not in get_args(DownName):
            raise InputError(
                f"there is no downsampling '{self.down}'; {suggest(str(self.down), get_args(DownName))}"
            )

    def act(self) -> nn.Module:
        """A new activation."""
        return _ACTIVATIONS[self.activation]()

    def halve(self) -> nn.Module:
        """What halves a map: every second row and column, maxima, or a low-pass filter."""
        if self.down == "stride":
            return nn.MaxPool2d(1, stride=2)
        if self.down == "max":
            return nn.MaxPool2d(2, ceil_mode=True)
        return LowPass2d(self.down)

    def add_down(self, block: nn.Module, stride: int) -> int:
        """Add to a block as ``down`` what comes before its convolutions; returns the stride they have."""
        before = stride != 1 and self.down != "stride"
        block.add_module("down", self.halve() if before else None)
        return 1 if before else stride

    def add_drop(self, module: nn.Module, name: str = "drop") -> None:
        """Add dropout to a module under a name, if there is to be any."""
        module.add_module(name, nn.Dropout(self.dropout) if self.dropout else None)

    def add_smooth(self, stage: nn.Sequential) -> None:
        """Add smoothing to the end of a stage, if there is to be any."""
        if self.smooth is not None:
            stage.add_module("smooth", Smooth(grow=self.smooth == "grow"))


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions with BatchNorm, added to their input."""

    drop: nn.Module | None
    down: nn.Module | None

    def __init__(self, inputs: int, outputs: int, stride: int, style: Style) -> None:
        super().__init__()
        stride = style.add_down(self, stride)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.act1 = style.act()
        style.add_drop(self)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.act2 = style.act()
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut.add_module("conv", nn.Conv2d(inputs, outputs, 1, stride, bias=False))
            self.shortcut.add_module("norm", nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H/stride, W/stride)."""
        x = x if self.down is None else self.down(x)
        branch = self.act1(self.norm1(self.conv1(x)))
        branch = branch if self.drop is None else self.drop(branch)
        branch = self.norm2(self.conv2(branch))
        out: Tensor = self.act2(branch + self.shortcut(x))
        return out


class PreActBlock(nn.Module):
    """BatchNorm and activation before each of two 3×3 convolutions, added to the input.

    Where the shape changes, the shortcut starts from the normalised input, as in He et al. (2016b).
    """

    drop: nn.Module | None
    down: nn.Module | None
    shortcut: nn.Module | None

    def __init__(self, inputs: int, outputs: int, stride: int, style: Style) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.act1 = style.act()
        changes = stride != 1 or inputs != outputs
        stride = style.add_down(self, stride)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.act2 = style.act()
        style.add_drop(self)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.add_module("shortcut", nn.Conv2d(inputs, outputs, 1, stride, bias=False) if changes else None)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H/stride, W/stride)."""
        ready = self.act1(self.norm1(x))
        ready = ready if self.down is None else self.down(ready)
        branch = self.act2(self.norm2(self.conv1(ready)))
        branch = branch if self.drop is None else self.drop(branch)
        branch = self.conv2(branch)
        out: Tensor = branch + (x if self.shortcut is None else self.shortcut(ready))
        return out


def stem(in_channels: int, width: int, style: Style, bare: bool = False) -> nn.Sequential:
    """A 3×3 convolution, followed by BatchNorm and activation unless it is to be bare."""
    layers = nn.Sequential()
    layers.add_module("conv", nn.Conv2d(in_channels, width, 3, padding=1, bias=False))
    if not bare:
        layers.add_module("norm", nn.BatchNorm2d(width))
        layers.add_module("act", style.act())
    return layers


def head(name: HeadName, channels: int, side: int, classes: int, style: Style) -> tuple[nn.Module, nn.Module]:
    """Pooling, and the layers that read it.

    Args:
        name: ``gap``: mean over space and a linear layer. ``mlp``: the whole map through two hidden layers
            of ``MLP_WIDTH`` times its channels, with dropout before each further layer.
        channels: Channels of the last feature map.
        side: Its height and width, for ``mlp``.
        classes: Number of outputs.
        style: Activation and dropout.

    Returns:
        The two modules, to be named ``pool`` and ``head``.
    """
    if name not in get_args(HeadName):
        raise InputError(f"there is no head '{name}'; {suggest(str(name), get_args(HeadName))}")
    if name == "gap":
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), nn.Linear(channels, classes)
    hidden = MLP_WIDTH * channels
    layers = nn.Sequential()
    layers.add_module("fc1", nn.Linear(channels * side * side, hidden))
    layers.add_module("act1", style.act())
    if style.dropout:
        style.add_drop(layers, "drop1")
    layers.add_module("fc2", nn.Linear(hidden, hidden))
    layers.add_module("act2", style.act())
    if style.dropout:
        style.add_drop(layers, "drop2")
    layers.add_module("fc3", nn.Linear(hidden, classes))
    return nn.Flatten(), layers


def check_positive(builder: str, **sizes: int) -> None:
    """Raise `InputError` unless all sizes are at least 1."""
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"{builder}: {name} must be at least 1, not {size}.")
