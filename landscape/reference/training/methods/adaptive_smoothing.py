"""Adaptive label smoothing: softer targets for images that are easily changed, as calibration asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from landscape.core.inputs.boundary import boundary
from landscape.core.inputs.pixel_scale import PixelScale
from landscape.errors import InputError, suggest
from landscape.imports import call
from landscape.reference.training.objective import Batch, Objective

__all__ = ["AdaptiveSmoothing", "answer_distances", "equal_bins"]

Data = tuple[Tensor, Tensor]
Order = Literal["answer", "label", "random"]

PART = 250
"""Images at a time, outside of training."""


@dataclass(frozen=True)
class AdaptiveSmoothing(Objective):
    """Mean cross-entropy with targets as soft as the calibration of images like theirs asks for (AR-AdaLS).

    Training and validation images are each sorted into bins of equal size by how small a perturbation changes
    the answer of the network. An image of bin r has the target p_r for its class and (1 − p_r)/(C − 1) for
    each other, which is label smoothing of ε = (1 − p_r) C/(C − 1). Before each epoch

        p_r ← clip(p_r − rate · (confidence_r − accuracy_r), lowest, 1)

    on the validation images of the bin, from p_r = 1. With one bin it is AdaLS; with rate 0, plain
    cross-entropy, bit for bit.

    The images are sorted once, by the network itself after its first epochs, which are on hard labels: of the
    paper only the abstract was at hand, and which network sorts them there, by which attack and with which
    rate, is not known to us. Distances are those to another *answer*, by DeepFool: by distances to a wrong
    answer, errors are at 0, and the nearest bin is over-confident by its making (``by="label"`` does that).

    Attributes:
        validation: ``package.module:function`` of validation images and labels, which are not trained on.
        arguments: Its arguments.
        bins: Number R of bins.
        rate: α.
        after: Epochs on hard labels before images are sorted.
        by: ``answer``; ``label``; or ``random``, bins that mean nothing, as a control.
        lowest: Least p_r; default: 1/C, an even guess.
        mean: What was taken off the pixels of each channel to make inputs of them.
        std: What they were divided by.
        steps: Most steps of DeepFool.

    Raises:
        InputError: If a setting is out of range, images are mixed, or there are fewer images than bins.

    Reference:
        Qin, Wang, Beutel & Chi (2021), Improving calibration through the relationship with adversarial
        robustness, NeurIPS. Moosavi-Dezfooli et al. (2016) for DeepFool, in place of their attack.
    """

    validation: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    bins: int = 5
    rate: float = 0.1
    after: int = 5
    by: Order = "answer"
    lowest: float | None = None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    steps: int = 20
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, least in (("bins", 1), ("after", 1), ("steps", 1), ("rate", 0)):
            if not getattr(self, name) >= least:
                raise InputError(f"AdaptiveSmoothing: {name} is at least {least}, not {getattr(self, name)}.")
        if self.by not in get_args(Order):
            raise InputError(
                f"AdaptiveSmoothing: by has no '{self.by}'; {suggest(str(self.by), get_args(Order))}"
            )
        if self.lowest is not None and not 0 < self.lowest <= 1:
            raise InputError(f"AdaptiveSmoothing: lowest lies above 0 and at most at 1, not {self.lowest}.")
        if len(self.mean) != len(self.std) or not all(spread > 0 for spread in self.std):
            raise InputError("AdaptiveSmoothing: mean and std hold as many numbers, those of std positive.")

    def begin(self, model: nn.Module, data: Data, generator: Generator) -> None:
        """Load the validation images, and forget an earlier training."""
        held = self._held_out()
        self._kept.clear()
        self._kept.update(data=data, held=held)
        for name, (inputs, labels) in (("training", data), ("validation", held)):
            if len(inputs) != len(labels) or len(inputs) < self.bins:
                raise InputError(
                    f"AdaptiveSmoothing: {self.bins} bins need as many {name} images, each with a label;"
                    f" there are {len(inputs)} images and {len(labels)} labels."
                )
        if self.by == "random":
            self._kept["random"] = [torch.rand(len(part[0]), generator=generator) for part in (data, held)]

    def epoch(self, model: nn.Module, number: int, generator: Generator) -> None:
        """Sort the images, once; then soften or harden each bin's targets by its calibration."""
        if number < self.after:
            return
        kept = self._kept
        device = next(model.parameters()).device
        with _judging(model):
            if "train_bins" not in kept:
                for name, part in (("train_bins", 0), ("held_bins", 1)):
                    kept[name] = equal_bins(self._distances(model, part, device), self.bins)
            inputs, labels = kept["held"]
            with torch.no_grad():
                logits = torch.cat([model(x.to(device)).double().cpu() for x in inputs.split(PART)])
        confidence, answers = logits.softmax(-1).max(-1)
        gap = confidence - (answers == labels).double()
        sums = torch.zeros(self.bins, dtype=torch.float64).index_add_(0, kept["held_bins"], gap)
        gaps = sums / torch.bincount(kept["held_bins"], minlength=self.bins)
        before = kept.get("targets", torch.ones(self.bins, dtype=torch.float64))
        classes = logits.shape[-1]
        lowest = 1.0 / classes if self.lowest is None else self.lowest
        kept["targets"] = (before - self.rate * gaps).clamp(lowest, 1.0)

    def __call__(self, model: nn.Module, batch: Batch, generator: Generator) -> Tensor:
        """The loss of the batch."""
        if batch.share != 1.0:
            raise InputError("AdaptiveSmoothing knows no mixed images; train without mixup and cutmix.")
        logits = batch.outputs(model)
        if "targets" not in self._kept:
            return functional.cross_entropy(logits, batch.targets)
        targets = self._kept["targets"][self._kept["train_bins"][batch.rows]]
        classes = logits.shape[-1]
        shares = (1.0 - targets) * classes / (classes - 1)
        # torch's own sum, so that the bits are those of plain smoothing; it takes no targets below 1/C
        if (shares == shares[0]).all() and shares[0] <= 1:
            return functional.cross_entropy(logits, batch.targets, label_smoothing=shares[0].item())
        log_p = logits.log_softmax(-1)
        own = -log_p.gather(1, batch.targets[:, None])[:, 0]
        share = shares.to(logits)
        loss: Tensor = ((1.0 - share) * own - share * log_p.mean(-1)).mean()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Bins of the images and targets of the bins, once there are any."""
        names = ("train_bins", "held_bins", "targets")
        return {name: self._kept[name] for name in names if name in self._kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them back; wherever they were loaded to, they are looked up on the CPU."""
        self._kept.update({name: part.cpu() for name, part in state.items()})

    def describe(self) -> dict[str, Any]:
        """The fields, and a hash of the validation images, which may change under the same name."""
        digest = hashlib.sha256()
        for part in self._held_out():
            digest.update(part.detach().cpu().contiguous().numpy().tobytes())
        return {**super().describe(), "validation_sha256": digest.hexdigest()}

    def _held_out(self) -> Data:
        inputs, labels = call(self.validation, self.arguments, "data builder")
        return inputs, labels

    def _distances(self, model: nn.Module, part: int, device: torch.device) -> Tensor:
        """What images of training (0) or validation (1) are sorted by."""
        if self.by == "random":
            found: Tensor = self._kept["random"][part]
            return found
        inputs, labels = self._kept["data" if part == 0 else "held"]
        return answer_distances(
            model,
            inputs.to(device),
            labels.to(device) if self.by == "label" else None,
            mean=self.mean,
            std=self.std,
            steps=self.steps,
        ).cpu()


