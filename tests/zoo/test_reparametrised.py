"""Checkpoints of a plain model that torch kept in another form compute what the saved module computes."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm
from torch.optim.swa_utils import AveragedModel

from landscape.errors import CheckpointError
from landscape.store import read_contents
from landscape.zoo import Zoo
from landscape.zoo.checkpoint import load_into
from landscape.zoo.reparametrised import drop_counter, fold


def build(seed=0):
    """Layers of each kind that these forms are used on, square ones among them."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 4, 2),
        nn.Flatten(),
        nn.Linear(4 * 7 * 7, 5),
        nn.Linear(5, 5),
        nn.Linear(5, 1, bias=False),
    )


INPUTS = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
WEIGHTED = (0, 3, 5, 6, 7)


def pruned(model):
    prune.l1_unstructured(model[0], "weight", 0.5)
    prune.random_unstructured(model[0], "bias", 0.3)
    prune.ln_structured(model[6], "weight", 0.4, n=2, dim=0)
    return "a pruning mask"


def spectral_before(model):
    for place in WEIGHTED[:-1]:
        spectral_norm(model[place])
    return "spectral_norm"


def spectral_other_axis(model):
    spectral_norm(model[5], dim=1)
    spectral_norm(model[3], dim=2)
    return "spectral_norm"


def spectral_now(model):
    for place in WEIGHTED:
        parametrizations.spectral_norm(model[place])
    return "parametrizations.spectral_norm"


def weight_before(model):
    for place, dim in zip(WEIGHTED, (0, 1, 0, None, 0), strict=True):
        with pytest.warns(FutureWarning):
            weight_norm(model[place], dim=dim)
    return "weight_norm"


def weight_now(model):
    for place, dim in zip(WEIGHTED, (0, 1, 1, None, 0), strict=True):
        parametrizations.weight_norm(model[place], dim=dim)
        with torch.no_grad():  # away from the start, where it is the weight itself
            model[place].parametrizations.weight.original1.mul_(1.7)
    return "parametrizations.weight_norm"


@pytest.mark.parametrize("prefix", ["", "module.", "net.backbone."])
@pytest.mark.parametrize(
    "change", [pruned, spectral_before, spectral_other_axis, spectral_now, weight_before, weight_now]
)
@torch.no_grad()
def test_a_folded_checkpoint_is_the_saved_module(change, prefix):
    """Oracle: the module that was saved, whose weights torch computes itself; bit for bit."""
    saved, loaded = build(), build(1)
    form = change(saved)
    saved(INPUTS)  # in training mode, where power iterations move
    saved.eval()
    expected = saved(INPUTS)
    state = {prefix + key: value.clone() for key, value in saved.state_dict().items()}
    made = load_into(loaded, state, "file.pt")
    assert torch.equal(loaded.eval()(INPUTS), expected)
    assert form in made
    assert "weight" in made


@torch.no_grad()
def test_an_average_is_loaded_without_its_counter():
    """Oracle: the average itself, of two models of three, bit for bit."""
    average = AveragedModel(build(), use_buffers=True)
    for seed in (1, 2, 3):
        average.update_parameters(build(seed))
    loaded = build()
    made = load_into(loaded, average.state_dict(), "file.pt")
    assert made == "average of 3 models"
    assert torch.equal(loaded.eval()(INPUTS), average.eval()(INPUTS))


@torch.no_grad()
def test_an_average_of_pruned_models_is_both():
    """Oracle: the averaged module."""
    model = build()
    pruned(model)
    average = AveragedModel(model)
    average.update_parameters(model)
    loaded = build(1)
    made = load_into(loaded, average.state_dict(), "file.pt")
    assert "average of 1 models" in made
    assert "0.weight" in made
    average.eval()
    assert torch.equal(loaded.eval()(INPUTS), average(INPUTS))


