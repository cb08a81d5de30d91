"""Fit: the layouts that people save weights in are loaded, or refused with a cure that works."""

from __future__ import annotations

import argparse
import json
import pickle
import re

import pytest
import torch
from torch import nn

from landscape.errors import CheckpointError
from landscape.store import read_contents
from landscape.zoo import Zoo, scan
from landscape.zoo.fitting.fit import load_best
from landscape.zoo.reading.weights import read_whole


class Net(nn.Module):
    """A stem with BatchNorm and a head."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
        self.head = nn.Linear(2, 3)

    def forward(self, x):
        return self.head(self.stem(x).mean((2, 3)))


def made(seed=0):
    torch.manual_seed(seed)
    net = Net()
    for buffer in net.buffers():
        buffer += 1
    return net


def _wrapped(state, part, wrapper):
    return {k.replace(f"{part}.", f"{part}.{wrapper}.", 1): v for k, v in state.items()}


def _layouts():
    """Contents by name; each holds the weights of ``made()``, rounded in two of them."""
    net = made()
    sd = net.state_dict()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net(torch.ones(1, 1, 4, 4)).sum().backward()
    optimizer.step()
    net.load_state_dict(sd := made().state_dict())
    opt = optimizer.state_dict()
    return {
        "plain": sd,
        **{key: {key: sd, "acc": 91.2, "epoch": 3} for key in ("net", "weights", "params", "network")},
        "deepspeed": {"module": sd, "optimizer": opt, "global_steps": 4},
        "model_state": {"model_state": sd},
        "ray_named": {"net_state_dict": sd, "optimizer_state_dict": opt, "epoch": 2},
        "ray_pair": (sd, opt),
        "list": [opt, sd],
        "nested": {"checkpoint": {"model": sd}, "args": argparse.Namespace(lr=0.1)},
        "ema_only": {"ema_state_dict": sd},
        "average": torch.optim.swa_utils.AveragedModel(made()).state_dict(),
        "parallel": nn.DataParallel(made()).state_dict(),
        "inner_parallel": _wrapped(sd, "stem", "module"),
        "inner_compiled": _wrapped(sd, "stem", "_orig_mod"),
        "both": {f"module.{k}": v for k, v in _wrapped(sd, "stem", "_orig_mod").items()},
        "lightning_compiled": {
            "state_dict": {f"net.{k}": v for k, v in _wrapped(sd, "stem", "_orig_mod").items()}
        },
        "fsdp": {f"_fsdp_wrapped_module.{k}": v for k, v in sd.items()},
        "no_tracked": {k: v for k, v in sd.items() if "num_batches" not in k},
        "counted_operations": {**sd, "stem.0.total_ops": torch.zeros(1), "total_ops": torch.zeros(1)},
        "half": {k: v.half() if v.is_floating_point() else v for k, v in sd.items()},
        "bfloat": {k: v.bfloat16() if v.is_floating_point() else v for k, v in sd.items()},
        "parameters": {k: nn.Parameter(v, requires_grad=False) for k, v in sd.items()},
        "arrays": {k: v.numpy() for k, v in sd.items()},
        "module": made(),
    }


LAYOUTS = _layouts()


def load(path, model=None, **options):
    model = Net() if model is None else model
    return load_best(model, read_whole(path).sets, path.name, **options), model


@pytest.mark.parametrize(
    ("name", "how"),
    [
        *((name, "zip") for name in LAYOUTS),
        ("plain", "legacy"),
        ("ray_named", "legacy"),
        ("ray_named", "pickle"),
    ],
)
def test_a_layout_is_loaded(name, how, tmp_path):
    """Oracle: the tensors that were saved, in 16 bits where they were rounded to these."""
    path, content = tmp_path / "x.pt", LAYOUTS[name]
    if how == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "zip")
    _, model = load(path)
    kind = {"half": torch.float16, "bfloat": torch.bfloat16}.get(name, torch.float32)
    for key, value in made().state_dict().items():
        if "num_batches" in key and name == "no_tracked":
            continue
        expected = value.to(kind).float() if value.is_floating_point() else value
        assert torch.equal(model.state_dict()[key], expected), key


def test_what_was_done_is_said(tmp_path):
    """Oracle: the files, made here."""
    said = {}
    for name in ("plain", "ray_pair", "nested", "counted_operations", "no_tracked", "average"):
        torch.save(LAYOUTS[name], tmp_path / f"{name}.pt")
        loaded, _ = load(tmp_path / f"{name}.pt")
        said[name] = (loaded.chosen, loaded.made_plain, loaded.note)
    assert said == {
        "plain": ("", "", ""),
        "ray_pair": ("0", "", ""),
        "nested": ("checkpoint.model", "", ""),
        "counted_operations": (
            "",
            "",
            "2 left out, since the model no longer has them (stem.0.total_ops, total_ops)",
        ),
        "no_tracked": (
            "",
            "",
            "1 not in the file, made by the model as it loads (stem.1.num_batches_tracked)",
        ),
        "average": ("", "average of 0 models", ""),
    }


def test_two_that_fit_alike_are_refused_with_a_cure_that_works(tmp_path):
    """Oracle: the two sets differ by construction; the advice is followed to the letter."""
    path = tmp_path / "x.pt"
    one, other = made().state_dict(), made(1).state_dict()
    torch.save({"state_dict": one, "state_dict_ema": other, "epoch": 7}, path)
    with pytest.raises(
        CheckpointError, match="2 sets of weights that fit Net alike: state_dict, state_dict_ema;"
    ) as caught:
        load(path)
    advised = re.search(r'state = "([^"]+)"', str(caught.value))[1]
    assert torch.equal(load(path, state=advised)[1].head.weight, one["head.weight"])
    loaded, model = load(path, state="ema")
    assert torch.equal(model.head.weight, other["head.weight"])
    assert loaded.chosen == "state_dict_ema"
    torch.save({"state_dict": one, "model": dict(one)}, path)  # alike in all values: no question
    assert torch.equal(load(path)[1].head.weight, one["head.weight"])


def test_the_best_of_many_is_the_one_that_fits(tmp_path):
    """Oracle: of generator and discriminator, only one has the model's names."""
    path = tmp_path / "x.pt"
    torch.save({"state_dict": nn.Linear(3, 3).state_dict(), "netD": made().state_dict()}, path)
    loaded, model = load(path)
    assert loaded.chosen == "netD"
    assert torch.equal(model.head.weight, made().head.weight)
    torch.save({"netG": nn.Linear(3, 3).state_dict(), "netD": {"head.weight": torch.zeros(1)}}, path)
    with pytest.raises(CheckpointError, match=r"does not fit Net: .* missing .* 1 mis-shaped \(head\.weight"):
        load(path)


