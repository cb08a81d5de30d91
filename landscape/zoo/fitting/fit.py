"""Fit: of all that a file holds, what fits a model best, and the model filled with it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from landscape.errors import CheckpointError, one_line
from landscape.zoo.fitting.keys import (
    chosen_keys,
    obsolete,
    prefix_hint,
    strip_prefixes,
    unwrapped,
    with_tied,
    without_best_prefix,
)
from landscape.zoo.fitting.weight_sets import WeightSet, called
from landscape.zoo.reparametrised import drop_counter, fold

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Loaded", "load_best", "load_into"]

_SHOWN = 3
_MOST_TRIED = 8  # sets that torch itself is asked about: each takes a copy of the model


@dataclass(frozen=True)
class Loaded:
    """How a model was filled.

    Attributes:
        chosen: Where in the file the weights stand; empty for the top.
        made_plain: What was made plain weights, and from what; empty if the file holds plain ones.
        note: What was left out or added, in words; empty if nothing was.
    """

    chosen: str = ""
    made_plain: str = ""
    note: str = ""


@dataclass(frozen=True)
class _Fit:
    """A set of weights with the model's names.

    Attributes:
        place: The set.
        state: Its tensors, named as the model's as far as that goes.
        matches: How many of the model's tensors have their name and shape there.
        fits: Whether the model can be filled with it.
        by_torch: Whether the model renames or adds keys itself as it loads.
        loaded: How it was made to fit.
        error: Why it cannot be used, if that is not its keys.
    """

    place: WeightSet
    state: dict[str, Tensor]
    matches: int = 0
    fits: bool = False
    by_torch: bool = False
    loaded: Loaded = Loaded()
    error: CheckpointError | None = None


def load_into(model: nn.Module, state: Mapping[str, Tensor], where: str, prefix: str = "") -> str:
    """Load a state_dict strictly: every key must fit.

    Args:
        model: The model to fill.
        state: Tensors by name; see `load_best`.
        where: The file, for error messages.
        prefix: Take only the keys that begin so, and strip it.

    Returns:
        What was made plain, and from what; empty if the file holds plain weights.

    Raises:
        CheckpointError: Naming the first missing, unexpected and mis-shaped keys, with counts.
    """
    return load_best(model, [WeightSet((), state)], where, prefix=prefix).made_plain


def load_best(
    model: nn.Module,
    sets: Sequence[WeightSet],
    where: str,
    *,
    prefix: str = "",
    state: str = "",
    ignore: Sequence[str] = (),
) -> Loaded:
    """Fill a model with the one set of weights that fits it; every key must fit.

    What does not fit as it is, is made to: names lose a prefix that all have and the model's lack, such as
    ``module.`` of a wrapper or ``model.`` of a Lightning module, and wrappers of parts (``_orig_mod``);
    weights in a form of torch's own become plain weights of a plain model (see
    `landscape.zoo.reparametrised`); buffers that the model no longer saves are left out; and what
    ``load_state_dict(strict=True)`` takes of a file, since a module translates names of the past, is taken.

    Args:
        model: The model to fill.
        sets: What the file holds.
        where: The file, for error messages.
        prefix: Take only the keys that begin so, and strip it.
        state: Take only the sets of this name; see `landscape.zoo.fitting.weight_sets.called`.
        ignore: Globs over keys of the file to leave out.

    Returns:
        What was chosen and what was done.

    Raises:
        CheckpointError: If no set fits, naming the first missing, unexpected and mis-shaped keys of the
            nearest; or if several fit alike, naming all.
    """
    sets = called(list(sets), state, where) if state else sets
    own = model.state_dict()
    fits = [_fitted(model, own, one, where, prefix, ignore) for one in sets]
    good = [f for f in fits if f.fits]
    if not good:
        nearest = sorted(
            fits, key=lambda f: (f.error is None, f.matches, sum(k in own for k in f.state)), reverse=True
        )
        asked = (_asked_of_torch(model, f, prefix, ignore, where) for f in nearest[:_MOST_TRIED])
        good = [f for f in asked if f is not None]
        if not good:
            raise nearest[0].error or _misfit(model, own, nearest[0], where)
    if any(not _same(good[0].state, other.state) for other in good[1:]):
        names = [f.place.name or "the top" for f in good]
        raise CheckpointError(
            f"checkpoint '{where}' holds {len(good)} sets of weights that fit {type(model).__name__} alike:"
            f' {", ".join(names)}; choose with state = "{names[0]}" in its [[checkpoints]], or for all under'
            " [problem]."
        )
    return _fill(model, good[0], where)


def _fitted(
    model: nn.Module,
    own: Mapping[str, Tensor],
    place: WeightSet,
    where: str,
    prefix: str,
    ignore: Sequence[str],
) -> _Fit:
    """A set with the names of the model, as far as they can be told without asking torch."""
    made = ["", ""]
    try:
        state = chosen_keys(place.state, prefix, ignore, where)
        # Only where keys do not fit as they are: names of a model's own may begin like a wrapper's.
        if set(state) != set(own):
            state, made[0] = drop_counter(state, own)
            state = state if prefix else strip_prefixes(state)
            state = _unwrapped_if_better(own, state)
            state, made[1] = fold(model, state, where)
        if not prefix and set(state) != set(own):
            state = without_best_prefix(own, state)
    except CheckpointError as error:
        return _Fit(place, dict(place.state), error=error)
    state = with_tied(own, state)
    # What a module makes of itself beside tensors has no shape to compare.
    matches = sum(
        k in state and getattr(v, "shape", state[k].shape) == state[k].shape for k, v in own.items()
    )
    left_out = [] if set(state) <= set(own) else obsolete(model, state)
    kept = {k: v for k, v in state.items() if k not in left_out}
    fits = set(kept) == set(own) and matches == len(own)
    note = _some("left out, since the model no longer has them", left_out) if left_out else ""
    loaded = Loaded(place.name, "; ".join(filter(None, made)), note)
    return _Fit(place, kept if fits else state, matches, fits, loaded=loaded)


def _unwrapped_if_better(own: Mapping[str, Tensor], state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without the wrappers of parts, unless that makes fewer names the model's."""
    bare = unwrapped(own, state)
    return bare if _common(own, bare) >= _common(own, state) else state


