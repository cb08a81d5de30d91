"""Adapters: low-rank matrices on the weights of a builder."""

from __future__ import annotations

import json
import textwrap

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from landscape.errors import CheckpointError
from landscape.store import read_contents
from landscape.zoo import Zoo, scan
from landscape.zoo.fitting.adapters import put_on
from landscape.zoo.reading.parts import Adapter

BASE = "base_model.model."


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.words, self.conv = nn.Embedding(7, 4), nn.Conv2d(2, 3, 3)
        self.inner, self.head = nn.Linear(4, 5), nn.Linear(5, 2)


def pair(name, a, b, kind=""):
    ends = ("lora_embedding_A", "lora_embedding_B") if kind else ("lora_A.weight", "lora_B.weight")
    return {f"{BASE}{name}.{ends[0]}": a, f"{BASE}{name}.{ends[1]}": b}


def test_products_are_those_of_the_paper():
    """Oracle: what a layer and the adapter's own two layers give, W₀ x + (α/r) B A x (LoRA, eq. 3)."""
    torch.manual_seed(1)
    model, before = Net(), Net()
    state = pair("inner", torch.randn(2, 4), torch.randn(5, 2))
    state |= pair("conv", torch.randn(2, 2, 3, 3), torch.randn(3, 2, 1, 1))
    state |= pair("words", torch.randn(2, 7), torch.randn(4, 2), "embedding")
    state |= {f"{BASE}head.weight": torch.ones(2, 5)}
    loaded = put_on(model, state, Adapter("LORA", 2, 6.0, alphas=(("conv", 4.0),)), "x")
    x, image, ids = torch.randn(3, 4), torch.randn(1, 2, 6, 6), torch.arange(7)
    a, b = (state[f"{BASE}inner.lora_{n}.weight"] for n in "AB")
    torch.testing.assert_close(model.inner(x), before.inner(x) + 3.0 * (x @ a.T) @ b.T)
    a, b = (state[f"{BASE}conv.lora_{n}.weight"] for n in "AB")
    inner = nn.functional.conv2d(nn.functional.conv2d(image, a), b)
    torch.testing.assert_close(model.conv(image), before.conv(image) + 2.0 * inner, atol=1e-4, rtol=1e-4)
    a, b = (state[f"{BASE}words.lora_embedding_{n}"] for n in "AB")
    torch.testing.assert_close(model.words(ids), before.words(ids) + 3.0 * a.T @ b.T)
    assert bool((model.head.weight == 1).all())
    assert "adapter of 4 tensors" in loaded.note


@pytest.mark.parametrize(
    ("kind", "state", "says"),
    [
        (
            "IA3",
            {f"{BASE}inner.ia3_l": torch.ones(5)},
            "of a kind that landscape does not put on itself .IA3",
        ),
        ("LORA", pair("outer", torch.ones(2, 4), torch.ones(5, 2)), "does not fit Net: it has no outer"),
        (
            "LORA",
            pair("inner", torch.ones(2, 3), torch.ones(5, 2)),
            r"inner is \(5, 4\), and its change \(5, 3\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(kind, state, says):
    with pytest.raises(CheckpointError, match=says):
        put_on(Net(), state, Adapter(kind, 2, 2.0), "x")


def test_from_scan_to_result(folder):
    """Oracle: the losses of the base and of the weights by hand; a random base is refused."""
    (folder.root / "nets.py").write_text(
        textwrap.dedent(
            """
            import torch
            from toy_models import mlp
            def base():
                net = mlp()
                with torch.no_grad():
                    for p in net.parameters():
                        p.fill_(0.5)
                return net
            """
        )
    )
    there = folder.root / "adapter"
    there.mkdir()
    save_file(pair("0", torch.ones(1, 2), torch.ones(3, 1)), there / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 1, "lora_alpha": 2, "base_model_name_or_path": "some/base"}
    (there / "adapter_config.json").write_text(json.dumps(config))
    (found,) = scan(folder.root).spec.models
    assert (found.name, found.tags) == ("adapter", {"adapter": "LORA", "rank": 1})
    folder.entries = ['[[checkpoints]]\npath = "adapter/adapter_model.safetensors"']
    path = folder.write("[analyses.line]\nsteps = 3")
    refused = Zoo.from_manifest(path).run().failed
    assert "makes other base weights each time" in refused[0].error
    assert "some/base" in refused[0].error
    path.write_text(path.read_text().replace("toy_models:mlp", "nets:base"))
    assert Zoo.from_manifest(path).run().failed == ()
    ((_, ds),) = read_contents(folder.root / "results").sections[0].results.items()
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
    with torch.no_grad():
        for p in net.parameters():
            p.fill_(0.5)
        net[0].weight.add_(2.0)
    x = torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
    loss = nn.functional.cross_entropy(net(x), (x.sum(1) > 0).long())
    assert float(ds["center_loss"]) == pytest.approx(loss.item(), rel=1e-5)
    assert "some/base" in ds.attrs["load_notes"]
    config["lora_alpha"] = 4  # another adapter: its result is not the former one's
    (there / "adapter_config.json").write_text(json.dumps(config))
    assert Zoo.from_manifest(path).run().done == 1
