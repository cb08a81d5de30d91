"""All analyses, one module or package each, in families; `landscape.base.registry` finds them.

``landscape.analyses()`` lists them by name, so this package can be called as well.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

from landscape._moved import old_names

if TYPE_CHECKING:
    from landscape.base.analysis import Analysis


class _Analyses(ModuleType):
    """This package, which can be called."""

    def __call__(self) -> dict[str, Analysis]:
        """All analyses by name."""
        from landscape.base.registry import discover

        return dict(discover())


__getattr__ = old_names(__name__)

# After it imports a submodule, Python sets its name in the parent to what stands in `sys.modules`: so whoever
# imports from here first, `landscape.analyses` is this object. A function of that name in `landscape` would
# give way to the package.
sys.modules[__name__] = _Analyses(__name__, __doc__)
sys.modules[__name__].__dict__.update(globals())
