"""VAT: predictions that stay the same where they would change most."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from landscape.core.inputs.norms import steepest
from landscape.core.inputs.operators import InputFisher
from landscape.errors import InputError
from landscape.reference.training.objective import Batch, Objective, frozen_statistics

__all__ = ["VirtualAdversarial"]


@dataclass(frozen=True)
class VirtualAdversarial(Objective):
    """The divergence between predictions on an image and beside it, where it grows fastest; no label enters.

    The mean over images of KL(p(x) ‖ p(x + r)), nats, with ‖r‖₂ = `radius` along d after `steps` power steps
    d ← Fd/‖Fd‖ from a random direction, F the Fisher matrix of the prediction about the input. For a small
    radius it is ½ radius² dᵀFd, so that it penalises the largest eigenvalue of F. p(x) is a constant:
    gradients flow through p(x + r) alone. It looks at the batch's unlabelled images where training has some,
    else at its own. The published objective is ``CrossEntropy() + VirtualAdversarial(radius)``, and with the
    entropy term ``VirtualAdversarial(radius, entropy=1.0)``.

    All its passes leave BatchNorm's running statistics alone, as published.

    Attributes:
        radius: ε, norm of the perturbation of each image: of its pixels on the scale 0 to 1 if `std` is
            given, else of its inputs. 8 for the published networks on standardised photographs; much
            less, such as 0.5, where images are small.
        steps: K; 0 is a random direction of the same norm, the control.
        xi: ξ, length of the finite difference in place of the product with F, as published (1e-6); ``None``
            for the product, its limit for ξ → 0, at the same cost. In single precision a difference that
            small is rounding: take 1e-2.
        entropy: Weight of the mean entropy of p(x), which draws predictions to one class.
        std: What the pixels of each channel were divided by to make inputs of them.

    Raises:
        InputError: If a number is out of range.

    Reference:
        Miyato et al. (2018), Virtual adversarial training, TPAMI, equations 5 to 12; settings of their code.
    """

    radius: float = 8.0
    steps: int = 1
    xi: float | None = None
    entropy: float = 0.0
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        least = {"radius": self.radius, "steps": self.steps, "entropy": self.entropy}
        for name, value in least.items():
            if not value >= 0:
                raise InputError(f"VirtualAdversarial: {name} must be at least 0, not {value}.")
        if self.xi is not None and not self.xi > 0:
            raise InputError(f"VirtualAdversarial: xi must be above 0, not {self.xi}.")
        if not self.std or not all(spread > 0 for spread in self.std):
            raise InputError(f"VirtualAdversarial: std holds positive numbers, not {list(self.std)}.")

    def __call__(self, model: nn.Module, batch: Batch, generator: Generator) -> Tensor:
        """The mean divergence, and the entropy term."""
        if batch.unlabelled is None:
            inputs, logits = batch.inputs, batch.outputs(model)
        else:
            inputs = batch.unlabelled
            with frozen_statistics(model):
                logits = model(inputs)
        clean = logits.log_softmax(-1)
        fixed = clean.detach()
        with frozen_statistics(model):
            r = self.perturbation(model, inputs, fixed, generator)
            moved = model(inputs + r).log_softmax(-1)
        loss: Tensor = (fixed.exp() * (fixed - moved)).sum(-1).mean()
        if self.entropy:
            loss = loss - self.entropy * (clean.exp() * clean).sum(-1).mean()
        return loss

    def perturbation(self, model: nn.Module, inputs: Tensor, clean: Tensor, generator: Generator) -> Tensor:
        """The r of each of the inputs (n, ...), in their units, a constant.

        Args:
            model: The network.
            inputs: What it takes.
            clean: Its logarithmic probabilities of them (n, K), constants.
            generator: Source of the first direction, drawn on the CPU so that the device does not decide it.
        """
        if len(self.std) > 1 and (inputs.ndim < 2 or inputs.shape[1] != len(self.std)):
            raise InputError(
                f"VirtualAdversarial: std has {len(self.std)} channels, but the inputs have shape"
                f" {tuple(inputs.shape)}."
            )
        std = torch.tensor(self.std, dtype=inputs.dtype, device=inputs.device)
        std = std.view(-1, *(1,) * (inputs.ndim - 2)) if inputs.ndim > 1 else std
        d = torch.randn(inputs.shape, generator=generator, dtype=inputs.dtype).to(inputs.device)
        d = steepest(d, "l2")
        if self.steps and self.xi is None:
            # in units of pixels about the inputs, which count as 0
            fisher = InputFisher(lambda offset: model(inputs + offset / std), torch.zeros_like(inputs))
            for _ in range(self.steps):
                d = steepest(fisher.blocks(d.flatten(1)).reshape(d.shape), "l2")
        elif self.xi is not None:
            for _ in range(self.steps):
                d = steepest(self._slope(model, inputs, clean, d, std), "l2")
        return (self.radius * d / std).detach()

    def _slope(self, model: nn.Module, inputs: Tensor, clean: Tensor, d: Tensor, std: Tensor) -> Tensor:
        """The gradient of KL(p(x) ‖ p(x + ξd)) by the direction, up to its length."""
        assert self.xi is not None
        with torch.enable_grad():
            at = (self.xi * d).requires_grad_(True)
            moved = model(inputs + at / std).log_softmax(-1)
            (slope,) = torch.autograd.grad((clean.exp() * (clean - moved)).sum(), [at])
        return slope
