"""What a training minimises: the loss of a mini-batch as an object, with hooks for what changes by epoch."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Generator, Tensor, nn
from torch.nn import functional

from landscape.core.problem.batchnorm import running_layers
from landscape.core.problem.losses import LOSSES
from landscape.errors import InputError
from landscape.reference.training.recipe import address

__all__ = [
    "Batch",
    "CrossEntropy",
    "Objective",
    "RegressionLoss",
    "Scaled",
    "Sum",
    "frozen_statistics",
]

Data = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Batch:
    """What a step of training sees.

    Attributes:
        inputs: Shape (n, ...), augmented and mixed, as the model takes them, on its device.
        targets: Labels (n,), or the targets of a regression (n,) or (n, D), on the same device.
        rows: Which training examples these are, (n,).
        progress: Share of all steps of the training that is done, 0 to 1.
        share: With mixup or cutmix, the share λ of an example in its mixed input; the rest is that of the
            example at the same place of the reversed batch. 1 where nothing is mixed.
        unlabelled: Inputs (m, ...) without labels, augmented too; ``None`` if training has none.
    """

    inputs: Tensor
    targets: Tensor
    rows: Tensor
    progress: float
    share: float = 1.0
    unlabelled: Tensor | None = None
    _outputs: list[Tensor] = field(default_factory=list, init=False, repr=False, compare=False)

    def outputs(self, model: nn.Module) -> Tensor:
        """What the model makes of the inputs.

        Computed once for all terms of an objective: they see the same dropout masks, and running statistics
        of BatchNorm move once.
        """
        if not self._outputs:
            self._outputs.append(model(self.inputs))
        return self._outputs[0]


class Objective(ABC):
    """The loss of a mini-batch.

    A subclass is a frozen dataclass whose fields are its settings: they tell one training from another, so
    that they must be what JSON can hold, or objectives. All its random numbers come from the generator that
    it is given; what it learns from epoch to epoch is in its `state_dict`. A training that was killed then
    goes on with the same bits. Passes beside that of `Batch.outputs` are made within `frozen_statistics`.

    Objectives add up, and take a weight: ``CrossEntropy() + 0.5 * other``.
    """

    @abstractmethod
    def __call__(self, model: nn.Module, batch: Batch, generator: Generator) -> Tensor:
        """The loss, a scalar that can be differentiated.

        Args:
            model: The network, in training mode.
            batch: What this step sees.
            generator: The only source of random numbers.
        """

    # What follows may be left as it is: most objectives keep nothing between steps.

    def begin(self, model: nn.Module, data: Data, generator: Generator) -> None:  # noqa: B027
        """Called before the first epoch, with the initial weights and the training examples.

        A training that goes on calls it too, with the initial weights again, and then `load_state_dict`.
        """

    def epoch(self, model: nn.Module, number: int, generator: Generator) -> None:  # noqa: B027
        """Called before each epoch, counted from 0."""

    def end(self, model: nn.Module, data: Data) -> None:  # noqa: B027
        """Called after the last epoch: may change the weights once more, before they are judged and saved."""

    def state_dict(self) -> dict[str, Any]:
        """What an epoch hands to the next one: tensors, numbers, strings and containers of them."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Take back what `state_dict` gave."""

    def settings(self) -> dict[str, Any]:
        """What stands in the settings of a training, by which it is told from others."""
        return {"objective": self.describe()}

    def describe(self) -> dict[str, Any]:
        """Where the class is found, and its fields.

        Raises:
            InputError: If the class is not a dataclass.
        """
        if not dataclasses.is_dataclass(self):
            raise InputError(
                f"{type(self).__name__} must be a dataclass: its fields tell one training from another."
            )
        fields = {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self) if f.init}
        return {"class": address(type(self)), **fields}

    def __add__(self, other: Objective) -> Objective:
        if not isinstance(other, Objective):
            return NotImplemented
        return Sum((*_terms(self), *_terms(other)))

    def __mul__(self, factor: float) -> Objective:
        if not isinstance(factor, int | float):
            return NotImplemented
        return Scaled(float(factor), self)

    __rmul__ = __mul__


