"""Every layer of every model on the same inputs: HSIC of all pairs in one pass, or a shared sample."""

from __future__ import annotations

import glob
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape.core.ambient import under_own_context
from landscape.core.data.batches import Batch
from landscape.core.features.hooks import watch_outputs
from landscape.core.features.map_layout import MapLayouts, are_pictures
from landscape.core.problem.passes.pieces import laid_out
from landscape.core.problem.problem import Problem
from landscape.core.similarity.cka import Estimator, Kernel, gram, hsic, rounding
from landscape.core.similarity.layer_choice import choose_layers
from landscape.core.similarity.same_inputs import GroupExamples, Pairing, check_same_inputs
from landscape.errors import InputError

__all__ = [
    "FeatureRows",
    "HsicSums",
    "plan_batches",
    "zoo_hsic",
    "zoo_sample",
]

Array = NDArray[np.float64]
T = TypeVar("T")

_NONE = "no layer runs on every batch with one row per example; choose other layers."

JACKKNIFE_BLOCKS = 20  # batches are pooled into at most so many, so that memory does not grow with the data


@dataclass(frozen=True)
class FeatureRows:
    """How one example's output becomes one row of features.

    Attributes:
        tokens: Of outputs (B, T, C): all entries, the first token alone, or the mean over the tokens of the
            grid (over all tokens where there is no grid).
        spatial: Of outputs with two spatial axes: all entries, or the mean over space.
        prefix_tokens: Tokens before the grid; ``None``: the fewest that leave a square.
    """

    tokens: Literal["flatten", "cls", "patch_mean"] = "flatten"
    spatial: Literal["flatten", "pooled"] = "flatten"
    prefix_tokens: int | None = None

    def rows(self, output: Tensor, layouts: MapLayouts, module: torch.nn.Module | None = None) -> Tensor:
        """Features (B, p) of an output (B, ...), at least float32."""
        output = output if output.dtype == torch.float64 else output.float()
        if output.ndim == 3 and self.tokens != "flatten":
            if self.tokens == "cls":
                return output[:, 0]
            layout = layouts.find(output, len(output), module)
            prefix = layout.prefix if layout is not None else self.prefix_tokens or 0
            return output[:, prefix:].mean(1)
        if output.ndim == 4 and self.spatial == "pooled":
            layout = layouts.find(output, len(output), module)
            if layout is not None:
                return layout.to_maps(output).mean((2, 3))
        if output.ndim == 4 and output.is_contiguous(memory_format=torch.channels_last):
            output = output.permute(0, 2, 3, 1)  # as it lies in memory: no kernel sees the order of features
        return output.reshape(len(output), -1)


@dataclass(frozen=True)
class HsicSums:
    """HSIC between all units, summed over batches.

    Attributes:
        units: (model, layer) of each unit, models in order, layers in firing order.
        outputs: Index of each model's output among the rows of ``blocks``: they follow the units.
        blocks: (blocks, L + models, L + models): HSIC summed over the batches of each block.
        batches: Number of batches.
        left_out: Names of the outputs of each model that cannot be compared, see
            `landscape.core.similarity.layer_choice.LayerChoice`.
    """

    units: list[tuple[str, str]]
    outputs: list[int]
    blocks: Array
    batches: int
    left_out: dict[str, list[str]]


def plan_batches(examples: int, batch_size: int, seed: int) -> list[Tensor]:
    """Which examples form each batch: mixed by the seed, then cut into nearly equal parts.

    Raises:
        InputError: If there are fewer than four examples.
    """
    if examples < 4:
        raise InputError(f"similarity needs at least 4 examples; the data holds {examples}.")
    order = torch.randperm(examples, generator=torch.Generator().manual_seed(seed))
    # Nearly equal parts: a last one of fewer than four examples would have no unbiased HSIC.
    return list(order.tensor_split(math.ceil(examples / batch_size)))


