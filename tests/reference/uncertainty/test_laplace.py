"""Linearised Laplace against exact Bayesian regressions, dense linear algebra and laplace-torch."""

import math
import warnings

import pytest
import torch
from posterior_cases import classifier, data, heteroscedastic, image_classifier, mlp, regression
from torch import nn

from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.core.behaviour.predictive import Mixture, predictive_of
from landscape.core.behaviour.weighted_mixture import WeightedMixture
from landscape.core.curvature.operator import ggn
from landscape.core.posterior import sums
from landscape.core.posterior.links import probit
from landscape.core.problem.losses import gaussian_outputs
from landscape.core.problem.problem import Problem
from landscape.errors import InputError
from landscape.reference.uncertainty import (
    GaussianHead,
    LinearisedLaplace,
    fit_laplace,
    linearised_laplace,
)

NEW = data(count=9)[0] * 1.5


def precision(problem, delta):
    """N G + δI by products with unit vectors."""
    eye = torch.eye(problem.size, dtype=torch.float64)
    return problem.examples * (ggn(problem).dense() - problem.weight_decay * eye) + delta * eye


def jacobian(model, x):
    rows = [
        torch.cat(
            [g.reshape(-1) for g in torch.autograd.grad(f, list(model.parameters()), retain_graph=True)]
        )
        for one in x
        for f in model(one[None])[0]
    ]
    return torch.stack(rows).view(len(x), -1, rows[0].numel())


def variances(predictive, x=NEW):
    return predictive.posterior.variance(predictive.jacobian(x)[1])


def test_bayesian_linear_regression_is_exact():
    """Oracle: the posterior predictive in closed form, N(xᵀm, xᵀΣx + σ²), by torch.linalg.inv."""
    problem, noise, delta = regression(), 0.25, 0.0
    x, y = problem.first.inputs, problem.first.target
    delta = 1e-9  # the network stands at the least squares, the mean of a posterior without a prior
    Sigma = torch.linalg.inv(x.T @ x / noise + delta * torch.eye(5, dtype=torch.float64))
    found = fit_laplace(problem, structure="full", prior_precision=delta, noise=noise).draws(NEW)
    torch.testing.assert_close(found.mean[0], NEW @ Sigma @ x.T @ y / noise)
    torch.testing.assert_close(found.variance[0, :, 0], (NEW @ Sigma * NEW).sum(1) + noise)


class Weighted(nn.Module):
    """A linear mean, and a variance that the input says: exp of its first entry."""

    def __init__(self, linear):
        super().__init__()
        self.linear = linear

    def forward(self, x):
        return gaussian_outputs(self.linear(x), x[:, :1].exp())


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("structure", ["full", "low_rank"])
def test_a_gaussian_head_with_a_known_variance_is_bayesian_linear_regression(constant, structure):
    """Oracle: the weighted posterior predictive in closed form, N(xᵀm, xᵀΣx + v(x)), by torch.linalg.inv.

    Both ways to the Gauss-Newton matrix are taken: Jacobians for all entries, products for the low rank.
    The evidence is that of the exact marginal, N(0, XXᵀ/δ + diag v) in the data.
    """
    linear, delta = regression().module, 0.3
    x, y = data()[0], regression().first.target
    v, new = ((torch.full((len(z),), 0.25) if constant else z[:, 0].exp()).double() for z in (x, NEW))
    Sigma = torch.linalg.inv(x.T @ (x / v[:, None]) + delta * torch.eye(5, dtype=torch.float64))
    with torch.no_grad():
        linear.weight.copy_((Sigma @ (x.T @ (y[:, 0] / v)))[None])  # where the posterior has its mean
    model = GaussianHead(linear, 0.25) if constant else GaussianHead(Weighted(linear))
    problem = Problem(model, "gaussian_nll", (x, y))
    fitted = fit_laplace(problem, structure=structure, prior_precision=delta, k=5)
    found = fitted.draws(NEW)
    torch.testing.assert_close(found.mean[0], NEW @ linear.weight.detach().T)
    torch.testing.assert_close(found.variance[0, :, 0], (NEW @ Sigma * NEW).sum(1) + new)
    if structure == "full":
        marginal = torch.distributions.MultivariateNormal(
            torch.zeros(len(x), dtype=torch.float64), x @ x.T / delta + torch.diag(v)
        )
        # of a Laplace evidence δ(2π)⁻¹ of the prior and of the posterior cancel
        assert fitted.log_evidence == pytest.approx(float(marginal.log_prob(y[:, 0])), abs=1e-6)


