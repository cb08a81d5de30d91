"""AdA: images changed by a network from images to images whose weights are the adversary's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from landscape.core.inputs.pixel_scale import PixelScale
from landscape.errors import InputError
from landscape.reference.models.autoencoder import autoencoder
from landscape.reference.training.objective import Batch, Objective, frozen_statistics

__all__ = ["AdversarialAugmentation", "corrupted", "structural_similarity"]

Data = tuple[Tensor, Tensor]
Weights = dict[str, Tensor]

BACK_OFF, MOST_BACK_OFFS = 0.8, 60
WINDOW = 7  # pixels of the windows that similarity is taken over
K1, K2 = 0.01, 0.03


@dataclass(frozen=True)
class AdversarialAugmentation(Objective):
    """Mean cross-entropy of the images of a batch, each changed by a network that is made to raise it: nats.

    A network c from images to images has weights φ near which it is the identity. Each image gets an offset δ
    of its own, within ‖δ_l‖₂ ≤ ν‖φ_l‖₂ for each of its tensors l, by steps of ascent of the cross-entropy
    from a random direction at the edge of these balls. Beside `CrossEntropy`, as
    ``0.5 * CrossEntropy() + 0.5 * AdversarialAugmentation(...)``.

    There is no public code, and the text was not at hand. Of the paper are, as recalled: the frozen network
    near the identity, a ball for each layer relative to its weights, the offset of each image, the random
    start, ascent along normalised gradients, and the bound on the similarity (SSIM). Ours are: the residual
    form clamp(x + c_{φ+δ}(x) − c_φ(x)), which leaves the image exactly as it is for δ = 0, however poor c is;
    a network of three convolutions, fitted to the training images before the first epoch; weights and biases
    as layers of their own; the size of the step; the way back to the image until it is similar enough.

    The classifier is in training mode in the passes of the ascent, with the statistics of each batch; no
    pass but that on the changed images moves BatchNorm's running statistics, and that only if it is told.

    Attributes:
        radius: ν. Much depends on it: three steps at 0.05 fool a plain network on small digits always.
        steps: Of ascent; 0 is a random offset at the edge of the balls, the control.
        step: Length of a step, as a share of the radius.
        similarity: Least structural similarity of the changed image, over windows of 7×7 pixels.
        ramp: Share of the training over which the radius grows from 0.
        width: Channels of the network from images to images.
        fitting: Passes over the training images that it is fitted with.
        mean: What was taken off the pixels of each channel to make inputs of them.
        std: What they were divided by.
        update_statistics: Whether the pass on the changed images moves BatchNorm's running statistics.

    Raises:
        InputError: If a number is out of range.

    Reference:
        Calian et al. (2022), Defending against image corruptions through adversarial augmentations, ICLR.
    """

    radius: float = 0.05
    steps: int = 3
    step: float = 0.5
    similarity: float = 0.3
    ramp: float = 0.0
    width: int = 16
    fitting: int = 30
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    update_statistics: bool = False
    _network: list[nn.Module] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        least = {"radius": 0, "steps": 0, "step": 0, "ramp": 0, "width": 1, "fitting": 0}
        for name, bound in least.items():
            if not getattr(self, name) >= bound:
                raise InputError(
                    f"AdversarialAugmentation: {name} must be at least {bound}, not {getattr(self, name)}."
                )
        if not self.similarity <= 1 or not self.ramp <= 1:
            raise InputError("AdversarialAugmentation: similarity and ramp are at most 1.")
        if len(self.mean) != len(self.std) or not all(spread > 0 for spread in self.std):
            raise InputError(
                "AdversarialAugmentation: mean and std hold as many numbers, and std positive ones."
            )

    def begin(self, model: nn.Module, data: Data, generator: Generator) -> None:
        """Fit the network from images to images to the training images.

        Raises:
            InputError: If these are no images of at least 7 × 7 pixels, or of other channels.
        """
        inputs = data[0]
        if inputs.ndim != 4 or min(inputs.shape[-2:]) < WINDOW or len(self.std) not in (1, inputs.shape[1]):
            raise InputError(
                "AdversarialAugmentation: images (N, C, H, W) of 7 × 7 pixels or more are needed, and mean"
                f" and std for one or C channels; the inputs have shape {tuple(inputs.shape)}."
            )
        device = next(model.parameters()).device
        pixels = self._scale.to_pixels(inputs)
        self._network[:] = [_fitted(pixels.cpu(), self.width, self.fitting, generator).to(device)]

    def __call__(self, model: nn.Module, batch: Batch, generator: Generator) -> Tensor:
        """The loss of the changed batch."""
        if batch.share != 1.0:
            raise InputError(
                "AdversarialAugmentation has no loss of mixed examples; train without mixup and cutmix."
            )
        radius = self.radius * (min(1.0, batch.progress / self.ramp) if self.ramp else 1.0)
        changed = self.changed(model, batch.inputs, batch.targets, generator, radius)
        if self.update_statistics:
            return functional.cross_entropy(model(changed), batch.targets)
        with frozen_statistics(model):
            return functional.cross_entropy(model(changed), batch.targets)

    def changed(
        self,
        model: nn.Module,
        inputs: Tensor,
        labels: Tensor,
        generator: Generator,
        radius: float | None = None,
    ) -> Tensor:
        """The worst images found (n, C, H, W), as the model takes them; constants. After `begin` only.

        Args:
            model: The classifier, in the mode in which it is to be fooled.
            inputs: Images (n, C, H, W) as it takes them.
            labels: Their classes (n,).
            generator: The only source of random numbers, on the CPU.
            radius: ν, if not that of the settings.

        Raises:
            InputError: If `begin` was not called.
        """
        if not self._network:
            raise InputError("AdversarialAugmentation: call begin with the training images first.")
        network, scale = self._network[0], self._scale
        radius = self.radius if radius is None else radius
        pixels = scale.to_pixels(inputs)

        def loss(images: Tensor) -> Tensor:
            return functional.cross_entropy(model(scale.to_inputs(images)), labels, reduction="sum")

        with frozen_statistics(model):
            offset = worst_offset(network, pixels, loss, radius, self.steps, self.step, generator)
        with torch.no_grad():
            images = similar(pixels, corrupted(network, pixels, offset), self.similarity)
        return scale.to_inputs(images)

    @property
    def _scale(self) -> PixelScale:
        return PixelScale(self.mean, self.std)


def corrupted(network: nn.Module, pixels: Tensor, offset: Weights) -> Tensor:
    """Images x + c_{φ+δ}(x) − c_φ(x), cut to 0 to 1; each has its own δ.

    Args:
        network: c with its weights φ.
        pixels: x, (n, C, H, W), from 0 to 1.
        offset: δ by the names of the parameters, (n, ...) each.
    """
    return _corrupted(network, pixels, offset, _usual(network, pixels, offset))


def _usual(network: nn.Module, pixels: Tensor, offset: Weights) -> Tensor:
    """c_φ(x), on the path of weights of each image's own, so that both round alike."""
    with torch.no_grad():
        return _moved(network, pixels, {name: torch.zeros_like(delta) for name, delta in offset.items()})


