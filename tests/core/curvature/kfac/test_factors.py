"""KFAC and EKFAC against matrices they must equal, and against curvlinops where that is installed."""

from __future__ import annotations

from itertools import accumulate

import pytest
import torch
from cases import CASES, ConvNet, generator, images, mlp, vectors
from torch import nn

from landscape import Problem, empirical_fisher, ggn
from landscape.core.curvature.kfac.factors import MOST_PASSES, diagonal_ggn, ekfac, kfac
from landscape.errors import InputError

every_case = pytest.mark.parametrize("name", CASES)


def block_of(matrix, problem, operator, name):
    """The rows and columns of one layer."""
    starts = [0, *accumulate(problem.space.sizes)]
    members = sorted(next(b for b in operator.layers if b.name == name).members)
    index = torch.cat([torch.arange(starts[i], starts[i + 1]) for i in members])
    return matrix[index][:, index]


def exact(got, wanted):
    torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("make", [kfac, ekfac])
@pytest.mark.parametrize("bias", [True, False])
def test_one_linear_layer_is_exact(make, bias):
    """Oracle: the Gauss-Newton matrix by products of autograd; I ⊗ XᵀX/N has exactly KFAC's form."""
    x, _ = vectors()
    problem = Problem(
        nn.Linear(4, 3, bias=bias).double(), "half_squared_error", (x, torch.zeros(13, 3).double())
    )
    exact(make(problem).dense(), ggn(problem).dense())


class Shared(nn.Module):
    """A convolution whose positions are each an output, or are averaged into one."""

    def __init__(self, averaged, groups=1):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.conv = nn.Conv2d(2, 4, (2, 3), 1, padding=(0, 2), dilation=(1, 2), groups=groups).double()
        self.averaged = averaged

    def forward(self, x):
        z = self.conv(x)
        return z.mean((2, 3)) if self.averaged else z


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("setting", ["expand", "reduce"])
@pytest.mark.parametrize("make", [kfac, ekfac])
def test_each_setting_is_exact_where_it_is_meant_for(setting, make, groups):
    """Oracle: the Gauss-Newton matrix. Groups of a convolution are apart.

    Eschenhagen et al. (2023), propositions 1 and 2: a linear map shared over positions with a loss each
    (expand), or averaged before the loss (reduce).
    """
    x = torch.randn(5, 2, 3, 4, generator=generator(4), dtype=torch.float64)
    model = Shared(setting == "reduce", groups)
    problem = Problem(model, "half_squared_error", (x, torch.zeros_like(model(x)).detach()))
    exact(make(problem, setting=setting).dense(), ggn(problem).dense())


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("cut", ["same", "valid", "circular"])
def test_padding_of_convolutions(cut):
    """Oracle: the Gauss-Newton matrix, whose padding is torch's own."""
    options = {"padding_mode": cut, "padding": 1} if cut == "circular" else {"padding": cut}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Conv1d(2, 2, 4 if cut == "same" else 3, **options).double()
    x = torch.randn(4, 2, 6, generator=generator(4), dtype=torch.float64)
    problem = Problem(model, "half_squared_error", (x, torch.zeros_like(model(x)).detach()))
    exact(kfac(problem).dense(), ggn(problem).dense())


def test_embedding_is_exact():
    """Oracle: the Gauss-Newton matrix. Under a squared error of the rows it is diag(counts) ⊗ I/N."""
    tokens = torch.tensor([[0, 1, 1], [2, 1, 0], [2, 2, 4]])
    problem = Problem(
        nn.Embedding(5, 2).double(), "half_squared_error", (tokens, torch.zeros(3, 3, 2).double())
    )
    for make in (kfac, ekfac, diagonal_ggn):
        exact(make(problem).dense(), ggn(problem).dense())


@every_case
def test_diagonal_is_exact(name):
    """Oracle: the diagonal of the Gauss-Newton matrix: norms, attention, tied weights, tokens, all exact."""
    problem = CASES[name].problem(batch_size=5, weight_decay=0.1)
    exact(diagonal_ggn(problem).dense(), torch.diag(ggn(problem).dense().diagonal()))


@every_case
def test_ekfac_is_the_nearest_in_its_basis(name):
    """Oracle: the Gauss-Newton matrix, of which QᵀGQ has Λ as its diagonal (George et al. 2018, lemma 1).

    So the error falls in each layer, and blocks that KFAC has no factors for stay.
    """
    problem = CASES[name].problem(batch_size=5)
    G, rough, fine = ggn(problem).dense(), kfac(problem), ekfac(problem)
    for layer in rough.kinds:
        wanted = block_of(G, problem, fine, layer)
        error = {o: float((o.layer(layer).dense() - wanted).norm()) for o in (rough, fine)}
        assert error[fine] <= error[rough] * (1 + 1e-9) + 1e-14
        exact(fine.layer(layer).dense().trace(), wanted.trace())
        exact((fine.layer(layer).dense() ** 2).sum(), (fine.layer(layer).dense() * wanted).sum())