def test_laplace_of_a_network_that_puts_out_the_noise():
    """Oracle: `ggn` of the named loss by products; draws of the weights, within 5 standard errors."""
    problem = heteroscedastic(0.02)
    fitted = fit_laplace(problem, structure="full")
    assert fitted.prior_precision == pytest.approx(40 * 0.02)
    H = precision(problem, 0.8)
    J = jacobian(problem.module, NEW)
    exact = torch.einsum("nci,ij,ncj->nc", J, torch.linalg.inv(H), J)
    torch.testing.assert_close(variances(fitted), exact)
    found = fitted.draws(NEW)
    again = fit_laplace(problem, structure="full", link="mc", samples=4000).draws(NEW)
    mean, variance = again.mean[..., 0], again.variance[..., 0]
    assert ((mean.mean(0) - found.mean[0, :, 0]).abs() < 5 * mean.std(0) / 4000**0.5).all()
    total = variance + (mean - found.mean[0, :, 0]).square()
    assert ((total.mean(0) - found.variance[0, :, 0]).abs() < 5 * total.std(0) / 4000**0.5).all()


def test_a_gaussian_head_is_a_member_of_a_manifest():
    """Oracle: `fit_laplace` of the problem with the loss `gaussian_nll`, by hand; of two, their mixture."""
    problem = heteroscedastic()
    x, y = data()[0], problem.first.target
    found = linearised_laplace([problem.module], (x, y), prior_precision=0.5).draws(NEW)
    exact = fit_laplace(problem, prior_precision=0.5).draws(NEW)
    torch.testing.assert_close((found.mean, found.variance), (exact.mean, exact.variance))
    both = linearised_laplace([problem.module] * 2, (x, y), prior_precision=0.5)
    torch.testing.assert_close(both.draws(NEW).mixture(), (exact.mean[0], exact.variance[0]))


@pytest.mark.parametrize("loss", ["mse", "half_squared_error"])
def test_regression_of_several_outputs_does_not_depend_on_the_loss_s_factor(loss):
    """Oracle: outputs of a linear network share the posterior of one; `mse` is half the other over two."""
    found = fit_laplace(regression(loss, 2), structure="full", prior_precision=0.4, noise=0.3).draws(NEW)
    x = data()[0]
    Sigma = torch.linalg.inv(x.T @ x / 0.3 + 0.4 * torch.eye(5, dtype=torch.float64))
    exact = (NEW @ Sigma * NEW).sum(1) + 0.3
    torch.testing.assert_close(found.variance[0], exact[:, None].expand(-1, 2))


def test_logistic_regression_is_its_hessian():
    """Oracle: of a model linear in θ the Gauss-Newton matrix is the Hessian, here by autograd twice."""
    x, y = data()
    model = mlp()[0]  # 5 × 4: as many classes as rows
    problem = Problem(model, "cross_entropy", (x, y), weight_decay=0.1)

    def energy(weight, bias):
        z = x @ weight.T + bias
        return nn.functional.cross_entropy(z, y, reduction="sum")

    blocks = torch.autograd.functional.hessian(energy, tuple(p.detach() for p in model.parameters()))
    sizes = (20, 4)
    rows = [torch.cat([b.reshape(n, -1) for b in row], 1) for row, n in zip(blocks, sizes, strict=True)]
    H = torch.cat(rows)
    Sigma = torch.linalg.inv(H + 4.0 * torch.eye(24, dtype=torch.float64))  # N λ = 40 · 0.1
    J = jacobian(model, NEW)
    exact = (J @ Sigma * J).sum(-1)
    for structure in ("full", "last_layer"):  # the last layer is all there is
        found = fit_laplace(problem, structure=structure)
        torch.testing.assert_close(variances(found), exact)
        torch.testing.assert_close(found(NEW), probit(model(NEW).detach(), exact))


@pytest.mark.parametrize("make", [classifier, image_classifier])
def test_full_laplace_is_that_of_the_dense_gauss_newton_matrix(make):
    """Oracle: J(N G + δI)⁻¹Jᵀ with G by double backward products and J by single backward passes."""
    problem = make()
    x = NEW if make is classifier else problem.first.inputs[:4]
    found = fit_laplace(problem, structure="full", prior_precision=0.7)
    J = jacobian(found.model, x)
    exact = (J @ torch.linalg.inv(precision(problem, 0.7)) * J).sum(-1)
    torch.testing.assert_close(variances(found, x), exact)


