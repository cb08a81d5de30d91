"""Files that other libraries really wrote, from scan to loaded weights.

Skipped without the libraries, which are those of the extra ``writers``. Oracle of all: the weights that the
library itself holds as it writes, compared bit for bit with those of the loaded module.
"""

from __future__ import annotations

import argparse
import functools
import pathlib
import textwrap

import numpy as np
import pytest
import torch
from torch import nn

from landscape.store import Store
from landscape.zoo import Zoo, scan

pytestmark = pytest.mark.filterwarnings("ignore")

BUILDERS = """
    import torch
    from torch import nn

    def small():
        return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))

    def data():
        g = torch.Generator().manual_seed(0)
        return torch.randn(10, 3, generator=g), torch.randint(0, 2, (10,), generator=g)

    def gpt(seed=0):
        from transformers import GPT2Config, GPT2LMHeadModel
        torch.manual_seed(seed)
        return GPT2LMHeadModel(GPT2Config(vocab_size=17, n_positions=12, n_embd=8, n_layer=2, n_head=2))
"""


def small():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def loaded(folder, builder="my:small", kwargs=None, **problem):
    """The models of a scanned folder with their weights, as a zoo loads them, by name."""
    (folder / "my.py").write_text(textwrap.dedent(BUILDERS))
    zoo = scan(folder).with_builders(builder, "my:data", model_kwargs=kwargs, **problem)
    zoo = Zoo(zoo.spec)
    from landscape.zoo.loader import Loader
    from landscape.zoo.plan import choose_sections, make_plan
    from landscape.zoo.run import _setup

    home = Store(folder / "results")
    spec, labels = choose_sections(zoo.spec, ["line"])
    loader = Loader(_setup(spec, home, False))
    plan = make_plan(spec, labels, loader, home)
    return {t.subject: loader.module(t.members[0]) for t in plan.tasks}


def same(module, state):
    own = module.state_dict()
    assert own.keys() == state.keys()
    assert all(torch.equal(own[k], state[k]) for k in own)


HYPERPARAMETERS = {
    "plain": {"lr": 0.1, "width": 4},
    "namespace": argparse.Namespace(lr=0.1),
    "path": {"root": pathlib.Path("/data")},
    "numpy": {"lr": np.float64(0.1)},
    "partial": {"f": functools.partial(int, base=2)},
    "tensor": {"w": torch.ones(2)},
    "set": {"s": {1, 2}},
    "module": {"act": nn.ReLU()},
}


@pytest.mark.parametrize("name", HYPERPARAMETERS)
def test_lightning_with_hyperparameters_of_any_type(tmp_path, name):
    lightning = pytest.importorskip("lightning")
    from lightning.pytorch.callbacks import ModelCheckpoint
    from torch.utils.data import DataLoader, TensorDataset

    class Lit(lightning.LightningModule):
        def __init__(self, hp):
            super().__init__()
            self.save_hyperparameters()
            self.net = small()

        def training_step(self, batch, index):
            loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
            self.log("train_loss", loss)
            return loss

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), 0.01)

    where = tmp_path / "zoo" / "lightning_logs" / "version_0" / "checkpoints"
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        default_root_dir=tmp_path,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[ModelCheckpoint(dirpath=where)],
    )
    lit = Lit(HYPERPARAMETERS[name])
    data = TensorDataset(torch.randn(8, 3), torch.randint(0, 2, (8,)))
    trainer.fit(lit, DataLoader(data, batch_size=4))
    (module,) = loaded(tmp_path / "zoo").values()
    same(module, lit.net.state_dict())


def test_transformers_whole_and_in_parts(tmp_path):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(5)
    config = transformers.GPT2Config(vocab_size=17, n_positions=12, n_embd=8, n_layer=2, n_head=2)
    gpt = transformers.GPT2LMHeadModel(config)
    gpt.save_pretrained(tmp_path / "whole")
    gpt.save_pretrained(tmp_path / "parts", max_shard_size="4KB")
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 1
    found = loaded(tmp_path, "my:gpt")
    assert set(found) == {"whole", "parts"}
    for module in found.values():
        same(module, gpt.state_dict())


