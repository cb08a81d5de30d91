"""Predictive distributions: what a network, an ensemble or a posterior says of a batch, draw by draw."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from landscape.core.problem.losses import gaussian_moments, gaussian_outputs
from landscape.core.problem.passes.pieces import in_trial
from landscape.errors import InputError, suggest

__all__ = ["Draws", "Kind", "Mixture", "Point", "Predictive", "joined", "predictive_of"]

Kind = Literal["classification", "regression"]


@dataclass(frozen=True)
class Draws:
    """What a predictive says of a batch, one row per posterior sample.

    Attributes:
        kind: ``"classification"``: `log_p` is given. ``"regression"``: `mean` and `variance` are given.
        log_p: Log probabilities, (S, N, C).
        mean: Means of the targets, (S, N, D).
        variance: Variances of the targets about these means, (S, N, D).
        score: Larger = more unlike the training data, (N,), where the method has a score of its own (a
            density, a distance).
        weights: Of the draws in the mixture (S,), positive and of sum 1; ``None``: all equal.

    Raises:
        InputError: If the tensors are not those of the kind, or their shapes do not fit.

    Example:
        The mean of two opposite certainties is one even guess.

        >>> import torch
        >>> draws = Draws("classification", log_p=torch.tensor([[[0.0, -torch.inf]], [[-torch.inf, 0.0]]]))
        >>> draws.samples, draws.mixture().exp().tolist()
        (2, [[0.5, 0.5]])
    """

    kind: Kind
    log_p: Tensor | None = None
    mean: Tensor | None = None
    variance: Tensor | None = None
    score: Tensor | None = None
    weights: Tensor | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise InputError(
                f"there are no draws of kind '{self.kind}'; {suggest(str(self.kind), get_args(Kind))}"
            )
        given = {
            name: tuple(part.shape)
            for name, part in (("log_p", self.log_p), ("mean", self.mean), ("variance", self.variance))
            if part is not None
        }
        needed = {"log_p"} if self.kind == "classification" else {"mean", "variance"}
        if given.keys() != needed:
            raise InputError(
                f"draws of a {self.kind} hold {' and '.join(sorted(needed))} alone,"
                f" not {' and '.join(given) or 'nothing'}."
            )
        shapes = set(given.values())
        if len(shapes) > 1 or any(len(shape) != 3 or shape[0] < 1 for shape in shapes):
            raise InputError(
                "draws are of one shape (samples, examples, outputs), with one sample or more; got "
                + ", ".join(f"{name} {shape}" for name, shape in given.items())
                + "."
            )
        if self.weights is not None and self.weights.shape != (self.samples,):
            raise InputError(f"{self.samples} draws have as many weights, not {tuple(self.weights.shape)}.")

    @property
    def samples(self) -> int:
        """The number S of draws."""
        return len(self._values)

    def mixture(self) -> Tensor | tuple[Tensor, Tensor]:
        """The average over draws, of equal weight unless there are `weights`.

        Returns:
            Classification: log (1/S) Σ p_s, (N, C), which are logits of themselves. Regression: the mean
            m = (1/S) Σ μ_s and the variance (1/S) Σ (σ²_s + μ_s²) − m² of the mixture, each (N, D); the
            variance is computed as the mean variance plus the variance of the means, which cancels nothing.

        Reference:
            Lakshminarayanan et al. (2017), Simple and scalable predictive uncertainty, section 2.4.
        """
        if self.log_p is not None and self.weights is None:
            return torch.logsumexp(self.log_p, dim=0) - math.log(self.samples)
        share = None if self.weights is None else self.weights[:, None, None].to(self._values)
        if self.log_p is not None:
            assert share is not None
            return torch.logsumexp(self.log_p + share.log(), dim=0)
        assert self.mean is not None
        assert self.variance is not None
        if share is not None:
            mean = (share * self.mean).sum(0)
            return mean, (share * (self.variance + (self.mean - mean).square())).sum(0)
        return self.mean.mean(0), self.variance.mean(0) + self.mean.var(0, correction=0)

    @property
    def _values(self) -> Tensor:
        values = self.log_p if self.log_p is not None else self.mean
        assert values is not None
        return values


class Predictive(nn.Module, ABC):
    """A module that predicts by averaging draws; every analysis of predictions takes it as a model.

    A subclass implements `draws`. The same seed gives the same draws however the data are cut into batches,
    and global random numbers are left as they were.

    Attributes:
        one_class_alone: What outputs of a classification are: log probabilities of classes of which each
            example has one, so that they cannot be read as labels or at positions.
        feature_layer: Name of the part whose outputs are the features, where these are not what the last
            layer with weights reads.
    """

    one_class_alone = True
    feature_layer = ""
    _heard: tuple[int | None, int, list[Draws]] | None = None

    @abstractmethod
    def draws(self, x: Tensor, samples: int | None = None, *, seed: int = 0) -> Draws:
        """What each posterior sample says of a batch.

        Args:
            x: Inputs (N, ...).
            samples: How many draws; None for all there are, or the method's own number.
            seed: Which draws, where they are random.
        """

    def forward(self, x: Tensor) -> Tensor:
        """The mixture of the draws.

        Args:
            x: Inputs (N, ...).

        Returns:
            What the loss of a plain model reads. Classification: log mean probabilities (N, C), for
            ``cross_entropy``. Regression: (N, 2D), the means, then what
            `landscape.core.problem.losses.gaussian_moments` makes the variances of, for ``gaussian_nll``.
        """
        if self._heard is None or in_trial():
            draws = self.draws(x)
        else:
            samples, seed, heard = self._heard
            draws = self.draws(x, samples, seed=seed)
            heard.append(draws)
        mixture = draws.mixture()
        if isinstance(mixture, Tensor):
            return mixture
        return gaussian_outputs(*mixture)

    @contextmanager
    def heard(self, samples: int | None = None, *, seed: int = 0) -> Iterator[list[Draws]]:
        """Within it, each forward pass makes these draws and adds them to the list that it gives.

        So whoever calls the module, in whatever way its data ask for, has the draws and their mixture of
        one pass.

        Args:
            samples: As `draws` takes it.
            seed: As `draws` takes it.
        """
        former = self._heard
        found: list[Draws] = []
        self._heard = samples, seed, found
        try:
            yield found
        finally:
            self._heard = former


class Point(Predictive):
    """A plain model as a predictive of one draw.

    Args:
        model: A module from inputs (N, ...) to logits (N, C); of a regression, to means and variances (N, 2D)
            as the loss ``gaussian_nll`` reads them.
        kind: ``classification`` or ``regression``.

    Raises:
        InputError: If there is no such kind.
    """

    def __init__(self, model: nn.Module, kind: Kind = "classification") -> None:
        super().__init__()
        self.model = model
        self.kind = _known(kind)

    def draws(self, x: Tensor, samples: int | None = None, *, seed: int = 0) -> Draws:
        """The one draw there is, whatever `samples` and `seed`."""
        output = self.model(x)
        if self.kind == "classification":
            return Draws("classification", log_p=output.log_softmax(-1)[None])
        mean, variance = gaussian_moments(output)
        return Draws("regression", mean=mean[None], variance=variance[None])


class Mixture(Predictive):
    """The draws of several predictives together, all of equal weight.

    Args:
        members: Predictives, or plain models, each of which gives one draw.
        kind: What plain models predict, see `Point`.

    Raises:
        InputError: If there are none, or no such kind.
    """

    def __init__(self, members: Sequence[nn.Module], kind: Kind = "classification") -> None:
        super().__init__()
        if not members:
            raise InputError("a mixture of predictives needs at least one member.")
        self.members = nn.ModuleList(members)
        self.kind = _known(kind)

    def draws(self, x: Tensor, samples: int | None = None, *, seed: int = 0) -> Draws:
        """The draws of each member in turn.

        Args:
            x: Inputs (N, ...).
            samples: How many draws of each member; None for each member's own number.
            seed: Given to each member.

        Raises:
            InputError: If members differ in their kind, in what they put out, or in their number of draws,
                which would give them unequal weights, or have weighted draws.
        """
        parts = [predictive_of(member, self.kind).draws(x, samples, seed=seed) for member in self.members]
        kinds = {(part.kind, part.samples) for part in parts}
        if len(kinds) > 1:
            raise InputError(
                "members of a mixture give draws of one kind and of one number; these give "
                + ", ".join(sorted(f"{count} of {kind}" for kind, count in kinds))
                + "."
            )
        outputs = sorted({part._values.shape[-1] for part in parts})
        if len(outputs) > 1:
            sizes = " and ".join(map(str, outputs))
            raise InputError(f"members of a mixture have outputs of one size; these have {sizes}.")
        return joined(parts)


def predictive_of(module: nn.Module, kind: Kind = "classification") -> Predictive:
    """The module itself if it is a predictive, else `Point` of it.

    Args:
        module: A predictive or a plain model.
        kind: What a plain model predicts.
    """
    return module if isinstance(module, Predictive) else Point(module, kind)


def joined(parts: Sequence[Draws]) -> Draws:
    """Draws of one kind, one after the other, without scores of their own.

    Args:
        parts: Draws for the same examples.

    Raises:
        InputError: If some have weights of their own: together they would have others.
    """
    if any(part.weights is not None for part in parts):
        raise InputError("the draws of a member have weights of their own; mix its members instead.")
    if parts[0].kind == "classification":
        return Draws("classification", log_p=_cat([part.log_p for part in parts]))
    means, variances = ([getattr(part, name) for part in parts] for name in ("mean", "variance"))
    return Draws("regression", mean=_cat(means), variance=_cat(variances))


def _known(kind: Kind) -> Kind:
    if kind not in get_args(Kind):
        raise InputError(f"there is no predictive of kind '{kind}'; {suggest(str(kind), get_args(Kind))}")
    return kind


def _cat(parts: Sequence[Tensor | None]) -> Tensor:
    return torch.cat([part for part in parts if part is not None])
