"""Models × data × losses × torch contexts at random, each held against plain autograd in float64.

The oracle is written here, without landscape: a model is called on all examples at once, its loss follows the
formula of the definition, written out in this file, and torch.autograd differentiates it, outside of any
context. A number that depends on how data is cut, on the form it comes in, or on the caller's torch state,
cannot agree with it. Where landscape refuses a combination, the sentence is asserted, with its reason.
"""

from __future__ import annotations

import copy
import random
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import landscape
from landscape import Problem, hessian
from landscape.errors import InputError

CLASSES, EXAMPLES, DRAWS, CHUNKS = 3, 7, 336, 8
WEIGHTS = [0.5, 1.0, 2.0]
VOID = -100
DECAY = 0.1

# Models: (B, 4) numbers or words -> one output for each example, or one for each of four positions


class Wrapped(nn.Module):
    """Called with one argument by name, as batches that are mappings do."""

    def __init__(self, inner: nn.Module, shape: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        super().__init__()
        self.inner, self.shape = inner, shape

    def forward(self, x: Tensor) -> Tensor:
        return self.shape(self.inner(x))


class ConvNorm(nn.Module):
    """Convolution and BatchNorm with statistics that are not those of the data."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2), nn.Linear(2, CLASSES)
        self.norm.running_mean.fill_(0.3)
        self.norm.running_var.fill_(1.7)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.norm(self.conv(x.reshape(-1, 1, 2, 2)))).mean((2, 3)))


class Attention(nn.Module):
    """Self-attention over four tokens; of each token, or of their mean."""

    def __init__(self, each: bool = False) -> None:
        super().__init__()
        self.each, self.embed = each, nn.Linear(1, 4)
        self.attend, self.head = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x[:, :, None])
        found = self.attend(tokens, tokens, tokens, need_weights=False)[0]
        return self.head(found if self.each else found.mean(1))


class Encoder(nn.Module):
    """A layer of torch's own transformer, with dropout that evaluation turns off."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(1, 4)
        self.layer = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(4, 2, 2, 0.5, "gelu", batch_first=True), 1
        )
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(self.embed(x[:, :, None])).mean(1))


class Embedded(nn.Module):
    """Words looked up with torch's short cuts, averaged and classified."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(5, 3, **options), nn.Linear(3, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.words(x).mean(1)))


class Bag(Embedded):
    """The same by one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(5, 3, sparse=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.words(x)))