@dataclass(frozen=True)
class CrossEntropy(Objective):
    """Mean cross-entropy of a mini-batch, nats.

    Of mixed examples, it is the same mixture of the losses of both labels, which is the loss of the mixed
    targets, since cross-entropy is linear in them.

    Attributes:
        label_smoothing: Share of each target that is spread evenly over all classes.

    Raises:
        InputError: If the share is not at least 0 and below 1.

    Reference:
        Szegedy et al. (2016), Rethinking the Inception architecture, section 7, for label smoothing.
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"label_smoothing is a share below 1, not {self.label_smoothing}.")

    def __call__(self, model: nn.Module, batch: Batch, generator: Generator) -> Tensor:
        """The loss of the batch."""
        logits = batch.outputs(model)
        loss = self._loss(logits, batch.targets)
        if batch.share == 1.0:
            return loss
        return batch.share * loss + (1 - batch.share) * self._loss(logits, batch.targets.flip(0))

    def settings(self) -> dict[str, Any]:
        """The smoothing, if there is any: what trainings of before there were objectives have noted."""
        return {"label_smoothing": self.label_smoothing} if self.label_smoothing else {}

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)


@dataclass(frozen=True)
class RegressionLoss(Objective):
    """Mean loss of a mini-batch of a regression.

    Attributes:
        loss: ``gaussian_nll``, nats, of means and variances; ``mse`` of means alone. See
            `landscape.core.problem.losses`.

    Raises:
        InputError: If it is no loss of numbers.
    """

    loss: str = "gaussian_nll"

    def __post_init__(self) -> None:
        if self.loss not in ("gaussian_nll", "mse"):
            raise InputError(f"RegressionLoss: the loss is gaussian_nll or mse, not {self.loss!r}.")

    def __call__(self, model: nn.Module, batch: Batch, generator: Generator) -> Tensor:
        """The loss of the batch."""
        return LOSSES[self.loss](batch.outputs(model), batch.targets).mean()


@dataclass(frozen=True)
class Sum(Objective):
    """Objectives added up.

    Attributes:
        terms: The objectives.
    """

    terms: tuple[Objective, ...]

    def __call__(self, model: nn.Module, batch: Batch, generator: Generator) -> Tensor:
        """The sum of the losses, the terms taken in order."""
        first, *others = self.terms
        loss = first(model, batch, generator)
        for term in others:
            loss = loss + term(model, batch, generator)
        return loss

    def begin(self, model: nn.Module, data: Data, generator: Generator) -> None:
        """Begin each term in order."""
        for term in self.terms:
            term.begin(model, data, generator)

    def epoch(self, model: nn.Module, number: int, generator: Generator) -> None:
        """Tell each term in order."""
        for term in self.terms:
            term.epoch(model, number, generator)

    def end(self, model: nn.Module, data: Data) -> None:
        """End each term in order."""
        for term in self.terms:
            term.end(model, data)

    def state_dict(self) -> dict[str, Any]:
        """The states of the terms that have one, by their place."""
        states = {str(place): term.state_dict() for place, term in enumerate(self.terms)}
        return {place: state for place, state in states.items() if state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Give each term its state back."""
        for place, part in state.items():
            self.terms[int(place)].load_state_dict(part)


@dataclass(frozen=True)
class Scaled(Objective):
    """An objective times a number.

    Attributes:
        factor: The number.
        objective: The objective.
    """

    factor: float
    objective: Objective

    def __call__(self, model: nn.Module, batch: Batch, generator: Generator) -> Tensor:
        """The loss times the factor."""
        return self.factor * self.objective(model, batch, generator)

    def begin(self, model: nn.Module, data: Data, generator: Generator) -> None:
        """Begin the objective."""
        self.objective.begin(model, data, generator)

    def epoch(self, model: nn.Module, number: int, generator: Generator) -> None:
        """Tell the objective."""
        self.objective.epoch(model, number, generator)

    def end(self, model: nn.Module, data: Data) -> None:
        """End the objective."""
        self.objective.end(model, data)

    def state_dict(self) -> dict[str, Any]:
        """That of the objective."""
        return self.objective.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Give it back to the objective."""
        self.objective.load_state_dict(state)


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Within it, passes in training mode leave the running statistics of BatchNorm alone.

    The layers still normalise by the batch at hand.
    """
    layers = running_layers(model)
    tracks = [layer.track_running_stats for layer in layers]
    try:
        for layer in layers:
            # In eval mode the flag is no matter, as long as there are statistics.
            layer.track_running_stats = False
        yield
    finally:
        for layer, track in zip(layers, tracks, strict=True):
            layer.track_running_stats = track


def _terms(objective: Objective) -> tuple[Objective, ...]:
    return objective.terms if isinstance(objective, Sum) else (objective,)


def _plain(value: Any) -> Any:
    """The value with objectives, and other dataclasses such as attacks, in it described."""
    if isinstance(value, Objective):
        return value.describe()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            "class": address(type(value)),
            **{f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)},
        }
    return [_plain(part) for part in value] if isinstance(value, tuple | list) else value
