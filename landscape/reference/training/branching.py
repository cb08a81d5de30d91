"""A training that branches: children part from it at given epochs and go on with other orders of the data.

Whether children end in one basin, with no barrier between them, tells from which epoch on the noise of SGD no
longer decides where a training ends (Frankle et al. 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from landscape.errors import InputError
from landscape.reference.training.loop import train

__all__ = ["Branched", "branch"]


@dataclass(frozen=True)
class Branched:
    """The files of a training and its children.

    Attributes:
        parent: Final weights of the parent.
        children: Final weights of the children by the epoch at which they parted, in order of their seeds.
        steps: By the same epochs, how many steps the parent had made.
    """

    parent: Path
    children: Mapping[int, tuple[Path, ...]]
    steps: Mapping[int, int]


def branch(
    make: Callable[[], nn.Module],
    data: tuple[Tensor, Tensor],
    test_data: tuple[Tensor, Tensor],
    *,
    path: Path | str,
    epochs: int,
    spawn: Sequence[int],
    orders: Sequence[int] = (1, 2),
    seed: int = 0,
    **training: Any,
) -> Branched:
    """Train a parent, and from each of some of its epochs children with other orders of the data.

    A child begins with the parent's weights, its optimiser's state and its place in the schedule, and ends at
    the parent's last epoch. Its order of the data, augmentation and dropout come from its own seed: a child
    with the parent's ends with the parent's weights, bit for bit. Like all trainings, each can be killed and
    run again.

    Args:
        make: Makes the model; called once for each training.
        data: Training inputs and labels.
        test_data: Held-out ones.
        path: Of the parent, such as ``zoo/net.safetensors``. Children are
            ``net-spawn<epoch>-o<seed>.safetensors`` beside it, names that `spawn_barriers` reads.
        epochs: Of the parent, and of each child with what it inherits.
        spawn: Epochs of the parent at which children part; 0 for its start.
        orders: Seeds of the children of each.
        seed: Of the parent.
        **training: What else `train` takes, for all of them.

    Raises:
        InputError: If an epoch is not within the parent's, or as `train`.

    Reference:
        Frankle et al. (2020), Linear mode connectivity and the lottery ticket hypothesis, section 2.
    """
    path = Path(path)
    if not spawn or any(not 0 <= epoch < epochs for epoch in spawn):
        raise InputError(f"branch: children part at epochs from 0 to {epochs - 1}, not {list(spawn)}.")
    if not orders:
        raise InputError("branch: give at least one seed of a child (orders).")
    train(
        make(),
        data,
        test_data,
        path=path,
        epochs=epochs,
        seed=seed,
        keep=sorted(set(spawn)),
        keep_optimizer=True,
        **training,
    )
    children: dict[int, tuple[Path, ...]] = {}
    for epoch in sorted(set(spawn)):
        files = [path.with_name(f"{path.stem}-spawn{epoch}-o{order}{path.suffix}") for order in orders]
        for file, order in zip(files, orders, strict=True):
            after = path.with_name(f"{path.stem}-epoch{epoch}.pt")
            train(make(), data, test_data, path=file, epochs=epochs, seed=order, after=after, **training)
        children[epoch] = tuple(files)
    used = max(1, round(training.get("data_fraction", 1.0) * len(data[1])))
    per_epoch = -(-used // training.get("batch_size", 64))
    return Branched(path, children, {epoch: epoch * per_epoch for epoch in children})
