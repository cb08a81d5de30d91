"""Scanning: every checkpoint is claimed by its layout and every other file accounted for; nothing is run."""

from __future__ import annotations

import os
import pickle

import pytest

import landscape
from landscape.zoo.layouts import LAYOUTS, scan_directory


def test_every_other_file_is_accounted_for(directory):
    skipped = landscape.scan(directory).skipped
    assert set(skipped) == {
        "optimizer.pt",
        "cut.pt",
        "empty.bin",
        "1 file with .txt",
        "2 files with .csv",
    }
    assert "keeps beside the weights" in skipped["optimizer.pt"]
    assert "truncated or damaged" in skipped["cut.pt"]
    assert "is empty" in skipped["empty.bin"]
    assert skipped["1 file with .txt"].startswith("not one of .pt, .pth, .pth.tar, .ckpt, .bin")


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    """Oracle: the folder that its code would make."""

    class Malicious:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "mark"),))

    (tmp_path / "evil.pt").write_bytes(pickle.dumps({"x": Malicious()}, protocol=2))
    zoo = landscape.scan(tmp_path)
    assert "mkdir" in zoo.skipped["evil.pt"]
    assert not (tmp_path / "mark").exists()


def test_every_layout_claims_its_own(spec, of_layout, layouts):
    counts = {layout: len(of_layout(layout)) for layout in layouts}
    assert counts == {
        "plain": 1,
        "lightning": 1,
        "ray tune": 2,
        "model zoo": 2,
        "hugging face": 2,
        "timm": 2,
        "trajectory": 3,
        "load-temperature": 4,
    }
    assert len({m.name for m in spec.models}) == len(spec.models) == 17


@pytest.mark.parametrize("layout", [layout.name for layout in LAYOUTS])
def test_each_alone_is_as_in_the_mixture(layout, of_layout, facts, layouts, tmp_path):
    """Oracle: the same layout in a directory of its own: tags, metrics and seeds are the same."""
    layouts[layout](tmp_path)
    alone = scan_directory(tmp_path, allow=["argparse.Namespace"])
    assert {m.layout for m in alone.models} == {layout}
    assert [facts(m)[1:] for m in alone.models] == [facts(m)[1:] for m in of_layout(layout)]


def test_what_is_skipped_and_why(spec):
    reasons = {s.path: s.reason for s in spec.skipped}
    cells = [f"different_knobs_subset_02/bs_{size}/normal/ResNet18_w8/net_exp_1" for size in (128, 16)]
    states = {f"{cell}{state}.pkl" for cell in cells for state in ("", "_best")}
    run = "output/20260101-resnet18"
    assert set(reasons) == states | {
        f"{run}/last.pth.tar",
        f"{run}/model_best.pth.tar",
        "hub/resnet18.mine/pytorch_model.bin",
        "hub/big/model-00001-of-00002.safetensors",
        "1 file with .json",  # beside the sharded model
        "1 file with .txt",
    }
    assert reasons[f"{run}/last.pth.tar"] == f"the same file as {run}/checkpoint-1.pth.tar."
    assert "net_exp_1_early_stopped_model.pkl is taken" in reasons[f"{cells[0]}.pkl"]


def test_no_name_needs_to_be_allowed(root, spec):
    """Oracle: the scan that allows the one class in these files."""
    assert scan_directory(root).models == spec.models