def _common(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> int:
    shorter = without_best_prefix(own, state)
    return sum(k in own for k in shorter)


def _asked_of_torch(
    model: nn.Module, fit: _Fit, prefix: str, ignore: Sequence[str], where: str
) -> _Fit | None:
    """The set as torch loads it strictly into a copy of the model; ``None`` if it does not."""
    own = set(model.state_dict())
    try:
        as_it_is = chosen_keys(fit.place.state, prefix, ignore, where)
    except CheckpointError:
        return None
    left_out = obsolete(model, fit.state)
    renamed = {k: v for k, v in fit.state.items() if k not in left_out}
    forms = [(as_it_is, [])] if fit.error is not None else [(as_it_is, []), (renamed, left_out)]
    for state, dropped in forms:
        try:
            copy.deepcopy(model).load_state_dict(state, strict=True)
        except Exception:  # whatever a module's own loading raises, or what cannot be copied: torch does not
            continue
        notes = [
            _some("left out, since the model no longer has them", dropped),
            _some("not in the file, made by the model as it loads", sorted(own - set(state))),
            _some("renamed or used by the model as it loads", sorted(set(state) - own)),
        ]
        made = fit.loaded.made_plain if state is renamed else ""
        loaded = Loaded(fit.place.name, made, "; ".join(filter(None, notes)))
        return _Fit(fit.place, state, fit.matches, fits=True, by_torch=True, loaded=loaded)
    return None


def _fill(model: nn.Module, fit: _Fit, where: str) -> Loaded:
    from landscape.core.problem.private_model import fill  # here, so that listing needs no torch

    try:
        if fit.by_torch:
            model.load_state_dict(fit.state, strict=True)
        else:
            fill(model, fit.state)
    except Exception as error:
        raise CheckpointError(
            f"checkpoint '{where}' does not fit {type(model).__name__}: {one_line(error)}."
        ) from error
    return fit.loaded


def _misfit(model: nn.Module, own: Mapping[str, Tensor], fit: _Fit, where: str) -> CheckpointError:
    """What to say of keys that do not fit."""
    state = fit.state
    missing = [k for k in own if k not in state]
    unexpected = [k for k in state if k not in own]
    shapes = [
        f"{k} {tuple(state[k].shape)} instead of {tuple(own[k].shape)}"
        for k in own
        if k in state and hasattr(own[k], "shape") and state[k].shape != own[k].shape
    ]
    parts = [_some(kind, keys) for kind, keys in (("missing", missing), ("unexpected", unexpected))]
    parts += [_some("mis-shaped", shapes)]
    return CheckpointError(
        f"checkpoint '{where}' does not fit {type(model).__name__}: {'; '.join(p for p in parts if p)}"
        f"{prefix_hint(own, state)}."
    )


def _same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    import torch

    return set(a) == set(b) and all(
        a[k].shape == b[k].shape and a[k].dtype == b[k].dtype and torch.equal(a[k], b[k]) for k in a
    )


def _some(kind: str, keys: list[str]) -> str:
    if not keys:
        return ""
    more = ", ..." if len(keys) > _SHOWN else ""
    return f"{len(keys)} {kind} ({', '.join(keys[:_SHOWN])}{more})"
