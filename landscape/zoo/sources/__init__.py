"""Data by name: folders of pictures, arrays, tables and data sets of libraries, without code of the user's."""

from __future__ import annotations
