"""Gaussian priors of a network's parameters, in the coordinates in which they are standard normal."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from landscape.core.problem.parameters import ParameterSpace
from landscape.errors import InputError, suggest

__all__ = ["Form", "GaussianPrior", "PriorName"]

Form = Literal["sum", "product"]

PriorName = Literal["isotropic", "empirical_covariance"]

JITTER = 1e-10
"""What the published product adds to the covariance before it inverts it."""


@dataclass(frozen=True)
class _Rows:
    """A block of θ whose rows have a covariance of their own: the weights of a first layer, unit by unit."""

    start: int
    count: int
    axes: Tensor  # (D, D), orthonormal columns, float64
    sd: Tensor  # (D,), prior standard deviation along each, float64
    quick: Tensor  # the axes in the dtype of θ, in which they are used at every leapfrog step

    def of(self, flat: Tensor) -> Tensor:
        """A view of the block in vectors (..., P), as (..., rows, D)."""
        width = len(self.sd)
        block = flat[..., self.start : self.start + self.count * width]
        return block.view(*flat.shape[:-1], self.count, width)


class GaussianPrior:
    """N(0, Σ) over θ by its whitening: θ = T v with v standard normal, TTᵀ = Σ.

    Entries are independent, but for the weights of one layer, if it has a covariance: each of its rows is
    drawn from that, independently. Numbers are float64; but a covariance is multiplied in the dtype of θ
    where it makes a θ or takes a gradient, which have no more digits.

    Args:
        sd: Prior standard deviation of each entry (P,), positive; of a layer with a covariance it is not
            looked at.
        rows: The layer with a covariance; none if all entries are independent.

    Attributes:
        size: The number P of entries.
    """

    def __init__(self, sd: Tensor, rows: _Rows | None = None) -> None:
        self._sd = sd.double()
        self._rows = rows
        self.size = len(sd)

    @classmethod
    def isotropic(cls, space: ParameterSpace, variance: float) -> GaussianPrior:
        """N(0, variance · I).

        Args:
            space: The parameters.
            variance: Prior variance of each entry: one over the weight decay of the summed loss.

        Raises:
            InputError: If the variance is not positive and finite.
        """
        _positive("variance", variance)
        size = space.size
        return cls(torch.full((size,), math.sqrt(variance), dtype=torch.float64, device=space.device))

    @classmethod
    def empirical_covariance(
        cls,
        space: ParameterSpace,
        inputs: Tensor,
        *,
        variance: float,
        layer: str = "",
        scale: float | None = None,
        floor: float = 1e-6,
        form: Form = "sum",
    ) -> GaussianPrior:
        """Weights of the first layer have the covariance of the inputs; all else is N(0, variance · I).

        A unit then puts a prior on the directions in which inputs vary, and next to none on those in which
        they do not, so that nothing is drawn there which an input of another distribution would wake.

        Args:
            space: The parameters.
            inputs: Training inputs (N, ...), D numbers each; their centred sample covariance (with N − 1)
                has the eigenvalues c.
            variance: Prior variance of all other entries.
            layer: Name of the weights (H, D) of the first layer; the first that have this shape, unless
                one is named.
            scale: α; by default, what makes the mean prior variance of a weight the `variance` before the
                floor, α = variance / mean c, and of ``product`` the `variance`.
            floor: ε of ``sum``.
            form: ``sum``, the paper's formula: prior variance α c + ε along an eigenvector. ``product``,
                the published code: 1/(1/(α (c + 1e-10)) + 1/variance), the normalised product of two priors;
                there the paper's two weight decays are 1/α and 1/variance.

        Raises:
            InputError: If a number is not positive, there are fewer than two inputs, no such weights, or no
                such form; or if the inputs do not vary.

        Reference:
            Izmailov et al. (2021), Dangers of Bayesian model averaging under covariate shift, section 6.
        """
        _positive("variance", variance)
        if scale is not None:
            _positive("scale", scale)
        _positive("floor", floor)
        if form not in get_args(Form):
            raise InputError(f"there is no prior of form '{form}'; {suggest(str(form), get_args(Form))}")
        if len(inputs) < 2:
            raise InputError(f"a covariance of inputs takes two or more; got {len(inputs)}.")
        flat = inputs.detach().reshape(len(inputs), -1).to(space.device, torch.float64)
        place = _first_layer(space, layer, flat.shape[1])
        # symmetric, so a positive semi-definite matrix but for rounding, which must not make a variance < 0
        spectrum, axes = torch.linalg.eigh(torch.cov(flat.T).reshape(flat.shape[1], -1))
        spectrum = spectrum.clamp(min=0.0)
        mean = float(spectrum.mean())
        if not 0.0 < mean < math.inf:
            raise InputError("a covariance of inputs needs inputs that are finite and that vary.")
        if form == "sum":
            along = (variance / mean if scale is None else scale) * spectrum + floor
        else:
            widest = variance if scale is None else scale
            along = 1.0 / (1.0 / (widest * (spectrum + JITTER)) + 1.0 / variance)
        start = sum(space.sizes[:place])
        rows = _Rows(start, space.shapes[place][0], axes, along.sqrt(), axes.to(space.dtype))
        return cls(cls.isotropic(space, variance)._sd, rows)

    @classmethod
    def named(
        cls,
        name: PriorName,
        space: ParameterSpace,
        inputs: Tensor,
        variance: float,
        options: Mapping[str, Any] | None = None,
    ) -> GaussianPrior:
        """The prior that a manifest names.

        Args:
            name: ``isotropic`` or ``empirical_covariance``.
            space: The parameters.
            inputs: Training inputs (N, ...).
            variance: As either takes it.
            options: Others of `empirical_covariance`.

        Raises:
            InputError: As either, or if there is no such prior or option.
        """
        given = dict(options or {})
        known = ("layer", "scale", "floor", "form") if name == "empirical_covariance" else ()
        if name not in get_args(PriorName):
            raise InputError(f"there is no prior '{name}'; {suggest(str(name), get_args(PriorName))}")
        unknown = next((option for option in given if option not in known), None)
        if unknown is not None:
            there = f"its options are {', '.join(known)}" if known else "it has none"
            raise InputError(f"the prior '{name}' has no option '{unknown}'; {there}.")
        if name == "isotropic":
            return cls.isotropic(space, variance)
        return cls.empirical_covariance(space, inputs, variance=variance, **given)

    @property
    def fingerprint(self) -> str:
        """A hash of its numbers."""
        parts = [self._sd] + ([] if self._rows is None else [self._rows.axes, self._rows.sd])
        return hashlib.sha256(b"".join(t.cpu().contiguous().numpy().tobytes() for t in parts)).hexdigest()

    def colour(self, v: Tensor) -> Tensor:
        """θ = T v, of the shape of ``v`` (..., P), float64."""
        return self._map(v, lambda rows, block: _narrow(block * rows.sd, rows) @ rows.quick.T, self._sd)

    def whiten(self, theta: Tensor) -> Tensor:
        """V = T⁻¹ θ, of the shape of ``theta`` (..., P), float64."""
        return self._map(theta, lambda rows, block: block @ rows.axes / rows.sd, 1.0 / self._sd)

    def pull(self, gradient: Tensor) -> Tensor:
        """Tᵀ g: a gradient by θ (..., P) as one by v, float64."""
        return self._map(
            gradient, lambda rows, block: (_narrow(block, rows) @ rows.quick).double() * rows.sd, self._sd
        )

    def _map(self, vector: Tensor, block: Callable[[_Rows, Tensor], Tensor], factor: Tensor) -> Tensor:
        vector = vector.double()
        out = vector * factor
        if self._rows is not None:
            self._rows.of(out).copy_(block(self._rows, self._rows.of(vector)))
        return out

    def variance(self, direction: Tensor) -> Tensor:
        """Prior variance uᵀΣu along directions u (..., P), in float64."""
        back = self._map(direction, lambda rows, block: block @ rows.axes * rows.sd, self._sd)
        return back.square().sum(-1)

    def log_density(self, theta: Tensor) -> Tensor:
        """Ln N(θ; 0, Σ) of points (..., P), in nats."""
        scale = self._sd.log().sum()
        if self._rows is not None:
            rows = self._rows
            scale = scale + rows.count * rows.sd.log().sum() - rows.of(self._sd).log().sum()
        quadratic = self.whiten(theta).square().sum(-1)
        return -0.5 * (quadratic + self.size * math.log(2.0 * math.pi)) - scale


def _narrow(block: Tensor, rows: _Rows) -> Tensor:
    return block.to(rows.quick.dtype)


def _first_layer(space: ParameterSpace, layer: str, inputs: int) -> int:
    """The place of the weights that read the inputs."""
    fits = [place for place, shape in enumerate(space.shapes) if len(shape) == 2 and shape[1] == inputs]
    names = [space.names[place] for place in fits]
    if layer:
        if layer not in names:
            raise InputError(
                f"no weights '{layer}' read inputs of {inputs} numbers;"
                f" {suggest(layer, names or space.names)}"
            )
        return fits[names.index(layer)]
    if not fits:
        raise InputError(
            f"a prior of the covariance of inputs needs a first layer with weights (units, {inputs}), such as"
            " that of an mlp; there is none."
        )
    return fits[0]


def _positive(name: str, value: float) -> None:
    if not 0.0 < value < math.inf:
        raise InputError(f"a prior needs a positive, finite {name}; got {value}.")