def _corrupted(network: nn.Module, pixels: Tensor, offset: Weights, usual: Tensor) -> Tensor:
    return (pixels + (_moved(network, pixels, offset) - usual)).clamp(0.0, 1.0)


def _moved(network: nn.Module, pixels: Tensor, offset: Weights) -> Tensor:
    """c_{φ+δ}(x)."""
    weights = {name: value.detach() for name, value in network.named_parameters()}

    def one(image: Tensor, moved: Weights) -> Tensor:
        made: Tensor = functional_call(network, {k: weights[k] + v for k, v in moved.items()}, image[None])
        return made[0]

    found: Tensor = vmap(one)(pixels, offset)
    return found


def worst_offset(
    network: nn.Module,
    pixels: Tensor,
    loss: Callable[[Tensor], Tensor],
    radius: float,
    steps: int,
    step: float,
    generator: Generator,
) -> Weights:
    """Offsets δ of the weights, of each image, that raise a loss; from a random direction, a constant.

    Each step goes along the gradient of each tensor, made as long as ``step · radius · ‖φ_l‖₂``; then each
    tensor that left its ball, ‖δ_l‖₂ ≤ radius · ‖φ_l‖₂, is put back onto its edge.

    Args:
        network: What the weights φ are of.
        pixels: Images (n, C, H, W), from 0 to 1.
        loss: Sum over images of what is to rise, a function of changed images.
        radius: Of the balls.
        steps: How many steps; 0 for the random direction, at the edge.
        step: Their length, as a share of the radius.
        generator: Source of the direction, drawn on the CPU so that the device does not decide it.

    Returns:
        δ by the names of the parameters, (n, ...) each.
    """
    bounds = {name: radius * value.detach().norm() for name, value in network.named_parameters()}
    offset = {}
    for name, value in network.named_parameters():
        drawn = torch.randn(len(pixels), *value.shape, generator=generator, dtype=value.dtype)
        offset[name] = _of_length(drawn.to(value.device), bounds[name])
    usual = _usual(network, pixels, offset) if steps else pixels
    for _ in range(steps):
        with torch.enable_grad():
            at = {name: delta.detach().requires_grad_(True) for name, delta in offset.items()}
            slopes = torch.autograd.grad(loss(_corrupted(network, pixels, at, usual)), list(at.values()))
        for (name, delta), slope in zip(at.items(), slopes, strict=True):
            moved = delta.detach() + _of_length(slope, step * bounds[name])
            lengths = _lengths(moved)
            inside = lengths <= bounds[name]
            offset[name] = torch.where(inside, moved, moved * (bounds[name] / lengths.clamp(min=1e-30)))
    return offset


