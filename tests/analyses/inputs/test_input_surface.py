"""``input_surface``: closed forms of linear models, distorted images and peaks of a known hill, pictures."""

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape import Problem
from landscape.errors import InputError

PLAIN = {"mean": (0.0,), "std": (1.0,), "plane": 3}


def grey(n=30):
    generator = torch.Generator().manual_seed(1)
    return 0.4 + 0.2 * torch.rand(n, 1, 4, 4, generator=generator, dtype=torch.float64)


def linear():
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).double()
    with torch.no_grad():
        model[1].weight.copy_(torch.randn(2, 16, generator=torch.Generator().manual_seed(0)))
    return model


def test_two_linear_classes_meet_the_closed_form():
    """Oracle: softplus(−m + a‖w₀ − w₁‖₁) along fgsm; one gradient direction everywhere; nothing distorted."""
    model, x, y = linear(), grey(), torch.arange(30) % 2
    ds = landscape.input_surface(Problem(model, "cross_entropy", (x, y), batch_size=11), radius=0.3, **PLAIN)
    W, z = model[1].weight.detach(), model(x).detach()
    m = z[torch.arange(30), y] - z[torch.arange(30), 1 - y]
    reach = (W[0] - W[1]).abs().sum()
    a = torch.tensor(ds["step"].values)
    want = nn.functional.softplus(-m + a[:, None] * reach)
    np.testing.assert_allclose(ds["loss"], want.mean(1), rtol=1e-12)
    np.testing.assert_allclose(ds["loss_se"], want.std(1) / 30**0.5, rtol=1e-10)
    np.testing.assert_allclose(ds["error"], (m < a[:, None] * reach).double().mean(1))
    assert float(ds["distorted"]) == 0 and float(ds["peak"]) == 1
    assert float(ds["gradient_cosine"]) == pytest.approx(1.0, abs=1e-12)
    tangent = want[0] + a[:, None] * reach * torch.sigmoid(-m)
    assert float(ds["linearity"]) == pytest.approx(float((want - tangent).abs().amax(0).mean()), rel=1e-9)
    assert float(ds["plane_loss"].sel(along=0, across=0)) == pytest.approx(float(want[0].mean()), rel=1e-12)


def test_the_logit_difference_of_a_linear_model_is_linear():
    """Oracle: a tangent of a linear function is the function."""
    loss = lambda z, y: z.gather(1, (1 - y)[:, None])[:, 0] - z.gather(1, y[:, None])[:, 0]  # noqa: E731
    problem = Problem(linear(), loss, (grey(), torch.arange(30) % 2))
    assert float(landscape.input_surface(problem, radius=0.3, **PLAIN)["linearity"]) < 1e-14


class Hill(nn.Module):
    """Class 1 wins where the mean of the pixels is within 0.05 of 0.6, most at 0.6."""

    def forward(self, x):
        height = 1 - ((x.flatten(1).mean(1) - 0.6) / 0.05) ** 2
        return torch.stack([torch.zeros_like(height), height], 1)


def test_a_hill_is_passed_over():
    """Oracle: images of mean 0.5 and class 0 climb to 0.6 after a step of 0.1 and are right again at 0.2."""
    x = grey()
    x = x - x.mean((1, 2, 3), keepdim=True) + 0.5
    model = Hill()
    model.register_parameter("unused", nn.Parameter(torch.zeros(1, dtype=torch.float64)))
    problem = Problem(model, "cross_entropy", (x, torch.zeros(30, dtype=torch.long)))
    ds = landscape.input_surface(problem, radius=0.2, points=20, **PLAIN)
    assert float(ds["distorted"]) == 1.0
    assert float(ds["peak"]) == pytest.approx(0.5, abs=0.03)
    np.testing.assert_allclose(ds["error"], np.abs(ds["step"] - 0.1) < 0.05)


@pytest.mark.parametrize("first", ["gradient", "pgd", "fisher", "random"])
def test_every_direction_is_drawn(first):
    """Oracle: the loss at the image is the same; pictures are as many as models and more."""
    problem = Problem(linear(), "cross_entropy", (grey(), torch.arange(30) % 2))
    ds = landscape.input_surface(problem, first=first, norm="l2", second="random", points=4, **PLAIN)
    assert float(ds["loss"][0]) == pytest.approx(problem.loss(), rel=1e-9)
    if first != "random":
        assert float(ds["loss"][-1]) > float(ds["loss"][0])
    names = [f.name for f in landscape.input_surface.plots({"a": ds, "b": ds})]
    assert names == ["loss", "error", "plane_0", "plane_1"]


def test_the_step_of_another_linear_model_meets_the_closed_form():
    """Oracle: softplus(−m + b (w₁ − w₀)·sign(v₁ − v₀)), v the weights of the other; both as y says."""
    model, other, x, y = linear(), linear(), grey(), torch.arange(30) % 2
    with torch.no_grad():
        other[1].weight.copy_(torch.randn(2, 16, generator=torch.Generator().manual_seed(5)))
    problem = Problem(model, "cross_entropy", (x, y), batch_size=11)
    ds = landscape.input_surface(problem, second="fgsm_of", surrogate=other, radius=0.3, **PLAIN)
    W, V, z = model[1].weight.detach(), other[1].weight.detach(), model(x).detach()
    m = z[torch.arange(30), y] - z[torch.arange(30), 1 - y]
    per_unit = (W[1] - W[0]) @ (V[1] - V[0]).sign()  # the same for both labels: both signs turn
    for b in (-0.3, 0.3):
        want = nn.functional.softplus(-m + b * per_unit).mean()
        assert float(ds["plane_loss"].sel(along=0, across=b)) == pytest.approx(float(want), rel=1e-12)
    assert "Sequential " in ds.attrs["inputs"]
    assert "another model" in landscape.input_surface.plots({"a": ds})[-1].caption


@pytest.mark.parametrize("given", [{"second": "fgsm_of"}, {"surrogate": nn.Identity()}])
def test_another_model_and_its_direction_go_together(given):
    """Oracle: the sentence."""
    problem = Problem(linear(), "cross_entropy", (grey(), torch.arange(30) % 2))
    with pytest.raises(InputError, match="takes another model as the input surrogate"):
        landscape.input_surface(problem, **PLAIN, **given)
    with pytest.raises(InputError, match="takes a model; got a"):
        landscape.input_surface(problem, second="fgsm_of", surrogate=3, **PLAIN)
