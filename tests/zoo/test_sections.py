"""What an analysis' table says beside the options: whose models, how many examples, groups together."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from landscape.errors import InputError
from landscape.store import read_contents
from landscape.zoo import Zoo

TOTAL = '[analyses.total]\nanalysis = "toys:total"'
GROUPS = '[analyses.losses]\nanalysis = "toys:losses"'


def sections(path):
    result = Zoo.from_manifest(path).run()
    assert result.failed == ()
    return {s.label: s.results for s in read_contents(result.store).sections}


def test_models_are_chosen_by_name(folder):
    """Oracle: the names in the manifest."""
    for name in ("a-s0", "a-s1", "b-s0"):
        folder.add(name)
    found = sections(
        folder.write(
            f'{TOTAL}\nmodels = ["a-*", "b-s0"]\n[analyses.one]\nanalysis = "toys:total"\nmodels = ["*-s1"]'
        )
    )
    assert list(found["total"]) == ["a-s0", "a-s1", "b-s0"]
    assert list(found["one"]) == ["a-s1"]


def test_a_pattern_without_models_is_named(folder):
    """Oracle: the pattern matches no name in the manifest."""
    folder.add("resnet")
    with pytest.raises(
        InputError, match=r"no model matches 'resnt' of \[analyses.total\]; did you mean 'resnet'"
    ):
        sections(folder.write(f'{TOTAL}\nmodels = ["resnt"]'))


@pytest.mark.parametrize("batch_size", [12, 4])
def test_examples_are_a_random_sample(folder, batch_size):
    """Oracle: autograd on the model itself, on seven of twelve examples of torch's own permutation."""
    folder.add("m0")
    found = sections(
        folder.write(f"{TOTAL}\nexamples = 7\n{GROUPS}\nexamples = 7", problem=f"batch_size = {batch_size}")
    )
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
    model.load_state_dict(torch.load(folder.root / "m0.pt"))
    x = torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
    seven = torch.randperm(12, generator=torch.Generator().manual_seed(0))[:7]
    loss = nn.functional.cross_entropy(model(x[seven]), (x.sum(1) > 0).long()[seven])
    assert float(found["losses"]["all"]["value"][0]) == pytest.approx(loss.item(), rel=1e-6)
    assert found["total"]["m0"].attrs["examples"] == 7


def test_more_examples_than_there_are_is_all(folder):
    """Oracle: the number of examples the data builder makes."""
    folder.add("m0")
    assert sections(folder.write(f"{TOTAL}\nexamples = 99"))["total"]["m0"].attrs["examples"] == 12


def test_groups_together(folder):
    """Oracle: the groups in the manifest."""
    folder.add("m0", 'group = "g"')
    folder.add("m1", 'group = "h"', seed=1)
    apart = sections(folder.write(GROUPS))["losses"]
    assert list(apart) == ["g", "h"]
    together = sections(folder.write(f"{GROUPS}\ntogether = true"))["losses"]
    assert together["all"]["who"].values.tolist() == ["m0", "m1"]


@pytest.mark.parametrize(
    ("line", "message"), [("examples = 0", "'examples' in"), ("models = 3", "'models' in")]
)
def test_mistakes_are_named(folder, line, message):
    """Oracle: one mistake in a good table."""
    folder.add("m0")
    with pytest.raises(InputError, match=rf"{message} \[analyses.total\] cannot be"):
        sections(folder.write(f"{TOTAL}\n{line}"))
