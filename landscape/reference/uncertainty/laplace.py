"""Linearised Laplace: a Gaussian posterior about a trained network, on its Gauss-Newton matrix."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from landscape.core.behaviour.predictive import Draws, Mixture, Point, Predictive
from landscape.core.behaviour.weighted_mixture import WeightedMixture
from landscape.core.linalg.eigenpairs import eigenpairs
from landscape.core.linalg.psd_quadrature import PsdQuadrature
from landscape.core.linalg.reductions import sum_of_squares
from landscape.core.posterior.curve import evidence_curve, summed_curvature
from landscape.core.posterior.evidence import EvidenceCurve
from landscape.core.posterior.gaussian import (
    DensePosterior,
    DiagonalPosterior,
    GaussianPosterior,
    LowRankPosterior,
)
from landscape.core.posterior.head import HeadJacobian, find_head, head_entries
from landscape.core.posterior.jacobians import BYTES, OutputJacobian
from landscape.core.posterior.likelihood import Likelihood, Noise, likelihood_of
from landscape.core.posterior.links import probit, target_moments
from landscape.core.posterior.selection import Selection, choose, selection_scores
from landscape.core.posterior.sums import (
    DiagonalSums,
    check_entries,
    diagonal_sums,
    summed_block,
    summed_head,
)
from landscape.core.problem.private_model import private_copy
from landscape.core.problem.problem import Problem
from landscape.errors import InputError, suggest

__all__ = ["LinearisedLaplace", "fit_laplace", "linearised_laplace"]

Structure = Literal["last_layer", "diagonal", "full", "subnetwork", "low_rank"]

Link = Literal["probit", "mc", "map"]

Word = Literal["evidence", "own_evidence"]

PriorPrecision = float | Word

Weights = Literal["equal", "evidence"]


class LinearisedLaplace(Predictive):
    """The predictive f(x) ~ N(f(x; θ*), JΣJᵀ) of a network linearised at its trained parameters.

    A regression predicts targets with the variance of the noise on top, the expected one where the network
    puts out variances. Input gradients pass through the
    variance of a last layer alone.

    Args:
        model: The network, in evaluation mode, from inputs (N, ...) to outputs (N, C).
        posterior: Over the entries that the Jacobian is of.
        jacobian: x ↦ outputs and their Jacobian.
        likelihood: What outputs say of targets.
        link: ``probit``: one draw, in closed form, of marginal variances; ``mc``: one draw per sample of
            the parameters; ``map``: the network alone.
        samples: Draws of ``mc``.
        prior_precision: δ that the posterior was fitted with.
        log_evidence: ln p(D | δ) of a model whose free parameters are the posterior's entries; NaN if
            unknown, as of a low rank with a given δ.

    Raises:
        InputError: If there is no such link, or no sample.

    Reference:
        Khan et al. (2019), Approximate inference turns deep networks into Gaussian processes; Immer et al.
        (2021), Improving predictions of Bayesian neural nets via local linearization, equation 9.
    """

    def __init__(
        self,
        model: nn.Module,
        posterior: GaussianPosterior,
        jacobian: OutputJacobian | HeadJacobian,
        likelihood: Likelihood,
        *,
        link: Link = "probit",
        samples: int = 30,
        prior_precision: float = math.nan,
        log_evidence: float = math.nan,
    ) -> None:
        super().__init__()
        if link not in get_args(Link):
            raise InputError(f"there is no link '{link}'; {suggest(str(link), get_args(Link))}")
        _check_samples(samples)
        self.model = model
        self.posterior = posterior
        self.jacobian = jacobian
        self.likelihood = likelihood
        self.link = link
        self.samples = samples
        self.prior_precision = prior_precision
        self.log_evidence = log_evidence

    def draws(self, x: Tensor, samples: int | None = None, *, seed: int = 0) -> Draws:
        """One draw of closed form, or one per sample of the parameters.

        Args:
            x: Inputs (N, ...).
            samples: Of the link ``mc``; by default the predictive's own number.
            seed: Which samples of the parameters; they are the same for every example.

        Raises:
            InputError: If no sample is asked for.
        """
        count = self.samples if samples is None else samples
        _check_samples(count)
        noise = self.posterior.deviations(count, seed=seed) if self.link == "mc" else None
        parts = [self._of_piece(piece, noise) for piece in torch.split(x, self._step(x))]
        mean, variance = (torch.cat(side, dim=1) for side in zip(*parts, strict=True))
        if self.likelihood.kind == "categorical":
            return Draws("classification", log_p=probit(mean, variance))
        mean, variance = target_moments(mean, variance, self.likelihood)
        return Draws("regression", mean=mean, variance=variance)

    def _of_piece(self, x: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """Means and variances of the outputs of some examples, (draws, n, C)."""
        if self.link == "map":
            mean = self.model(x)[None]
            return mean, torch.zeros_like(mean)
        outputs, J = self.jacobian(x)
        if noise is None:
            return outputs[None], self.posterior.variance(J).to(outputs)[None]
        moved = outputs + (J.double() @ noise.mT).movedim(-1, 0).to(outputs)
        return moved, torch.zeros_like(moved)

    def _step(self, x: Tensor) -> int:
        """Examples whose Jacobians, in float64, are in memory at a time."""
        if self.link == "map" or not len(x):
            return max(1, len(x))
        if self._outputs is None:
            with torch.no_grad():
                self._outputs = self.model(x[:1]).shape[1]
        return max(1, BYTES // (8 * self.posterior.entries * self._outputs))

    _outputs: int | None = None


def _check_samples(samples: int) -> None:
    if samples < 1:
        raise InputError(f"a Laplace predictive is drawn from one or more times, not {samples}.")


def fit_laplace(
    problem: Problem,
    *,
    structure: Structure = "last_layer",
    prior_precision: PriorPrecision | None = None,
    size: int | None = None,
    select: Selection = "curvature",
    k: int = 50,
    noise: Noise = "ml",
    link: Link = "probit",
    samples: int = 30,
    seed: int = 0,
) -> LinearisedLaplace:
    """Fit a Laplace posterior to a trained network, by passes over its data and without any training.

    Σ⁻¹ = Σ_n JᵀΛJ + δI on the entries of the structure; the other weights stay at the checkpoint.

    Args:
        problem: The network and the data that it was trained on.
        structure: ``last_layer``, in closed form; ``diagonal`` of all weights; ``full`` covariance of all;
            ``subnetwork``: full covariance of those of the highest scores; ``low_rank``: the k leading
            eigenpairs of all, and the prior on what is left.
        prior_precision: δ, a number; ``evidence``: that of most evidence of the whole model, see
            `landscape.core.posterior.curve`; ``own_evidence``: of the model whose free parameters are
            those of the structure (for ``low_rank`` the whole one); ``None``: that of the problem's weight
            decay λ, N λ for a cross-entropy or a Gaussian head.
        size: Weights of a subnetwork.
        select: Their score, see `landscape.core.posterior.selection.selection_scores`.
        k: Eigenpairs of ``low_rank``.
        noise: Variance of the noise of a regression; ``ml``: its mean squared residual.
        link: See `LinearisedLaplace`.
        samples: See `LinearisedLaplace`.
        seed: Of random choices and starting vectors.

    Raises:
        InputError: If an option does not fit, or there is no prior: no weight decay and no precision given.

    Reference:
        Ritter et al. (2018), A scalable Laplace approximation for neural networks; Daxberger et al. (2021),
        Laplace Redux (2106.14806) and Bayesian deep learning via subnetwork inference (2010.14689).
    """
    if structure not in get_args(Structure):
        raise InputError(
            f"there is no structure '{structure}'; {suggest(str(structure), get_args(Structure))}"
        )
    fit = _Fit(problem, likelihood_of(problem, noise), prior_precision, seed)
    ways: dict[str, Callable[[], Fitted]] = {
        "last_layer": fit.last_layer,
        "diagonal": fit.diagonal,
        "full": fit.full,
        "subnetwork": lambda: fit.subnetwork(size, select),
        "low_rank": lambda: fit.low_rank(k),
    }
    posterior, jacobian = ways[structure]()
    return LinearisedLaplace(
        fit.model,
        posterior,
        jacobian,
        fit.likelihood,
        link=link,
        samples=samples,
        prior_precision=fit.delta,
        log_evidence=fit.log_evidence,
    )


Fitted = tuple[GaussianPosterior, OutputJacobian | HeadJacobian]


class _Fit:
    """What the structures have in common while a posterior is fitted.

    Attributes:
        model: The network that will predict.
        delta: The prior precision, once it is known.
        log_evidence: ln p(D | δ) with the posterior's own entries free.
    """

    def __init__(
        self, problem: Problem, likelihood: Likelihood, prior_precision: PriorPrecision | None, seed: int
    ) -> None:
        self.problem = problem
        self.likelihood = likelihood
        self.seed = seed
        self.model = private_copy(problem.module, problem.space.names, problem.device, None)
        self.delta = math.nan
        self.log_evidence = math.nan
        self._wanted = _prior(problem, likelihood, prior_precision)

    def last_layer(self) -> Fitted:
        """The head alone, without a backward pass."""
        problem, batch = self.problem, self.problem.first
        name = find_head(problem.module, lambda: problem.output(batch)[0])
        bias = ".".join(filter(None, (name, "bias"))) in problem.space.names
        H = summed_head(problem, self.likelihood, HeadJacobian(problem.module, name, bias=bias))
        return self._dense(H, head_entries(problem.space, name)), HeadJacobian(self.model, name, bias=bias)

    def full(self) -> Fitted:
        """All entries, with their full covariance."""
        return self._dense(summed_block(self.problem, self.likelihood), None), self._jacobian(None)

    def subnetwork(self, size: int | None, select: Selection) -> Fitted:
        """The entries of the highest scores, with their full covariance."""
        if size is None:
            raise InputError("a subnetwork needs size=, the number of its weights.")
        check_entries(size)
        # the scores depend on δ; with that of the subnetwork's own evidence they would go in a circle
        if self._wanted == "own_evidence":
            self.delta = self._of(self.sums.curvature.numpy(), None).best()
        else:
            self._settle(None)
        scores = selection_scores(select, self.problem.theta, lambda: self.sums, self.delta, self.seed)
        index = choose(scores, size)
        return self._dense(summed_block(self.problem, self.likelihood, index), index), self._jacobian(index)

    def diagonal(self) -> Fitted:
        """All entries, independent."""
        h = self.sums.curvature
        self._settle(self._of(h.numpy(), None))
        return DiagonalPosterior(h + self.delta), self._jacobian(None)

    def low_rank(self, k: int) -> Fitted:
        """The leading eigenvectors of all entries; what is left has the prior's precision."""
        A = summed_curvature(self.problem, self.likelihood)
        pairs = eigenpairs(A, k, "LA", seed=self.seed, vectors=True)
        assert pairs.vectors is not None
        self._settle(self.whole if isinstance(self._wanted, str) else None)
        return LowRankPosterior(pairs.vectors.cpu(), pairs.values, self.delta), self._jacobian(None)

    @cached_property
    def sums(self) -> DiagonalSums:
        """What the data say of each entry."""
        return diagonal_sums(self.problem, self.likelihood)

    @cached_property
    def whole(self) -> EvidenceCurve:
        """The evidence of the model with all entries free."""
        return evidence_curve(self.problem, self.likelihood, seed=self.seed)

    def _dense(self, H: Tensor, index: Tensor | None) -> DensePosterior:
        """The posterior with the full covariance of some entries, once their δ is settled."""
        self._settle(self._of(torch.linalg.eigvalsh(H).numpy(), index))
        return DensePosterior(H + self.delta * torch.eye(len(H), dtype=H.dtype))

    def _of(self, eigenvalues: Any, index: Tensor | None) -> EvidenceCurve:
        """The evidence of the model with some entries free, of the eigenvalues of their curvature."""
        theta = self.problem.theta if index is None else self.problem.theta[index.to(self.problem.device)]
        fit = self.likelihood.log_likelihood(self.problem.measure().data_loss)
        return EvidenceCurve(fit, sum_of_squares(theta), len(theta), PsdQuadrature.exact(eigenvalues))

    def _settle(self, own: EvidenceCurve | None) -> None:
        """Find δ, of the own evidence if that is wanted, and the own evidence at it."""
        if isinstance(self._wanted, float):
            self.delta = self._wanted
        elif self._wanted == "evidence":
            self.delta = self.whole.best()
        elif own is not None:
            self.delta = own.best()
        if own is not None:
            self.log_evidence = float(own.at([self.delta]).middle[0])

    def _jacobian(self, index: Tensor | None) -> OutputJacobian:
        return OutputJacobian(self.model, self.problem.space, index)


