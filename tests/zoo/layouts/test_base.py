"""A layout of one's own."""

from __future__ import annotations

from landscape.zoo.layouts import LAYOUTS, Found, Layout, scan_directory
from landscape.zoo.spec import Model


def test_another_layout_takes_its_files_first(directory):
    """Oracle: a layout made up here that claims the files of one folder."""

    def trial(scan):
        mine = [f for f in scan.files if f.parent.name == "resnet"]
        found = Found(models=[Model("trial", mine[0])])
        found.skip(scan, mine[1], "older")
        return found

    spec = scan_directory(directory, layouts=[Layout("trials", trial), *LAYOUTS])
    assert [(m.name, m.layout) for m in spec.models[:2]] == [("trial", "trials"), ("first", "plain")]
    assert [s.reason for s in spec.skipped if s.path == "resnet/net-s1.pth"] == ["older"]
    assert len(spec.models) == 5
