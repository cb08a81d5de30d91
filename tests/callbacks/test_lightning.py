"""The probe in a real Lightning fit."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import landscape
from landscape.callbacks import Probe
from landscape.store import read_contents

lightning = pytest.importorskip("lightning")
pytestmark = pytest.mark.filterwarnings("ignore")

CHEAP = {"trace": {"rel_se": 0.5, "max_products": 16}}


def data(count=24):
    g = torch.Generator().manual_seed(5)
    x = torch.randn(count, 3, generator=g)
    return x, (x.mean(1) > 0).long()


class Lit(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.net = nn.Sequential(
            nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Dropout(0.2), nn.Linear(4, 2)
        )

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, index):
        loss = nn.functional.cross_entropy(self(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 0.01)


def fit(folder, *callbacks, epochs=3):
    lightning.seed_everything(1, verbose=False)
    lit = Lit()
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        default_root_dir=folder,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        accumulate_grad_batches=2,
        callbacks=list(callbacks),
    )
    trainer.fit(lit, DataLoader(TensorDataset(*data()), batch_size=4, shuffle=True))
    return lit


@pytest.mark.parametrize(("unit", "every", "moments"), [("epoch", 2, [0, 2, 3]), ("step", 4, [0, 4, 8, 9])])
def test_a_fit_is_the_same_with_and_without_and_its_moments_are_a_zoo(tmp_path, unit, every, moments):
    """Oracle: the same fit without the callback, bit for bit; the analysis by hand on the last weights."""
    from landscape.callbacks import LightningProbe

    alone = fit(tmp_path).state_dict()
    probe = Probe(tmp_path / "s", "cross_entropy", data(), every=every, analyses=CHEAP)
    watched = fit(tmp_path, LightningProbe(probe, unit=unit, module="net" if unit == "step" else ""))
    assert not probe.failures
    assert all(torch.equal(value, watched.state_dict()[name]) for name, value in alone.items())
    (section,) = read_contents(tmp_path / "s").sections
    assert list(section.results) == [f"training-{unit}-{at}" for at in moments]
    by_hand = landscape.trace(landscape.Problem(watched.net, "cross_entropy", data()), **CHEAP["trace"])
    found = section.results[f"training-{unit}-{moments[-1]}"]
    torch.testing.assert_close(float(found["trace"]), float(by_hand["trace"]))
    assert landscape.table(tmp_path / "s")["training", "train_loss"].notna().sum() >= len(moments) - 1