def test_a_subnetwork_of_all_weights_and_a_low_rank_of_all_pairs_are_full():
    """Oracle: the full posterior, by another way through the code."""
    problem = classifier()
    full = fit_laplace(problem, structure="full")
    for options in ({"structure": "subnetwork", "size": problem.size}, {"structure": "low_rank", "k": 39}):
        found = fit_laplace(problem, **options)
        torch.testing.assert_close(variances(found), variances(full), rtol=1e-7, atol=1e-10)
        torch.testing.assert_close(found(NEW), full(NEW), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("select", ["variance", "magnitude", "curvature", "predictive", "random"])
def test_a_subnetwork_has_the_block_of_its_weights(select):
    """Oracle: J_S(H_SS + δI)⁻¹J_Sᵀ of the dense matrix, S read off the Jacobian's own entries."""
    problem = classifier()
    found = fit_laplace(problem, structure="subnetwork", size=11, select=select, prior_precision=0.5)
    everything = jacobian(found.model, NEW)
    chosen = found.jacobian(NEW)[1]
    at = [int((everything - column[..., None]).abs().sum((0, 1)).argmin()) for column in chosen.unbind(-1)]
    assert len(set(at)) == 11
    block = precision(problem, 0.5)[at][:, at]
    torch.testing.assert_close(variances(found), (chosen @ torch.linalg.inv(block) * chosen).sum(-1))


def test_the_last_layer_is_the_subnetwork_of_the_head():
    """Oracle: a problem whose θ is the head, with a full posterior, which differentiates."""
    x, y = data()
    head = Problem(mlp(), "cross_entropy", (x, y), parameters="2.*")
    last = fit_laplace(classifier(), structure="last_layer", prior_precision=0.3)
    full = fit_laplace(head, structure="full", prior_precision=0.3)
    torch.testing.assert_close(last(NEW).detach(), full(NEW))
    assert last.log_evidence == pytest.approx(full.log_evidence)


def test_the_diagonal_is_that_of_the_matrix():
    """Oracle: JΣJᵀ with Σ of the inverses of the dense matrix's diagonal."""
    found = fit_laplace(classifier(), structure="diagonal", prior_precision=0.3)
    J = jacobian(found.model, NEW)
    exact = (J.square() / precision(classifier(), 0.3).diag()).sum(-1)
    torch.testing.assert_close(variances(found), exact)


@pytest.mark.parametrize("structure", ["full", "diagonal", "last_layer", "low_rank"])
def test_draws_average_to_the_mean_softmax_of_gaussian_logits(structure):
    """Oracle: softmax of logits drawn from N(f, JΣJᵀ) by torch, within five errors of both means."""
    found = fit_laplace(classifier(), structure=structure, link="mc", samples=4000, prior_precision=2.0, k=10)
    f, J = (side.detach() for side in found.jacobian(NEW[:3]))
    root = torch.linalg.cholesky(found.posterior.covariance(J))
    noise = torch.randn(4000, 3, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    exact = (f + torch.einsum("ncd,snd->snc", root, noise)).softmax(-1)
    drawn = found.draws(NEW[:3]).log_p.detach().exp()
    error = ((exact.var(0) + drawn.var(0)) / 4000).sqrt()
    assert bool(((exact.mean(0) - drawn.mean(0)).abs() < 5 * error).all())


@pytest.mark.parametrize("structure", ["full", "last_layer", "low_rank"])
@pytest.mark.parametrize("link", ["probit", "mc", "map"])
def test_predictions_do_not_depend_on_cuts_and_leave_random_numbers_alone(structure, link):
    """Oracle: the same batch in pieces; the state of torch's generator."""
    found = fit_laplace(classifier(), structure=structure, link=link, samples=5, k=10)
    state = torch.get_rng_state()
    whole = found.draws(NEW, seed=3)
    pieces = torch.cat([found.draws(part, seed=3).log_p for part in NEW.split(2)], dim=1)
    torch.testing.assert_close(whole.log_p, pieces, rtol=1e-12, atol=1e-12)
    assert whole.samples == (5 if link == "mc" else 1)
    torch.testing.assert_close(found(NEW), found.draws(NEW).mixture())
    assert torch.equal(torch.get_rng_state(), state)


def test_pieces_that_memory_allows_are_put_together(monkeypatch):
    """Oracle: all examples at once."""
    found = fit_laplace(classifier(), structure="full")
    whole = found(NEW)
    monkeypatch.setattr("landscape.reference.uncertainty.laplace.BYTES", 1)
    torch.testing.assert_close(found(NEW), whole)


def test_more_samples_begin_with_fewer():
    found = fit_laplace(classifier(), link="mc")
    torch.testing.assert_close(found.draws(NEW, 7).log_p[:3], found.draws(NEW, 3).log_p)
    assert found.draws(NEW).samples == 30


def test_a_problem_takes_it_as_a_model_and_keeps_its_numbers():
    """Oracle: the module's own forward pass; the copy that a problem makes, in its precision."""
    x, y = data()
    for structure in ("full", "last_layer", "diagonal"):
        found = fit_laplace(classifier(), structure=structure)
        exact = nn.functional.nll_loss(found(x).detach(), y)
        assert Problem(found, "cross_entropy", (x, y)).loss() == pytest.approx(float(exact), rel=1e-12)
        single = Problem(found, "cross_entropy", (x.float(), y), dtype=torch.float32)
        assert single.loss() == pytest.approx(float(exact), rel=1e-5)


def test_prior_precisions():
    """Oracle: N λ of weight decay; MacKay's N(δ) = δ‖θ‖² of the whole and of the posterior's own matrix."""
    problem = classifier(0.02)
    assert fit_laplace(problem).prior_precision == pytest.approx(40 * 0.02)
    H = precision(problem, 0.0)
    for found, at in (
        (fit_laplace(problem, prior_precision="evidence"), slice(None)),
        (fit_laplace(problem, prior_precision="own_evidence"), slice(24, None)),
        (fit_laplace(problem, structure="full", prior_precision="own_evidence"), slice(None)),
    ):
        values, delta = torch.linalg.eigvalsh(H[at, at]).clamp(min=0), found.prior_precision
        norm = float(problem.theta[at].square().sum())
        assert float((values / (values + delta)).sum()) == pytest.approx(delta * norm, rel=1e-5)


def test_a_mixture_of_one_is_the_posterior_and_of_no_variance_the_ensemble():
    """Oracle: `fit_laplace`; δ → ∞ leaves the networks alone."""
    x, y = data()
    one = linearised_laplace([mlp()], (x, y), prior_precision=0.5)
    torch.testing.assert_close(one(NEW), fit_laplace(classifier(), prior_precision=0.5)(NEW))
    others = [mlp(), other()]
    mixture = linearised_laplace(others, (x, y), prior_precision=1e12)
    assert isinstance(mixture, Mixture)
    torch.testing.assert_close(mixture(NEW), DeepEnsemble(others)(NEW))


def other():
    model = mlp()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(-0.7)
    return model


def test_components_are_weighed_by_their_evidence():
    """Oracle: Σ π p with π the softmax of the log evidence of each, by hand."""
    x, y = data()
    members = [mlp(), other()]
    mixture = linearised_laplace(members, (x, y), weights="evidence", structure="full")
    assert isinstance(mixture, WeightedMixture)
    single = [linearised_laplace([m], (x, y), structure="full") for m in members]
    shares = torch.tensor([part.log_evidence for part in single], dtype=torch.float64).softmax(0)
    by_hand = sum(w * part(NEW).exp() for w, part in zip(shares, single, strict=True))
    torch.testing.assert_close(mixture(NEW).exp(), by_hand)


def test_far_from_the_data_confidence_tends_to_a_constant():
    """Oracle: softmax of u/√(π s²/8), with the slopes u of the mean and s of the deviation along a ray.

    Both are linear there, since a ReLU network is; read off two points. A plain network tends to 1.
    """
    x, y = data()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3)).double()
    found = linearised_laplace([model], (x, y), prior_precision=1.0)
    ray = NEW[:1] / NEW[:1].norm()
    far, farther = 1e6 * ray, 2e6 * ray
    u = (model(farther) - model(far)).detach()
    s = (variances(found, farther).sqrt() - variances(found, far).sqrt()).detach()
    limit = (u / math.sqrt(math.pi / 8) / s).softmax(-1)
    torch.testing.assert_close(found(farther).exp().detach(), limit, rtol=1e-4, atol=1e-6)
    assert float(model(farther).detach().softmax(-1).max()) > 1 - 1e-9
    assert float(limit.max()) < 0.999


