import pickle

import torch
from torch import nn

from landscape.reference import models
from landscape.reference.compression import prune
from landscape.reference.training.recipe import PostProcessing, Recipe, address


def recipe(**changes):
    settings = {"group": "g", "builder": models.mlp, "kwargs": {"widths": (4, 3)}, "training": {}, "tags": {}}
    return Recipe(**settings | changes)


def halve(model, data, by=2.0):
    """A post-processing of this module: it is found nowhere else."""
    model.load_state_dict({name: value / by for name, value in model.state_dict().items()})
    return model


def test_an_address_is_that_of_the_outermost_package_that_exports_the_name():
    """Oracle: the module of definition and the exporting packages, by hand."""
    assert address(models.resnet) == "landscape.reference.models:resnet"
    assert models.resnet.__module__ == "landscape.reference.models.resnet"
    assert address(prune) == "landscape.reference.compression:prune"
    assert address(nn.Linear) == "torch.nn:Linear"


def test_seeds_decide_the_weights_and_the_callers_numbers_stay():
    """Oracle: equality of weights; the state of torch's own generator."""
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, again, other = (recipe().build(seed).fc1.weight for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    torch.manual_seed(0)
    assert torch.equal(models.mlp((4, 3)).fc1.weight, first)


def test_convolutions_are_laid_out_channels_last():
    """Oracle: torch's own word for the layout; the numbers are those of the builder."""
    model = recipe(builder=models.resnet, kwargs={"width": 16}).build(0)
    kernel = model.stages[0][0].conv1.weight
    assert kernel.is_contiguous(memory_format=torch.channels_last)
    torch.manual_seed(0)
    assert torch.equal(models.resnet(width=16).stages[0][0].conv1.weight, kernel)


def test_a_recipe_survives_the_way_to_another_process():
    """Oracle: equality after pickling, steps after the training included."""
    made = recipe(after=(PostProcessing(prune, {"share": 0.5}),))
    assert pickle.loads(pickle.dumps(made)) == made
    assert made.builder_name == "landscape.reference.models:mlp"


def test_a_step_passes_its_options_on_and_describes_itself():
    """Oracle: a quarter of the weights; the description by hand."""
    step = PostProcessing(halve, {"by": 4.0})
    model = nn.Linear(2, 2)
    quarter = model.weight.detach().clone() / 4
    assert torch.equal(step(model, None).weight, quarter)
    assert step.describe() == {"function": f"{__name__}:halve", "options": {"by": 4.0}}
    assert PostProcessing(halve).describe()["options"] == {}
