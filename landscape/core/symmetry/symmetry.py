"""The permutation symmetries of a model: changes of order of its units that leave its outputs as they are.

The hidden units of a layer may be put in any order if all that reads them follows. Which axes of which
parameters go together is found by tracing one pass through the model (`landscape.core.symmetry.trace`), so
that no list per architecture is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from landscape.core.ambient import under_own_context
from landscape.core.data.batches import tensors_in
from landscape.core.problem.leftovers import forget
from landscape.core.problem.private_model import private_copy
from landscape.core.symmetry.axis_terms import fix, size
from landscape.core.symmetry.groups import Group, TensorBlock, blocks_of, equate_members, find_groups
from landscape.core.symmetry.rules import rule_for
from landscape.core.symmetry.trace import Axes, Tracer, plain_operations
from landscape.errors import InputError

__all__ = [
    "Forward",
    "Motion",
    "Symmetry",
    "TracedTensor",
    "call_model",
    "find_symmetry",
    "move",
    "outer_axes",
]

Forward = Callable[[nn.Module, Any], Any]
Motion = Mapping[int, Tensor]
"""By group: a permutation, indices (..., n), or a rotation (..., n, n); leading axes as ``within``."""


@dataclass(frozen=True)
class TracedTensor:
    """A tensor within the model that a product reads or puts out.

    Attributes:
        call: Number of the operation in the pass.
        argument: Name of its argument; empty for its output.
        blocks: Its entries by groups.
    """

    call: int
    argument: str
    blocks: tuple[TensorBlock, ...]


@dataclass(frozen=True)
class Symmetry:
    """The groups of a model.

    Attributes:
        groups: All groups; those with a reason in ``why`` are fixed.
        blocks: For each parameter and buffer (by name), its entries by groups.
        features: Tensors within the model that products read or put out.
        opaque: Operations without a rule, with their modules; what they touch is fixed.
    """

    groups: tuple[Group, ...]
    blocks: Mapping[str, tuple[TensorBlock, ...]]
    features: tuple[TracedTensor, ...]
    opaque: tuple[str, ...]

    @property
    def free(self) -> tuple[int, ...]:
        """Numbers of the groups whose order may change."""
        return tuple(n for n, group in enumerate(self.groups) if group.free)

    def identity(self) -> dict[int, Tensor]:
        """The motion that changes nothing."""
        return {n: torch.arange(self.groups[n].size).expand(self.shape(n)).clone() for n in self.free}

    def random(self, generator: torch.Generator) -> dict[int, Tensor]:
        """Random permutations of every free group."""
        return {n: torch.rand(self.shape(n), generator=generator).argsort(-1) for n in self.free}

    def shape(self, number: int) -> tuple[int, ...]:
        """The shape of a group's permutations: sizes of the groups it is within, and its own."""
        group = self.groups[number]
        return (*(self.groups[n].size for n in group.within), group.size)

    def apply(self, motion: Motion, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A state with its units in another order: index i then holds what was at ``motion[...][i]``.

        Args:
            motion: Permutations or rotations by number of the group; groups left out stay.
            state: Parameters and buffers by name. Names the model does not know are passed on.

        Returns:
            New tensors for what moves, the same tensors for the rest.
        """
        moved = dict(state)
        for name in moved.keys() & self.blocks.keys():
            blocks = [b for b in self.blocks[name] if motion.keys() & set(b.dims)]
            if blocks:
                source = state[name].detach()
                moved[name] = source.clone()
                for block in blocks:
                    block.put(moved[name], move(block.take(source), block, self.groups, motion))
        return moved

    def describe(self) -> str:
        """The free groups as text, a line each with size and axes; then the operations without a rule."""
        lines = []
        for number in self.free:
            group = self.groups[number]
            places = ", ".join(f"{name}[{axis}]" for name, axis in group.places)
            within = "".join(f" in each of {self.groups[n].size}" for n in group.within)
            kind = "rotation" if group.linear else "permutation"
            lines.append(f"{group.name}: {kind} of {group.size}{within}; on {places}")
        lines += [f"{why} has no rule: the axes it touches are fixed" for why in self.opaque]
        return "\n".join(lines)


@under_own_context
def find_symmetry(model: nn.Module, inputs: Any, *, forward: Forward | None = None) -> Symmetry:
    """Find the groups of units of a model that may be permuted.

    Args:
        model: Any module; it is copied and runs once on the CPU in evaluation mode.
        inputs: A batch of inputs: a tensor, a tuple of positional or a mapping of keyword arguments.
        forward: ``(model, inputs) -> output`` for models that are called in another way.

    Returns:
        The groups, among them fixed ones with the reason.

    Raises:
        InputError: If the model cannot run on the inputs, naming the module, or has nothing to permute.

    Reference:
        Ainsworth et al. (2023), Git Re-Basin, section 3; the specifications there are written by hand.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
        >>> print(find_symmetry(model, torch.zeros(1, 2)).describe())
        0.weight[0]: permutation of 3; on 0.weight[0], 0.bias[0], 2.weight[1]
    """
    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    module = private_copy(model, (), torch.device("cpu"), None).eval()
    tracer, named = _trace(module, fresh(inputs, torch.device("cpu")), forward)
    equate_members(tracer.seen, tracer.mixed)
    filled = {name: axes for name, axes in named.items() if all(size(term) for term in axes)}
    groups, numbers = find_groups(filled, tracer.seen, tracer.mixed, tracer.bent)
    symmetry = Symmetry(
        groups=groups,
        blocks={name: _blocks(named[name], numbers) if name in filled else () for name in named},
        features=tuple(
            TracedTensor(read.call, read.argument, blocks)
            for read in tracer.reads
            if (blocks := _blocks(read.axes, numbers))
        ),
        opaque=tuple(tracer.opaque),
    )
    if not symmetry.free:
        reasons = next((f"; for example, {group.name}: {group.why}" for group in groups), "")
        raise InputError(f"no units of {type(model).__name__} may be permuted{reasons}.")
    return symmetry


def _trace(module: nn.Module, inputs: Any, forward: Forward | None) -> tuple[Tracer, dict[str, Axes]]:
    """Run the model under a tracer; the tracer, and the axes of parameters and buffers by name."""
    path: list[str] = []
    tensors = [tensor for _, tensor in tensors_in(inputs)]
    named = {**dict(module.named_parameters(remove_duplicate=False)), **_buffers(module)}
    tracer = Tracer(named, tensors, rule_for, lambda: path[-1] if path else type(module).__name__)
    try:
        with plain_operations(module, path), tracer:
            output = call_model(module, inputs, forward)
    except Exception as error:
        raise InputError(
            f"{type(module).__name__} cannot be traced: {path[-1] if path else 'its forward'} raised"
            f" {type(error).__name__}: {error}"
        ) from error
    for _, tensor in tensors_in(output):
        for term in tracer.axes_of(tensor):
            fix(term, "the output of the model")
    for name, tensor in named.items():
        if id(tensor) not in tracer.used:
            for term in tracer.axes_of(tensor):
                fix(term, f"{name} takes no part in the pass")
    return tracer, {name: tracer.axes_of(tensor) for name, tensor in named.items()}


def _buffers(module: nn.Module) -> dict[str, Tensor]:
    """Buffers that a state holds; others cannot follow a permutation."""
    kept = module.state_dict(keep_vars=True)
    return {name: buffer for name, buffer in module.named_buffers(remove_duplicate=False) if name in kept}


def _blocks(axes: Axes, numbers: Mapping[Any, int]) -> tuple[TensorBlock, ...]:
    found = []
    for parts in blocks_of(axes):
        symbols = [(s, axis) for axis, part in enumerate(parts) for s in part.symbols]
        shape = tuple(s.extent for s, _ in symbols)
        positions = tuple(part.index.reshape(-1) for part in parts)
        whole = all(torch.equal(p, torch.arange(size(a))) for p, a in zip(positions, axes, strict=True))
        # -1: a symbol that stands on no parameter, such as a position of the batch, has no group.
        dims = tuple(numbers.get(s, -1) for s, _ in symbols)
        found.append(TensorBlock(positions, dims, tuple(axis for _, axis in symbols), shape, whole))
    return tuple(found)


def move(entries: Tensor, block: TensorBlock, groups: tuple[Group, ...], motion: Motion) -> Tensor:
    """A block's entries in another order; outer groups move first, those within them at the new index."""
    order = sorted(range(len(block.dims)), key=lambda k: _depth(groups, block.dims[k]))
    for k in order:
        step = motion.get(block.dims[k])
        if step is None:
            continue
        outer = outer_axes(groups, block, k)
        if step.is_floating_point():
            entries = _rotate(entries, step, outer, k)
        elif not outer:
            entries = entries.index_select(k, step.to(entries.device))
        else:
            shape = [1] * entries.ndim
            for axis, extent in zip((*outer, k), step.shape, strict=True):
                shape[axis] = extent
            # The permutation has its outer axes first; put them where the block has them, so that
            # take_along_dim reads the right row at each index of the outer axes.
            moved = torch.argsort(torch.tensor((*outer, k)))
            index = step.permute(*moved.tolist()).reshape(shape).to(entries.device)
            entries = torch.take_along_dim(entries, index, dim=k)
    return entries


def _rotate(entries: Tensor, rotation: Tensor, outer: list[int], k: int) -> Tensor:
    """Multiply along axis k by the matrix (n, n) of each index of the outer axes."""
    front = entries.movedim((*outer, k), tuple(range(len(outer) + 1)))
    flat = front.reshape(*front.shape[: len(outer) + 1], -1)
    # In float64, so that only the result is rounded to the state's precision.
    turned = (rotation.to(entries.device, torch.float64) @ flat.double()).to(entries.dtype)
    return turned.reshape(front.shape).movedim(tuple(range(len(outer) + 1)), (*outer, k))


def outer_axes(groups: tuple[Group, ...], block: TensorBlock, k: int) -> list[int]:
    """The block's axes of the groups that axis k is within: on the same axis of the tensor if possible."""
    found = []
    for number in groups[block.dims[k]].within:
        axes = [d for d, n in enumerate(block.dims) if n == number]
        found.append(next((d for d in axes if block.axes[d] == block.axes[k]), axes[0]))
    return found


def _depth(groups: tuple[Group, ...], number: int) -> int:
    return len(groups[number].within) if number >= 0 else 0


def fresh(tree: Any, device: torch.device | None = None) -> Any:
    """A copy of nested tensors, which a model may write to; on a device, if one is given."""
    if isinstance(tree, Tensor):
        return tree.detach().to(device or tree.device, copy=True)
    if isinstance(tree, Mapping):
        return {key: fresh(value, device) for key, value in tree.items()}
    if isinstance(tree, tuple | list):
        copies = [fresh(value, device) for value in tree]
        return copies if isinstance(tree, list) else tuple(copies)
    return tree


def call_model(model: nn.Module, inputs: Any, forward: Forward | None) -> Any:
    """The model's output: by ``forward``, or mappings as keywords, tuples as arguments."""
    forget(model)
    if forward is not None:
        return forward(model, inputs)
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple) else model(inputs)
