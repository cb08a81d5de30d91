"""A Gaussian process as a predictive: the baseline of methods that are to doubt where there are no data."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from landscape.core.behaviour.predictive import Draws, Predictive
from landscape.errors import InputError

__all__ = ["GaussianProcess", "fit_gaussian_process", "gaussian_process"]

Data = tuple[Tensor, Tensor]

LENGTHS = (1e-2, 1e2)
"""Between which the length is looked for."""


class GaussianProcess(Predictive):
    """The posterior of a Gaussian process of mean 0 with the kernel variance · exp(−‖x − x′‖²/(2 length²)).

    One draw: the mean and the variance of the function itself, without noise of the targets. Targets share
    the kernel and the variance. Computed in float64, at N³/3 operations to make and N² for an example.

    Args:
        inputs: Of the data (N, ...).
        targets: Of the data (N,) or (N, D).
        length: Of the kernel, in the unit of the inputs.
        variance: Of the prior, in the squared unit of the targets.
        noise: Variance of the targets about the function; it also keeps the matrix regular.

    Raises:
        InputError: If a number is not positive, or the matrix of the data is singular.

    Reference:
        Rasmussen & Williams (2006), Gaussian processes for machine learning, equations 2.25 and 2.26.
    """

    points: Tensor
    factor: Tensor

    def __init__(
        self, inputs: Tensor, targets: Tensor, length: float, variance: float = 4.0, noise: float = 1e-6
    ) -> None:
        super().__init__()
        for name, value in (("length", length), ("variance", variance), ("noise", noise)):
            if not 0 < value < math.inf:
                raise InputError(f"GaussianProcess: {name} is positive and finite, not {value}.")
        self.length, self.variance, self.noise = float(length), float(variance), float(noise)
        points = inputs.flatten(1).double()
        matrix = self._kernel(points, points) + noise * torch.eye(len(points)).to(points)
        factor, wrong = torch.linalg.cholesky_ex(matrix)
        if wrong:
            raise InputError(
                f"GaussianProcess: the matrix of the data is singular; a noise above {noise} helps."
            )
        y = targets.reshape(len(points), -1).double()
        # buffers, so that they are part of the state that results are known by
        self.register_buffer("points", points)
        self.register_buffer("factor", factor)
        # the mean is linear in these: what a landscape of it would be over
        self.weights = nn.Parameter(torch.cholesky_solve(y, factor))

    def draws(self, x: Tensor, samples: int | None = None, *, seed: int = 0) -> Draws:
        """The one draw there is, whatever `samples` and `seed`.

        Args:
            x: Inputs (N, ...).
            samples: Not looked at.
            seed: Not looked at.
        """
        # in float64 whatever the module has been cast to: what is known comes of a difference
        across = self._kernel(x.flatten(1).double(), self.points.double())
        mean = across @ self.weights.double()
        known = torch.linalg.solve_triangular(self.factor.double(), across.T, upper=False).square().sum(0)
        variance = (self.variance - known).clamp(min=0.0)[:, None].expand_as(mean)
        return Draws("regression", mean=mean.to(x)[None], variance=variance.to(x)[None])

    def _kernel(self, a: Tensor, b: Tensor) -> Tensor:
        squares = (a[:, None] - b[None]).square().sum(-1)
        return self.variance * torch.exp(-0.5 * squares / self.length**2)


def fit_gaussian_process(data: Data, *, variance: float = 4.0, noise: float = 1e-6) -> GaussianProcess:
    """The process whose length makes the data most likely, found by scikit-learn.

    Args:
        data: Inputs (N, ...) and targets (N,) or (N, D).
        variance: Of the prior; it stays.
        noise: Variance of the targets; it stays.

    Raises:
        InputError: If scikit-learn is missing.

    Reference:
        Rasmussen & Williams (2006), section 5.4.1.
    """
    try:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel
    except ImportError as error:
        raise InputError(
            'the length of the kernel is found by scikit-learn: pip install "landscape-toolkit[demo]".'
        ) from error
    kernel = ConstantKernel(variance, "fixed") * RBF(1.0, LENGTHS)
    process = GaussianProcessRegressor(kernel, alpha=noise, n_restarts_optimizer=4, random_state=0)
    inputs, targets = data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a length at the end of its range is an answer
        process.fit(inputs.flatten(1).double().cpu().numpy(), targets.double().cpu().numpy())
    return GaussianProcess(inputs, targets, float(process.kernel_.k2.length_scale), variance, noise)


def gaussian_process(
    members: Sequence[nn.Module], fit_data: Data, variance: float = 4.0, noise: float = 1e-6
) -> GaussianProcess:
    """The predictive of a manifest, beside whose networks it stands as a baseline.

    Args:
        members: Not looked at; a manifest names at least one.
        fit_data: The training examples.
        variance: See `fit_gaussian_process`.
        noise: See there.

    Raises:
        InputError: As `fit_gaussian_process`.
    """
    return fit_gaussian_process(fit_data, variance=variance, noise=noise)
