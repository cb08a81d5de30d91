"""Ways of comparing the models of a zoo, by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from landscape.plotting.model_groupings import MOST_MODELS, model_groupings


def zoo(*models: tuple[str, str, int | None, dict]) -> Any:
    """What groupings need of a store's contents."""
    listed = [SimpleNamespace(name=n, group=g, run="", seed=s, tags=t) for n, g, s, t in models]
    return SimpleNamespace(models=listed, sections=[])


def test_each_way_divides_the_models_otherwise() -> None:
    """Oracle: groups and seeds by hand; a tag that repeats the group, or is one's own name, is left out."""
    contents = zoo(
        ("a0", "a", 0, {"net": "a", "id": 1}),
        ("a1", "a", 1, {"net": "a", "id": 2}),
        ("b0", "b", 0, {"net": "b", "id": 3}),
        ("b1", "b", 1, {"net": "b", "id": 4}),
    )
    found = {way.name: way.groups for way in model_groupings(contents, [])}
    assert found == {
        "group": {"a0": "a", "a1": "a", "b0": "b", "b1": "b"},
        "seed": {"a0": "seed 0", "b0": "seed 0", "a1": "seed 1", "b1": "seed 1"},
    }


def test_pairs_stand_in_their_models_group_or_between() -> None:
    """Oracle: by hand; what is neither model nor pair is something else."""
    contents = zoo(("a0", "a", None, {}), ("a1", "a", None, {}), ("b0", "b", None, {}))
    (way,) = model_groupings(contents, ["a0 ~ a1", "a1 ~ b0", "everything"])
    pairs = {s: way.groups[s] for s in ("a0 ~ a1", "a1 ~ b0", "everything")}
    assert pairs == {"a0 ~ a1": "a", "a1 ~ b0": "between groups", "everything": "other"}


def test_many_numbers_are_binned_in_order() -> None:
    """Oracle: twenty widths in five bins of four, by hand."""
    contents = zoo(*((f"m{i}", "", None, {"width": i}) for i in range(20)))
    (way,) = model_groupings(contents, [])
    assert list(dict.fromkeys(way.groups.values())) == [f"width {i} to {i + 3}" for i in range(0, 20, 4)]


def test_of_many_groups_the_first_are_shown_and_seeds_come_last() -> None:
    """Oracle: twenty groups by hand: seven by name, thirteen together; tags before seeds."""
    contents = zoo(*((f"g{g}s{s}", f"g{g}", s, {"width": g % 3}) for g in range(20) for s in range(3)))
    group, width, seed = model_groupings(contents, ["all"])
    assert [group.name, width.name, seed.name] == ["group", "width", "seed"]
    named = [group.groups[model.name] for model in contents.models]
    assert list(dict.fromkeys(named)) == [*(f"g{g}" for g in range(7)), "13 other groups"]
    assert group.groups["g6s2"] == "g6" and group.groups["g7s0"] == "13 other groups"


def test_a_large_zoo_without_groups_is_one() -> None:
    """Oracle: more models than a figure shows one by one."""
    names = [f"m{i}" for i in range(MOST_MODELS + 1)]
    contents = zoo(*((n, "", None, {}) for n in names))
    (way,) = model_groupings(contents, [])
    assert set(way.groups.values()) == {"all models"} and list(way.groups) == names
    assert model_groupings(zoo(*((n, "", None, {}) for n in names[:3])), []) == []