class Recurrent(nn.Module):
    """An LSTM; of its last state, or of each."""

    def __init__(self, each: bool = False) -> None:
        super().__init__()
        self.each, self.cell, self.head = each, nn.LSTM(1, 2, batch_first=True), nn.Linear(2, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        states = self.cell(x[:, :, None])[0]
        return self.head(states if self.each else states[:, -1])


class Tied(nn.Module):
    """One weight in two places, a parameter without entries and a learnt temperature."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, CLASSES)
        self.b.weight = self.a.weight
        self.empty, self.heat = nn.Parameter(torch.zeros(0, 4)), nn.Parameter(torch.tensor(0.3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.b(torch.tanh(self.a(x))))) * self.heat.exp()


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Dropout(0.5), nn.Linear(3, CLASSES))


def normed() -> nn.Module:
    """Normalisations, a reparametrised weight and a layer that works in place."""
    body = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
    return nn.Sequential(
        body, nn.LayerNorm(4), nn.ELU(inplace=True), nn.GroupNorm(1, 4), nn.Linear(4, CLASSES)
    )


def frozen() -> nn.Module:
    """A perceptron of which only the head is θ."""
    model = perceptron()
    model[0].requires_grad_(False)
    return model


WORDS = ("words", "padded", "bag")
MODELS: dict[str, Callable[[], nn.Module]] = {
    "perceptron": perceptron,
    "conv": ConvNorm,
    "attention": Attention,
    "encoder": Encoder,
    "recurrent": Recurrent,
    "tied": Tied,
    "normed": normed,
    "frozen": frozen,
    "words": lambda: Embedded(sparse=True, scale_grad_by_freq=True),
    "padded": lambda: Embedded(padding_idx=1),
    "bag": Bag,
}
POSITIONS: dict[str, Callable[[], nn.Module]] = {
    "tokens": lambda: Attention(each=True),  # (B, T, V)
    "states": lambda: Recurrent(each=True),
}

# Losses: what landscape is given, for which targets, and the definition over all examples


def surprise(output: Tensor, labels: Tensor) -> Tensor:
    """−ln p of the label, of outputs (..., C)."""
    log_p = output - torch.logsumexp(output, -1, keepdim=True)
    return -log_p.gather(-1, labels[..., None])[..., 0]


def smoothed(output: Tensor, labels: Tensor, share: float, weights: Tensor) -> Tensor:
    log_p = output - torch.logsumexp(output, -1, keepdim=True)
    return (1 - share) * weights[labels] * surprise(output, labels) - share * (log_p * weights).mean(-1)


def weight(like: Tensor) -> Tensor:
    return torch.tensor(WEIGHTS, dtype=like.dtype)


def kept(target: Tensor, void: int) -> tuple[Tensor, Tensor]:
    """Labels without the void ones, and which are not."""
    counted = target != void
    return target.where(counted, 0), counted


def over_kept(output: Tensor, target: Tensor, void: int = VOID, weighted: bool = False) -> Tensor:
    """Mean as torch takes it: over all labels that count, by their weights."""
    labels, counted = kept(target, void)
    w = (weight(output)[labels] if weighted else torch.ones_like(labels, dtype=output.dtype)) * counted
    return (w * surprise(output, labels)).sum() / w.sum()


def by_example(output: Tensor, target: Tensor) -> Tensor:
    """Mean over each example's own labels that count."""
    labels, counted = kept(target, VOID)
    return ((surprise(output, labels) * counted).sum(1) / counted.sum(1)).mean()


def binary(output: Tensor, target: Tensor) -> Tensor:
    return F.softplus(output) - target * output


def huber(output: Tensor, target: Tensor, beta: float) -> Tensor:
    gap = (output - target).abs()
    return torch.where(gap < beta, 0.5 * gap**2 / beta, gap - 0.5 * beta)


class Loss(NamedTuple):
    """A loss as users have it.

    Attributes:
        make: What landscape is given, from a tensor whose type constants take.
        targets: ``labels``, ``void`` (labels, some void), ``shares`` (of classes), ``numbers``, ``bits``.
        definition: The value on all examples at once.
        refused: A sentence instead, if the data comes in several batches.
    """

    make: Callable[[Tensor], Any]
    targets: str
    definition: Callable[[Tensor, Tensor], Tensor]
    refused: str = ""


NEITHER = "neither a mean nor a sum over examples"  # its value on all the data cannot be had from parts

LOSSES = {
    "by name": Loss(lambda x: "cross_entropy", "labels", lambda o, t: surprise(o, t).mean()),
    "module": Loss(lambda x: nn.CrossEntropyLoss(), "labels", lambda o, t: surprise(o, t).mean()),
    "class": Loss(lambda x: nn.CrossEntropyLoss, "labels", lambda o, t: surprise(o, t).mean()),
    "function": Loss(lambda x: F.cross_entropy, "labels", lambda o, t: surprise(o, t).mean()),
    "none": Loss(
        lambda x: nn.CrossEntropyLoss(reduction="none"), "labels", lambda o, t: surprise(o, t).mean()
    ),
    "sum": Loss(lambda x: nn.CrossEntropyLoss(reduction="sum"), "labels", lambda o, t: surprise(o, t).sum()),
    "partial sum": Loss(
        lambda x: partial(F.cross_entropy, reduction="sum"), "labels", lambda o, t: surprise(o, t).sum()
    ),
    "weights": Loss(
        lambda x: nn.CrossEntropyLoss(weight=weight(x)),
        "labels",
        lambda o, t: over_kept(o, t, weighted=True),
    ),
    "weights in a function": Loss(
        lambda x: partial(F.cross_entropy, weight=weight(x)),
        "labels",
        lambda o, t: over_kept(o, t, weighted=True),
    ),
    "smoothing": Loss(
        lambda x: nn.CrossEntropyLoss(label_smoothing=0.2),
        "labels",
        lambda o, t: smoothed(o, t, 0.2, torch.ones_like(o[0])).mean(),
    ),
    "smoothing and weights": Loss(
        lambda x: nn.CrossEntropyLoss(weight=weight(x), label_smoothing=0.2),
        "labels",
        lambda o, t: smoothed(o, t, 0.2, weight(o)).sum() / weight(o)[t].sum(),
    ),
    "void labels": Loss(lambda x: nn.CrossEntropyLoss(), "void", over_kept),
    "a class left out": Loss(
        lambda x: partial(F.cross_entropy, ignore_index=2), "labels", lambda o, t: over_kept(o, t, 2)
    ),
    "shares by name": Loss(
        lambda x: "cross_entropy", "shares", lambda o, t: -(t * o.log_softmax(1)).sum(1).mean()
    ),
    "shares": Loss(
        lambda x: nn.CrossEntropyLoss(), "shares", lambda o, t: -(t * o.log_softmax(1)).sum(1).mean()
    ),
    "own per example": Loss(
        lambda x: lambda o, t: F.cross_entropy(o, t, reduction="none") ** 2,
        "labels",
        lambda o, t: (surprise(o, t) ** 2).mean(),
    ),
    "own mean": Loss(
        lambda x: lambda o, t: F.cross_entropy(o, t), "labels", lambda o, t: surprise(o, t).mean()
    ),
    "own sum": Loss(
        lambda x: lambda o, t: F.cross_entropy(o, t, reduction="sum"),
        "labels",
        lambda o, t: surprise(o, t).sum(),
    ),
    "own weighted mean": Loss(
        lambda x: lambda o, t: F.cross_entropy(o, t, weight=weight(o)),
        "labels",
        lambda o, t: over_kept(o, t, weighted=True),
        NEITHER,
    ),
    "contrastive": Loss(
        lambda x: lambda o, t: F.cross_entropy(o @ o.mT, torch.arange(len(o))),
        "labels",
        lambda o, t: surprise(o @ o.mT, torch.arange(len(o))).mean(),
        NEITHER,
    ),
    "mse": Loss(lambda x: "mse", "numbers", lambda o, t: ((o - t) ** 2).mean()),
    "half_squared_error": Loss(
        lambda x: "half_squared_error", "numbers", lambda o, t: 0.5 * ((o - t) ** 2).sum(1).mean()
    ),
    "MSELoss": Loss(lambda x: nn.MSELoss(), "numbers", lambda o, t: ((o - t) ** 2).mean()),
    "MSELoss sum": Loss(lambda x: nn.MSELoss(reduction="sum"), "numbers", lambda o, t: ((o - t) ** 2).sum()),
    "SmoothL1Loss": Loss(
        lambda x: nn.SmoothL1Loss(beta=0.7), "numbers", lambda o, t: huber(o, t, 0.7).mean()
    ),
    "BCE": Loss(lambda x: nn.BCEWithLogitsLoss(), "bits", lambda o, t: binary(o, t).mean()),
    "BCE weights": Loss(
        lambda x: nn.BCEWithLogitsLoss(pos_weight=weight(x)),
        "bits",
        lambda o, t: (weight(o) * t * F.softplus(-o) + (1 - t) * F.softplus(o)).mean(),
    ),
    "BCE function": Loss(
        lambda x: F.binary_cross_entropy_with_logits, "bits", lambda o, t: binary(o, t).mean()
    ),
}
OF_POSITIONS = {
    "by name": Loss(lambda x: "cross_entropy", "labels", by_example),
    "by name, void": Loss(lambda x: "cross_entropy", "void", by_example),
    "flat": Loss(lambda x: lambda o, t: F.cross_entropy(o.flatten(0, 1), t.flatten()), "labels", by_example),
    "flat, void": Loss(
        lambda x: lambda o, t: F.cross_entropy(o.flatten(0, 1), t.flatten()), "void", over_kept, NEITHER
    ),
    "own per example": Loss(
        lambda x: lambda o, t: F.cross_entropy(o.mT, t, reduction="none").mean(1), "labels", by_example
    ),
}
OF_CHANNELS = {  # outputs (B, C, T), as torch has them
    "by name": Loss(lambda x: "cross_entropy", "labels", lambda o, t: by_example(o.mT, t)),
    "by name, void": Loss(lambda x: "cross_entropy", "void", lambda o, t: by_example(o.mT, t)),
    "module, void": Loss(lambda x: nn.CrossEntropyLoss(), "void", lambda o, t: over_kept(o.mT, t)),
    "weights, void": Loss(
        lambda x: nn.CrossEntropyLoss(weight=weight(x)),
        "void",
        lambda o, t: over_kept(o.mT, t, weighted=True),
    ),
    "sum": Loss(
        lambda x: partial(F.cross_entropy, reduction="sum"), "labels", lambda o, t: surprise(o.mT, t).sum()
    ),
}

# Data: the same examples in the forms that users have; returns data and Problem's options


class Triple(NamedTuple):
    """Data as given, the options that go with it, and whether it comes in one batch."""

    data: Any
    options: dict[str, Any]
    whole: bool = False


@dataclass(frozen=True)
class Pair:
    """A batch as an object."""

    inputs: Tensor
    answers: Tensor


class Indexed(Dataset[Any]):
    """Examples by number, without a length."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __getitem__(self, index: int) -> Any:
        return self.x[index], self.y[index]


class Sized(Indexed):
    """The same with a length, of NumPy arrays."""

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Any:
        return self.x[index].numpy(), self.y[index].numpy()


class Stream(IterableDataset[Any]):
    """Examples one after the other."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.pairs = list(zip(x, y, strict=True))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.pairs)


Named = namedtuple("Named", "x y")


def graphs(x: Tensor, y: Tensor, **options: Any) -> Triple:
    """Examples as graphs of four nodes: tensors of nodes, edges and graphs differ in length."""

    def batch(part: slice) -> dict[str, Tensor]:
        nodes = x[part].reshape(-1)
        return {"nodes": nodes, "edges": torch.zeros(2, 5, dtype=torch.long), "energy": y[part]}

    def forward(model: nn.Module, graph: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        return model(graph["nodes"].reshape(-1, 4)), graph["energy"]

    return Triple([batch(slice(0, 5)), batch(slice(5, None))], {"forward": forward, **options})


FORMS: dict[str, Callable[[Tensor, Tensor], Triple]] = {
    "tensors": lambda x, y: Triple((x, y), {}, True),
    "tensors in parts": lambda x, y: Triple((x, y), {"batch_size": 3}),
    "arrays": lambda x, y: Triple((x.numpy(), y.numpy()), {"batch_size": 4}),
    "tensor and array": lambda x, y: Triple((x, np.asarray(y)), {}, True),
    "batches": lambda x, y: Triple([(x[:3], y[:3]), (x[3:], y[3:])], {}),
    "batches as lists": lambda x, y: Triple([[x[:3], y[:3]], [x[3:], y[3:]], [x[:0], y[:0]]], {}),
    "mappings": lambda x, y: Triple([{"x": x[:2], "labels": y[:2]}, {"x": x[2:], "labels": y[2:]}], {}),
    "one mapping": lambda x, y: Triple({"x": x, "target": y}, {}, True),
    "named tuples": lambda x, y: Triple([Named(x[:4], y[:4]), Named(x[4:], y[4:])], {}),
    "objects": lambda x, y: Triple(
        [Pair(x[:4], y[:4]), Pair(x[4:], y[4:])], {"forward": lambda m, b: (m(b.inputs), b.answers)}
    ),
    "dataset": lambda x, y: Triple(TensorDataset(x, y), {"batch_size": 5}),
    "dataset of arrays": lambda x, y: Triple(Sized(x, y), {"batch_size": 2}),
    "dataset without length": lambda x, y: Triple(Indexed(x, y), {"batch_size": 3}),
    "stream": lambda x, y: Triple(Stream(x, y), {"batch_size": 3}),
    "loader of a stream": lambda x, y: Triple(DataLoader(Stream(x, y), batch_size=4), {}),
    "loader": lambda x, y: Triple(DataLoader(TensorDataset(x, y), batch_size=3), {}),
    "shuffled": lambda x, y: Triple(DataLoader(TensorDataset(x, y), batch_size=3, shuffle=True), {}),
    "generator": lambda x, y: Triple(((x[i : i + 2], y[i : i + 2]) for i in range(0, EXAMPLES, 2)), {}),
    "graphs": graphs,
    "graphs with size=": lambda x, y: graphs(x, y, size=lambda graph: len(graph["energy"])),
}


# Contexts: what the caller may have set


@contextmanager
def set_and_back(change: Callable[[Any], None], value: Any, before: Any) -> Iterator[None]:
    change(value)
    try:
        yield
    finally:
        change(before)


def anomalies(on: bool) -> None:
    torch.autograd.set_detect_anomaly(on, check_nan=False)


CONTEXTS: dict[str, Callable[[], Any]] = {
    "none": ExitStack,
    "no_grad": torch.no_grad,
    "grad off": lambda: torch.set_grad_enabled(False),
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "double": lambda: set_and_back(torch.set_default_dtype, torch.float64, torch.float32),
    "half": lambda: set_and_back(torch.set_default_dtype, torch.bfloat16, torch.float32),
    "deterministic": lambda: set_and_back(torch.use_deterministic_algorithms, True, False),
    "anomaly": lambda: set_and_back(anomalies, True, False),
    "meta": lambda: torch.device("meta"),
}


@dataclass(frozen=True)
class Combination:
    """What one index draws."""

    model: str
    form: str
    loss: str
    contexts: tuple[str, ...]
    double: bool
    decay: float
    channels: bool  # positions last, as torch has them


def draw(index: int) -> Combination:
    """The combination of one index."""
    choose = random.Random(index)
    positions = choose.random() < 0.25
    channels = positions and choose.random() < 0.5
    losses = OF_CHANNELS if channels else OF_POSITIONS if positions else LOSSES
    return Combination(
        choose.choice([*(POSITIONS if positions else MODELS)]),
        choose.choice([*FORMS]),
        choose.choice([*losses]),
        tuple(choose.sample([*CONTEXTS], choose.choice((1, 1, 2)))),
        choose.random() < 0.5,
        choose.choice((0.0, 0.0, DECAY)),
        channels,
    )


@dataclass
class Drawn:
    """A combination made: model, examples, and what is asked."""

    loss: Loss
    model: nn.Module
    x: Tensor
    y: Tensor
    v: Tensor
    channels: bool

    @property
    def void(self) -> int:
        """The label that the loss leaves out."""
        return 2 if self.loss is LOSSES["a class left out"] else VOID


def make(combination: Combination, index: int) -> Drawn:
    generator = torch.Generator().manual_seed(index)
    positions = combination.model in POSITIONS
    table = OF_CHANNELS if combination.channels else OF_POSITIONS if positions else LOSSES
    loss = table[combination.loss]
    with torch.random.fork_rng():
        torch.manual_seed(index)
        model = (POSITIONS if positions else MODELS)[combination.model]()
    model = Wrapped(model, (lambda o: o.mT) if combination.channels else (lambda o: o)).eval()
    dtype = torch.float64 if combination.double else torch.float32
    model = model.to(dtype)
    x = torch.randn(EXAMPLES, 4, generator=generator).to(dtype)
    if combination.model in WORDS:
        x = torch.randint(0, 5, (EXAMPLES, 4), generator=generator)
    y = targets(loss.targets, (EXAMPLES, 4) if positions else (EXAMPLES,), generator)
    y = y.to(dtype) if y.is_floating_point() else y
    size = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Drawn(loss, model, x, y, torch.randn(size, generator=generator).to(dtype), combination.channels)


def targets(kind: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    if kind in ("labels", "void"):
        y = torch.randint(0, CLASSES, shape, generator=generator)
        if kind == "void":
            y.view(-1)[[0, 5]] = VOID  # an example without a label, or two with one fewer
        return y
    numbers = torch.randn(*shape, CLASSES, generator=generator)
    return {"numbers": numbers, "bits": (numbers > 0).float(), "shares": numbers.softmax(-1)}[kind]


@dataclass
class Numbers:
    """What is compared: a gradient and a product (P,), scalars, the Hessian's top and trace."""

    loss: float
    gradient: Tensor
    product: Tensor
    accuracy: float
    likelihood: float
    top: float
    trace: float


def rows_of(table: nn.Embedding | nn.EmbeddingBag, words: Tensor) -> Tensor:
    """Rows looked up without torch's short cuts: all of them have derivatives."""
    rows = table.weight[words]
    return rows.mean(1) if isinstance(table, nn.EmbeddingBag) else rows


def truth(drawn: Drawn, decay: float, thorough: bool) -> Numbers:
    """All numbers by torch.autograd in float64."""
    model = copy.deepcopy(drawn.model).double().eval()
    weights = [p for p in model.parameters() if p.requires_grad]
    for module in model.modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            module.forward = partial(rows_of, module)
    x = drawn.x.double() if drawn.x.is_floating_point() else drawn.x
    y = drawn.y.double() if drawn.y.is_floating_point() else drawn.y
    with sdpa_kernel(SDPBackend.MATH), pytest.MonkeyPatch.context() as patch:
        # torch's fused kernels have no second derivatives, that of weight normalisation wrong ones
        patch.setattr(torch, "_weight_norm", lambda v, g, dim: v * (g / v.norm(dim=1, keepdim=True)))
        output = model(x)
    loss = drawn.loss.definition(output, y)
    loss = loss + 0.5 * decay * sum((w**2).sum() for w in weights)
    gradient = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, weights, create_graph=True)])

    def product(direction: Tensor) -> Tensor:
        rows = torch.autograd.grad(gradient @ direction, weights, retain_graph=True, materialize_grads=True)
        return torch.cat([row.reshape(-1) for row in rows])

    top = trace = float("nan")
    if thorough:
        matrix = torch.stack([product(row) for row in torch.eye(len(gradient), dtype=torch.float64)])
        top, trace = float(torch.linalg.eigvalsh(matrix)[-1]), float(matrix.trace())
    accuracy, likelihood = scores(output.detach(), y, drawn)
    return Numbers(
        loss.item(),
        gradient.detach(),
        product(drawn.v.double()),
        accuracy,
        likelihood,
        top,
        trace,
    )


