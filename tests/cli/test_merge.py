"""``landscape merge``: the file that it writes, read by torch alone, and what it refuses."""

from __future__ import annotations

import json

import pytest
import torch
from cases import vectors
from torch import nn
from typer.testing import CliRunner

from landscape.cli.app import app


@pytest.fixture
def files(tmp_path):
    """Two checkpoints and their states."""
    states = []
    for seed in range(2):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            states.append({"w": torch.randn(3, 2), "steps": torch.tensor(seed)})
        torch.save(states[-1], tmp_path / f"m{seed}.pt")
    return [tmp_path / "m0.pt", tmp_path / "m1.pt"], states


def call(*words):
    return CliRunner().invoke(app, ["merge", *map(str, words)], env={"COLUMNS": "200"})


def test_a_mean_is_a_plain_checkpoint_with_a_record(files, tmp_path):
    """Oracle: torch reads the file by itself; the mean by hand; hashes by hashlib."""
    import hashlib

    paths, states = files
    said = call(*paths, "-o", tmp_path / "m.pt")
    assert said.exit_code == 0, said.output
    made = torch.load(tmp_path / "m.pt", weights_only=True)
    torch.testing.assert_close(made["w"], (states[0]["w"] + states[1]["w"]) / 2)
    assert made["steps"] == 0
    record = json.loads((tmp_path / "m.pt.merge.json").read_text("utf-8"))
    assert record["method"] == "mean"
    assert record["sources"][1]["sha256"] == hashlib.sha256(paths[1].read_bytes()).hexdigest()
    # and it can be merged again, from safetensors as well
    assert call(*paths, "-o", tmp_path / "s.safetensors").exit_code == 0
    assert call(tmp_path / "m.pt", tmp_path / "s.safetensors", "-o", tmp_path / "again.pt").exit_code == 0
    again = torch.load(tmp_path / "again.pt", weights_only=True)
    torch.testing.assert_close(again["w"], made["w"])


def test_a_base_and_settings(files, tmp_path):
    """Oracle: by hand: λ = 1 adds all that was learnt since the base."""
    paths, states = files
    torch.save({"w": torch.ones(3, 2), "steps": torch.tensor(0)}, tmp_path / "base.pt")
    out = tmp_path / "m.pt"
    said = call(
        *paths, "-o", out, "--method", "task_arithmetic", "--base", tmp_path / "base.pt", "--scale", 1
    )
    assert said.exit_code == 0, said.output
    made = torch.load(out, weights_only=True)
    torch.testing.assert_close(made["w"], states[0]["w"] + states[1]["w"] - 1.0)


def test_with_model_and_data(tmp_path):
    """Oracle: the library's merge of the same two models; alignment needs model and data."""
    import landscape

    x, y = vectors(30)
    x = x.float()
    torch.save((x, y), tmp_path / "data.pt")
    (tmp_path / "merge_parts.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def model(): return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))\n"
        f"def data(): return torch.load({str(tmp_path / 'data.pt')!r})\n"
    )
    paths, problems = [], {}
    for seed in range(2):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).eval()
        paths.append(tmp_path / f"m{seed}.pt")
        torch.save(model.state_dict(), paths[-1])
        problems[f"m{seed}"] = landscape.Problem(model, "cross_entropy", (x, y))
    out = tmp_path / "m.pt"
    words = ["--model", "merge_parts:model", "--data", "merge_parts:data"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        said = call(*paths, "-o", out, "--method", "fisher", "--align", "weights", *words)
    assert said.exit_code == 0, said.output
    made, expected = torch.load(out, weights_only=True), landscape.merge(problems, "fisher", align="weights")
    for name, tensor in expected.state.items():
        torch.testing.assert_close(made[name], tensor)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--method", "fisher"], "--method fisher looks at the models on data; give --model and --data"),
        (["--align", "weights"], "--align looks at the models on data"),
        (["--method", "ties"], "give base"),
        (["--model", "a:b"], "--model and --data go together"),
    ],
)
def test_what_is_missing_is_said(files, tmp_path, words, answer):
    """Oracle: by hand; nothing is written."""
    said = call(*files[0], "-o", tmp_path / "m.pt", *words)
    assert said.exit_code == 2
    assert answer in said.output
    assert not (tmp_path / "m.pt").exists()


def test_other_endings_are_refused(files, tmp_path):
    """Oracle: by hand."""
    assert "must end in .pt or .safetensors" in call(*files[0], "-o", tmp_path / "m.bin").output