def similar(pixels: Tensor, changed: Tensor, least: float) -> Tensor:
    """Changed images, moved back towards the images themselves until they are similar enough.

    The way is shortened to four fifths of itself until the structural similarity is at least ``least``.

    Args:
        pixels: Images (n, C, H, W), from 0 to 1.
        changed: What became of them.
        least: Least similarity.
    """
    way = changed - pixels
    for _ in range(MOST_BACK_OFFS):
        unlike = structural_similarity(pixels, pixels + way) < least
        if not unlike.any():
            return pixels + way
        way = torch.where(unlike.view(-1, 1, 1, 1), BACK_OFF * way, way)
    return torch.where(unlike.view(-1, 1, 1, 1), pixels, pixels + way)


def structural_similarity(a: Tensor, b: Tensor) -> Tensor:
    """Mean structural similarity (n,) of images (n, C, H, W) from 0 to 1, over windows of 7×7 pixels.

    Raises:
        InputError: If the images are smaller than a window.

    Reference:
        Wang et al. (2004), Image quality assessment: from error visibility to structural similarity, equation
        13; flat windows and variances with 1/(n − 1), as in scikit-image.
    """
    if min(a.shape[-2:]) < WINDOW:
        raise InputError(
            f"structural similarity needs {WINDOW} × {WINDOW} pixels, not {tuple(a.shape[-2:])}."
        )

    def mean(images: Tensor) -> Tensor:
        return functional.avg_pool2d(images, WINDOW, 1)

    # in double precision: a variance is a small difference of large squares
    a, b = a.double(), b.double()
    unbiased = WINDOW**2 / (WINDOW**2 - 1)
    ma, mb = mean(a), mean(b)
    va, vb = (unbiased * (mean(x * x) - m * m) for x, m in ((a, ma), (b, mb)))
    both = unbiased * (mean(a * b) - ma * mb)
    c1, c2 = K1**2, K2**2
    alike = (2 * ma * mb + c1) * (2 * both + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    return alike.flatten(1).mean(1)


def _fitted(pixels: Tensor, width: int, epochs: int, generator: Generator) -> nn.Module:
    """A network from images to images with small squared errors on these, frozen; on the CPU."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        network = autoencoder(width, pixels.shape[1]).to(pixels.dtype)
    solver = torch.optim.Adam(network.parameters(), lr=0.01)
    with torch.enable_grad():
        for _ in range(epochs):
            for rows in torch.split(torch.randperm(len(pixels), generator=generator), 64):
                solver.zero_grad()
                error = (network(pixels[rows]) - pixels[rows]).square().mean()
                torch.autograd.backward(error)
                solver.step()
    network.zero_grad()
    return network.requires_grad_(False).eval()


def _lengths(stacked: Tensor) -> Tensor:
    """The norm of each of the tensors (n, ...), shaped to divide them."""
    lengths: Tensor = stacked.flatten(1).norm(dim=1)
    return lengths.view(-1, *(1,) * (stacked.ndim - 1))


def _of_length(stacked: Tensor, length: Tensor) -> Tensor:
    """Tensors (n, ...) made as long as this; those of no length stay."""
    return stacked * (length / _lengths(stacked).clamp(min=1e-30))
