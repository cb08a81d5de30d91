"""The probe in a real training by Hugging Face's Trainer."""

from __future__ import annotations

import pytest
import torch

import landscape
from landscape.callbacks import Probe
from landscape.store import read_contents

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")
pytestmark = pytest.mark.filterwarnings("ignore")

CHEAP = {"trace": {"rel_se": 0.5, "max_products": 16, "operator": "ggn"}}


def texts(count=12):
    ids = torch.randint(0, 17, (count, 6), generator=torch.Generator().manual_seed(2))
    return [{"input_ids": row, "labels": row, "attention_mask": torch.ones_like(row)} for row in ids]


def train(folder, *callbacks, bf16=False):
    config = transformers.GPT2Config(vocab_size=17, n_positions=12, n_embd=8, n_layer=1, n_head=2)
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(config)
    args = transformers.TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=2,
        per_device_train_batch_size=4,
        use_cpu=True,
        bf16=bf16,
        save_strategy="no",
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
        seed=1,
    )
    transformers.Trainer(model, args, train_dataset=texts(), callbacks=list(callbacks)).train()
    return model


@pytest.mark.parametrize("bf16", [False, True])
def test_a_training_is_the_same_with_and_without(tmp_path, bf16):
    """Oracle: the same training without the callback, to the bit; the analysis by hand on the weights."""
    from landscape.callbacks import TrainerProbe

    alone = train(tmp_path, bf16=bf16).state_dict()
    batches = [torch.utils.data.default_collate(texts())]
    probe = Probe(tmp_path / "s", "causal_lm", batches, every=4, analyses=CHEAP)
    watched = train(tmp_path, TrainerProbe(probe), bf16=bf16)
    assert not probe.failures
    assert all(torch.equal(value, watched.state_dict()[name]) for name, value in alone.items())
    (section,) = read_contents(tmp_path / "s").sections
    assert list(section.results) == [f"training-step-{at}" for at in (0, 4, 6)]
    fresh = transformers.GPT2LMHeadModel(watched.config)
    fresh.load_state_dict(watched.state_dict())
    by_hand = landscape.trace(landscape.Problem(fresh, "causal_lm", batches), **CHEAP["trace"])
    assert float(section.results["training-step-6"]["trace"]) == float(by_hand["trace"])
    assert landscape.table(tmp_path / "s")["training", "loss"].notna().tolist() == [False, True, True]
