"""Units: the modules of a network by kind, whatever library they come from."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd, _AvgPoolNd, _MaxPoolNd

from landscape.core.features.unit_kinds import UnitKind
from landscape.errors import InputError, suggest

__all__ = ["Selection", "Unit", "find_units", "inside_attention"]

_NORM = re.compile(r"(batch|layer|group|instance|rms|frozen)_?norm", re.IGNORECASE)
_ATTENTION = re.compile(r"att(ention|n)(\d?d|v\d)?$", re.IGNORECASE)
_MLP = re.compile(r"(mlp(block)?|feedforward|ffn)$", re.IGNORECASE)
_MLP_NAMES = {"mlp", "ffn", "feed_forward", "mlp_tokens", "mlp_channels"}
_BLOCK = re.compile(r"(block|bottleneck|(en|de)coderlayer)(v?\d+)?$", re.IGNORECASE)
_DOWN = re.compile(r"(downsampl|patchmerg|patchembed)", re.IGNORECASE)
_POOLS = (_AvgPoolNd, _MaxPoolNd, _AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd)


@dataclass(frozen=True)
class Unit:
    """A part of a network.

    Attributes:
        name: Its path; that of a residual sum ends in ``+``.
        kinds: What it is, the most telling kind first; empty for containers and the like.
        module_class: Class of the module.
    """

    name: str
    kinds: tuple[UnitKind, ...]
    module_class: str

    @property
    def kind(self) -> str:
        """The most telling kind, or ``other``."""
        return self.kinds[0] if self.kinds else "other"


@dataclass(frozen=True)
class Selection:
    """Which units are requested: those whose name fits a glob and, if kinds are given, one of the kinds.

    Residual sums are requested only if their kind is named.
    """

    patterns: tuple[str, ...] = ("*",)
    kinds: tuple[UnitKind, ...] = ()

    def check(self, units: Iterable[str], model: nn.Module) -> None:
        """Raise `InputError` if a glob fits no module."""
        names = list(units)
        for pattern in self.patterns:
            if not fnmatch.filter(names, pattern):
                hint = suggest(pattern, names)
                raise InputError(f"no layer of {type(model).__name__} matches '{pattern}'; {hint}")

    def takes(self, unit: Unit) -> bool:
        """Whether the unit is requested."""
        if not self.kinds and "residual_sum" in unit.kinds:
            return False
        if self.kinds and not set(self.kinds) & set(unit.kinds):
            return False
        return any(fnmatch.fnmatchcase(unit.name, p) for p in self.patterns)


def find_units(model: nn.Module) -> dict[str, Unit]:
    """Every module by name, with its kinds; a model without submodules is one unit called ``model``."""
    named: Mapping[str, nn.Module] = dict(model.named_modules())
    parts = {name: part for name, part in named.items() if name} or {"model": model}
    return {name: Unit(name, _kinds(name, part), type(part).__name__) for name, part in parts.items()}


def inside_attention(name: str, units: Mapping[str, Unit]) -> bool:
    """Whether a module lies within an attention unit."""
    parents = name.split(".")[:-1]
    return any(
        ".".join(parents[: i + 1]) in units and "attention" in units[".".join(parents[: i + 1])].kinds
        for i in range(len(parents))
    )


def _kinds(name: str, part: nn.Module) -> tuple[UnitKind, ...]:
    cls, last = type(part).__name__, name.rpartition(".")[2]
    has_children = next(part.children(), None) is not None
    if isinstance(part, _ConvNd):
        return ("downsampling", "convolution") if max(part.stride) > 1 else ("convolution",)
    # By class name, so that units of any library are recognised; the most telling kind first. A block named
    # after its norm is a block.
    if _NORM.search(cls) and not _BLOCK.search(cls):
        return ("norm",)
    if isinstance(part, nn.MultiheadAttention) or _ATTENTION.search(cls):
        return ("attention",)
    if (_MLP.search(cls) or last in _MLP_NAMES) and has_children:
        return ("mlp",)
    if _BLOCK.search(cls) and has_children:
        return ("block",)
    if isinstance(part, _POOLS) or _DOWN.search(cls) or (last == "downsample" and has_children):
        return ("downsampling",)
    if isinstance(part, nn.Linear):
        return ("linear",)
    if type(part).__module__ == "torch.nn.modules.activation":
        return ("activation",)
    return ()