def _prior(
    problem: Problem, likelihood: Likelihood, prior_precision: PriorPrecision | None
) -> PriorPrecision:
    """The prior precision that is asked for, a number or a word that stands for one."""
    if prior_precision is None:
        if not problem.weight_decay:
            raise InputError(
                "a posterior needs a prior, and the problem has no weight decay that stands for one; give"
                " prior_precision= as a number, 'evidence' or 'own_evidence'."
            )
        return likelihood.precision(problem.weight_decay)
    if isinstance(prior_precision, str):
        if prior_precision not in get_args(Word):
            raise InputError(
                f"there is no prior_precision '{prior_precision}'; {suggest(prior_precision, get_args(Word))}"
            )
        return prior_precision
    if not 0.0 < prior_precision < math.inf:
        raise InputError(f"prior_precision must be positive and finite; got {prior_precision}.")
    return float(prior_precision)


def linearised_laplace(
    members: Sequence[nn.Module],
    fit_data: tuple[Tensor, Tensor],
    *,
    prior_precision: PriorPrecision = "own_evidence",
    weights: Weights = "equal",
    **options: Any,
) -> Predictive:
    """The predictive of a manifest: the Laplace posterior of one network, or the mixture of those of several.

    Args:
        members: Networks with logits (N, C), or of a regression with outputs (N, D); or `GaussianHead`.
        fit_data: The inputs and targets that they were trained on; floating targets are those of a
            regression.
        prior_precision: As `fit_laplace` takes it.
        weights: Of the components of a mixture: ``equal``, or by their ``evidence``.
        **options: Others of `fit_laplace`.

    Raises:
        InputError: As `fit_laplace`.

    Reference:
        Eschenhagen et al. (2021), Mixtures of Laplace approximations for improved post-hoc uncertainty in
        deep learning (2111.03577); it takes equal weights and leaves others open.
    """
    if weights not in get_args(Weights):
        raise InputError(f"there are no weights '{weights}'; {suggest(str(weights), get_args(Weights))}")
    loss = "half_squared_error" if fit_data[1].is_floating_point() else "cross_entropy"
    # what is a predictive of a regression by itself, such as a Gaussian head, puts out variances too
    heads = [isinstance(member, Point) and member.kind == "regression" for member in members]
    losses = ["gaussian_nll" if head else loss for head in heads]
    parts = [
        fit_laplace(Problem(member, name, fit_data), prior_precision=prior_precision, **options)
        for member, name in zip(members, losses, strict=True)
    ]
    if len(parts) == 1:
        return parts[0]
    if weights == "equal":
        return Mixture(parts)
    evidence = torch.tensor([part.log_evidence for part in parts], dtype=torch.float64)
    if not bool(evidence.isfinite().all()):
        raise InputError(
            "the evidence of a component is unknown; with weights='evidence' and structure='low_rank' take"
            " prior_precision='evidence'."
        )
    return WeightedMixture(parts, evidence.softmax(0))
