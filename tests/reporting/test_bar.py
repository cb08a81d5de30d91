"""What a reader may choose in the bar of the page."""

from __future__ import annotations

from landscape.plotting.model_groupings import model_groupings
from landscape.reporting.bar import choices
from landscape.store.contents import Contents, ModelRecord

EVIL = "<script>alert(1)</script>"


def test_groups_seeds_and_models_of_a_zoo(contents: Contents) -> None:
    """Oracle: those of the fixture, written out."""
    found = choices(contents, ["model", "group"], model_groupings(contents, []))
    assert found.groups == ["resnet", "vit"] and found.seeds == ["0", "1"]
    assert found.by_group == {"resnet": ["resnet-s0", "resnet-s1"], "vit": ["vit-s0", EVIL]}
    assert found.grouped["group"] == ("resnet", "resnet", "vit", "vit")
    assert found.plain()["shown"] == {EVIL: "&lt;script&gt;alert(1)&lt;/script&gt;"}


def test_what_all_models_share_is_no_choice() -> None:
    """Oracle: one group and one seed leave nothing to choose; seeds stand in numerical order."""
    models = [ModelRecord(f"m{k}", "all", 3) for k in range(3)]
    alike = choices(Contents("zoo", models, [], [], 0), ["model"], [])
    assert alike.groups == [] and alike.seeds == []
    seeds = [ModelRecord(f"m{k}", "", k) for k in (10, 9, 1)] + [ModelRecord("whole", "", None)]
    found = choices(Contents("zoo", seeds, [], [], 0), ["model"], [])
    assert found.seeds == ["1", "9", "10"] and found.seed[-1] == ""


def test_moments_of_a_run() -> None:
    """Oracle: the epochs put in, sorted; a model without one and a zoo of two epochs have no film."""
    run = [ModelRecord(f"m{k}", "run", 0, {"epoch": k}) for k in (10, 2, 5)] + [
        ModelRecord("other", "", None)
    ]
    found = choices(Contents("zoo", run, [], [], 0), ["model"], [])
    assert found.progress == "epoch" and found.times == [2, 5, 10]
    assert found.moments == (10, 2, 5, None)
    few = choices(Contents("zoo", run[:2], [], [], 0), ["model"], [])
    assert few.progress == "" and few.times == [] and few.moments == ()