def test_regressions_are_fitted_by_their_targets():
    x, _ = data()
    found = linearised_laplace([mlp(classes=1)], (x, x[:, :1]))
    assert found.draws(NEW).kind == "regression"
    assert predictive_of(found) is found


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"structure": "kron"}, "no structure 'kron'"),
        ({"structure": "subnetwork"}, "needs size="),
        ({"structure": "subnetwork", "size": 40}, "1 to 39 weights"),
        ({"structure": "subnetwork", "size": 3, "select": "best"}, "no selection 'best'"),
        ({"prior_precision": -1.0}, "positive and finite"),
        ({"prior_precision": "evidense"}, "did you mean 'evidence'"),
        ({"link": "logit"}, "no link 'logit'"),
        ({"link": "mc", "samples": 0}, "one or more times"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, sentence):
    with pytest.raises(InputError, match=sentence):
        fit_laplace(classifier(), **options)


def test_without_a_prior_there_is_no_posterior(monkeypatch):
    with pytest.raises(InputError, match="no weight decay that stands for one"):
        fit_laplace(classifier(0.0))
    monkeypatch.setattr(sums, "LARGEST", 20)
    with pytest.raises(InputError, match="low_rank"):
        fit_laplace(classifier(), structure="full")
    with pytest.raises(InputError, match="no weights 'best'"):
        linearised_laplace([mlp()], data(), weights="best")
    with pytest.raises(InputError, match="evidence of a component is unknown"):
        options = {"structure": "low_rank", "k": 3, "prior_precision": 1.0}
        linearised_laplace([mlp(), other()], data(), weights="evidence", **options)