def answer_distances(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor | None = None,
    *,
    mean: tuple[float, ...] = (0.0,),
    std: tuple[float, ...] = (1.0,),
    steps: int = 20,
) -> Tensor:
    """How small a perturbation, of ℓ2 norm on the scale of pixels 0 to 1, changes each answer, by DeepFool.

    Args:
        model: A classifier of images, in eval mode.
        inputs: Images (N, C, H, W) as it takes them.
        labels: Their classes (N,): then distances are those to a wrong answer, 0 where it is wrong already.
        mean: What was taken off the pixels of each channel.
        std: What they were divided by.
        steps: Most steps.

    Returns:
        Shape (N,); infinite where no perturbation was found.

    Raises:
        InputError: If the inputs are no images.
    """
    if inputs.ndim != 4 or len(std) not in (1, inputs.shape[1]):
        raise InputError(
            f"answer_distances needs images (N, C, H, W) with C = {len(std)}, or one mean and std for all"
            f" channels; the inputs have shape {tuple(inputs.shape)}."
        )
    scale = PixelScale(tuple(mean), tuple(std))

    def of_pixels(pixels: Tensor) -> Tensor:
        logits: Tensor = model(scale.to_inputs(pixels))
        return logits

    found = []
    for start in range(0, len(inputs), PART):
        pixels = scale.to_pixels(inputs[start : start + PART])
        if labels is None:
            with torch.no_grad():
                answers = of_pixels(pixels).argmax(-1)
        else:
            answers = labels[start : start + PART]
        found.append(boundary(of_pixels, pixels, answers, steps=steps).distance)
    return torch.cat(found)


def equal_bins(values: Tensor, count: int) -> Tensor:
    """Bins of equal size, but for one, from the smallest values to the largest.

    Args:
        values: Shape (N,).
        count: Number of bins.

    Returns:
        The bin of each value (N,), from 0.

    Example:
        >>> equal_bins(torch.tensor([0.3, 9.0, 0.1, 0.2]), 2).tolist()
        [1, 1, 0, 0]
    """
    order = values.argsort(stable=True)
    bins = torch.empty(len(values), dtype=torch.int64)
    bins[order] = torch.arange(len(values)) * count // len(values)
    return bins


@contextmanager
def _judging(model: nn.Module) -> Iterator[None]:
    """Within it, the model is in eval mode."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