@every_case
def test_batches_and_decay(name):
    """Oracle: one batch of everything; λ adds to the diagonal alone."""
    whole = kfac(CASES[name].problem(batch_size=256)).dense()
    cut = kfac(CASES[name].problem(batch_size=4, weight_decay=0.3)).dense()
    exact(cut - 0.3 * torch.eye(len(cut), dtype=cut.dtype), whole)


def test_empirical_roots():
    """Oracle: the empirical Fisher matrix of `landscape`, on the diagonal of EKFAC's basis."""
    problem = CASES["mlp"].problem(batch_size=5)
    E, got = empirical_fisher(problem).dense(), ekfac(problem, roots="empirical")
    exact(got.dense().trace(), E.trace())
    diagonal = diagonal_ggn(problem, roots="empirical")
    exact(diagonal.dense().diagonal(), E.diagonal())


@pytest.mark.parametrize("name", ["mlp", "regression", "conv_batchnorm"])
def test_drawn_roots_tend_to_the_exact_ones(name):
    """Oracle: the exact roots; the error of S samples falls as 1/√S, or is none."""
    problem = CASES[name].problem(batch_size=5)
    wanted = diagonal_ggn(problem).dense().diagonal()
    error = [
        float(
            (diagonal_ggn(problem, roots="mc", samples=n).dense().diagonal() - wanted).norm() / wanted.norm()
        )
        for n in (1, 400)
    ]
    assert error[1] < 0.08
    # of one output each draw is a sign, so that its square is exact already
    assert error[1] < error[0] / 3 or max(error) < 1e-13


def test_dense_outputs_need_drawn_roots_where_there_are_many():
    """Oracle: the limit that is stated; positions are then drawn one by one."""
    x = torch.randn(2, 2, 20, 30, generator=generator(4))
    y = torch.randint(0, 4, (2, 20, 30), generator=generator(5))
    problem = Problem(nn.Conv2d(2, 4, 1), "cross_entropy", (x, y))
    with pytest.raises(InputError, match="2400 backward passes"):
        kfac(problem)
    assert float(kfac(problem, roots="mc").eigenvalues()[0]) > 0


def test_float32_agrees():
    """Oracle: the same in float64."""
    x, y = images()
    model = ConvNet()
    got = ekfac(Problem(model.float(), "cross_entropy", (x.float(), y)))
    wanted = ekfac(Problem(model.double(), "cross_entropy", (x.double(), y)))
    torch.testing.assert_close(got.dense().double(), wanted.dense(), rtol=1e-3, atol=1e-5)


def refused(problem, match, **options):
    with pytest.raises(InputError, match=match):
        kfac(problem, **options)


def test_refusals():
    """Oracle: the sentence says what is wrong."""
    x, y = vectors()
    good = Problem(mlp().double(), "cross_entropy", (x, y))
    refused(good, "no roots 'typo'", roots="typo")
    refused(good, "no setting 'typo'", setting="typo")
    refused(good, "at least 1", samples=0)
    refused(mlp(), "made of a Problem")
    refused(Problem(ConvNet(), "cross_entropy", images(), batchnorm="batch"), "batchnorm='checkpoint'")
    wavy = Problem(nn.Linear(4, 3).double(), lambda z, y: z.cos().sum(1), (x, y), check_derivatives=False)
    refused(wavy, "not convex")
    kfac(wavy, roots="empirical")
    flat = Problem(nn.Linear(4, 3).double(), lambda z, y: z.sum(1), (x, y), check_derivatives=False)
    refused(flat, "no curvature")


def test_too_many_passes_are_refused(monkeypatch):
    """Oracle: the count of passes, 13 examples of 2 columns (3 classes have rank 2), against the limit."""
    assert MOST_PASSES > 1000
    monkeypatch.setattr("landscape.core.curvature.kfac.factors.MOST_PASSES", 10)
    refused(CASES["multihead"].problem(), "in_proj_weight.*backward passes by example")


def test_curvlinops_agrees():
    """Oracle: curvlinops, another library with hooks, factors and scaling of its own."""
    curvlinops = pytest.importorskip("curvlinops")
    torch.manual_seed(0)
    x, y = images()
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.Tanh(), nn.Conv2d(3, 4, 3, stride=2), nn.Flatten(), nn.LazyLinear(3)
    ).double()
    model(x.double())
    data = x.double(), y
    problem = Problem(model, "cross_entropy", data)
    parameters = list(model.parameters())
    v = torch.randn(problem.size, 2, dtype=torch.float64)
    for setting in ("expand", "reduce"):
        for make, theirs in ((kfac, curvlinops.KFACLinearOperator), (ekfac, curvlinops.EKFACLinearOperator)):
            wanted = theirs(
                model,
                nn.CrossEntropyLoss(),
                parameters,
                [data],
                fisher_type=curvlinops.FisherType.TYPE2,
                kfac_approx=setting,
                separate_weight_and_bias=False,
                check_deterministic=False,
            )
            exact(make(problem, setting=setting) @ v, wanted @ v)
