"""NOMU: a network whose second output grows where it has seen no data, trained to do so by one loss."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Generator, Tensor, nn

from landscape.core.behaviour.predictive import Draws, Mixture, Predictive
from landscape.errors import InputError, suggest
from landscape.reference.training.objective import Batch, Objective, frozen_statistics

__all__ = ["Nomu", "NomuLoss", "fit_nomu", "nomu", "nomu_loss"]

Data = tuple[Tensor, Tensor]

START = 0.05
"""All weights and biases start uniformly between ± this."""

MARGIN = 0.05
"""How far artificial points go beyond the data, as a share of their range, where no box is given."""


class Nomu(Predictive):
    """Model-based uncertainty as a predictive of regressions: one draw N(f(x), σ(x)²).

    Two networks of one shape stand side by side. The main one puts out the mean f(x). The last layer of the
    other is linear, reads the last hidden layers of *both*, and puts out r(x), from which

        σ(x) = r_max (1 − exp(−(max(r(x), 0) + r_min) / r_max))

    is made when it predicts, and only then: `nomu_loss` acts on r itself, so that its gradient does not die
    where r is negative. σ is the doubt about f, with no noise of the targets in it.

    Args:
        inputs: Numbers of an example, which are expected between −1 and 1, as targets are.
        width: Units of each hidden layer of each network.
        depth: Number of hidden layers of each.
        targets: Number D of targets, each with an r of its own.
        r_min: σ where r is 0 or less, but for a term of second order.
        r_max: What σ stays below.
        connected: Whether gradients of r flow back into the main network; r reads it in any case.

    Raises:
        InputError: If a size is not positive, or not 0 < r_min < r_max.

    Reference:
        Heiss, Weissteiner, Wutte, Seuken & Teichmann (2022), NOMU: Neural optimization-based model
        uncertainty, ICML, section 3; the linear last layer that reads both networks is figure 1.
    """

    def __init__(
        self,
        inputs: int = 1,
        width: int = 128,
        depth: int = 3,
        targets: int = 1,
        r_min: float = 1e-3,
        r_max: float = 2.0,
        connected: bool = True,
    ) -> None:
        super().__init__()
        for name, size in (("inputs", inputs), ("width", width), ("depth", depth), ("targets", targets)):
            if size < 1:
                raise InputError(f"Nomu: sizes are positive, not {name} {size}.")
        if not 0 < r_min < r_max:
            raise InputError(f"Nomu: r_min lies between 0 and r_max, not {r_min} of {r_max}.")
        self.main: nn.Module = nn.Sequential(_hidden(inputs, width, depth), nn.Linear(width, targets))
        self.layer = "1"  # the linear one whose input r reads
        self.side = _hidden(inputs, width, depth)
        self.raw_spread = nn.Linear(2 * width, targets)
        self.targets, self.r_min, self.r_max = targets, r_min, r_max
        self.connected, self.frozen = connected, False
        _start(self)

    @classmethod
    def around(cls, model: nn.Module, layer: str = "", inputs: int = 0, **sizes: Any) -> Nomu:
        """A trained regression as the main network, which stays as it is, bit for bit: only r is learnt.

        Args:
            model: A module from inputs (N, ...) to means (N, D), or a predictive of regressions for its mean;
                it is copied.
            layer: Name of the linear layer whose input r reads; default: the last one.
            inputs: Numbers of an example; default: those of the first layer, if it is linear.
            **sizes: ``width``, ``depth``, ``targets``, ``r_min`` and ``r_max`` of `Nomu`.

        Raises:
            InputError: If there is no such layer, or `inputs` cannot be told; as `Nomu`.
        """
        linear = {name: part for name, part in model.named_modules() if isinstance(part, nn.Linear)}
        if not linear or (layer and layer not in linear):
            name = layer or "any"
            raise InputError(f"Nomu.around: the model has no linear layer '{name}'; {suggest(name, linear)}")
        first = next(
            part for part in model.modules() if next(part.parameters(recurse=False), None) is not None
        )
        size = first.in_features if isinstance(first, nn.Linear) else 0
        if not inputs and not size:
            raise InputError(
                f"Nomu.around: the first layer is no linear one but {type(first).__name__}; say inputs, the"
                " number of numbers of an example."
            )
        made = cls(inputs or size, connected=False, **sizes)
        made.main, made.frozen = copy.deepcopy(model).requires_grad_(False).eval(), True
        made.layer = layer or list(linear)[-1]
        width = made.raw_spread.in_features // 2
        made.raw_spread = nn.Linear(linear[made.layer].in_features + width, made.targets)
        _start(made.raw_spread)
        return made

    def train(self, mode: bool = True) -> Nomu:
        """As of any module, but that a main network that is frozen stays in eval mode."""
        super().train(mode)
        if self.frozen:
            self.main.eval()
        return self

    def raw(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """f(x) and r(x), what the loss acts on.

        Args:
            x: Inputs (N, ...).

        Returns:
            Each (N, D).

        Raises:
            InputError: If the main network puts out something else.
        """
        seen: list[Tensor] = []
        layer = self.main.get_submodule(self.layer)
        handle = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        try:
            mean = self._mean(x)
        finally:
            handle.remove()
        if mean.shape != (len(x), self.targets):
            raise InputError(
                f"Nomu needs means ({len(x)}, {self.targets}) of its main network, which puts out"
                f" {tuple(mean.shape)}."
            )
        hidden = seen[-1].flatten(1) if self.connected else seen[-1].flatten(1).detach()
        return mean, self.raw_spread(torch.cat([hidden, self.side(x)], dim=1))

    def spread(self, raw: Tensor) -> Tensor:
        """σ of r, of the same shape; it lies from about r_min up to r_max."""
        shares: Tensor = torch.expm1(-(raw.clamp(min=0.0) + self.r_min) / self.r_max)
        return -self.r_max * shares

    def draws(self, x: Tensor, samples: int | None = None, *, seed: int = 0) -> Draws:
        """The one draw there is, whatever `samples` and `seed`.

        Args:
            x: Inputs (N, ...).
            samples: Not looked at.
            seed: Not looked at.
        """
        mean, raw = self.raw(x)
        return Draws("regression", mean=mean[None], variance=self.spread(raw).square()[None])

    def _mean(self, x: Tensor) -> Tensor:
        if not isinstance(self.main, Predictive):
            return torch.as_tensor(self.main(x))
        mixture = self.main.draws(x).mixture()
        if isinstance(mixture, Tensor):
            raise InputError("Nomu stands around a regression; this predictive is one of classes.")
        return mixture[0]


def nomu_loss(
    mean: Tensor,
    raw: Tensor,
    target: Tensor,
    artificial: Tensor,
    *,
    squared: float = 0.1,
    exponential: float = 0.01,
    steepness: float = 30.0,
) -> Tensor:
    """Σ (f(x_i) − y_i)² + squared · Σ r(x_i)² + exponential · (1/L) Σ_l exp(−steepness · r(x̃_l)).

    Errors, and doubt, at the data are made small; doubt at L artificial points anywhere is made large.

    Args:
        mean: f at the data (n, D).
        raw: r at the data (n, D).
        target: Targets (n,) or (n, D).
        artificial: r at the artificial points (L, D).
        squared: Weight of the second term, π_sqr; the published settings are the defaults.
        exponential: Weight of the third, π_exp.
        steepness: c_exp.

    Returns:
        A scalar, summed over the data and the targets.

    Reference:
        Heiss et al. (2022), equation 3, of the raw output r.
    """
    errors = (mean - target.reshape(mean.shape)).square().sum()
    pull = torch.exp(-steepness * artificial).mean(0).sum()
    return errors + squared * raw.square().sum() + exponential * pull


@dataclass(frozen=True)
class NomuLoss(Objective):
    """`nomu_loss` of a batch, with artificial points drawn anew in each step; for a `Nomu`.

    The trained weights are those of the least loss, not the last: the mean loss of an epoch judges the
    weights that its last step began with, which are precisely those of the loss where an epoch is one step.

    Attributes:
        squared: π_sqr, weight of r² at the data.
        exponential: π_exp, weight of the pull upwards.
        steepness: c_exp.
        points: Number of artificial points of a step.
        box: Between which numbers each of their coordinates is drawn, for inputs between −1 and 1; ``None``
            for the range of each input over the training examples and 5 % of it on either side.
        l2: Weight of the sum of all squared weights and biases that are trained.

    Raises:
        InputError: If a number is out of range.

    Reference:
        Heiss et al. (2022), section 3.3 and appendix, for the settings.
    """

    squared: float = 0.1
    exponential: float = 0.01
    steepness: float = 30.0
    points: int = 100
    box: tuple[float, float] | None = (-1.1, 1.1)
    l2: float = 1e-8
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("squared", "exponential", "steepness", "l2"):
            if not getattr(self, name) >= 0:
                raise InputError(f"NomuLoss: {name} must be at least 0, not {getattr(self, name)}.")
        if self.points < 1:
            raise InputError(f"NomuLoss: points must be at least 1, not {self.points}.")
        if self.box is not None and (len(self.box) != 2 or not self.box[0] < self.box[1]):
            raise InputError(f"NomuLoss: box is a lower and an upper number, not {tuple(self.box)}.")

    def begin(self, model: nn.Module, data: Data, generator: Generator) -> None:
        """Take the box of the artificial points, and forget an earlier training."""
        inputs = data[0].cpu()
        low, high = inputs.amin(0), inputs.amax(0)
        margin = MARGIN * (high - low)
        self._kept.clear()
        self._kept["low"], self._kept["high"] = low - margin, high + margin
        if self.box is not None:
            self._kept["low"], self._kept["high"] = (torch.full_like(low, end) for end in self.box)

    def epoch(self, model: nn.Module, number: int, generator: Generator) -> None:
        """Judge the epoch before."""
        self._judge()

    def __call__(self, model: nn.Module, batch: Batch, generator: Generator) -> Tensor:
        """The loss of the batch."""
        if not isinstance(model, Nomu):
            raise InputError(f"NomuLoss trains a Nomu, not {type(model).__name__}; see Nomu.around.")
        mean, raw = model.raw(batch.inputs)
        low, high = self._kept["low"], self._kept["high"]
        # drawn on the CPU, so that the device does not decide the numbers
        share = torch.rand((self.points, *low.shape), generator=generator, dtype=low.dtype)
        with frozen_statistics(model):
            artificial = model.raw((low + share * (high - low)).to(batch.inputs))[1]
        weights = {"squared": self.squared, "exponential": self.exponential, "steepness": self.steepness}
        loss = nomu_loss(mean, raw, batch.targets, artificial, **weights)
        if self.l2:
            trained = [p.flatten() for p in model.parameters() if p.requires_grad]
            loss = loss + self.l2 * torch.cat(trained).square().sum()
        kept = self._kept
        kept["now"] = {name: part.detach().clone() for name, part in model.state_dict().items()}
        kept["total"], kept["steps"] = kept.get("total", 0.0) + loss.item(), kept.get("steps", 0) + 1
        return loss

    def end(self, model: nn.Module, data: Data) -> None:
        """Put the weights of the least loss back."""
        self._judge()
        if "best" in self._kept:
            model.load_state_dict(self._kept["best"])

    def state_dict(self) -> dict[str, Any]:
        """The weights of the least loss so far, and what the last epoch is judged by."""
        return dict(self._kept)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self._kept.update(state)

    def _judge(self) -> None:
        kept = self._kept
        if not kept.get("steps"):
            return
        mean = kept.pop("total") / kept.pop("steps")
        if mean < kept.get("least", float("inf")):
            kept["least"], kept["best"] = mean, kept["now"]


def fit_nomu(
    model: Nomu,
    data: Data,
    *,
    objective: NomuLoss | None = None,
    epochs: int = 1024,
    lr: float = 1e-3,
    batch_size: int = 0,
    seed: int = 0,
) -> Nomu:
    """Train a `Nomu` in memory, with Adam; `landscape.reference.training.train` does so with checkpoints.

    Args:
        model: Changed in place and left in eval mode.
        data: Inputs (N, ...) and targets (N,) or (N, D).
        objective: What is minimised; default: `NomuLoss` as published.
        epochs: Passes through the data.
        lr: Learning rate.
        batch_size: Examples of a step; 0 for all.
        seed: Decides the order of the examples and the artificial points; torch's own random numbers are
            left alone.

    Returns:
        The model.

    Raises:
        InputError: If there are no examples, or no epoch.
    """
    inputs, targets = data
    if not len(inputs) or epochs < 1:
        raise InputError(f"fit_nomu needs an example and an epoch; got {len(inputs)} and {epochs}.")
    loss, generator = objective or NomuLoss(), torch.Generator().manual_seed(seed)
    solver = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr)
    loss.begin(model, data, generator)
    model.train()
    for epoch in range(epochs):
        loss.epoch(model, epoch, generator)
        order = torch.randperm(len(inputs), generator=generator)
        for rows in torch.split(order, batch_size or len(inputs)):
            solver.zero_grad()
            value = loss(model, Batch(inputs[rows], targets[rows], rows, epoch / epochs), generator)
            torch.autograd.backward(value)
            solver.step()
    loss.end(model, data)
    return model.eval()


def nomu(
    members: Sequence[nn.Module],
    fit_data: Data,
    epochs: int = 1024,
    width: int = 128,
    depth: int = 3,
    box: Sequence[float] | None = None,
    r_max: float = 2.0,
    seed: int = 0,
) -> Predictive:
    """The predictive of a manifest: doubt learnt around a trained regression, or each of several, mixed.

    Args:
        members: Regressions, see `Nomu.around`.
        fit_data: The training examples, inputs (N, d) and targets.
        epochs: Passes through them, each one step.
        width: Units of each hidden layer of the network beside it.
        depth: Number of these.
        box: See `NomuLoss`; default: the range of the training inputs.
        r_max: What the doubt stays below, in the unit of the targets.
        seed: Seed of the start and of the artificial points.

    Raises:
        InputError: As `Nomu.around` and `fit_nomu`.
    """
    objective = NomuLoss(box=None if box is None else tuple(box))  # type: ignore[arg-type] # it looks
    targets = fit_data[1].reshape(len(fit_data[1]), -1).shape[1]
    parts = []
    for member in members:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            inputs = fit_data[0][0].numel()
            made = Nomu.around(member, "", inputs, width=width, depth=depth, targets=targets, r_max=r_max)
        parts.append(fit_nomu(made, fit_data, objective=objective, epochs=epochs, seed=seed))
    return parts[0] if len(parts) == 1 else Mixture(parts)


def _hidden(inputs: int, width: int, depth: int) -> nn.Sequential:
    """Hidden layers with ReLU, of inputs (N, ...) to (N, width)."""
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in pairwise((inputs, *[width] * depth)):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers)


def _start(module: nn.Module) -> None:
    for parameter in module.parameters():
        nn.init.uniform_(parameter, -START, START)
