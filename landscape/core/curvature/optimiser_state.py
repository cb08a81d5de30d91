"""What an optimiser's state says of its steps: size, momentum, preconditioner, and what they bear."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from landscape.core.problem.problem import Problem
from landscape.errors import InputError

__all__ = ["Optimiser", "read_optimiser", "stability_limit"]

Kind = Literal["gd", "sgd", "adam", "rmsprop"]

_PREFIXES = ("module.", "_orig_mod.")


@dataclass(frozen=True)
class Optimiser:
    """An optimiser at one point of its run.

    Attributes:
        kind: ``sgd`` (with or without momentum), ``adam`` (also AdamW), ``rmsprop``; ``gd`` if nothing is
            known but its learning rate.
        learning_rate: η; NaN if it is not known.
        momentum: β, or Adam's β₁.
        steps: How many steps it has taken; 0 if that is not known.
        preconditioner: The diagonal of P, (P,), infinite where a parameter does not move; ``None`` for 1, and
            for an Adam or RMSprop that has not made a step.
        limit: Curvature λ_max(P^-½HP^-½) above which its steps on a quadratic diverge; NaN if it is not
            known.
        floored: Share of the entries of P in which ε is more than √v.
        weight_decay: λ of its own.
        decoupled: Whether that decay is no part of the gradient; ``None`` if the state does not say.
    """

    kind: Kind
    learning_rate: float
    momentum: float = 0.0
    steps: int = 0
    preconditioner: Tensor | None = None
    limit: float = math.nan
    floored: float = math.nan
    weight_decay: float = 0.0
    decoupled: bool | None = None


def stability_limit(
    kind: Kind, learning_rate: float, momentum: float = 0.0, *, nesterov: bool = False, dampening: float = 0.0
) -> float:
    """The largest λ_max(P^-½HP^-½) at which the steps on a quadratic loss stay bounded.

    2/η without momentum; 2(1 + β)/((1 − d)η) of heavy balls with dampening d; 2(1 + β)/((1 + 2β)η) of
    Nesterov's (Cohen et al. 2021, section 2.1); (2 + 2β₁)/((1 − β₁)η) of Adam, whose momentum is a mean
    (Cohen et al. 2022, equation 3). For full batches: noise of small ones holds the curvature below it.

    Example:
        >>> stability_limit("gd", 0.1), stability_limit("sgd", 0.1, 0.5)
        (20.0, 30.0)
        >>> round(stability_limit("adam", 1.0, 0.9))
        38
    """
    if not learning_rate > 0:  # steps of length 0 never diverge
        return math.inf if learning_rate == 0 else math.nan
    if kind == "adam":
        return (2 + 2 * momentum) / ((1 - momentum) * learning_rate)
    if nesterov:
        return 2 * (1 + momentum) / ((1 + 2 * momentum) * learning_rate)
    return 2 * (1 + momentum) / ((1 - dampening) * learning_rate)


def read_optimiser(
    problem: Problem,
    state: Mapping[str, Any] | None,
    scheduler: Mapping[str, Any] | None = None,
    *,
    learning_rate: float | None = None,
    momentum: float | None = None,
) -> Optimiser:
    """What the ``state_dict()`` of a torch optimiser says.

    P = (1 − β₁ᵗ)(√(v/(1 − β₂ᵗ)) + ε) of Adam after t steps, √v + ε of RMSprop (Cohen et al. 2022). ε floors P
    where v is near 0, and parameters that have no state do not move.

    Args:
        problem: The problem at the weights that were saved with it.
        state: ``{"state": ..., "param_groups": ...}``; ``None`` if there is none.
        scheduler: The ``state_dict()`` of its schedule, whose last learning rate counts.
        learning_rate: η, in place of what the state says.
        momentum: β, likewise.

    Raises:
        InputError: If it is no SGD, Adam, AdamW or RMSprop, its groups differ in learning rate, or its
            parameters cannot be told apart.
    """
    if state is None:
        rate = math.nan if learning_rate is None else learning_rate
        beta = momentum or 0.0
        kind: Kind = "sgd" if beta else "gd"
        return Optimiser(kind, rate, beta, limit=stability_limit(kind, rate, beta))
    groups = state.get("param_groups")
    if not isinstance(groups, Sequence) or not groups or not all(isinstance(g, Mapping) for g in groups):
        raise InputError(
            "an optimiser's state holds its param_groups, as torch's state_dict() does; this one does not."
        )
    rate = _rate(groups, scheduler) if learning_rate is None else learning_rate
    first = groups[0]
    kind = _kind(first)
    given = first.get("betas", (first.get("momentum", 0.0),))[0] if momentum is None else momentum
    beta = float(given)
    decay = float(first.get("weight_decay", 0.0) or 0.0)
    decoupled = first.get("decoupled_weight_decay")
    if kind in ("sgd", "rmsprop"):
        limit = stability_limit(
            kind,
            rate,
            beta,
            nesterov=bool(first.get("nesterov", False)),
            dampening=float(first.get("dampening", 0.0)) if beta else 0.0,
        )
        decoupled = False
    else:
        limit = stability_limit(kind, rate, beta)
    held = {str(key): entry for key, entry in dict(state.get("state") or {}).items()}
    steps = max((int(float(e["step"])) for e in held.values() if "step" in e), default=0)
    P, floored = None, math.nan
    if kind in ("adam", "rmsprop") and steps:
        P, floored = _preconditioner(problem, groups, held, kind)
    return Optimiser(
        kind, rate, beta, steps, P, limit, floored, decay, None if decoupled is None else bool(decoupled)
    )


def _kind(group: Mapping[str, Any]) -> Kind:
    """Whose groups have these entries."""
    if "betas" in group and ("amsgrad" in group or "correct_bias" in group):
        return "adam"
    if "momentum" in group and "alpha" in group and "centered" in group:
        if group["centered"]:
            raise InputError(
                "the preconditioner of a centred RMSprop is not known here; give learning_rate=."
            )
        return "rmsprop"
    if "momentum" in group and "nesterov" in group:
        return "sgd"
    known = ", ".join(str(key)[:20] for key in list(group)[:6])
    raise InputError(
        f"the optimiser's state is of no SGD, Adam, AdamW or RMSprop of torch (its groups hold {known}), so"
        " its stability is not known; give learning_rate= for the limit of gradient descent."
    )


def _rate(groups: Sequence[Mapping[str, Any]], scheduler: Mapping[str, Any] | None) -> float:
    """The learning rate of all groups."""
    rates = [float(g.get("lr", math.nan)) for g in groups]
    last = (scheduler or {}).get("_last_lr")
    if isinstance(last, Sequence) and len(last) == len(groups):
        rates = [float(r) for r in last]
    if max(rates) > min(rates):
        raise InputError(
            f"the optimiser's groups have learning rates from {min(rates):g} to {max(rates):g}, and one limit"
            " of stability holds for one rate; give learning_rate=."
        )
    return rates[0]


def _preconditioner(
    problem: Problem, groups: Sequence[Mapping[str, Any]], held: Mapping[str, Any], kind: Kind
) -> tuple[Tensor, float]:
    """The diagonal of P, (P,), and the share of it that ε decides."""
    name = {"adam": "exp_avg_sq", "rmsprop": "square_avg"}[kind]
    entries = {i: e for i, e in held.items() if name in e}
    names = _names(problem, groups, {i: tuple(e[name].shape) for i, e in entries.items()})
    found: dict[str, Tensor] = {}
    floored = total = 0
    for group in groups:
        eps = float(group.get("eps", 1e-8))
        for number in map(str, group["params"]):
            entry = entries.get(number)
            if entry is None:
                continue
            v = torch.as_tensor(entry["max_exp_avg_sq" if group.get("amsgrad") else name]).double()
            start = 1.0
            if kind == "adam":
                t = int(float(entry["step"]))
                bias = group.get("correct_bias", True)
                b1, b2 = (float(b) for b in group["betas"])
                v = v / (1 - b2**t) if bias else v
                start = 1 - b1**t if bias else 1.0
            root = v.sqrt()
            if names[number] in problem.space.names:
                floored += int((root < eps).sum())
                total += root.numel()
            found[names[number]] = start * (root + eps)
    rows = [
        found.get(name, torch.full(shape, math.inf, dtype=torch.float64))
        for name, shape in zip(problem.space.names, problem.space.shapes, strict=True)
    ]
    for name, shape, row in zip(problem.space.names, problem.space.shapes, rows, strict=True):
        if tuple(row.shape) != tuple(shape):
            raise InputError(
                f"the optimiser's state of '{name}' has shape {tuple(row.shape)}, the parameter"
                f" {tuple(shape)}: it is of another model."
            )
    return torch.cat([row.reshape(-1) for row in rows]).to(problem.device), floored / max(total, 1)


def _names(
    problem: Problem, groups: Sequence[Mapping[str, Any]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, str]:
    """The parameter that each number of the state stands for."""
    numbers = [str(i) for g in groups for i in g["params"]]
    if all(g.get("param_names") for g in groups):
        said = [str(n) for g in groups for n in g["param_names"]]
        for prefix in _PREFIXES:
            said = [n.removeprefix(prefix) for n in said]
        return dict(zip(numbers, said, strict=True))
    own = {n: tuple(p.shape) for n, p in problem.module.named_parameters()}
    fitting = [
        order
        for order in _orders(problem, own, several=len(groups) > 1)
        if len(order) == len(numbers)
        and all(shapes.get(i, own[n]) == own[n] for i, n in zip(numbers, order, strict=True))
    ]
    if not fitting:
        raise InputError(
            f"the optimiser's state is of {len(numbers)} parameters in an order that does not fit the model's"
            f" {len(own)}: make it with names (optimizer(model.named_parameters())), or give learning_rate="
            " and no state."
        )
    if len(groups) > 1 and len(set(fitting)) > 1:
        raise InputError(
            "which parameters the groups of the optimiser's state are of cannot be told by their shapes: make"
            " it with names (optimizer(model.named_parameters()))."
        )
    return dict(zip(numbers, fitting[0], strict=True))


def _orders(problem: Problem, own: Mapping[str, tuple[int, ...]], several: bool) -> Iterator[tuple[str, ...]]:
    """The orders in which an optimiser may have been given the parameters."""
    for names in dict.fromkeys((tuple(own), problem.space.names)):
        yield names
        if several:  # weights apart from biases and norms, which are not decayed
            matrices = [n for n in names if len(own[n]) > 1]
            vectors = [n for n in names if len(own[n]) <= 1]
            yield (*matrices, *vectors)
            yield (*vectors, *matrices)
