"""Data by name: folders of pictures, arrays, tables, data sets of libraries; no code of the user's."""

from __future__ import annotations
