"""A private copy of a model: the caller's is never touched."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.parameter import is_lazy

from landscape.core.problem.leftovers import CopiedValues, forget, forget_between_passes
from landscape.core.problem.plain_layers import make_plain
from landscape.errors import InputError

__all__ = ["Substituted", "bind", "check_weights", "fill", "plain_encoder", "private_copy", "set_mode"]

_BatchNorm = nn.modules.batchnorm._BatchNorm


def check_weights(model: nn.Module) -> None:
    """Raise unless the weights are finite.

    Raises:
        InputError: Naming the first parameter or buffer that holds NaN or infinite values, or a parameter
            of a lazy module that has none yet. Buffers may hold infinities, as attention masks do,
            unless they are running statistics.
    """
    for kind, items in (("parameter", model.named_parameters()), ("buffer", model.named_buffers())):
        for name, tensor in items:
            if is_lazy(tensor):
                raise InputError(f"{kind} '{name}' has no values yet; call the lazy model on data once.")
            if tensor.is_meta:
                raise InputError(
                    f"{kind} '{name}' is on the meta device and has no values; make the model on a real one"
                    " (model.to_empty(device='cpu')) and load its checkpoint."
                )
            tensor = tensor.detach()
            masks = kind == "buffer" and "running" not in name  # attention masks hold −∞ for good reason
            damaged = tensor.isnan() if masks else ~tensor.isfinite()
            bad = int(damaged.sum())
            if bad:
                raise InputError(
                    f"{kind} '{name}' holds {bad} NaN or infinite of {tensor.numel()} values:"
                    " training diverged or the file is damaged."
                )


def private_copy(
    model: nn.Module, names: tuple[str, ...], device: torch.device, dtype: torch.dtype | None
) -> nn.Module:
    """A copy in evaluation mode that shares no tensor with the original; tied weights stay tied.

    What its modules keep between passes is worked out anew in each, see `landscape.core.problem.leftovers`.
    """

    def convert(tensor: Tensor) -> Tensor:
        kind = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
        return tensor.detach().to(device, kind, copy=True)

    # deepcopy takes from its memo what it would copy: each tensor is converted once, and a tied weight,
    # met under its second name, is the same new tensor.
    chosen = set(names)
    memo: dict[int, Any] = {}
    for name, parameter in model.named_parameters():
        memo[id(parameter)] = nn.Parameter(
            convert(parameter), requires_grad=name in chosen and parameter.is_floating_point()
        )
    for buffer in model.buffers():
        memo[id(buffer)] = convert(buffer)
    forget(model)
    try:
        with CopiedValues(convert):  # cached activations and the like cannot be deep-copied
            private = copy.deepcopy(model, memo)
    except Exception as error:
        raise InputError(
            f"{type(model).__name__} cannot be copied ({type(error).__name__}: {error}); remove what"
            " cannot be deep-copied, such as locks, open files or generators."
        ) from error
    make_plain(private)
    forget_between_passes(private)
    return private


def set_mode(module: nn.Module, batchnorm: str) -> None:
    """Evaluation mode; with ``batchnorm="batch"``, BatchNorm by batch statistics, its buffers unwritten."""
    module.eval()
    if batchnorm == "batch":
        for part in module.modules():
            if isinstance(part, _BatchNorm):
                part.train()
                part.track_running_stats = False  # batch statistics, and nothing is written


def fill(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load values into a module; where they come without the versions of its layers, with its own."""
    whole = module.state_dict()
    versions = getattr(state, "_metadata", None) or getattr(whole, "_metadata", None)
    whole.update(state)
    if versions is not None:
        whole._metadata = versions  # type: ignore[attr-defined]
    module.load_state_dict(whole)


def bind(parameters: list[nn.Parameter], theta: Tensor) -> Tensor:
    """Make the parameters views of one flat buffer that starts as ``theta``; return the buffer."""
    point = theta.clone()
    pieces = torch.split(point, [p.numel() for p in parameters])
    # Writing the buffer then moves all parameters at once, without a copy of each.
    for parameter, piece in zip(parameters, pieces, strict=True):
        parameter.data = piece.view(parameter.shape)
    return point


class Substituted:
    """A module called with other parameters or buffers in place of its own."""

    def __init__(self, module: nn.Module, state: Mapping[str, Tensor]) -> None:
        self.substituted = module
        self._state = dict(state)

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """The module's output."""
        return functional_call(self.substituted, self._state, args, keywords)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.substituted, name)


@contextmanager
def plain_encoder() -> Iterator[None]:
    """Within it, `torch.nn.TransformerEncoder` does not take its fused fast path.

    That path, which torch takes where no gradient is asked for, skips its submodules' hooks and puts
    zeros at padded tokens: a loss taken through it is not the function whose gradient autograd gives.
    """
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
