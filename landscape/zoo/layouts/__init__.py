"""Layouts: what a directory of checkpoints holds, made out without running anything in it.

One module per layout; to add a layout, write its module and list it in `landscape.zoo.layouts.scan`.
"""

from __future__ import annotations

from landscape.zoo.layouts.base import Found, Layout, Scan
from landscape.zoo.layouts.scan import LAYOUTS, scan_directory
from landscape.zoo.layouts.template import manifest_template, write_manifest

__all__ = ["LAYOUTS", "Found", "Layout", "Scan", "manifest_template", "scan_directory", "write_manifest"]
