"""Drafts: what files and user say together, and what is asked for where both are silent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from landscape.errors import InputError
from landscape.zoo.draft.draft import EXAMPLES, Wishes, drafted, lacking
from landscape.zoo.spec import Builder, Model, ZooSpec

DATA = Builder("imagefolder:photos")


def zoo(*models):
    return ZooSpec("zoo", Path("/zoo"), models)


def model(name, builder=None):
    return Model(
        name, Path(f"/zoo/{name}.pt"), f"{name}.pt", Builder(builder) if builder else None, name.split("-")[0]
    )


def made(*wishes, models=None):
    known = models or (model("cnn-0", "timm:resnet18"), model("vit-0"), model("vit-1"))
    given = Wishes(tuple((glob, Builder(ref, {"w": 1})) for glob, ref in wishes))
    return [m.builder and m.builder.reference for m in drafted(zoo(*known), given, Path()).models]


def test_a_model_is_for_those_that_do_not_say():
    assert made(("", "my:net")) == ["timm:resnet18", "my:net", "my:net"]
    assert made(("", "my:net"), models=(model("a", "timm:resnet18"),)) == ["my:net"]


def test_globs_take_names_and_groups():
    assert made(("vit", "my:vit"), ("vit-1", "my:other")) == ["timm:resnet18", "my:vit", "my:other"]
    with pytest.raises(InputError, match=r"matches 'vti' of --model; did you mean 'vit'"):
        made(("vti", "my:vit"))


def test_data_by_name_is_a_sample():
    spec = drafted(zoo(model("a")), Wishes(data=DATA), Path())
    assert spec.data.kwargs == {"examples": EXAMPLES}
    assert drafted(zoo(), Wishes(data=DATA, examples=0), Path()).data.kwargs == {}
    given = drafted(zoo(), Wishes(data=DATA, preprocess={"size": 8}), Path()).data.kwargs
    assert given["preprocess"] == {"size": 8}


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        (Wishes(examples=3), "--examples is about data; give --data"),
        (Wishes(data=Builder("my:data"), preprocess={"size": 3}), "--size is for data by name"),
        (Wishes(data=DATA, preprocess={"mean": [1.0]}), "mean and std belong together"),
        (Wishes(group_by="width"), "no checkpoint has a tag 'width'"),
    ],
)
def test_what_cannot_be(wishes, said):
    with pytest.raises(InputError, match=said):
        drafted(zoo(model("a")), wishes, Path())


def test_what_lacks_is_asked_for_with_its_flag(tmp_path):
    with pytest.raises(InputError, match=r"holds no checkpoints"):
        lacking(zoo())
    with pytest.raises(
        InputError, match=r"none of the checkpoints says which architecture it is; give --model"
    ):
        lacking(zoo(model("a"), model("b")))
    with pytest.raises(InputError, match=r"b do not say which architecture they are"):
        lacking(zoo(model("a", "my:net"), model("b")))
    with pytest.raises(InputError, match=r"nothing says on which data .* --data with one of imagefolder:DIR"):
        lacking(zoo(model("a", "my:net")))
    (tmp_path / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": "org/base"})
    )
    file = tmp_path / "adapter_model.safetensors"
    with pytest.raises(InputError, match=r"'a' is an adapter on the model 'org/base'"):
        lacking(zoo(Model("a", file)))
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "x", "architectures": ["X"], "auto_map": {"a": "b"}})
    )
    with pytest.raises(InputError, match=r"code of its own .* never run"):
        lacking(zoo(Model("a", tmp_path / "model.safetensors")))
