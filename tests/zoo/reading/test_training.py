"""States of optimisers and schedules beside weights, as trainers write them."""

import pytest
import torch
from torch import nn

from landscape.zoo.reading.training import training_in
from landscape.zoo.reading.weights import read_whole


def trained():
    """A model, Adam after two steps, and its schedule."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, 1, 0.5)
    for _ in range(2):
        optimiser.zero_grad()
        model(torch.randn(5, 3)).square().mean().backward()
        optimiser.step()
        schedule.step()
    return model, optimiser, schedule


@pytest.mark.parametrize(
    ("names", "listed"),
    [
        (("model", "optimizer", "lr_scheduler"), False),
        (("model_state_dict", "optimizer_state_dict", "scheduler_state_dict"), False),
        (("state_dict", "optimizer_states", "lr_schedulers"), True),
    ],
)
def test_the_states_that_trainers_write(tmp_path, names, listed):
    """Oracle: the objects that were saved; plain dictionaries, torch's, and Lightning's lists."""
    model, optimiser, schedule = trained()
    parts = [model.state_dict(), optimiser.state_dict(), schedule.state_dict()]
    if listed:
        parts[1:] = [[part] for part in parts[1:]]
    torch.save({**dict(zip(names, parts, strict=True)), "epoch": 2}, tmp_path / "a.pt")
    read = read_whole(tmp_path / "a.pt")
    assert set(read.state) == set(model.state_dict())
    found = training_in(read.beside)
    want = optimiser.state_dict()
    assert found["optimizer"]["param_groups"][0]["lr"] == pytest.approx(0.025)
    assert found["optimizer"]["param_groups"][0]["params"] == [0, 1, 2, 3]
    for number, entry in want["state"].items():
        for name, value in entry.items():
            assert torch.equal(found["optimizer"]["state"][number][name], value)
    assert found["scheduler"]["_last_lr"] == [pytest.approx(0.025)]


def test_weights_alone_and_several_optimisers_have_none():
    """Oracle: by inspection; of two optimisers none is the one."""
    assert training_in({}) == {}
    assert training_in({"epoch": 3, "optimizer": "adam"}) == {}
    state = trained()[1].state_dict()
    assert training_in({"optimizer_states": [state, state]}) == {}
    assert set(training_in({"optimizer": state, "scheduler": object()})) <= {"optimizer", "scheduler"}