def scores(output: Tensor, y: Tensor, drawn: Drawn) -> tuple[float, float]:
    """Share of right answers, and of labels the mean negative log-likelihood; NaN of numbers.

    Each example counts once, by its share of the labels that count, unless it has none. An answer to shares
    of classes is right by the share of its class, one to bits where its sign is that of the bit.
    """
    rows = output.mT if drawn.channels else output
    if drawn.loss.targets == "shares":
        return float(torch.stack([t[o.argmax()] for o, t in zip(rows, y, strict=True)]).mean()), float("nan")
    if drawn.loss.targets == "bits":
        return float(((rows > 0) == (y == 1)).double().mean()), float("nan")
    if y.is_floating_point():
        return float("nan"), float("nan")
    labels, counted = kept(y, drawn.void)
    right = ((rows.argmax(-1) == y) & counted).reshape(EXAMPLES, -1).sum(1).double()
    unsure = (surprise(rows, labels) * counted).reshape(EXAMPLES, -1).sum(1)
    numbers = counted.reshape(EXAMPLES, -1).sum(1)
    some = numbers > 0
    return float((right[some] / numbers[some]).mean()), float((unsure[some] / numbers[some]).mean())


def found(problem: Problem, drawn: Drawn, index: int) -> dict[str, Any]:
    """The same numbers by landscape; what takes longer of some."""
    numbers = {
        "loss": problem.loss(),
        "gradient": problem.gradient(),
        "product": hessian(problem) @ drawn.v,
        "accuracy": problem.measure().accuracy,
    }
    if index % 34 == 0:
        numbers["top"] = landscape.spectrum(problem, k=1, which="LA", tol=1e-6)["eigenvalues"].item()
    if index % 34 == 17:
        numbers["trace"] = landscape.trace(problem, rel_se=1e-6)["trace"].item()
    if index % 4 == 2 and not drawn.y.is_floating_point() and drawn.y.ndim == 1:
        numbers["likelihood"] = landscape.calibration(problem, bootstrap=2)["nll"].item()
    return numbers


