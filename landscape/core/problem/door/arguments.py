"""Arguments: what a problem is given beside model, loss and data, held to its type before any work."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from landscape.batchnorm_policy import ProblemPolicy, normalise
from landscape.core.problem.sharding import Sharding
from landscape.errors import InputError, one_line

__all__ = ["check_arguments", "usable_device", "whole_number"]

_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def check_arguments(
    *,
    weight_decay: Any,
    batchnorm: Any,
    batch_size: Any,
    dtype: Any,
    parameters: Any,
    forward: Any,
    size: Any,
    sharding: Any,
    flags: dict[str, Any],
) -> tuple[float, ProblemPolicy, int]:
    """The weight decay, the policy for BatchNorm and the batch size, once all arguments are sound.

    Args:
        weight_decay: See `landscape.Problem`, as of all others.
        batchnorm: A word.
        batch_size: At least 1.
        dtype: A real floating type of torch, or ``None``.
        parameters: A glob, some of them, or ``None``.
        forward: A function, or ``None``.
        size: A function, or ``None``.
        sharding: The processes, or ``None``.
        flags: What is true or false, by name; ``None`` where a default decides.

    Raises:
        InputError: Naming the first argument that cannot be used, what was given, and what it takes.
    """
    policy = normalise(batchnorm)
    if policy not in ("checkpoint", "batch"):
        raise InputError(f"batchnorm must be 'checkpoint' or 'batch'; got {batchnorm!r}.")
    if dtype is not None and dtype not in _DTYPES:
        raise InputError(
            "dtype must be a real floating type of torch, such as torch.float32 or torch.float64;"
            f" got {_shown(dtype)}."
        )
    globs = parameters is None or isinstance(parameters, str)
    if not globs and isinstance(parameters, Iterable) and not isinstance(parameters, Tensor | dict):
        globs = not hasattr(parameters, "__len__") or all(isinstance(glob, str) for glob in parameters)
    if not globs:
        raise InputError(
            "parameters must be a glob over the names of parameters, such as 'fc.*', or a list of globs;"
            f" got {_shown(parameters)}."
        )
    for name, function in (("forward", forward), ("size", size)):
        if function is not None and not callable(function):
            raise InputError(f"{name} must be a function; got {_shown(function)}.")
    if sharding is not None and not isinstance(sharding, Sharding):
        raise InputError(f"sharding must be a Sharding, such as landscape.Ranks(); got {_shown(sharding)}.")
    for name, flag in flags.items():
        if flag is not None and not isinstance(flag, bool):
            raise InputError(f"{name} must be True or False; got {_shown(flag)}.")
    return _weight_decay(weight_decay), policy, whole_number("batch_size", batch_size)


def _weight_decay(given: Any) -> float:
    number = given.item() if isinstance(given, Tensor) and given.numel() == 1 else given
    if not isinstance(number, Real) or isinstance(number, bool):
        raise InputError(f"weight_decay must be a number, such as 5e-4; got {_shown(given)}.")
    if not 0.0 <= float(number) < float("inf"):
        raise InputError(f"weight_decay must be finite and not negative; got {number}.")
    return float(number)


def whole_number(name: str, given: Any, least: int = 1) -> int:
    """A number of things, as Python's own integer.

    Raises:
        InputError: If it is not a whole number, or less than ``least``.

    Example:
        >>> whole_number("batch_size", 2.5)
        Traceback (most recent call last):
        landscape.errors.InputError: batch_size must be a whole number of at least 1; got 2.5.
    """
    if not isinstance(given, Integral) or isinstance(given, bool) or given < least:
        raise InputError(f"{name} must be a whole number of at least {least}; got {_shown(given)}.")
    return int(given)


def usable_device(given: Any) -> torch.device:
    """The device of a name, once something has been put there.

    Raises:
        InputError: If torch knows no such device, or this machine has none.
    """
    if not isinstance(given, str | torch.device | int) or isinstance(given, bool):
        raise InputError(f"device must be a name such as 'cpu' or 'cuda:0'; got {_shown(given)}.")
    try:
        device = torch.device(given)
    except (RuntimeError, AssertionError, ValueError):
        raise InputError(
            f"there is no device {given!r}: give 'cpu', or an accelerator such as 'cuda:0' or 'mps'."
        ) from None
    if device.type == "meta":
        raise InputError("device 'meta' holds no values to compute with; give 'cpu' or an accelerator.")
    if device.type == "cpu" and device.index not in (None, 0, -1):
        raise InputError(f"there is no device {given!r}: the processor is 'cpu'.")
    try:
        torch.zeros(1, device=device)
    except Exception as error:  # a build of torch without it, no driver, a number too high
        words = one_line(error).split(". ")[0].split(": ")[-1]
        why = f" ({words})" if len(words) < 60 else ""
        raise InputError(
            f"device {str(given)!r} cannot be used on this machine{why}; leave it out to compute where the"
            " model is."
        ) from error
    return device


def _shown(value: Any) -> str:
    """A value as it was given, if that is short, else its type."""
    text = repr(value)
    if isinstance(value, str | int | float | bool | type(None) | torch.dtype) and len(text) <= 60:
        return text
    kind = type(value).__name__
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