class Symmetric(nn.Module):
    """A parametrisation of the user's own: its file does not say what it does."""

    def forward(self, x):
        return x.triu() + x.triu(1).mT


@pytest.mark.parametrize(
    "change",
    [
        lambda m: parametrize.register_parametrization(m[6], "weight", Symmetric()),
        lambda m: parametrizations.orthogonal(m[6]),
        lambda m: (parametrizations.spectral_norm(m[6]), parametrizations.spectral_norm(m[6])),
    ],
)
def test_what_the_file_does_not_tell_is_refused(change):
    """Oracle: the sentence: which weight, why, and what to do."""
    saved = build()
    change(saved)
    with pytest.raises(
        CheckpointError, match=r"'6\.weight' as a parametrisation whose class is not in the file"
    ):
        load_into(build(), saved.state_dict(), "file.pt")


@torch.no_grad()
def test_a_builder_with_the_same_form_is_left_alone():
    """Oracle: the saved module; what the model calls so itself is its own."""
    for change in (pruned, spectral_before, spectral_now, weight_now):
        saved, loaded = build(), build(1)
        change(saved)
        change(loaded)
        assert load_into(loaded, saved.state_dict(), "file.pt") == ""
        assert torch.equal(loaded.eval()(INPUTS), saved.eval()(INPUTS))


class Named(nn.Module):
    """A plain model whose own names look like those of a form."""

    def __init__(self):
        super().__init__()
        self.scale_g, self.scale_v = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
        self.scale = nn.Parameter(torch.ones(2))
        self.register_buffer("n_averaged", torch.tensor(3))


def test_names_of_the_models_own_are_not_taken_for_a_form():
    """Oracle: the keys that went in."""
    model = Named()
    state = {f"net.{k}": v for k, v in model.state_dict().items() if k != "scale"}
    assert fold(model, state, "file.pt") == (state, "")
    assert drop_counter(model.state_dict(), model.state_dict())[1] == ""
    with pytest.raises(CheckpointError, match=r"1 missing \(scale\)"):
        load_into(model, state, "file.pt")


def test_the_form_is_recorded_in_the_result(tmp_path, monkeypatch):
    """Oracle: the same weights saved plainly by torch's own removal; only the other file has a record."""
    (tmp_path / "parts_of_a_form.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def build(): return nn.Sequential(nn.Flatten(), nn.Linear(8, 3))\n"
        "def data(): return torch.arange(48.0).sin().reshape(6, 8), torch.tensor([0, 1, 2, 0, 1, 2])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(8, 3))
    prune.l1_unstructured(model[1], "weight", 0.5)
    torch.save(model.state_dict(), tmp_path / "masked.pt")
    prune.remove(model[1], "weight")
    torch.save(model.state_dict(), tmp_path / "plain.pt")
    (tmp_path / "zoo.toml").write_text(
        '[model]\nbuilder = "parts_of_a_form:build"\n[data]\nbuilder = "parts_of_a_form:data"\n'
        '[analyses.calibration]\nbootstrap = 2\n[[checkpoints]]\npath = "*.pt"\n'
    )
    result = Zoo.from_manifest(tmp_path / "zoo.toml").run()
    assert not result.failed
    sections = {section.label: section.results for section in read_contents(result.store).sections}
    masked, plain = (sections["calibration"][name] for name in ("masked", "plain"))
    assert float(masked["nll"]) == float(plain["nll"])
    assert json.loads(masked.attrs["made_plain"]) == {"masked": "1.weight from a pruning mask"}
    assert "made_plain" not in plain.attrs


def test_parts_that_do_not_fit_each_other_are_named():
    """Oracle: the sentence; the vector is one entry too long."""
    saved = build()
    spectral_before(saved)
    state = dict(saved.state_dict())
    state["5.weight_u"] = torch.ones(6)
    with pytest.raises(CheckpointError, match=r"holds '5\.weight' as spectral_norm, but .* do not fit each"):
        load_into(build(), state, "file.pt")
