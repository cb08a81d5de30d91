"""A store with results of many analyses."""

from __future__ import annotations

from pathlib import Path

import pytest

from landscape.store import Store
from landscape.store.contents import Contents
from landscape.store.records import SectionRecord, Snapshot


@pytest.fixture(scope="module")
def store(contents: Contents, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    made = Store(folder)
    records = []
    for number, section in enumerate(s for s in contents.sections if s.analysis != "not_there"):
        tasks = {}
        for k, (subject, ds) in enumerate(section.results.items()):
            tasks[subject] = f"{number:016d}{k:016d}"
            made.write(ds, tasks[subject])
        records.append(
            SectionRecord(section.label, section.analysis, section.analysis, section.parameters, tasks)
        )
    made.write_snapshot(Snapshot(contents.name, tuple(contents.models), tuple(records)))
    return folder