@under_own_context
@torch.no_grad()
def zoo_hsic(
    problems: Mapping[str, Problem],
    *,
    layers: Iterable[str] = ("*",),
    most_layers: int = 32,
    batch_size: int = 64,
    estimator: Estimator = "unbiased",
    kernel: Kernel | None = None,
    policy: FeatureRows | None = None,
    seed: int = 0,
    pairing: Pairing = "inputs",
    progress: Callable[[float], None] = lambda fraction: None,
) -> HsicSums:
    """HSIC between all layers of all models on the same inputs, each batch run once through each model.

    Per batch each layer's Gram matrix is formed as the layer fires; all are then U-centred and stacked to V
    (layers, n²), and V Vᵀ holds HSIC of all pairs. Sums over batches come before the ratio (Nguyen et al.
    2021).
    Memory holds one V and ``JACKKNIFE_BLOCKS`` sums, whatever the number of examples.

    Args:
        problems: The models, by name, on the same inputs.
        layers: Globs over module names, the same for all models.
        most_layers: See `choose_layers`.
        batch_size: Largest number of examples n in a Gram matrix.
        estimator: ``unbiased`` HSIC₁ or ``biased`` HSIC₀.
        kernel: Default: linear.
        policy: How outputs become features.
        seed: Seed of the order of examples.
        pairing: See `landscape.core.similarity.same_inputs.check_same_inputs`.
        progress: Called with the finished fraction.

    Raises:
        InputError: If the inputs differ, are too few, or no layer can be compared.
    """
    check_same_inputs(problems, pairing)
    patterns = list(layers)
    kernel, policy = kernel or Kernel(), policy or FeatureRows()
    choices = {name: choose_layers(p, patterns, most_layers) for name, p in problems.items()}
    chosen = {name: choice.names for name, choice in choices.items()}
    left_out = {name: choice.left_out for name, choice in choices.items()}
    units = [(model, layer) for model, names in chosen.items() for layer in names]
    rows = {unit: row for row, unit in enumerate(units)}
    plan = plan_batches(next(iter(problems.values())).examples, batch_size, seed)
    total = len(units) + len(problems)
    blocks = np.zeros((min(len(plan), JACKKNIFE_BLOCKS), total, total))
    layouts = {name: _layouts(problem, policy) for name, problem in problems.items()}
    gathered = GroupExamples(problems.values())
    device = next(
        iter(problems.values())
    ).device  # where all are reduced: a device is waited for once a batch
    for index, examples in enumerate(plan):
        # NaN where a model puts out no matrix of numbers: its similarities are NaN, not zero.
        size = total, len(examples), len(examples)
        grams = torch.full(size, torch.nan, dtype=torch.float64, device=device)
        eps = torch.zeros(total, dtype=torch.float64)
        batch_for = gathered.on(examples)
        for number, (model, problem) in enumerate(problems.items()):
            batch = laid_out(problem, batch_for(problem))

            def keep(features: Tensor, row: int, grams: Tensor = grams, eps: Tensor = eps) -> None:
                grams[row], eps[row] = gram(features, kernel), rounding(features)

            output, lost = _run(problem, batch, model, chosen[model], rows, policy, layouts[model], keep)
            left_out[model] += [name for name in lost if name not in left_out[model]]
            if isinstance(output, Tensor) and output.is_floating_point() and len(output) == len(examples):
                keep(policy.rows(output, layouts[model]), len(units) + number)
            progress((index + (number + 1) / len(problems)) / len(plan))
        # Batches go to the blocks in turn, so that all have about as many.
        blocks[index % len(blocks)] += hsic(grams, estimator, eps.to(device))
    kept = [row for row, (model, layer) in enumerate(units) if layer not in left_out[model]]
    if not kept:
        raise InputError(_NONE)
    every = [*kept, *range(len(units), total)]
    return HsicSums(
        units=[units[row] for row in kept],
        outputs=[len(kept) + i for i in range(len(problems))],
        blocks=blocks[:, every][:, :, every],
        batches=len(plan),
        left_out=left_out,
    )


