"""Density of features: a Gaussian for each class tells what is unlike the training data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from landscape.core.behaviour.predictive import Draws, Predictive
from landscape.core.posterior.head import find_head, read_by
from landscape.errors import InputError, suggest

__all__ = ["FeatureDensity", "feature_density", "fit_density"]

Covariance = Literal["full", "diagonal", "tied"]
Classes = Literal["labels", "predicted"]
Priors = Literal["none", "counts"]

JITTER = 1e-3
"""Added to variances, relative to their mean: features that are always 0 have none."""


class FeatureDensity(Predictive):
    """A classifier with the density of its features as its score.

    The draw is the classifier's own. The score is −ln Σ_c π_c N(h; μ_c, Σ_c), of the features h that its head
    reads, in float64: large for what is unlike the training data.

    Args:
        model: A classifier that ends in a linear layer.
        head: The name of this layer.
        means: μ (C, D).
        factors: Lower Cholesky factors of Σ (C, D, D), or (1, D, D) for one that all classes share.
        log_priors: ln π_c (C,), or zeros: the sum of the densities.
        normalise: Whether features are brought to norm 1 first.

    Raises:
        InputError: If shapes do not fit.

    Reference:
        Mukhoti et al. (2023), Deep deterministic uncertainty: a simple baseline, section 3; their code has no
        priors. Lee et al. (2018), A simple unified framework for detecting out-of-distribution samples, for
        one covariance.
    """

    means: Tensor
    factors: Tensor
    log_priors: Tensor

    def __init__(
        self,
        model: nn.Module,
        head: str,
        means: Tensor,
        factors: Tensor,
        log_priors: Tensor,
        *,
        normalise: bool = False,
    ) -> None:
        super().__init__()
        classes, width = means.shape
        shapes = ((classes, width, width), (1, width, width))
        if tuple(factors.shape) not in shapes or log_priors.shape != (classes,):
            raise InputError(
                f"FeatureDensity: {classes} means of {width} features go with factors {shapes[0]} or"
                f" {shapes[1]} and as many priors; got {tuple(factors.shape)} and {tuple(log_priors.shape)}."
            )
        self.model = model
        self.head = head
        self.normalise = normalise
        for name, value in (("means", means), ("factors", factors), ("log_priors", log_priors)):
            self.register_buffer(name, value.double())

    def draws(self, x: Tensor, samples: int | None = None, *, seed: int = 0) -> Draws:
        """The one draw of the classifier, whatever `samples` and `seed`, with the score.

        Args:
            x: Inputs (N, ...).
            samples: Decides nothing.
            seed: Likewise.
        """
        features, output = _features(self.model, self.head, x)
        return Draws(
            "classification",
            log_p=output.log_softmax(-1)[None],
            score=-self.log_density(features),
        )

    def log_density(self, features: Tensor) -> Tensor:
        """Ln Σ_c π_c N(h; μ_c, Σ_c) of features (N, D), (N,), float64, nats."""
        h = _prepared(features, self.normalise)
        away = (h[None] - self.means[:, None]).mT  # (C, D, N)
        white = torch.linalg.solve_triangular(self.factors, away, upper=False)
        log_det = self.factors.diagonal(dim1=1, dim2=2).log().sum(1)
        constant = 0.5 * h.shape[1] * math.log(2.0 * math.pi)
        each = -0.5 * white.square().sum(1) - log_det[:, None] - constant + self.log_priors[:, None]
        return torch.logsumexp(each, dim=0)


@torch.no_grad()
def fit_density(
    model: nn.Module,
    data: tuple[Tensor, Tensor],
    *,
    covariance: Covariance = "full",
    normalise: bool = False,
    classes: Classes = "labels",
    priors: Priors = "none",
    jitter: float = JITTER,
    batch: int = 500,
) -> FeatureDensity:
    """The Gaussians of the features of training examples, of each class.

    Args:
        model: A classifier that ends in a linear layer; put into eval mode.
        data: The training inputs (N, ...) and classes (N,).
        covariance: ``full``: of each class; ``diagonal``: variances of each class alone; ``tied``: one for
            all, that of the features about the means of their classes.
        normalise: Whether features are brought to norm 1 first.
        classes: Whether an example belongs to the class of its ``labels`` or to that ``predicted``.
        priors: ``counts``: classes weigh as much as they have examples; ``none``: densities are added up.
        jitter: Added to variances, relative to their mean over features.
        batch: Examples at a time.

    Raises:
        InputError: If an option is unknown, a class has fewer than two examples, or a covariance is singular
            without jitter.

    Reference:
        Mukhoti et al. (2023), algorithm 1. Postels et al. (2022), On the practicality of deterministic
        epistemic uncertainty: ``diagonal``, normalised features, predicted classes.
    """
    choices = (
        ("covariance", covariance, Covariance),
        ("classes", classes, Classes),
        ("priors", priors, Priors),
    )
    for name, value, known in choices:
        if value not in get_args(known):
            raise InputError(f"fit_density: {name} is none '{value}'; {suggest(value, get_args(known))}")
    if not 0.0 <= jitter < math.inf:
        raise InputError(f"fit_density: jitter is not negative, not {jitter}.")
    model.eval()
    x, y = data
    head = _head(model, x[:1])
    parts = [_features(model, head, part) for part in torch.split(x, batch)]
    h = _prepared(torch.cat([features for features, _ in parts]), normalise)
    if classes == "predicted":
        y = torch.cat([output for _, output in parts]).argmax(1)
    if y.numel() != len(h):
        raise InputError(f"fit_density: classes are one whole number an example, not {tuple(y.shape)}.")
    if not bool(h.isfinite().all()):
        raise InputError(
            f"fit_density: features of {type(model).__name__} are not finite on the data to fit."
        )
    y = y.reshape(-1).to(h.device)
    groups = [h[y == c] for c in sorted(set(y.tolist()))]
    least = min(map(len, groups), default=0)
    if least < 2:
        raise InputError(
            f"fit_density: a covariance needs two examples or more of each class; one has {least}."
        )
    means = torch.stack([group.mean(0) for group in groups])
    scatters = [(g - m).T @ (g - m) for g, m in zip(groups, means, strict=True)]
    if covariance == "tied":
        spreads = torch.stack(scatters).sum(0, keepdim=True) / (len(h) - len(groups))
    else:
        spreads = torch.stack([s / (len(g) - 1) for s, g in zip(scatters, groups, strict=True)])
    if covariance == "diagonal":
        spreads = torch.diag_embed(spreads.diagonal(dim1=1, dim2=2))
    level = jitter * spreads.diagonal(dim1=1, dim2=2).mean(1)
    spreads = spreads + level[:, None, None] * torch.eye(h.shape[1], dtype=h.dtype, device=h.device)
    factors, failed = torch.linalg.cholesky_ex(spreads)
    if bool((level <= 0.0).any()) and jitter > 0.0:
        raise InputError(
            "fit_density: the examples of a class all have the same features, so that they have no"
            " covariance; take covariance='tied', one for all classes."
        )
    if bool(failed.any()):
        raise InputError(
            "fit_density: the covariance of a class is singular, since features are constant or there are"
            f" fewer examples than features; jitter={jitter} is too small, take {JITTER}."
        )
    share = torch.tensor([len(group) / len(h) for group in groups], dtype=h.dtype, device=h.device)
    log_priors = share.log() if priors == "counts" else torch.zeros_like(share)
    return FeatureDensity(model, head, means, factors, log_priors, normalise=normalise)


def feature_density(
    members: Sequence[nn.Module],
    fit_data: tuple[Tensor, Tensor],
    covariance: Covariance = "full",
    normalise: bool = False,
    classes: Classes = "labels",
    priors: Priors = "none",
    jitter: float = JITTER,
) -> FeatureDensity:
    """The predictive of a manifest: of one classifier, since features of several are not those of one space.

    Args:
        members: One classifier.
        fit_data: Its training data.
        covariance: As `fit_density`.
        normalise: As `fit_density`.
        classes: As `fit_density`.
        priors: As `fit_density`.
        jitter: As `fit_density`.

    Raises:
        InputError: If there are several members, or as `fit_density`.
    """
    if len(members) != 1:
        raise InputError(f"feature_density is of the features of one classifier, not of {len(members)}.")
    return fit_density(
        members[0],
        fit_data,
        covariance=covariance,
        normalise=normalise,
        classes=classes,
        priors=priors,
        jitter=jitter,
    )


def _head(model: nn.Module, x: Tensor) -> str:
    try:
        return find_head(model, lambda: model(x))
    except InputError as error:
        raise InputError(
            f"a density is of what the last linear layer reads; the output of {type(model).__name__} is not"
            " that of a linear layer."
        ) from error


def _features(model: nn.Module, head: str, x: Tensor) -> tuple[Tensor, Tensor]:
    """What the head reads (N, D), and the outputs of the model."""
    read: Tensor
    output: Tensor
    read, output = read_by(model.get_submodule(head), lambda: model(x))
    if read.ndim != 2:
        raise InputError(
            f"a density is of one vector of features per example; the head reads {tuple(read.shape)}."
        )
    return read, output


def _prepared(features: Tensor, normalise: bool) -> Tensor:
    h = features.double()
    return nn.functional.normalize(h, dim=1) if normalise else h
