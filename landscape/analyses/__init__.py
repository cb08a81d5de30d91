"""All analyses, one module or package each, in families; `landscape.base.registry` finds them.

``landscape.analyses()`` lists them by name, so this package can be called as well.
"""

from __future__ import annotations

from landscape._callable import make_callable
from landscape.base.analysis import Analysis


def __call__() -> dict[str, Analysis]:  # noqa: N807 - answers `landscape.analyses()`
    """All analyses by name."""
    from landscape.base.registry import discover

    return dict(discover())


make_callable(__name__)
