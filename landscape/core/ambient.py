"""The caller's torch settings, kept out: the same numbers wherever an evaluation is called from.

A number must not depend on whether it was asked for inside ``torch.inference_mode``, under autocast, or by
a program that has set another default dtype or device. What a problem evaluates runs under settings of its
own: torch's defaults, with gradients on, except that a float64 problem makes its constants in float64.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

import torch

__all__ = ["constants_of", "own_context", "precision", "under_own_context"]

P = ParamSpec("P")
R = TypeVar("R")

_entered: ContextVar[bool] = ContextVar("landscape_own_context", default=False)
_callers_device: ContextVar[torch.device | None] = ContextVar("landscape_callers_device", default=None)

_PRECISIONS = {
    # where torch >= 2.9 keeps what float32 products may be rounded to, and its default
    "backends": "none",
    "backends.cuda.matmul": "none",
    "backends.mkldnn.matmul": "none",
    "backends.mkldnn.conv": "none",
    "backends.mkldnn.rnn": "none",
}


@contextmanager
def own_context() -> Iterator[None]:
    """Within it, torch computes as it does by default, whatever the caller has set.

    Gradients are recorded, inference mode, autocast, anomaly detection, forced determinism and compilation
    are off, float32 matrix products are float32, and new tensors are float32 on the CPU. Whether cuDNN's
    convolutions may round to TensorFloat-32 stays as the caller has it, since both are in use; `precision`
    says it. Entered again within itself it changes nothing, so that a caller's settings are told from what
    landscape chose for itself.
    """
    if _entered.get():
        yield
        return
    with ExitStack() as settings:
        token = _entered.set(True)
        settings.callback(_entered.reset, token)
        device = _default_device()
        if device is not None:
            kept = _callers_device.set(device)
            settings.callback(_callers_device.reset, kept)
            settings.enter_context(torch.device("cpu"))
        settings.enter_context(torch.inference_mode(False))
        settings.enter_context(torch.enable_grad())
        if "torch._dynamo" in sys.modules:  # what is compiled, model or function, has no second derivatives
            settings.enter_context(torch.compiler.set_stance("force_eager"))
        for kind in _autocasting():
            torch.set_autocast_enabled(kind, False)
            settings.callback(torch.set_autocast_enabled, kind, True)
        _plain_dtype(settings, torch.float32)
        _plain_modes(settings)
        yield


def under_own_context(function: Callable[P, R]) -> Callable[P, R]:
    """A function, run within `own_context`."""

    @functools.wraps(function)
    def run(*args: P.args, **keywords: P.kwargs) -> R:
        if _entered.get():  # the common case, at no cost
            return function(*args, **keywords)
        with own_context():
            return function(*args, **keywords)

    return run


@contextmanager
def constants_of(dtype: torch.dtype, device: torch.device) -> Iterator[None]:
    """Within it, tensors that a model makes without saying how suit it.

    A model that runs in float64 makes float64 ones: programs that compute in float64 set torch's default to
    it and count on that. Where the caller has set a default device they lie with the model.
    """
    wide = dtype == torch.float64 and torch.get_default_dtype() != torch.float64
    elsewhere = _callers_device.get() is not None and device.type != "cpu"
    if not (wide or elsewhere):
        yield
        return
    with ExitStack() as settings:
        if wide:
            _plain_dtype(settings, torch.float64)
        if elsewhere:
            settings.enter_context(torch.device(device))
        yield


def precision(dtype: torch.dtype, device: torch.device) -> str:
    """What products are rounded to where that is less than ``dtype`` says; empty if it is not."""
    if torch.is_autocast_enabled(device.type):
        return str(torch.get_autocast_dtype(device.type)).removeprefix("torch.")
    if device.type != "cuda" or dtype != torch.float32:
        return ""
    newer = getattr(torch.backends.cudnn, "conv", None)  # the older name may not be read once that is set
    rounds = torch.backends.cudnn.allow_tf32 if newer is None else newer.fp32_precision == "tf32"
    return "tf32 convolutions" if rounds else ""


def _default_device() -> torch.device | None:
    """The caller's default device; ``None`` if it is torch's own, the CPU."""
    device = torch.get_default_device()
    return None if device.type == "cpu" else device


def _autocasting() -> list[str]:
    """The kinds of device under autocast."""
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    kinds = {"cpu", "cuda"} | ({accelerator.type} if accelerator is not None else set())
    return [kind for kind in sorted(kinds) if torch.is_autocast_enabled(kind)]


def _plain_dtype(settings: ExitStack, dtype: torch.dtype) -> None:
    before = torch.get_default_dtype()
    if before != dtype:
        torch.set_default_dtype(dtype)
        settings.callback(torch.set_default_dtype, before)


def _plain_modes(settings: ExitStack) -> None:
    """Settings of the whole process: anomaly detection, determinism, float32 products."""
    if torch.is_anomaly_enabled():
        checked = torch.is_anomaly_check_nan_enabled()
        torch.autograd.set_detect_anomaly(False)
        settings.callback(torch.autograd.set_detect_anomaly, True, checked)
    if torch.are_deterministic_algorithms_enabled():
        warn = torch.is_deterministic_algorithms_warn_only_enabled()
        torch.use_deterministic_algorithms(False)
        settings.callback(torch.use_deterministic_algorithms, True, warn_only=warn)
    _plain_products(settings)


def _plain_products(settings: ExitStack) -> None:
    try:
        before = torch.get_float32_matmul_precision()
    except RuntimeError:  # the caller has set it by torch's newer names, which the older one refuses to read
        for path, default in _PRECISIONS.items():
            place: Any = functools.reduce(getattr, path.split("."), torch)
            found = place.fp32_precision
            if found != default:
                place.fp32_precision = default
                settings.callback(setattr, place, "fp32_precision", found)
        return
    if before != "highest":
        torch.set_float32_matmul_precision("highest")
        settings.callback(torch.set_float32_matmul_precision, before)
