"""Problem: an empirical risk over fixed data, as a function of a flat parameter vector."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from landscape.batchnorm_policy import ProblemPolicy
from landscape.core.ambient import constants_of, precision, under_own_context
from landscape.core.data.batches import Batch, read_batches, tensors_in
from landscape.core.data.subsample import sample
from landscape.core.linalg.reductions import sum_of_squares
from landscape.core.problem.answers.classification import Classification
from landscape.core.problem.answers.outputs import Reading
from landscape.core.problem.checkpointing import without_checkpointing
from landscape.core.problem.checks import explained
from landscape.core.problem.criterion import Criterion
from landscape.core.problem.derivatives.gradient import check_gradient
from landscape.core.problem.derivatives.record import Check, DerivativeRecord
from landscape.core.problem.description import Described
from landscape.core.problem.door.arguments import check_arguments, usable_device, whole_number
from landscape.core.problem.door.conversions import Conversion
from landscape.core.problem.fingerprint import fingerprint, provenance
from landscape.core.problem.first_run import fit_scale, settle
from landscape.core.problem.forward import Forward
from landscape.core.problem.losses import LossFunction
from landscape.core.problem.measure import ExampleTable, Measure, PartialMeasure, Watch, cut_off, measure
from landscape.core.problem.memory_layout import has_unsound_convolution, sound_convolutions
from landscape.core.problem.parameters import ParameterSpace, select_parameters
from landscape.core.problem.passes.folding import folding, passed
from landscape.core.problem.passes.pieces import PassPlan, pieces
from landscape.core.problem.private_model import (
    Substituted,
    bind,
    check_weights,
    plain_encoder,
    private_copy,
    set_mode,
)
from landscape.core.problem.sharding import Sharding
from landscape.errors import InputError

__all__ = ["Measure", "Problem"]


class Problem(Described):
    """The risk L(θ) = (1/N) Σ ℓ(f_θ(x_n), y_n) + (λ/2)‖θ‖² of a model on fixed data.

    A problem works on a private copy of the model in evaluation mode, so the caller's model, its mode,
    gradients and buffers are never touched. Data is read once. Sums are taken before dividing, so that
    batches of unequal size are exact. The same problem gives the same bits each time.

    Args:
        model: Any module.
        loss: ``"cross_entropy"``, ``"mse"`` (as `torch.nn.MSELoss`), ``"half_squared_error"``,
            ``"gaussian_nll"`` (outputs (B, 2D): means, then variances before a softplus), ``"causal_lm"`` or
            ``"token_cross_entropy"`` (logits (B, T, V), a mean over tokens, see `door.tokens`), or a callable
            ``(output, target) -> losses (B,)``. torch's own losses are taken per example, with torch's
            value on all the data as their mean; of another scalar it is found out whether it is the mean
            over examples or their sum, and if neither, all the data must come in one batch.
        data: ``(inputs, targets)`` tensors, an iterable of batches, a Dataset or a DataLoader. A batch
            is ``(input, target)``, ``(input, ..., target)``, or a mapping with a key ``labels``,
            ``label``, ``targets``, ``target`` or ``y``. Mappings are passed to the model as keywords, or
            whole if it takes those. A form with one reading is taken (labels of any type, (B, 1), one-hot).
        weight_decay: λ, over the chosen parameters.
        parameters: Which parameters form θ: ``None`` for all trainable ones, or globs over names.
        forward: ``(model, batch) -> output`` for batches or models of unusual form, called with the whole
            batch, or with its inputs if it cannot take that. It may return ``(output, target)``.
        device: Where to compute; default: where the model is.
        batchnorm: ``"checkpoint"`` uses running statistics; ``"batch"`` uses those of each batch (then the
            result depends on how data is cut into batches). ``"eval"`` and ``"train"`` mean the same.
        batch_size: Micro-batch size for data that does not come in batches.
        dtype: For example ``torch.float64``; default: the model's.
        size: ``batch -> number of examples``, for batches whose tensors differ in their leading axes, such as
            graphs; default: what the targets, or else the losses, show.
        sharding: The processes that share the data, such as `landscape.Ranks`; each gives all of the data
            here and keeps its share of the batches on its device. Default: this process alone.
        channels_last: Whether images may lie in memory with their channels last where that is faster:
            ``True``, ``False`` (not even if given so), or ``None``: unless torch then gets gradients wrong
            (see `landscape.core.problem.memory_layout`). Results agree up to rounding.
        check_derivatives: Whether derivatives are held against differences on a few examples, once, before
            the first is reported, and refused where the loss or its gradient does not move as they say.

    Attributes:
        theta: The checkpoint's parameters, shape (P,).
        size: P.
        examples: N, of all processes.
        shard: The micro-batches of this process.
        start: How many examples come before them.
        first: The first micro-batch of all.
        batchnorm: Where BatchNorm statistics come from, ``checkpoint`` or ``batch``.
        module: The private copy of the model.
        criterion: The loss as it is applied.
        classification: What its answers are where targets are no indices of classes; ``None`` elsewhere.
        may_lay_channels_last: Whether images may lie in memory with their channels last.
        conversions: What was done to the data that model or loss did not take as they were.
        derivatives: What is known of its derivatives; shared by all that share its model.
        passes: What is known of its passes, likewise: see `landscape.core.problem.passes.pieces`.

    Raises:
        InputError: If model, data and loss do not fit together; the sentence says where.

    Example:
        >>> x, y = torch.eye(2), torch.tensor([[1.0], [3.0]])
        >>> model = nn.Linear(2, 1, bias=False)
        >>> _ = nn.init.zeros_(model.weight)
        >>> problem = Problem(model, "mse", (x, y))
        >>> problem.loss(), problem.gradient().tolist()
        (5.0, [-1.0, -3.0])
    """

    @under_own_context
    def __init__(
        self,
        model: nn.Module,
        loss: str | LossFunction,
        data: Any,
        *,
        weight_decay: float = 0.0,
        parameters: str | Iterable[str] | None = None,
        forward: Callable[..., Any] | None = None,
        device: torch.device | str | None = None,
        batchnorm: ProblemPolicy | Literal["eval", "train"] = "checkpoint",
        batch_size: int = 256,
        dtype: torch.dtype | None = None,
        sharding: Sharding | None = None,
        channels_last: bool | None = None,
        size: Callable[[Any], int] | None = None,
        check_derivatives: bool = True,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise InputError(f"model must be a torch.nn.Module; got {type(model).__name__}.")
        self.weight_decay, self.batchnorm, batch_size = check_arguments(
            weight_decay=weight_decay,
            batchnorm=batchnorm,
            batch_size=batch_size,
            dtype=dtype,
            parameters=parameters,
            forward=forward,
            size=size,
            sharding=sharding,
            flags={"channels_last": channels_last, "check_derivatives": check_derivatives},
        )
        model = getattr(model, "_orig_mod", model)  # what torch.compile wraps: it has no second derivatives
        self._forward = Forward(forward)
        self.derivatives = DerivativeRecord(check_derivatives)
        self.conversions: tuple[Conversion, ...] = ()
        self.watch: Watch | None = None
        self.passes = PassPlan()
        self._derives = False  # whether the model or the loss takes derivatives itself
        check_weights(model)
        names = select_parameters(model, parameters)
        named = dict(model.named_parameters())
        self.device = named[names[0]].device if device is None else usable_device(device)
        self.dtype = dtype if dtype is not None else named[names[0]].dtype
        self.module = private_copy(model, names, self.device, dtype)
        set_mode(self.module, self.batchnorm)
        self.criterion = Criterion(loss, self.device, self.dtype)
        self._forward.read_logits(self.criterion)
        self.loss_name = self.criterion.name
        self.reading = Reading(ignore_index=self.criterion.ignore_index)
        self.classification: Classification | None = None
        self._hold(names)
        self._unsound = has_unsound_convolution(self.module)
        self.may_lay_channels_last = not self._unsound if channels_last is None else channels_last
        self.sharding = sharding or Sharding()
        home = self.sharding.home(self.device)
        batches = read_batches(data, batch_size=batch_size, device=home, dtype=dtype, size=size)
        self._take_share(batches)
        settle(self, count=size is None)

    def _hold(self, names: Sequence[str]) -> None:
        """Make the parameters of these names of the private model θ."""
        chosen = dict(self.module.named_parameters())
        self._parameters = [chosen[n] for n in names]
        self.space = ParameterSpace.of({n: chosen[n] for n in names})
        self.theta = self.space.flatten(self._parameters)
        self._point = bind(self._parameters, self.theta)

    def _take_share(self, batches: list[Batch]) -> None:
        """Take this process's share of all batches."""
        if not self.may_lay_channels_last:
            batches = [batch.channels_first() for batch in batches]
        self._all = batches
        share = self.sharding.take_share(batches, self.device)
        self.shard, self.start, self.first = share.batches, share.start, share.first
        self.examples = share.examples

    @property
    def size(self) -> int:
        """Number P of entries of θ."""
        return self.space.size

    @property
    def batches(self) -> list[Batch]:
        """The micro-batches, for what needs all of them in one process.

        Raises:
            InputError: If several processes share the data.
        """
        if self.sharding.ranks > 1:
            raise InputError(
                f"this needs all the data in one process, but {self.sharding.ranks} ranks share it; run it"
                " without torchrun."
            )
        return self.shard

    # Evaluation

    def loss(self) -> float:
        """L(θ) at the checkpoint, weight-decay term included; NaN or infinity if it is."""
        return self.measure().loss

    @under_own_context
    def gradient(self, theta: Tensor | None = None) -> Tensor:
        """∇L, shape (P,), at the checkpoint or at ``theta``."""
        self.vouch(check_gradient)
        total = torch.zeros_like(self.theta)
        with self.at(theta):
            with self.sharding.summing(total), folding(self):
                for batch in pieces(self, graph=True):
                    total += self.flatten_grads(self.batch_gradients(batch))
            total /= self.examples
            if self.weight_decay:  # at the point that the model holds, which may be one set by `at`
                total.add_(self._point, alpha=self.weight_decay)
        return total

    @under_own_context
    def measure(self, theta: Tensor | None = None, batches: Iterable[Batch] | None = None) -> Measure:
        """Loss, weight-decay term and accuracy at the checkpoint or at ``theta`` (P,).

        Args:
            theta: Parameters; default: the checkpoint's.
            batches: Other data to measure on, made while they are used; default: the problem's own.
        """
        with torch.set_grad_enabled(self._derives), self.at(theta):
            given = None if batches is None else self._weighed(self._measure_batches(batches))
            found = self._measure_all() if given is None else given
            penalty = 0.5 * self.weight_decay * sum_of_squares(self._point) if self.weight_decay else 0.0
        total = found.total if found.losses is None else float(found.losses.sum())
        return found.whole(total / found.examples, penalty, self.criterion.by_token)

    def _measure_batches(self, batches: Iterable[Batch]) -> PartialMeasure:
        """What there is to measure on batches."""
        with self._evaluating(), folding(self):
            outcomes = ((b.size, *self.output(b)) for b in pieces(self, batches))
            return measure(outcomes, self.criterion, self.classification or self.reading, self.watch)

    def _weighed(self, found: PartialMeasure) -> PartialMeasure:
        """What was measured on other data, in the weighted mean of its own examples."""
        if found.losses is None or not self.criterion.weighs:
            return found
        factor = found.examples / found.weight / self.criterion.scale if found.weight else float("nan")
        return found if factor == 1.0 else replace(found, losses=found.losses * factor)

    def _measure_all(self) -> PartialMeasure:
        """What there is to measure on all the data, whoever holds it."""
        if self.sharding.ranks == 1:
            return self._measure_batches(self.shard)
        table = ExampleTable(self.examples)
        with self.sharding.summing(table.values):
            if self.shard:
                table.enter(self._measure_batches(self.shard), self.start)
        return table.read()

    @contextmanager
    def at(self, theta: Tensor | None) -> Iterator[None]:
        """Within it, the private model holds ``theta`` (P,); afterwards the checkpoint again."""
        if theta is None:
            yield
            return
        if getattr(theta, "shape", None) != self.theta.shape:
            given = getattr(theta, "shape", type(theta).__name__)
            raise InputError(f"theta must be a vector of shape ({self.size},); got {given}.")
        try:
            with torch.no_grad():
                self._point.copy_(theta)
            yield
        finally:
            with torch.no_grad():
                self._point.copy_(self.theta)

    def on(self, batches: Sequence[Batch]) -> Problem:
        """The same model and loss on other batches; the private model is shared, not copied."""
        other = copy.copy(self)
        other._take_share(list(batches))
        if other.examples != self.examples or len(other._all) > 1:
            self.criterion.refuse_cuts()
        if self.criterion.weighs:
            other.criterion = self.criterion.scaled(1.0)
            fit_scale(other)
        return other

    def rebuilt(self, dtype: torch.dtype, batch: Batch) -> Problem:
        """The same where it stands, with a model of its own in another dtype, on one batch: to check on."""
        other = copy.copy(self)
        other.__class__ = Problem  # not in lower precision, as a subclass may be
        other.dtype, other.sharding, other.derivatives = dtype, Sharding(), DerivativeRecord(wanted=False)
        other.passes = PassPlan()
        other.module = private_copy(self.module, self.space.names, self.device, dtype)
        set_mode(other.module, self.batchnorm)
        other.criterion = self.criterion.in_dtype(dtype)
        other._hold(self.space.names)
        other._take_share([batch.in_dtype(dtype)])
        return other

    def vouch(self, *checks: Check) -> None:
        """Make checks of the derivatives, once for all that share the model; all ranks make them together.

        Raises:
            InputError: If they are wrong.
        """
        if self.derivatives.needs(checks):
            with self.sharding.together():
                self.derivatives.make(self, checks)

    def on_sample(self, examples: int) -> Problem:
        """The same on so many examples of a fixed random order; on all if there are no more."""
        return self.on(sample(self._all, whole_number("examples", examples)))

    # Pieces for operators and analyses

    @property
    def version(self) -> int:
        """A number that grows whenever a parameter or buffer is written to, also by `at`."""
        tensors = (self._point, *self.module.parameters(), *self.module.buffers())
        return sum(tensor._version for tensor in tensors)

    @property
    def precision(self) -> str:
        """What its products are rounded to where that is less than its dtype says; empty if it is not."""
        return precision(self.dtype, self.device)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The private model's chosen parameters: leaves to differentiate by."""
        return self._parameters

    @under_own_context
    def output(self, batch: Batch, state: Mapping[str, Tensor] | None = None) -> tuple[Any, Any]:
        """Model output and target of a batch.

        Args:
            batch: One of ``batches``.
            state: Parameters or buffers to use instead of the model's own (differentiable).
        """
        model: Any = self.module if state is None else Substituted(self.module, state)
        recorded = torch.is_grad_enabled()
        how = plain_encoder(), without_checkpointing(), sound_convolutions(self._unsound), self._evaluating()
        with how[0], how[1], how[2], how[3], explained(self.module, batch.size):
            output, target = passed(self, self._forward, model, batch)
        return output if recorded else cut_off(output), target

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """What model and loss run under: constants as they expect, and gradients if they take any."""
        graph = torch.enable_grad() if self._derives else nullcontext()
        with constants_of(self.dtype, self.device), graph:
            yield

    def calls(self) -> tuple[list[Any], Callable[[nn.Module, Any], Any] | None]:
        """What the model is called with, by batch, and how, if it has a ``forward`` of its own."""
        return self._forward.calls(self.batches)

    @under_own_context
    def batch_loss(self, batch: Batch, state: Mapping[str, Tensor] | None = None) -> Tensor:
        """Sum of the losses over a batch, a scalar that carries a graph."""
        return self.loss_sum(*self.output(batch, state), batch.size)

    @under_own_context
    def batch_losses(self, batch: Batch) -> Tensor:
        """Losses per example (B,) that carry a graph; a scalar if the loss only gives batch means."""
        return self._losses(*self.output(batch))

    @under_own_context
    def batch_gradients(
        self, batch: Batch, derive: Callable[..., Sequence[Tensor | None]] | None = None
    ) -> Sequence[Tensor | None]:
        """Gradients of `batch_loss` by parameter; ``None`` where it does not depend on the parameter.

        As autograd, or ``derive(loss, parameters)``, gives them: `gradient` and operators have them checked.
        """
        with torch.enable_grad(), explained(self.module, batch.size):
            loss = self.batch_loss(batch)
            if not loss.requires_grad:
                return [None] * len(self._parameters)
            if derive is not None:
                return derive(loss, self._parameters)
            return torch.autograd.grad(loss, self._parameters, allow_unused=True)

    @under_own_context
    def loss_sum(self, output: Any, target: Any, size: int) -> Tensor:
        """Sum of the losses for given outputs; ``size`` examples."""
        return self.criterion.total(self._losses(output, target), size)

    def _losses(self, output: Any, target: Any) -> Tensor:
        with self._evaluating():
            return self.criterion(output, target)

    def flatten_grads(self, grads: Iterable[Tensor | None]) -> Tensor:
        """Gradients by parameter as one vector (P,); ``None`` (unused parameter) counts as zero."""
        pairs = zip(grads, self._parameters, strict=True)
        pieces = (torch.zeros_like(p) if g is None else g.detach().to_dense() for g, p in pairs)
        return torch.cat([piece.reshape(-1) for piece in pieces])

    def fingerprint(self) -> tuple[str, str]:
        """Content hashes of the model's state and of the data."""
        state = self.module.state_dict(keep_vars=False).items()
        data = (item for i, b in enumerate(self._all) for item in tensors_in(b.raw, str(i)))
        return fingerprint(state), fingerprint(data)

    def provenance(self) -> dict[str, str | int | float]:
        """What a result should remember of this problem: strings and numbers only."""
        return provenance(self)
