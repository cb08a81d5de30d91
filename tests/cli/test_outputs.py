"""Outputs: where nothing can be written, that is said before the work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from landscape.cli.outputs import check_file, check_folder
from landscape.errors import InputError


def test_files(tmp_path):
    """Oracle: what a file system allows; nothing is made."""
    (tmp_path / "file").write_text("x")
    for path in (None, tmp_path / "new.h5", tmp_path / "a" / "b" / "new.h5", tmp_path / "file"):
        check_file("-o", path)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    for path, words in (
        (Path(), "must name a file, and '.' is a folder"),
        (tmp_path, "is a folder; give one such as"),
        (tmp_path / "file" / "new.h5", "is a file, not a folder"),
        (tmp_path / ("a" * 300), "no file can have such a name"),
        (tmp_path / "a\0b", "no file can have such a name"),
    ):
        with pytest.raises(InputError, match=words):
            check_file("-o", path)


def test_folders(tmp_path):
    """Oracle: as of files."""
    (tmp_path / "file").write_text("x")
    for path in (None, tmp_path, tmp_path / "a" / "b"):
        check_folder("--out", path)
    with pytest.raises(InputError, match=r"--out must name a folder, and '.*file' is a file"):
        check_folder("--out", tmp_path / "file")
    with pytest.raises(InputError, match=r"'.*file' is a file, not a folder"):
        check_folder("--out", tmp_path / "file" / "below")


@pytest.mark.skipif(os.name == "nt", reason="permissions of another kind")
def test_a_folder_that_cannot_be_written_to(tmp_path, monkeypatch):
    """Oracle: the system's own word, which the superuser would not get."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match="cannot be written to"):
        check_file("-o", tmp_path / "x.h5")
