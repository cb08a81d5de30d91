"""A report that grows: written when there is something new, and not otherwise."""

from __future__ import annotations

import contextlib

from landscape.cli.watch import watched
from landscape.errors import StoreError


def test_it_is_written_when_there_is_something_new(tmp_path):
    """Oracle: a store that is filled by hand between two looks."""
    store, looks, written = tmp_path / "store", [], []

    def result(name):
        (store / "line").mkdir(parents=True, exist_ok=True)
        (store / "line" / name).write_text("")

    events = [lambda: result("a.h5"), lambda: None, lambda: result("b.h5"), lambda: None]

    def sleep(seconds):
        looks.append(seconds)
        if not events:
            raise KeyboardInterrupt
        events.pop(0)()

    def write():
        written.append(len(list(store.glob("*/*.h5"))))
        if len(written) == 1:
            raise StoreError("half written.")
        return store / "report.html"

    said = []
    with contextlib.suppress(KeyboardInterrupt):
        said.extend(watched(store, write, every_s=1.0, sleep=sleep))
    assert written == [1, 1, 2]
    assert said[0].startswith("waiting for results")
    assert [line.split(" (")[1] for line in said[1:]] == [
        "1 results; reload the page)",
        "2 results; reload the page)",
    ]
    assert min(looks) >= 1.0
