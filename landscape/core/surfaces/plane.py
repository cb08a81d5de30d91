"""Planes and lines through parameter space: an origin, directions, and checkpoints marked beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.curvature.operator import hessian
from landscape.core.linalg.eigenpairs import Which, eigenpairs
from landscape.core.linalg.reductions import (
    BLOCK_ENTRIES,
    distance,
    inner_product,
    length,
    slices,
    summed,
)
from landscape.core.problem.fingerprint import fingerprint
from landscape.core.problem.problem import Problem
from landscape.core.problem.states import State, as_vector, direction_seed
from landscape.core.surfaces.directions import STILL, Normalization, random_direction
from landscape.core.surfaces.principal_directions import Centring, principal_directions
from landscape.errors import InputError

__all__ = [
    "Marker",
    "Plane",
    "eigenvector_plane",
    "given_plane",
    "model_plane",
    "random_plane",
    "trajectory_plane",
]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Marker:
    """A checkpoint marked beside a plane.

    Attributes:
        coordinates: Of its nearest point in the plane, one step per direction.
        distance: Its Euclidean distance from that point.
        state: The checkpoint as it was given; buffers, if it holds any, belong to it.
    """

    coordinates: tuple[float, ...]
    distance: float
    state: State = field(repr=False)


@dataclass(frozen=True)
class Plane:
    """The points ``origin`` + Σ aᵢ dᵢ for steps a along k directions (a line if k = 1).

    Attributes:
        kind: What the directions are, as a phrase for captions.
        origin: Where all steps are 0, shape (P,).
        directions: (k, P).
        markers: Checkpoints to mark.
        explained: Share of a trajectory's variance along each direction (k,), if they come from one.
        eigenvalues: Hessian eigenvalues of the directions (k,), if they are eigenvectors.
        residuals: Their residual norms (k,).
        exact: Points (P,) known by themselves, by their steps: the second model of a line, which
            rounding would otherwise miss by a bit.
    """

    kind: str
    origin: Tensor = field(repr=False)
    directions: Tensor = field(repr=False)
    markers: tuple[Marker, ...] = ()
    explained: Array | None = None
    eigenvalues: Array | None = None
    residuals: Array | None = None
    exact: Mapping[tuple[float, ...], Tensor] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for index, direction in enumerate(self.directions):
            if not bool(direction.any()):
                which = f"direction {index + 1}" if len(self.directions) > 1 else "the direction"
                raise InputError(
                    f"{which} is zero, so nothing would move: `ignore` covers all chosen parameters, the"
                    " gradient or the weights vanish, or two models are equal."
                )

    @property
    def center(self) -> tuple[float, ...]:
        """The steps (k,) of the origin, from which changes of the loss are measured."""
        return (0.0,) * len(self.directions)

    def write(self, steps: Sequence[float], out: Tensor) -> Tensor:
        """Write the point at ``steps`` (k,) into ``out`` (P,), computed from the origin itself."""
        known = self.exact.get(tuple(steps))
        if known is not None:
            return out.copy_(known)
        out.copy_(self.origin)
        for step, direction in zip(steps, self.directions, strict=True):
            # Left out at zero, so that the centre has the checkpoint's bits.
            if step != 0.0:
                out.add_(direction, alpha=float(step))
        return out

    @property
    def norms(self) -> Array:
        """Euclidean norms of the directions (k,)."""
        return np.array([length(d) for d in self.directions])

    def gram(self) -> Array:
        """Inner products of the directions (k, k), summed in float64."""
        return np.array([[inner_product(a, b) for b in self.directions] for a in self.directions])

    def projections(self, points: Tensor) -> tuple[Array, Array]:
        """Of points (m, P), the steps (m, k) along orthonormal directions, and what these leave.

        The latter as inner products (m, m) of the parts of the points that lie outside the plane.
        """

        def steps(points: Tensor, origin: Tensor) -> Tensor:
            return points.double() - origin.double()[:, None]

        def outside(points: Tensor, origin: Tensor, directions: Tensor) -> Tensor:
            rest = steps(points, origin) - directions.double() @ places.T
            return rest.T @ rest

        columns = (points.T, self.origin, self.directions.T)
        places = summed(lambda p, o, d: steps(p, o).T @ d.double(), *columns)
        return places.cpu().numpy(), summed(outside, *columns).cpu().numpy()

    def angle(self) -> float:
        """Angle in degrees between the first two directions; NaN for a line."""
        if len(self.directions) < 2:
            return float("nan")
        gram = self.gram()
        cosine = gram[0, 1] / np.sqrt(gram[0, 0] * gram[1, 1])
        return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))

    def hashes(self) -> list[str]:
        """A content hash of each direction."""
        return [fingerprint([("direction", direction)]) for direction in self.directions]

    def fingerprint(self) -> str:
        """A content hash of the origin, the directions and the marked checkpoints."""
        tensors = [("origin", self.origin), ("directions", self.directions)]
        for marker in self.markers:
            state = marker.state if isinstance(marker.state, Mapping) else {"vector": marker.state}
            tensors += [(str(name), torch.as_tensor(value)) for name, value in state.items()]
        return fingerprint(tensors)

    def marked(self, problem: Problem, states: Iterable[State]) -> tuple[Marker, ...]:
        """Markers for checkpoints: their least-squares steps and their distances from the plane."""
        gram = self.gram()
        return tuple(self._marker(problem, state, gram) for state in states)

    def _marker(self, problem: Problem, state: State, gram: Array) -> Marker:
        rest = as_vector(problem, state, "a checkpoint") - self.origin
        steps = np.linalg.solve(gram, [inner_product(d, rest) for d in self.directions])
        # What is left is measured itself: by Pythagoras, a small distance would drown in rounding.
        for step, direction in zip(steps, self.directions, strict=True):
            rest = rest.sub_(direction, alpha=float(step))
        return Marker(tuple(float(s) for s in steps), float(np.sqrt(inner_product(rest, rest))), state)


@under_own_context
def random_plane(
    problem: Problem,
    normalization: Normalization = "filter",
    *,
    count: int = 2,
    seed: int = 0,
    ignore: Iterable[str] = STILL,
) -> Plane:
    """Independent Gaussian directions, normalised each by itself (Li et al. 2018, section 4).

    They are not orthogonalised: two draws in a large space are nearly orthogonal, and a normalised
    direction would lose its normalisation. The first direction is that of `random_direction` with the
    same seed.
    """
    ignore = tuple(ignore)
    directions = [
        random_direction(problem, normalization, seed=direction_seed(seed, i), ignore=ignore)
        for i in range(count)
    ]
    name = "raw" if normalization == "none" else f"{normalization}-normalised"
    return Plane(f"{name} random directions", problem.theta, torch.stack(directions))


@under_own_context
def eigenvector_plane(
    problem: Problem, which: Which = "LA", *, count: int = 2, seed: int = 0, tol: float = 1e-3
) -> Plane:
    """Unit eigenvectors of the Hessian at the checkpoint.

    The sign of each is such that its entry of largest size is positive.

    Raises:
        InputError: If the problem has fewer parameters than directions.
    """
    if count > problem.size:
        raise InputError(f"{problem.size} parameters have no {count} eigenvectors; ask for fewer.")
    found = eigenpairs(hessian(problem), count, which, tol=tol, seed=seed, vectors=True)
    assert found.vectors is not None
    vectors = found.vectors.T
    # Solvers give eigenvectors up to their sign: without a rule, a repeated run may draw a mirrored picture.
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    return Plane(
        {"LA": "top", "SA": "lowest", "LM": "largest", "BE": "lowest and top"}[which]
        + " Hessian eigenvectors"
        # An unresolved pair is a mixture of whatever lies about its value: no direction of its own.
        + ("" if bool(found.resolved.all()) else f" ({int((~found.resolved).sum())} not resolved)"),
        problem.theta,
        (vectors * largest.sign()).to(problem.dtype).contiguous(),
        eigenvalues=found.values.cpu().numpy(),
        residuals=found.residuals.cpu().numpy(),
    )


@under_own_context
def given_plane(problem: Problem, vectors: Sequence[State], *, count: int = 2) -> Plane:
    """Directions as the user gave them.

    Raises:
        InputError: If there are not ``count`` of them, or one does not fit.
    """
    if len(vectors) != count:
        raise InputError(f"vectors must hold {count} directions; got {len(vectors)}.")
    directions = [as_vector(problem, v, f"direction {i + 1}") for i, v in enumerate(vectors)]
    return Plane("given directions", problem.theta, torch.stack(directions))


@under_own_context
def model_plane(problem: Problem, models: Sequence[State]) -> Plane:
    """The line through two models or the plane through three.

    Two models: step 0 is the first, step 1 the second. Three models (Izmailov et al. 2018; Garipov et al.
    2018, appendix A.1): the origin is the first, u = w₂ − w₁ and v = (w₃ − w₁) less its part along u are
    scaled to norm 1, so that steps are distances in parameter space.

    Raises:
        InputError: If there are not two or three models, or three that lie on a line.
    """
    if len(models) not in (2, 3):
        raise InputError(f"a line takes two models and a plane three; got {len(models)}.")
    vectors = [as_vector(problem, m, f"model {i + 1}") for i, m in enumerate(models)]
    first = vectors[0].clone()
    if len(models) == 2:
        plane = Plane(
            "the line through two models", first, (vectors[1] - first)[None], exact={(1.0,): vectors[1]}
        )
    else:
        plane = Plane("the plane through three models", first, _orthonormal(first, *vectors[1:]))
    return replace(plane, markers=plane.marked(problem, models))


def _orthonormal(first: Tensor, second: Tensor, third: Tensor) -> Tensor:
    """Gram and Schmidt in float64, as rows (2, P) in the precision of the models."""
    base, reach = distance(first, second), distance(first, third)
    if base == 0.0:
        raise InputError("models 1 and 2 are equal; a plane needs three different models.")
    along: list[float] = []

    def pair(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Of a piece of each model, that of u and of v less its parts along u known so far."""
        u, v = (b.double() - a.double()) / base, c.double() - a.double()
        for share in along:
            v -= u * share
        return u, v

    models = (first, second, third)
    # Twice: of a vector nearly along u, one projection leaves rounding along u behind.
    along.append(float(summed(lambda *piece: torch.dot(*pair(*piece)), *models)))
    along.append(float(summed(lambda *piece: torch.dot(*pair(*piece)), *models)))
    height = float(summed(lambda *piece: pair(*piece)[1].square().sum(), *models)) ** 0.5
    if height <= 1e-6 * max(base, reach):
        raise InputError("the three models lie on a line; a plane needs three that do not.")
    rows = first.new_empty(2, len(first))
    for part in slices(len(first), BLOCK_ENTRIES):
        u, v = pair(*(model[part] for model in models))
        rows[0, part], rows[1, part] = u, v / height
    return rows


@under_own_context
def trajectory_plane(
    problem: Problem, checkpoints: Sequence[State], *, count: int = 2, centring: Centring = "mean"
) -> Plane:
    """The plane through the problem's checkpoint along the principal directions of a training run.

    Args:
        problem: Of the run's last checkpoint, as a rule.
        checkpoints: The run, in the order of training.
        count: How many directions.
        centring: What the checkpoints are taken about; see `principal_directions`.

    Raises:
        InputError: If the checkpoints span too few directions.
    """
    points = [as_vector(problem, c, f"checkpoint {i}") for i, c in enumerate(checkpoints)]
    if len(points) < count + 1:
        raise InputError(f"{count} principal directions need {count + 1} checkpoints; got {len(points)}.")
    directions, explained = principal_directions(points, count, centring)
    about = "the last checkpoint" if centring == "last" else "the mean"
    plane = Plane(f"principal directions of a training run about {about}", problem.theta, directions)
    return replace(plane, markers=plane.marked(problem, checkpoints), explained=explained.numpy())
