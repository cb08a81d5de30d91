"""Deterministic uncertainty estimation: a sparse variational Gaussian process on features, by gpytorch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from landscape.core.behaviour.predictive import Draws, Predictive, joined
from landscape.core.seeds import seeded_generator
from landscape.errors import InputError
from landscape.imports import call
from landscape.reference.layers.spectral import spectral_bound
from landscape.reference.training.objective import frozen_statistics

if TYPE_CHECKING:
    from torch import Generator

__all__ = ["DUE", "due_network"]

SPREAD = 1000
"""Examples whose features the inducing points and the length scale start from."""


class DUE(Predictive):
    """A network whose features go into Gaussian processes, one for each class, with a softmax on top.

    Draws come from the marginals of each class, N(m_c(x), v_c(x)), softmax of m + √v·ε with one ε for each
    draw and class: the same distribution at every input as draws of all inputs together, whose joint
    covariance takes gigabytes for some hundred of them. The score is the mean variance over classes.

    Args:
        body: A module from inputs (N, ...) to features (N, D).
        features: D.
        classes: C.
        inducing: Number of inducing points.
        samples: Draws.
        seed: Seed of the draws.

    Raises:
        InputError: If gpytorch is missing, or a number is not positive.

    Reference:
        van Amersfoort et al. (2021), On feature collapse and deep kernel learning for single forward pass
        uncertainty; Hensman et al. (2015), Scalable variational Gaussian process classification.
    """

    feature_layer = "body"

    def __init__(
        self,
        body: nn.Module,
        features: int,
        classes: int = 10,
        inducing: int = 10,
        samples: int = 32,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if min(features, classes, inducing, samples) < 1:
            raise InputError(
                f"DUE: numbers are positive, not {features}, {classes}, {inducing} and {samples}."
            )
        self.body = body
        self.samples = samples
        self.seed = seed
        self.gp = _process(features, classes, inducing)

    def marginals(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Means and variances of each class' process at inputs (N, ...): (N, C) each."""
        from gpytorch.utils.memoize import clear_cache_hook

        # in eval mode gpytorch keeps a factor of the kernel, even when its parameters have changed since
        strategy = self.gp.variational_strategy
        clear_cache_hook(strategy)
        found = self.gp(self.body(x))
        mean, variance = found.mean.T, found.variance.T
        clear_cache_hook(strategy)
        return mean, variance

    def draws(self, x: Tensor, samples: int | None = None, *, seed: int = 0) -> Draws:
        """Draws of the marginals.

        Args:
            x: Inputs (N, ...).
            samples: How many; by default, the module's own number.
            seed: Added to the module's own seed.

        Raises:
            InputError: If there is no draw.
        """
        count = self.samples if samples is None else samples
        if count < 1:
            raise InputError(f"DUE needs at least one draw, not {count}.")
        mean, variance = self.marginals(x)
        made = []
        for index in range(count):
            generator = seeded_generator(self.seed + seed, index)
            noise = torch.randn(mean.shape[1], generator=generator).to(mean)
            made.append(Draws("classification", log_p=(mean + variance.sqrt() * noise).log_softmax(-1)[None]))
        return Draws("classification", log_p=joined(made).log_p, score=variance.mean(1))

    def negative_elbo(self, x: Tensor, classes: Tensor, examples: int, samples: int = 8) -> Tensor:
        """−ELBO per example, nats, by draws of the marginals; what is random is torch's own.

        Args:
            x: Inputs (n, ...).
            classes: (n,).
            examples: Number of all training examples.
            samples: Draws of the expected log-likelihood.
        """
        mean, variance = self.marginals(x)
        noise = torch.randn(samples, *mean.shape, dtype=mean.dtype, device=mean.device)
        log_p = (mean + variance.sqrt() * noise).log_softmax(-1)
        likelihood = log_p[:, torch.arange(len(classes)), classes].mean()
        divergence: Tensor = self.gp.variational_strategy.kl_divergence().sum()
        return divergence / examples - likelihood

    @torch.no_grad()
    def start(self, x: Tensor, generator: Generator) -> None:
        """Put inducing points at centres of clusters of features, the length scale at their mean distance.

        Args:
            x: Training inputs (N, ...), of which the first of a random order are used.
            generator: Of that order.
        """
        training = self.training
        # as training sees them: before it, running statistics of BatchNorm say nothing of the features, and
        # a length scale of others would leave all examples out of reach of all inducing points
        with frozen_statistics(self.body):
            self.body.train()
            h = self.body(x[torch.randperm(len(x), generator=generator)[:SPREAD]])
        self.train(training)
        points = self.gp.variational_strategy.inducing_points
        points.copy_(_clusters(h, points.shape[-2]).expand_as(points))
        self.gp.covar_module.base_kernel.lengthscale = torch.pdist(h).mean().clamp(min=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """In training mode the log probabilities at the means, (N, C); else the mixture of the draws.

        Args:
            x: Inputs (N, ...).
        """
        if self.training:
            return self.marginals(x)[0].log_softmax(-1)
        return super().forward(x)


def due_network(
    builder: str = "landscape.reference.models:resnet",
    kwargs: Mapping[str, Any] | None = None,
    shape: Sequence[int] = (1, 28, 28),
    bound: float | None = 3.0,
    inducing: int = 10,
    samples: int = 32,
) -> DUE:
    """Builder of DUE for manifests and recipes: a bounded network with processes for its last linear layer.

    It is trained on `landscape.reference.training.methods.EvidenceBound`; its checkpoint is the predictive.

    Args:
        builder: Builder of a network that ends in a `torch.nn.Linear`, ``package.module:function``.
        kwargs: Its arguments.
        shape: Shape of one input.
        bound: Largest spectral norm of every layer; None for no bound.
        inducing: As `DUE`.
        samples: As `DUE`.

    Raises:
        InputError: If gpytorch is missing, the builder cannot be used, or its network does not end in a
            linear layer.
    """
    body = call(builder, dict(kwargs or {}), "model builder")
    linear = [(name, part) for name, part in body.named_modules() if name and isinstance(part, nn.Linear)]
    if not linear:
        raise InputError(f"due_network: {type(body).__name__} has no linear layer to put the process for.")
    if bound is not None:
        spectral_bound(body, shape, bound)
    name, last = linear[-1]
    body.set_submodule(name, nn.Identity())
    return DUE(body, last.in_features, last.out_features, inducing, samples)


def _process(features: int, classes: int, inducing: int) -> Any:
    """A batch of independent processes, one for each class, with a radial kernel."""
    try:
        import gpytorch
    except ImportError as error:
        raise InputError(
            'DUE needs gpytorch, which is not installed: pip install "landscape-toolkit[gp]".'
        ) from error
    batch = torch.Size([classes])

    class Process(gpytorch.models.ApproximateGP):  # type: ignore[misc] # of a library without types
        def __init__(self) -> None:
            distribution = gpytorch.variational.CholeskyVariationalDistribution(inducing, batch_shape=batch)
            points = torch.randn(classes, inducing, features) / math.sqrt(features)
            strategy = gpytorch.variational.VariationalStrategy(self, points, distribution)
            super().__init__(strategy)
            # it starts at the prior; gpytorch would add noise to it, of torch's own, at the first call
            strategy.variational_params_initialized.fill_(1)
            self.mean_module = gpytorch.means.ConstantMean(batch_shape=batch)
            kernel = gpytorch.kernels.RBFKernel(batch_shape=batch)
            self.covar_module = gpytorch.kernels.ScaleKernel(kernel, batch_shape=batch)

        def forward(self, h: Tensor) -> Any:
            return gpytorch.distributions.MultivariateNormal(self.mean_module(h), self.covar_module(h))

    return Process()


def _clusters(h: Tensor, count: int, rounds: int = 20) -> Tensor:
    """Centres (count, D) of clusters of rows (N, D), by Lloyd's iteration from evenly spaced rows."""
    centres = h[torch.linspace(0, len(h) - 1, count).long()]
    for _ in range(rounds):
        nearest = torch.cdist(h, centres).argmin(1)
        sizes = torch.bincount(nearest, minlength=count)
        sums = torch.zeros_like(centres).index_add_(0, nearest, h)
        centres = torch.where(sizes[:, None] > 0, sums / sizes.clamp(min=1)[:, None], centres)
    return centres