# laplace-torch


@pytest.fixture
def rival():
    """laplace-torch fitted to the same network, by a backend of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        package = pytest.importorskip("laplace", reason="laplace-torch is not installed: extra 'oracle'")
        curvature = pytest.importorskip("laplace.curvature", reason="laplace-torch is not installed")

    def fit(structure, subset="all", delta=0.5, **options):
        x, y = data()
        # in its own precision, float32, where its backends assume it
        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=16)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = package.Laplace(
                mlp(),
                "classification",
                subset_of_weights=subset,
                hessian_structure=structure,
                prior_precision=delta,
                backend=curvature.CurvlinopsGGN,
                **options,
            )
            found.fit(loader)
        return found

    return fit


@pytest.mark.parametrize(
    ("structure", "theirs", "subset"),
    [("full", "full", "all"), ("diagonal", "diag", "all"), ("last_layer", "full", "last_layer")],
)
def test_laplace_torch_agrees(rival, structure, theirs, subset):
    """Oracle: laplace-torch 0.3, its curvature by curvlinops: predictive and log marginal likelihood."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exact = rival(theirs, subset)
        p = exact(NEW, pred_type="glm", link_approx="probit")
        evidence = float(exact.log_marginal_likelihood())
    found = fit_laplace(classifier(), structure=structure, prior_precision=0.5)
    torch.testing.assert_close(found(NEW).exp().detach(), p.double().detach(), rtol=1e-5, atol=1e-6)
    assert found.log_evidence == pytest.approx(evidence, abs=1e-3)


def test_laplace_torch_agrees_on_subnetworks(rival):
    """Oracle: laplace-torch's own subnetwork of the largest marginal variances, and its matrix."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        masks = pytest.importorskip("laplace.utils", reason="laplace-torch is not installed")
        at = torch.tensor([1, 4, 7, 20, 23, 30, 38])
        exact = rival("full", "subnetwork", subnetwork_indices=at)
        p = exact(NEW, pred_type="glm", link_approx="probit")
        diagonal = rival("diag")
        mask = masks.LargestVarianceDiagLaplaceSubnetMask(
            mlp(), n_params_subnet=11, diag_laplace_model=diagonal
        )
        x, y = data()
        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=16)
        theirs = mask.select(loader)
    from landscape.core.posterior.gaussian import DensePosterior
    from landscape.core.posterior.jacobians import OutputJacobian
    from landscape.core.posterior.likelihood import likelihood_of
    from landscape.core.posterior.selection import choose, selection_scores
    from landscape.core.posterior.sums import diagonal_sums, summed_block

    problem = classifier()
    likelihood = likelihood_of(problem)
    H = summed_block(problem, likelihood, at) + 0.5 * torch.eye(7, dtype=torch.float64)
    jacobian = OutputJacobian(problem.module, problem.space, at)
    found = LinearisedLaplace(problem.module, DensePosterior(H), jacobian, likelihood)
    torch.testing.assert_close(found(NEW).exp(), p.double().detach(), rtol=1e-5, atol=1e-6)
    scores = selection_scores("variance", problem.theta, lambda: diagonal_sums(problem, likelihood), 0.5)
    assert choose(scores, 11).tolist() == sorted(theirs.tolist())
