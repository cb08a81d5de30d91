"""Facts in what tools write beside weights: single values, and never a program."""

from __future__ import annotations

import argparse

import pytest
import torch
import yaml

from landscape.zoo.layouts.run_metadata import facts_in_config, facts_in_content, read_flat_yaml


def test_facts_are_single_values():
    config = {"a": [1], "b": None, "c": "x" * 100, "d": "/tmp/x", "e": torch.tensor(2), "seed": True}
    assert facts_in_config(config).tags == {"e": 2}
    assert facts_in_config(config).seed is None
    assert facts_in_content(
        {"epoch": 2, "best_acc1": torch.tensor(0.5), "metrics": {"val/loss": 1}}
    ).metrics == {
        "best_acc1": 0.5,
        "val/loss": 1.0,
    }


def test_yaml_that_is_not_there(tmp_path):
    assert read_flat_yaml(tmp_path / "none.yaml") == {}


def test_yaml_as_tools_write_it(tmp_path):
    """Oracle: what the file was made from; only single values of the top level count."""
    content = {
        "lr": 1e-3,
        "wd": 1e-5,
        "amp": True,
        "opt": "no",
        "none": None,
        "layers": [3, 4],
        "quoted": "it's: so",
    }
    path = tmp_path / "hparams.yaml"
    path.write_text(
        yaml.dump(content | {"inner": {"lr": 5}, "space": argparse.Namespace(a=1), "pair": (1, 2)})
    )
    assert "!!python/object:argparse.Namespace" in path.read_text()
    single = {"lr": 1e-3, "wd": 1e-5, "amp": True, "opt": "no", "quoted": "it's: so"}
    assert read_flat_yaml(path) == single


def test_a_program_in_yaml_is_not_run(tmp_path):
    """Oracle: the folder that it would make."""
    path = tmp_path / "hparams.yaml"
    path.write_text(f"lr: 0.1\nevil: !!python/object/apply:os.mkdir ['{tmp_path / 'mark'}']\n")
    assert read_flat_yaml(path) == {"lr": 0.1}
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("text", [b"a: [", b"- 1\n- 2", b"", b"\xff\xfe\x00", b"a: " + b"[" * 5000, b"word"])
def test_what_is_no_table_of_yaml_says_nothing(text, tmp_path):
    """Oracle: nothing can be known of it."""
    (tmp_path / "x.yaml").write_bytes(text)
    assert read_flat_yaml(tmp_path / "x.yaml") == {}


def test_lists_and_tables_of_yaml(tmp_path):
    """Oracle: by hand. References to references are passed over: nine of them would be a billion values."""
    from landscape.zoo.layouts.run_metadata import read_flat_yaml, read_yaml

    file = tmp_path / "args.yaml"
    laughs = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 10))
    file.write_text(f"a: 1e-3\nb: [3, 64, 64]\nc: {{d: x, e: null, f: [1]}}\ng: ~\nl0: &l0 [lol]\n{laughs}\n")
    found = read_yaml(file)
    assert found == {"a": 1e-3, "b": [3, 64, 64], "c": {"d": "x", "e": None}, "l0": ["lol"]}
    assert read_flat_yaml(file) == {"a": 1e-3}
