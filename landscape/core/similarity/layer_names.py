"""Names of layers as they are without the wrappers around a model."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["without_wrappers"]

_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""What DataParallel and its like, compiled modules and sharded ones put before the names of their parts."""


def without_wrappers(names: Sequence[str]) -> list[str]:
    """Layers of one model by the names that they have in the model itself.

    Names that would fall together stay as they are, all of them.

    Example:
        >>> without_wrappers(["module", "module.0", "module.body._orig_mod.conv"])
        ['module', '0', 'body.conv']
        >>> without_wrappers(["conv", "module.conv"])
        ['conv', 'module.conv']
    """
    plain = [".".join(p for p in name.split(".") if p not in _WRAPPERS) or name for name in names]
    return plain if len(set(plain)) == len(set(names)) else list(names)
