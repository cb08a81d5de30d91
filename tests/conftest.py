"""Make `cases` importable from every test, whatever pytest's import mode and working directory."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_spec = importlib.util.spec_from_file_location("cases", Path(__file__).with_name("cases.py"))
assert _spec is not None
assert _spec.loader is not None
_cases = importlib.util.module_from_spec(_spec)
sys.modules["cases"] = _cases
_spec.loader.exec_module(_cases)
