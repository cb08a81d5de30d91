"""The models that adapters were trained on: found by name, made with their weights, with the right head."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

import landscape
from landscape.errors import InputError
from landscape.zoo.described.bases import adapter_builder, base_folder
from landscape.zoo.described.transformers import transformers_model

CONFIG = {"architectures": ["BertForMaskedLM"], "model_type": "bert", "hidden_size": 8}


def a_base(folder):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    save_file({"w": torch.zeros(2)}, folder / "model.safetensors")
    return folder


def an_adapter(folder, base, **more):
    folder.mkdir()
    about = {"peft_type": "LORA", "r": 2, "base_model_name_or_path": str(base), **more}
    (folder / "adapter_config.json").write_text(json.dumps(about))
    save_file({"base_model.model.classifier.weight": torch.zeros(3, 8)}, folder / "adapter_model.safetensors")
    return folder / "adapter_model.safetensors"


def test_a_base_is_a_folder_or_nothing(tmp_path):
    base = a_base(tmp_path / "base")
    assert base_folder(str(base), tmp_path) == base
    (tmp_path / "lora").mkdir()
    assert base_folder("../base", tmp_path / "lora").samefile(base)
    for name in ("", "nobody/bert-base", "\\\\server\\share", "//server/share", str(tmp_path)):
        assert base_folder(name, tmp_path) is None, name


def test_an_adapter_names_its_base_and_its_task(tmp_path):
    """Oracle: by hand. A base of masked words gets the head that the adapter brings, with its classes."""
    file = an_adapter(tmp_path / "lora", a_base(tmp_path / "base"), task_type="SEQ_CLS")
    builder = adapter_builder(file)
    assert builder.reference == "transformers:BertForSequenceClassification"
    assert builder.kwargs["config"] == {"model_type": "bert", "hidden_size": 8, "num_labels": 3}
    assert builder.kwargs["weights"] == str(tmp_path / "base")
    assert len(builder.kwargs["sha256"]) == 64
    (model,) = landscape.scan(tmp_path / "lora").spec.models
    assert model.builder == builder


def test_a_base_that_is_not_here_is_none(tmp_path):
    assert adapter_builder(an_adapter(tmp_path / "lora", "nobody/bert-base")) is None


@pytest.fixture
def saved(tmp_path):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
        num_labels=3,
    )
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def test_weights_of_a_folder(saved):
    """Oracle: ``from_pretrained``."""
    import transformers

    make = transformers_model("BertForSequenceClassification", saved.parent)
    theirs = transformers.BertForSequenceClassification.from_pretrained(saved).state_dict()
    ours = make(weights="base").state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(v, theirs[k]) for k, v in ours.items())
    with pytest.raises(InputError, match="is not what it was when the run was planned"):
        make(weights="base", sha256="0" * 64)
    with pytest.raises(InputError, match=r"holds no config\.json"):
        make(weights="elsewhere")
    with pytest.raises(InputError, match="give config"):
        make()


@pytest.mark.filterwarnings("ignore")
def test_an_adapter_without_a_line_of_python(saved, tmp_path, monkeypatch):
    """Oracle: the logits of PEFT's own model."""
    peft = pytest.importorskip("peft")
    import transformers

    torch.manual_seed(1)
    base = transformers.BertForSequenceClassification.from_pretrained(saved)
    options = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query", "value"])
    made = peft.get_peft_model(base, options).eval()
    with torch.no_grad():
        for name, value in made.named_parameters():
            if "lora_B" in name:
                value.normal_()
    made.save_pretrained(tmp_path / "runs" / "lora-s0")
    ids = torch.randint(0, 20, (6, 5))
    monkeypatch.chdir(tmp_path)
    torch.save({"x": ids, "y": torch.zeros(6, dtype=torch.long)}, "ids.pt")
    from landscape.cli.directory import OPTIONS, zoo_to_run
    from landscape.zoo.builders import build_model
    from landscape.zoo.checkpoint import read_checkpoint
    from landscape.zoo.fitting.adapters import put_on
    from landscape.zoo.reading.parts import adapter_beside

    zoo = zoo_to_run(tmp_path / "runs", None, {**OPTIONS, "data": "pt:ids.pt"}, True)
    (model,) = zoo.spec.models
    assert model.builder.kwargs["weights"] == "base"
    ours = build_model(model.builder, tmp_path).eval()
    put_on(ours, read_checkpoint(model.path)[0], adapter_beside(model.path), "lora-s0")
    with torch.no_grad():
        torch.testing.assert_close(ours(ids).logits, made(ids).logits)