def faults(index: int) -> Iterator[str]:
    """What is wrong with one combination."""
    combination = draw(index)
    drawn = make(combination, index)
    given = FORMS[combination.form](drawn.x, drawn.y)
    loss = drawn.loss.make(drawn.x if drawn.x.is_floating_point() else drawn.v)
    expected = truth(drawn, combination.decay, index % 17 == 0)
    with ExitStack() as contexts:
        for name in combination.contexts:
            contexts.enter_context(CONTEXTS[name]())
        try:
            problem = Problem(drawn.model, loss, given.data, weight_decay=combination.decay, **given.options)
            numbers = found(problem, drawn, index)
        except InputError as error:
            if given.whole or not drawn.loss.refused or drawn.loss.refused not in str(error):
                yield f"{index}: {combination}: {error}"
            return
        except Exception as error:
            yield f"{index}: {combination}: {error!r}"
            return
    if drawn.loss.refused and not given.whole:
        yield f"{index}: {combination}: not refused"
        return
    for name, one in numbers.items():
        one, other = torch.as_tensor(one).double(), torch.as_tensor(getattr(expected, name)).double()
        limit = (1e-8 if combination.double else 5e-5) * max(1.0, float(other.norm().nan_to_num()))
        gap = float((one.nan_to_num(-9.0) - other.nan_to_num(-9.0)).norm())
        if not gap <= limit:
            yield f"{index}: {combination}: {name} is off by {gap:.1e} of {float(other.norm()):.1e}"


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_combination_has_the_numbers_of_plain_autograd(chunk: int) -> None:
    """Oracle: autograd in float64 over all examples at once, written above without landscape."""
    wrong = [fault for index in range(chunk, DRAWS, CHUNKS) for fault in faults(index)]
    assert not wrong, "\n".join(wrong)
