"""Make the module of small models importable from the tests beside this file, whatever the import mode."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_PATH = Path(__file__).with_name("study_models.py")
_SPEC = importlib.util.spec_from_file_location(_PATH.stem, _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE = importlib.util.module_from_spec(_SPEC)
sys.modules[_PATH.stem] = _MODULE
_SPEC.loader.exec_module(_MODULE)