@under_own_context
@torch.no_grad()
def zoo_sample(
    problems: Mapping[str, Problem],
    reduce: Callable[[Tensor, str], T],
    *,
    layers: Iterable[str] = ("*",),
    most_layers: int = 8,
    sample: int = 256,
    policy: FeatureRows | None = None,
    seed: int = 0,
    pairing: Pairing = "inputs",
    centred: bool = True,
    progress: Callable[[float], None] = lambda fraction: None,
) -> tuple[list[tuple[str, str]], list[T], list[Array | None], dict[str, list[str]]]:
    """All layers of all models on one shared sample of the inputs, each reduced as it fires.

    Args:
        problems: The models, by name, on the same inputs.
        reduce: What to keep of a layer's features (n, p), float64, and its name.
        layers: Globs over module names, the same for all models.
        most_layers: See `choose_layers`.
        sample: Largest number of examples n, taken by the seed.
        policy: How outputs become features.
        seed: Seed of the sample.
        pairing: See `landscape.core.similarity.same_inputs.check_same_inputs`.
        centred: Whether their mean over examples is taken off.
        progress: Called with the finished fraction.

    Returns:
        (model, layer) of each unit; what is kept of each; each model's output (n, C), ``None`` if it is no
        such matrix; and the names of each model's outputs that cannot be compared.

    Raises:
        InputError: As `zoo_hsic`.
    """
    check_same_inputs(problems, pairing)
    patterns, policy = list(layers), policy or FeatureRows()
    total = next(iter(problems.values())).examples
    # The first of one mixed order, so that a larger sample contains a smaller one.
    examples = torch.cat(plan_batches(total, total, seed))[:sample]
    units: list[tuple[str, str]] = []
    kept: list[T] = []
    outputs: list[Array | None] = []
    left_out: dict[str, list[str]] = {}
    batch_for = GroupExamples(problems.values()).on(examples)
    for number, (model, problem) in enumerate(problems.items()):
        choice = choose_layers(problem, patterns, most_layers)
        rows = {(model, name): row for row, name in enumerate(choice.names)}
        found: dict[int, T] = {}

        def keep(
            features: Tensor, row: int, found: dict[int, T] = found, names: list[str] = choice.names
        ) -> None:
            features = features.double()
            found[row] = reduce(features - features.mean(0) if centred else features, names[row])

        batch = batch_for(problem)
        output, lost = _run(
            problem, batch, model, choice.names, rows, policy, _layouts(problem, policy), keep
        )
        left_out[model] = [*choice.left_out, *lost]
        units += [(model, name) for name in choice.names if name not in lost]
        kept += [found[rows[model, name]] for name in choice.names if name not in lost]
        fits = isinstance(output, Tensor) and output.is_floating_point() and output.ndim == 2
        outputs.append(output.double().cpu().numpy() if fits else None)
        progress((number + 1) / len(problems))
    if not units:
        raise InputError(_NONE)
    return units, kept, outputs, left_out


def _layouts(problem: Problem, policy: FeatureRows) -> MapLayouts:
    """What finds the maps of a model's outputs, if it looks at pictures."""
    # Told beforehand: only the chosen layers are seen, and the one that cuts patches may not be chosen.
    convolves = any(isinstance(part, torch.nn.Conv2d) for part in problem.module.modules())
    return MapLayouts(policy.prefix_tokens, convolves or are_pictures(problem.batches[0].inputs))


def _run(
    problem: Problem,
    batch: Batch,
    model: str,
    names: list[str],
    rows: Mapping[tuple[str, str], int],
    policy: FeatureRows,
    layouts: MapLayouts,
    keep: Callable[[Tensor, int], None],
) -> tuple[Any, list[str]]:
    """One forward pass; each chosen output goes to ``keep`` as it fires.

    Returns:
        The model's output, and the names of those that did not give one row per example, or did not run.
    """
    modules = dict(problem.module.named_modules())
    missing = set(names)

    def receive(name: str, output: Tensor) -> None:
        row = rows.get((model, name))
        if row is None or len(output) != batch.size:
            return
        missing.discard(name)
        keep(policy.rows(output, layouts, modules.get(name.split("#")[0])), row)

    # Names of the first call stand for all calls of a module; brackets in a name are no glob.
    patterns = sorted({glob.escape(name.split("#")[0]) for name in names})
    with watch_outputs(problem.module, receive, patterns):
        output, _ = problem.output(batch)
    return output, [name for name in names if name in missing]
