"""Structured pruning: whole channels, with all that hangs on them in other layers."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from landscape.errors import InputError

__all__ = ["prune_channels"]


def prune_channels(
    model: nn.Module, data: tuple[Tensor, Any], *, share: float, remove: bool = False
) -> nn.Module:
    """A copy of a model without the channels of smallest ℓ₁ norm.

    Layers whose channels have to go together, such as those that a residual sum joins, are a group: the norm
    of a channel is the sum over the convolutions and linear layers of its group that put it out. Of each
    group the same share goes, rounded down, with its biases and the scales and shifts of its norms. The
    channels of the answer stay. Which layers form a group is found by torch-pruning, which the `compress`
    extra installs, from one forward pass.

    Args:
        model: The trained model; it is left alone.
        data: Training inputs (N, ...), of which one is shown to the model, and labels.
        share: Share of the channels of each group, 0 to below 1.
        remove: Whether layers become smaller. Otherwise the channels are zero, and the plain model loads
            them: its answers are those of the smaller one if zero stays zero on the way, as through
            BatchNorm, ReLU, GELU and sums. Layer and group norms average over zeros too, and a sigmoid of
            zero is a half.

    Returns:
        A model in eval mode: with the same modules, or with smaller ones.

    Raises:
        InputError: If the share is out of range, torch-pruning is not installed, or there is no group.

    Reference:
        Li et al. (2017), Pruning filters for efficient ConvNets, section 3; Fang et al. (2023), DepGraph:
        Towards any structural pruning, for the groups.
    """
    if not 0 <= share < 1:
        raise InputError(f"prune_channels: share lies from 0 to below 1, not {share}.")
    try:
        import torch_pruning
    except ImportError as error:
        raise InputError(
            "prune_channels needs torch-pruning: pip install 'landscape-toolkit[compress]'."
        ) from error
    pruned = copy.deepcopy(model).eval()
    example = data[0][:1].to(next(pruned.parameters()).device)
    graph = torch_pruning.DependencyGraph().build_dependency(pruned, example)
    # all norms before anything goes: without its dead inputs, a layer would be judged by other weights
    groups = [(group[0].dep, _norms(group)) for group in _groups(graph, pruned, example)]
    known = [(root, norms) for root, norms in groups if norms is not None]
    if not known:
        raise InputError(f"prune_channels: {type(model).__name__} has no channels between its layers.")
    for root, norms in known:
        # 0.29 of 100 is 29, and 28.999999999999996 in floats
        least = norms.argsort(stable=True)[: int(share * len(norms) + 1e-9)].tolist()
        if least:
            chosen = graph.get_pruning_group(root.target.module, root.handler, idxs=sorted(least))
            chosen.prune() if remove else _zero(chosen)
    return pruned


def _groups(graph: Any, model: nn.Module, example: Tensor) -> Iterator[Any]:
    """The groups of channels, but for that of the answer."""
    last: list[nn.Module] = []
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    handles = [m.register_forward_hook(lambda module, *_: last.append(module)) for m in layers]
    with torch.no_grad():
        model(example)
    for handle in handles:
        handle.remove()
    yield from graph.get_all_groups(ignored_layers=last[-1:], root_module_types=[nn.Conv2d, nn.Linear])


def _puts_out(part: Any) -> bool:
    """Whether a layer of a group puts its channels out, and has weights for them."""
    layer = part.dep.target.module
    return isinstance(layer, nn.Linear | nn.Conv2d) and "out_channels" in part.dep.handler.__name__


def _norms(group: Any) -> Tensor | None:
    """ℓ₁ norm of each channel of a group; ``None`` if grouped convolutions make it another matter."""
    total: Tensor | None = None
    for part in group:
        layer = part.dep.target.module
        if isinstance(layer, nn.Conv2d) and layer.groups > 1:
            return None
        if _puts_out(part):
            norm = layer.weight.detach().abs().flatten(1).sum(1)[part.idxs]
            total = norm if total is None else total + norm
    return total


@torch.no_grad()
def _zero(group: Any) -> None:
    for part in group:
        layer = part.dep.target.module
        is_norm = isinstance(layer, nn.modules.batchnorm._BatchNorm)
        if _puts_out(part) or is_norm:
            for parameter in (layer.weight, layer.bias):
                if parameter is not None:
                    parameter[part.idxs] = 0