def test_peft_adapters_are_put_on_their_base(tmp_path):
    """Oracle: PEFT's own merge of the adapter into the base."""
    peft = pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=17, n_positions=12, n_embd=8, n_layer=2, n_head=2)
    gpt = transformers.GPT2LMHeadModel(config)
    settings = peft.LoraConfig(
        r=2, lora_alpha=8, target_modules=["c_attn", "c_fc"], rank_pattern={"c_fc": 3}, use_rslora=True
    )
    model = peft.get_peft_model(gpt, settings)
    for name, p in model.named_parameters():
        if "lora_" in name:
            nn.init.normal_(p)
    model.save_pretrained(tmp_path / "adapter")
    (tmp_path / "my.py").write_text("")
    with pytest.raises(Exception, match="makes other base weights each time"):
        loaded(tmp_path, "transformers:GPT2LMHeadModel", {"config": config.to_dict()})
    (module,) = loaded(tmp_path, "my:gpt").values()
    merged = model.merge_and_unload().state_dict()
    own = module.state_dict()
    assert own.keys() == merged.keys()
    for name, value in merged.items():
        torch.testing.assert_close(own[name], value)


def test_accelerate_states_and_parts(tmp_path):
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True)
    net = small()
    model, optimizer = accelerator.prepare(net, torch.optim.Adam(net.parameters()))
    model(torch.randn(2, 3)).sum().backward()
    optimizer.step()
    accelerator.save_state(tmp_path / "state")
    accelerator.save_model(model, tmp_path / "model", max_shard_size=60)
    assert (tmp_path / "model" / "model.safetensors.index.json").is_file()
    found = loaded(tmp_path)
    assert len(found) == 2
    for module in found.values():
        same(module, net.state_dict())


def test_timm_runs(tmp_path):
    timm = pytest.importorskip("timm")
    from timm.utils import CheckpointSaver

    torch.manual_seed(1)
    net = timm.create_model("resnet10t", num_classes=3)
    args = argparse.Namespace(model="resnet10t", num_classes=3)
    run = tmp_path / "run"
    run.mkdir()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    saver = CheckpointSaver(
        model=net, optimizer=optimizer, args=args, checkpoint_dir=str(run), recovery_dir=str(run)
    )
    saver.save_checkpoint(0, metric=50.0)
    (run / "args.yaml").write_text("model: resnet10t\nnum_classes: 3\nlr: 0.1\n")
    found = loaded(tmp_path, None)
    assert len(found) == 1
    for module in found.values():
        same(module, net.state_dict())


@pytest.mark.slow
def test_ray_tune_in_its_three_styles(tmp_path):
    """Trials that Ray runs: a pair in a file, a raw pickle, and a mapping, as its tutorials save them."""
    ray = pytest.importorskip("ray")
    from ray import tune

    state = {k: v.clone() for k, v in small().state_dict().items()}

    def trial(config):
        import pickle
        import tempfile

        weights = {k: v * config["scale"] for k, v in state.items()}
        with tempfile.TemporaryDirectory() as folder:
            if config["style"] == "pair":
                torch.save(
                    (weights, {"state": {}, "param_groups": []}), pathlib.Path(folder, "checkpoint.pt")
                )
            elif config["style"] == "pickle":
                with pathlib.Path(folder, "data.pkl").open("wb") as file:
                    pickle.dump({"epoch": 0, "net_state_dict": weights, "optimizer_state_dict": {}}, file)
            else:
                torch.save({"epoch": 0, "model_state": weights}, pathlib.Path(folder, "model.pt"))
            tune.report({"loss": 1.0}, checkpoint=tune.Checkpoint.from_directory(folder))

    ray.init(num_cpus=1, include_dashboard=False, logging_level="ERROR")
    try:
        space = {"style": tune.grid_search(["pair", "pickle", "named"]), "scale": 2.0}
        storage = tune.RunConfig(storage_path=str(tmp_path / "ray"), name="exp", verbose=0)
        tune.Tuner(trial, param_space=space, run_config=storage).fit()
    finally:
        ray.shutdown()
    found = loaded(tmp_path)
    assert len(found) == 3
    for module in found.values():
        same(module, {k: v * 2.0 for k, v in state.items()})
