"""Modules that can be called: `landscape.plot`, `landscape.report` and `landscape.analyses`.

Each is both a package and the name of the function users call. Python sets ``landscape.plot`` to the
module as soon as anything imports from it, so the module itself answers the call.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _CallableModule(ModuleType):
    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return self.__dict__["__call__"](*args, **keywords)


def make_callable(name: str) -> None:
    """Let the module ``name`` be called; its ``__call__`` function answers."""
    sys.modules[name].__class__ = _CallableModule
