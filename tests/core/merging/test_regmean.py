"""RegMean against pooled least squares, and Gram matrices against inputs written out by hand."""

from __future__ import annotations

import pytest
import torch
from cases import images
from torch import nn

from landscape import Problem
from landscape.core.merging.regmean import input_grams, regmean
from landscape.errors import InputError


def fit(x, y):
    model = nn.Linear(x.shape[1], y.shape[1], bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.linalg.lstsq(x, y).solution.T)
    return Problem(model, "half_squared_error", (x, y))


def data(rows, seed):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 4, generator=g).double(), torch.randn(rows, 3, generator=g).double()


def state(problem):
    return {n: t.detach() for n, t in problem.module.state_dict().items()}


def test_least_squares_fits_merge_to_the_pooled_fit():
    """Oracle: torch's least squares on both data sets together."""
    sets = [data(9, 0), data(15, 1)]
    problems = [fit(x, y) for x, y in sets]
    merged, plain = regmean([state(p) for p in problems], [input_grams(p) for p in problems], shrink=1.0)
    x, y = (torch.cat(part) for part in zip(*sets, strict=True))
    torch.testing.assert_close(merged["weight"], torch.linalg.lstsq(x, y).solution.T)
    assert plain == []
    with pytest.raises(InputError, match="shrink"):
        regmean([state(p) for p in problems], [input_grams(p) for p in problems], shrink=1.1)


def test_directions_without_inputs_have_the_mean():
    """Oracle: by hand. With α = 0 entries are means weighted by mean squared inputs; unseen ones plain."""
    x = [torch.tensor([[1.0, 0.0]]).double(), torch.tensor([[2.0, 0.0]]).double()]
    problems = []
    for rows, value in zip(x, (1.0, 6.0), strict=True):
        model = nn.Linear(2, 1, bias=False).double()
        nn.init.constant_(model.weight, value)
        problems.append(Problem(model, "half_squared_error", (rows, torch.zeros(1, 1).double())))
    for shrink in (0.0, 1.0):
        merged, _ = regmean([state(p) for p in problems], [input_grams(p) for p in problems], shrink=shrink)
        torch.testing.assert_close(merged["weight"], torch.tensor([[5.0, 3.5]]).double())


def test_shrinking_multiplies_what_is_off_the_diagonal():
    """Oracle: the paper's equation with the matrices written out, solved by numpy's inverse of the sum."""
    problems = [fit(*data(6, s)) for s in (2, 3)]
    found = input_grams(problems[0])["weight"][0]
    x = data(6, 2)[0]
    torch.testing.assert_close(found, x.T @ x)
    grams = []
    for s in (2, 3):
        x = data(6, s)[0]
        gram = x.T @ x
        grams.append(0.3 * gram + 0.7 * torch.diag(gram.diagonal()))
    weights = [state(p)["weight"] for p in problems]
    expected = sum(w @ g for w, g in zip(weights, grams, strict=True)) @ torch.linalg.inv(sum(grams))
    merged, _ = regmean([state(p) for p in problems], [input_grams(p) for p in problems], shrink=0.3)
    torch.testing.assert_close(merged["weight"], expected)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_is_a_linear_layer_of_unfolded_inputs(groups):
    """Oracle: torch's own unfold, group by group; biases and norms have no matrix and are averaged."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=groups), nn.BatchNorm2d(6))
        model.append(nn.Sequential(nn.Flatten(), nn.LazyLinear(2))).double().eval()
        x = torch.randn(5, 4, 8, 8).double()
        model(x)
    problem = Problem(model, "cross_entropy", (x, torch.tensor([0, 1, 0, 1, 1])), batch_size=2)
    grams = input_grams(problem)
    assert set(grams) == {"0.weight", "2.1.weight"}
    rows = nn.functional.unfold(x, 3, padding=1, stride=2).mT.reshape(-1, 4 * 9)
    parts = rows.reshape(len(rows), groups, -1).movedim(1, 0)
    torch.testing.assert_close(grams["0.weight"], parts.mT @ parts)
    _, plain = regmean([state(problem)] * 2, [grams] * 2)
    assert "0.bias" in plain and "1.weight" in plain and "0.weight" not in plain


def test_one_model_with_itself_is_itself():
    """Oracle: the model. Of two copies every method gives the copy, dead inputs or not."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.LazyLinear(3)).double()
        x, y = images(10)
        model(x)
    problem = Problem(model, "cross_entropy", (x, y))
    merged, _ = regmean([state(problem)] * 3, [input_grams(problem)] * 3)
    for name, tensor in state(problem).items():
        torch.testing.assert_close(merged[name], tensor)
