"""Model files: what a model's checkpoint holds, its weights and what a training left beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from landscape.errors import CheckpointError
from landscape.imports import importing_from
from landscape.zoo.builders import resolve
from landscape.zoo.checkpoint import file_sha256, file_stamp
from landscape.zoo.reading.seeding import seeded
from landscape.zoo.reading.training import training_in
from landscape.zoo.reading.weights import Read, load_by, read_whole
from landscape.zoo.spec import Model
from landscape.zoo.task import Setup

__all__ = ["Trainings", "read_model"]


def read_model(model: Model, setup: Setup) -> Read:
    """What the file of a model holds, by the reader that its manifest names or by ours.

    Raises:
        CheckpointError: If it cannot be read, or changed since the plan was made.
    """
    # The key holds the hash that the plan took: size and time tell most files that were replaced since,
    # before anything is read, and the hash those that were made to look the same.
    if file_stamp(model.path) != model.stamp:
        raise _changed(model)
    own = model.loader or setup.problem.loader
    if own:
        with importing_from(setup.folder), seeded():
            read = load_by(resolve(own, setup.folder, "loader"), own, model.path)
    else:
        read = read_whole(model.path, allow=setup.problem.allow, trust_pickle=setup.trust_pickle)
    # After reading, and whatever stands there now: a file swapped in between is noticed as well.
    if model.sha256 is not None and file_sha256(model.path) != model.sha256:
        raise _changed(model)
    return read


class Trainings(Mapping[str, Mapping[str, Any]]):
    """What the checkpoints of a run hold of their training, by name, each read when it is asked for.

    An optimiser's state is twice as large as the weights: that of one checkpoint at a time is in memory.

    Args:
        models: The checkpoints.
        setup: How files are read.
        progress: What counts how far training had come, and how far, in the order of the models; or ``None``.
    """

    def __init__(
        self, models: Sequence[Model], setup: Setup, progress: tuple[str, Sequence[float]] | None
    ) -> None:
        self._models = {model.name: model for model in models}
        self._setup = setup
        self._at: dict[str, dict[str, Any]] = {name: {} for name in self._models}
        if progress is not None:
            unit, numbers = progress
            self._at = {
                name: {"progress": unit, "at": at} for name, at in zip(self._models, numbers, strict=True)
            }

    def __getitem__(self, name: str) -> Mapping[str, Any]:
        """``optimizer`` and ``scheduler``, as ``state_dict()`` gives them, ``progress`` and ``at``."""
        return {**training_in(read_model(self._models[name], self._setup).beside), **self._at[name]}

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)


def _changed(model: Model) -> CheckpointError:
    return CheckpointError(f"checkpoint '{model.path}' changed after the run was planned; run again.")
