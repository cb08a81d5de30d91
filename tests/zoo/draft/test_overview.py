"""The table of groups: hand-made zoos, counted by hand."""

from __future__ import annotations

from pathlib import Path

from landscape.zoo.draft.overview import Row, overview, untold
from landscape.zoo.spec import Builder, Model, ZooSpec


def zoo(*models, **more):
    return ZooSpec("zoo", Path(), models, **more)


def model(name, group="", seed=None, run="", **tags):
    return Model(name, Path(name), builder=Builder("my:net"), group=group, seed=seed, run=run, tags=tags)


def test_groups_seeds_and_steps():
    models = [model(f"vit{s}{e}", "vit", s, f"s{s}", epoch=e) for s in (0, 1) for e in (1, 9)]
    assert overview(zoo(*models, model("a", "cnn", 3), model("b", "cnn"))) == [
        Row("vit", 4, "0, 1", "2 (epoch 1 to 9)"),
        Row("cnn", 2, "3, 1 unknown", "1"),
    ]


def test_what_is_not_told():
    assert list(untold(zoo(model("a", "x", 0), model("b", "x", 1)))) == []
    assert "seeds of 2 runs of group 'x'" in next(untold(zoo(model("a", "x"), model("b", "x"))))
    assert "variants of one another" in next(untold(zoo(model("a", seed=0), model("b", seed=1))))
    assert next(untold(zoo(notes=("a note.",)))) == "a note."
    assert "which architecture 1 of 1" in next(untold(zoo(Model("a", Path("a")))))
