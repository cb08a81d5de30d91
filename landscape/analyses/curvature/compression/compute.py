"""What ``compression`` computes: each compression is a step δ of the weights, and the loss is taken there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from landscape.analyses.curvature._operator import finite_loss
from landscape.analyses.curvature.compression.options import CompressionParams, Way, ways
from landscape.base.analysis import Context
from landscape.core.stats.intervals import share_error, standard_error

if TYPE_CHECKING:
    from torch import Tensor

    from landscape.base.ledger import Piece
    from landscape.core.curvature.operator import CurvatureOperator
    from landscape.core.problem.problem import Measure, Problem

__all__ = ["compute"]

Array = NDArray[np.float64]

BY_LAYER = ("loss_change", "loss_change_se", "distance", "first", "second", "predicted", "predicted_trace")
"""What is measured of single layers too; the last are there with curvature, the first with layers."""

TRACE_SHARE = 0.3
"""About how much of the time the trace takes."""


def compute(problem: Problem, params: CompressionParams, context: Context) -> Mapping[str, Any]:
    """The trace, then one way to compress after the other; a run that is killed keeps the finished ones."""
    from landscape.core.curvature.operator import hessian

    steps = _Steps(problem, params)
    every = list(ways(params))
    found: dict[str, Any] = {}
    begun = 0.0
    if params.curvature:
        finite_loss(problem)
        begun = TRACE_SHARE
        with hessian(problem) as H:
            (traces,) = context.ledger.collect(
                ["trace"], lambda _: steps.traces(H, lambda f: context.progress(begun * min(f, 1.0)))
            )
            found |= traces
            pieces = _collect(context, every, lambda way: steps.measure(way, H, traces), begun)
    else:
        pieces = _collect(context, every, lambda way: steps.measure(way, None, None), begun)
    joined = {name: np.stack([piece[name] for piece in pieces]) for name in pieces[0]}
    if params.curvature:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = joined["loss_change"] / joined["predicted"]
        found["ratio"] = np.where(np.isfinite(ratio), ratio, np.nan)
    whole = steps.whole
    return {
        "perturbation": np.array([way.name for way in every]),
        "method": np.array([way.method for way in every]),
        "amount": np.array([way.amount for way in every], dtype=np.float64),
        "layer": np.array(steps.names),
        "loss": whole.data_loss,
        "accuracy": whole.accuracy,
        "layer_size": np.array([problem.space.sizes[i] for i in steps.places]),
        **joined,
        **found,
        **steps.dense(),
        "seconds": _seconds(problem, params.repeats),
    }


def _collect(
    context: Context, every: Sequence[Way], measure: Callable[[Way], Piece], begun: float
) -> list[Piece]:
    """One piece for each way."""

    def count(done: int) -> None:
        context.progress(begun + (1 - begun) * done / len(every))

    names = [f"{way.method}-{way.amount:g}" for way in every]
    return context.ledger.collect(names, lambda index: measure(every[index]), count)


@dataclass
class _Steps:
    """A problem and the steps away from its weights."""

    problem: Problem
    params: CompressionParams

    @cached_property
    def names(self) -> list[str]:
        """The weights that are compressed."""
        from landscape.core.weights.compressible import compressible
        from landscape.errors import InputError

        known = [n for n in compressible(self.problem.module) if n in self.problem.space.names]
        if not known:
            raise InputError(
                "none of the chosen parameters is a matrix or kernel to compress; choose others with"
                " parameters=."
            )
        return known

    @cached_property
    def places(self) -> list[int]:
        """Their positions among the parameters of the problem."""
        return [self.problem.space.names.index(name) for name in self.names]

    @cached_property
    def weights(self) -> list[Tensor]:
        """Their values."""
        values = self.problem.space.unflatten(self.problem.theta)
        return [values[name] for name in self.names]

    @cached_property
    def slices(self) -> list[slice]:
        """Where each lies in θ."""
        ends = np.cumsum([0, *self.problem.space.sizes])
        return [slice(int(ends[i]), int(ends[i + 1])) for i in self.places]

    @cached_property
    def whole(self) -> Measure:
        """The model as it is."""
        return self.problem.measure()

    @cached_property
    def slope(self) -> Tensor:
        """The gradient of the loss without weight decay (P,)."""
        return self.problem.gradient() - self.problem.weight_decay * self.problem.theta

    @cached_property
    def uses(self) -> dict[str, float]:
        """How often each entry of a weight is multiplied, per example."""
        import torch

        from landscape.core.weights.compressible import counting_uses

        batches = self.problem.shard[:1]
        with torch.no_grad(), counting_uses(self.problem.module) as uses:
            for batch in batches:
                self.problem.output(batch)
        return {name: count / batches[0].size for name, count in uses.items()}

    def traces(self, H: CurvatureOperator, progress: Callable[[float], None]) -> Piece:
        """The trace of the Hessian and of its blocks, without weight decay."""
        from landscape.core.linalg.trace import estimate_trace

        space, decay, params = self.problem.space, self.problem.weight_decay, self.params
        got = estimate_trace(
            H,
            rel_se=params.rel_se,
            max_products=params.max_products,
            sizes=space.sizes,
            seed=params.seed,
            on_progress=progress,
        )
        sizes = np.array(space.sizes)[self.places]
        return {
            "trace": np.array(got.trace - decay * space.size),
            "trace_se": np.array(got.trace_se),
            "layer_trace": got.blocks.numpy()[self.places] - decay * sizes,
            "layer_trace_se": got.blocks_se.numpy()[self.places],
        }

    def compressed(self, way: Way) -> list[Tensor]:
        """The weights after it."""
        from landscape.core.weights.compressible import channel_axis
        from landscape.core.weights.pruning import dropped
        from landscape.core.weights.quantisation import quantised

        if way.prunes:
            masks = dropped(self.weights, way.amount, way.method, self.params.seed)  # type: ignore[arg-type]
            return [weight.masked_fill(mask, 0.0) for weight, mask in zip(self.weights, masks, strict=True)]
        module, bits = self.problem.module, int(way.amount)
        axes = [channel_axis(module, n) if way.method == "channel" else None for n in self.names]
        return [quantised(w, bits, axis) for w, axis in zip(self.weights, axes, strict=True)]

    def measure(self, way: Way, H: CurvatureOperator | None, traces: Piece | None) -> Piece:
        """What a way does to the loss, in all and by layer, what is foreseen of it, and what is saved."""
        import torch

        theta = self.problem.theta
        new = self.compressed(way)
        found = self._saved(way, new)
        rows: dict[str, list[float]] = {name: [] for name in BY_LAYER}
        step, image = torch.zeros_like(theta), torch.zeros_like(theta)
        for place, (part, weight, other) in enumerate(zip(self.slices, self.weights, new, strict=True)):
            alone = torch.zeros_like(theta)
            alone[part] = (other - weight).reshape(-1)
            step += alone
            length = float(alone.double().norm())
            rows["distance"].append(length)
            if H is not None and traces is not None and self.params.layers:
                product = self._product(H, alone)
                image += product
                self._foresee(rows, alone, product)
                rows["predicted_trace"].append(_by_trace(traces, self.slices, place, length))
            if self.params.layers:
                change, error, *_ = _changes(self.problem.measure(theta + alone), self.whole)
                rows["loss_change"].append(change)
                rows["loss_change_se"].append(error)
        if H is not None and traces is not None:
            if not self.params.layers:
                image = self._product(H, step)
            total: dict[str, list[float]] = {name: [] for name in BY_LAYER}
            self._foresee(total, step, image)
            found |= {name: np.array(total[name][0]) for name in ("first", "second", "predicted")}
            square = float(step.double().square().sum())
            found["predicted_trace"] = np.array(0.5 * float(traces["trace"]) * square / self.problem.size)
            found["predicted_layer_trace"] = np.array(
                sum(_by_trace(traces, self.slices, i, d) for i, d in enumerate(rows["distance"]))
            )
        names = ("loss_change", "loss_change_se", "accuracy_change", "accuracy_change_se")
        changes = _changes(self.problem.measure(theta + step), self.whole)
        found |= {name: np.array(value) for name, value in zip(names, changes, strict=True)}
        found["distance"] = np.array(float(step.double().norm()))
        return found | {f"layer_{name}": np.array(row) for name, row in rows.items() if row}

    def _product(self, H: CurvatureOperator, step: Tensor) -> Tensor:
        """The Hessian without weight decay times a step."""
        return H @ step - self.problem.weight_decay * step

    def _foresee(self, rows: dict[str, list[float]], step: Tensor, image: Tensor) -> None:
        first = float(self.slope.double() @ step.double())
        second = 0.5 * float(step.double() @ image.double())
        for name, value in (("first", first), ("second", second), ("predicted", first + second)):
            rows[name].append(value)

    def dense(self) -> dict[str, Any]:
        """The size of the whole model."""
        parameters = dict(self.problem.module.named_parameters())
        return {
            "parameters": sum(p.numel() for p in parameters.values()),
            "dense_bytes": float(sum(p.numel() * p.element_size() for p in parameters.values())),
            "dense_multiply_adds": float(
                sum(self.uses.get(n, 0.0) * p.numel() for n, p in parameters.items())
            ),
        }

    def _saved(self, way: Way, new: Sequence[Tensor]) -> dict[str, Any]:
        """Parameters, multiply-adds and bytes that are left."""
        changed = dict(zip(self.names, new, strict=True))
        nonzero, products, size = 0, 0.0, 0.0
        for name, parameter in self.problem.module.named_parameters():
            left = int((changed.get(name, parameter) != 0).sum())
            nonzero += left
            products += self.uses.get(name, 0.0) * (left if name in changed else parameter.numel())
            dense = float(parameter.numel() * parameter.element_size())
            size += min(dense, self._coded(way, name, parameter, left)) if name in changed else dense
        return {"nonzero": np.array(nonzero), "multiply_adds": np.array(products), "bytes": np.array(size)}

    def _coded(self, way: Way, name: str, weight: Tensor, left: int) -> float:
        """Bytes of a compressed weight: values that stay and a bit for each place, or bits and scales."""
        from landscape.core.weights.compressible import channel_axis
        from landscape.core.weights.quantisation import FLOAT_BITS

        if way.prunes:
            return left * weight.element_size() + weight.numel() / 8
        if way.amount >= FLOAT_BITS:  # these bits leave the weight as it is, a double too
            return float(weight.numel() * weight.element_size())
        axis = channel_axis(self.problem.module, name)
        scales = weight.shape[axis] if way.method == "channel" else 1
        return weight.numel() * way.amount / 8 + scales * weight.element_size()


def _by_trace(traces: Piece, slices: Sequence[slice], place: int, distance: float) -> float:
    """What the trace of a layer's block foresees: every direction has its mean curvature."""
    part = slices[place]
    size = max(int(part.stop) - int(part.start), 1)
    return 0.5 * float(traces["layer_trace"][place]) * distance**2 / size


def _changes(now: Measure, whole: Measure) -> tuple[float, float, float, float]:
    """Changes of loss and accuracy, each with its paired standard error."""
    loss, loss_se = now.data_loss - whole.data_loss, float("nan")
    if now.losses is not None and whole.losses is not None:
        change = now.spread_losses.double().numpy() - whole.spread_losses.double().numpy()
        loss, loss_se = float(change.mean()), float(standard_error(change))
    if now.correct is None or whole.correct is None:
        return loss, loss_se, float("nan"), float("nan")
    answers = now.spread_correct.double().numpy() - whole.spread_correct.double().numpy()
    return loss, loss_se, float(answers.mean()), float(share_error(answers))


def _seconds(problem: Problem, repeats: int) -> float:
    """The median time of a forward pass over the data, per example; the first pass is not timed."""
    import torch

    if not repeats:
        return float("nan")
    times = []
    with torch.no_grad():
        for _ in range(repeats + 1):
            began = time.perf_counter()
            for batch in problem.shard:
                problem.output(batch)
            if problem.device.type == "cuda":
                torch.cuda.synchronize(problem.device)
            times.append(time.perf_counter() - began)
    return float(np.median(times[1:])) / max(sum(batch.size for batch in problem.shard), 1)
