"""Files beside checkpoints that are no such files, and what a scan makes of whatever lies in a folder."""

from __future__ import annotations

import io
import json
import os
import tomllib

import pytest
import torch

from landscape.errors import LandscapeError
from landscape.zoo.layouts.scan import scan_directory
from landscape.zoo.layouts.side_files import json_of, text_of
from landscape.zoo.layouts.template import manifest_template
from landscape.zoo.manifest import read_manifest

STATE = {"w": torch.zeros(2)}


def good(folder, name="good.pt"):
    torch.save(STATE, folder / name)
    return folder


@pytest.mark.parametrize("text", [b"", b"[" * 100_000, b"[1]", b"\xff", b'{"a": NaN'])
def test_what_holds_no_table(text, tmp_path):
    """Oracle: each is none."""
    (tmp_path / "x.json").write_bytes(text)
    assert json_of(tmp_path / "x.json") is None


def test_pipes_folders_and_large_files(tmp_path):
    """Oracle: a pipe that nobody writes to would be waited for without end."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "text").write_text("a" * 100)
    for name in ("pipe", ".", "none"):
        assert text_of(tmp_path / name) is None
    assert text_of(tmp_path / "text", 99) is None
    assert text_of(tmp_path / "text") == "a" * 100
    assert text_of(None) is None


BESIDE = [
    {"epoch": float("nan")},
    {"epoch": float("inf"), "loss": float("nan")},
    {"epoch": torch.zeros((), device="meta")},
    {"epoch": 1 << 100_000},
    {"config": {"lr": 1 << 70, "x": torch.zeros(3)}},
    {"metrics": [1], "args": 3, "hparams": None},
]


@pytest.mark.parametrize("beside", BESIDE, ids=range(len(BESIDE)))
def test_what_stands_beside_the_weights_ends_no_scan(beside, tmp_path):
    """Oracle: both checkpoints are whole."""
    torch.save({"state_dict": STATE} | beside, good(tmp_path) / "odd.pt")
    assert len(scan_directory(tmp_path).models) == 2


LOGS = {
    "result.json": ['{"a": NaN, "b": Infinity}\n', "[" * 100_000, "3"],
    "config.json": ["[" * 100_000, '{"architectures": 3}', "null"],
    "trainer_state.json": ['{"log_history": 3}', '{"log_history": [1, {"loss": NaN}], "epoch": NaN}'],
    "progress.csv": ["a,b\n" + "x" * 200_000 + ",1\n", "\x00"],
    "args.yaml": ["a: " + "[" * 5000, "a: &x [*x]", "!!python/object/apply:os.system [ls]"],
    "summary.csv": ["epoch,loss\nnan,nan\ninf,1\n"],
}


@pytest.mark.parametrize(
    ("name", "text"), [(n, t) for n, texts in LOGS.items() for t in texts], ids=range(14)
)
def test_logs_of_any_form_end_no_scan(name, text, tmp_path):
    """Oracle: the checkpoints beside them are whole, in every layout that reads such a file."""
    trial = tmp_path / "trial"
    (trial / "checkpoint_1").mkdir(parents=True)
    good(trial / "checkpoint_1", "model.pt")
    for other in ("result.json", "progress.csv", name):
        (trial / other).write_text(text if other == name else "")
    good(trial, "last.pth.tar")
    good(trial, "pytorch_model.bin")
    for beside in ("config.json", "args.yaml"):
        if beside != name:
            (trial / beside).write_text("{}")
    assert len(scan_directory(tmp_path).models) == 3


def test_names_of_any_form_give_a_manifest_that_reads(tmp_path):
    """Oracle: the files themselves, found again by the manifest; what is no text is left out."""
    names = [
        "a\x1b[2J.pt",
        "b\nfake line.pt",
        "c [red]x.pt",
        "d\u202egnp.pt",
        'e"\\.pt',
        "~.pt",
        "f\x7f.pt",
        "=1.pt",
    ]
    (tmp_path / "~").mkdir()
    buffer = io.BytesIO()
    torch.save(STATE, buffer)
    for name in [*names, "~/home.pt", os.fsdecode(b"\xff.pt")]:
        (tmp_path / name).write_bytes(buffer.getvalue())
    os.mkfifo(tmp_path / "pipe.pt")
    (tmp_path / "endless.pt").symlink_to("/dev/zero")
    zoo = scan_directory(tmp_path)
    assert {s.path: s.reason for s in zoo.skipped}.keys() == {"\\xff.pt", "pipe.pt", "endless.pt"}
    text = manifest_template(zoo)
    assert all(m.name.isprintable() for m in zoo.models)
    entries = tomllib.loads(text)["checkpoints"]
    assert sorted(e["path"] for e in entries) == sorted([*names[:5], "./~.pt", *names[6:], "./~/home.pt"])
    (tmp_path / "zoo.toml").write_text(text)
    try:
        read = read_manifest(tmp_path / "zoo.toml")
    except LandscapeError as error:
        pytest.fail(str(error))
    assert sorted(m.path.resolve() for m in read.models) == sorted(m.path.resolve() for m in zoo.models)


def test_links_in_a_circle(tmp_path):
    """Oracle: the one file that is there."""
    (tmp_path / "loop.pt").symlink_to(tmp_path / "loop.pt")
    (tmp_path / "around").symlink_to(tmp_path)
    good(tmp_path)
    zoo = scan_directory(tmp_path)
    assert [m.shown for m in zoo.models] == ["good.pt"]
    assert json.dumps([s.reason for s in zoo.skipped])