class Renamed(nn.Module):
    """A module that takes the names of an older release."""

    def __init__(self):
        super().__init__()
        self.classifier = nn.Linear(2, 3)

    def _load_from_state_dict(self, state, prefix, *args):
        for key in list(state):
            if key.startswith(f"{prefix}fc."):
                state[f"{prefix}classifier.{key.removeprefix(f'{prefix}fc.')}"] = state.pop(key)
        super()._load_from_state_dict(state, prefix, *args)


def test_what_torch_loads_strictly_is_loaded(tmp_path):
    """Oracle: `load_state_dict(strict=True)` itself, on a model of its own."""
    path = tmp_path / "x.pt"
    old = {"fc.weight": torch.ones(3, 2), "fc.bias": torch.zeros(3)}
    torch.save({f"module.{k}": v for k, v in old.items()}, path)
    expected = Renamed()
    expected.load_state_dict(old, strict=True)
    loaded, model = load(path, Renamed())
    assert torch.equal(model.classifier.weight, expected.classifier.weight)
    assert "2 renamed or used by the model as it loads (fc.bias, fc.weight)" in loaded.note
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(2, 3))
    torch.save({"weight_g": torch.ones(3, 1), "weight_v": torch.ones(3, 2), "bias": torch.zeros(3)}, path)
    _, model = load(path, normed)
    assert torch.allclose(model.weight, torch.full((3, 2), 0.5**0.5))


def test_ignored_keys(tmp_path):
    """Oracle: the key that is too much, by construction."""
    path = tmp_path / "x.pt"
    torch.save({**LAYOUTS["plain"], "loss.weight": torch.ones(3)}, path)
    with pytest.raises(CheckpointError, match=r"1 unexpected \(loss\.weight\)"):
        load(path)
    _, model = load(path, ignore=["loss.*"])
    assert torch.equal(model.head.weight, made().head.weight)


BUILDERS = """
import torch
from torch import nn

def build():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))

def data():
    g = torch.Generator().manual_seed(1)
    return torch.randn(32, 1, 8, 8, generator=g), torch.randint(0, 3, (32,), generator=g)
"""


def test_the_published_cifar_layout_goes_from_scan_to_report(tmp_path):
    """Oracle: the layout itself (DataParallel, best_prec1, .th, BatchNorm without counters), and torch."""
    (tmp_path / "cifar_made.py").write_text(BUILDERS)
    space: dict = {}
    exec(BUILDERS, space)
    nets = [space["build"]() for _ in range(2)]
    for number, net in enumerate(nets):
        old = {f"module.{k}": v for k, v in net.state_dict().items() if "num_batches" not in k}
        torch.save({"state_dict": old, "best_prec1": 99.5}, tmp_path / f"resnet20-{number}.th")
    zoo = scan(tmp_path)
    assert zoo.models == ["resnet20-0", "resnet20-1"]
    assert not any(".th" in path for path in zoo.skipped)
    zoo = zoo.with_builders("cifar_made:build", "cifar_made:data", split="test")
    manifest = zoo.write_manifest()
    text = manifest.read_text().replace("my_models:build", "cifar_made:build")
    text = text.replace("my_data:build", "cifar_made:data").replace("kwargs = {}", "", 2)
    manifest.write_text(
        text.replace("[analyses.line]", "").replace("[analyses.spectrum]", "[analyses.spectrum]\nk = 1")
    )
    result = Zoo.from_manifest(manifest).run()
    assert (result.done, result.failed) == (2, ())
    ds = read_contents(result.store).sections[0].results["resnet20-0"]
    assert json.loads(ds.attrs["weights"]) == {"resnet20-0": "state_dict"}
    assert "num_batches_tracked" in ds.attrs["load_notes"]
    x, y = space["data"]()
    accuracy = float((nets[0].eval()(x).argmax(1) == y).double().mean())
    assert (
        f"best_prec1 was recorded as 0.995, but accuracy on this data is {accuracy:.4g}"
        in ds.attrs["recorded_metrics"]
    )
    from landscape.reporting import report

    page = report(result.store).read_text()
    assert "Weights were taken from state_dict" in page
