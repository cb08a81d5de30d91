"""Small models of many kinds, each with the free groups it has by pencil and paper.

A group is written as its size, followed by the sizes of the groups it is within: ``(4, 2)`` is a permutation
of 4 of its own in each of 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

Group = tuple[int, ...]


@dataclass(frozen=True)
class Architecture:
    build: Callable[[], nn.Module]
    inputs: Callable[[], Any]
    groups: list[Group]


def images() -> Tensor:
    return torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def sequences() -> Tensor:
    return torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(1))


def tokens() -> Tensor:
    return torch.randint(0, 11, (3, 7), generator=torch.Generator().manual_seed(1))


class VGG(nn.Sequential):
    """Convolutions with BatchNorm, flattened into a linear layer."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(8 * 4, 10),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(10, 3),
        )


class MobileBlock(nn.Module):
    """Depthwise convolution, squeeze and excitation, linear bottleneck."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 6, 3, 2, 1)
        self.expand = nn.Sequential(nn.Conv2d(6, 12, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU6())
        self.depth = nn.Sequential(
            nn.Conv2d(12, 12, 3, 1, 1, groups=12, bias=False), nn.BatchNorm2d(12), nn.Hardswish()
        )
        self.squeeze, self.excite = nn.Conv2d(12, 5, 1), nn.Conv2d(5, 12, 1)
        self.project = nn.Conv2d(12, 6, 1)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.depth(self.expand(x))
        y = y * torch.sigmoid(self.excite(F.silu(self.squeeze(F.adaptive_avg_pool2d(y, 1)))))
        return self.head((x + self.project(y)).mean((2, 3)))


class Grouped(nn.Module):
    """A grouped convolution within a residual block."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.reduce = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 12, 1)
        self.grouped = nn.Conv2d(12, 6, 3, padding=1, groups=3)
        self.expand, self.head = nn.Conv2d(6, 8, 1), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        x = F.relu(x + self.expand(F.relu(self.grouped(F.relu(self.reduce(x))))))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


class UNet(nn.Module):
    """GroupNorm, transposed convolution, concatenation of a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.norm = nn.Conv2d(1, 8, 3, padding=1), nn.GroupNorm(2, 8)
        self.deep, self.up = nn.Conv2d(8, 6, 3, 2, 1), nn.ConvTranspose2d(6, 8, 2, 2)
        self.joint, self.out, self.final = (
            nn.GroupNorm(4, 16),
            nn.Conv2d(16, 5, 3, padding=1),
            nn.Conv2d(5, 2, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        skip = F.silu(self.norm(self.down(x)))
        up = self.up(F.silu(self.deep(skip)))
        return self.final(F.silu(self.out(self.joint(torch.cat([skip, up], 1)))))


class DenseNet(nn.Module):
    """Every layer reads the concatenation of all before it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 5, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) for c in (5, 9, 13))
        self.convs = nn.ModuleList(nn.Conv2d(c, 4, 3, padding=1) for c in (5, 9))
        self.head = nn.Linear(13, 3)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.stem(x)]
        for norm, conv in zip(self.norms, self.convs, strict=False):
            features.append(conv(F.relu(norm(torch.cat(features, 1)))))
        return self.head(F.relu(self.norms[-1](torch.cat(features, 1))).mean((2, 3)))


class PaddedShortcut(nn.Module):
    """A residual block whose shortcut is padded with channels of zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv1, self.conv2 = (
            nn.Conv2d(1, 4, 3, 1, 1),
            nn.Conv2d(4, 8, 3, 2, 1),
            nn.Conv2d(8, 8, 3, 1, 1),
        )
        self.norm, self.head = nn.BatchNorm2d(8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        shortcut = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
        return self.head(F.relu(self.norm(self.conv2(F.relu(self.conv1(x)))) + shortcut).mean((2, 3)))


class ConvNeXt(nn.Module):
    """Channels-last LayerNorm between channels-first convolutions, layer scale."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm0 = nn.Conv2d(1, 6, 2, 2), nn.LayerNorm(6)
        self.depth, self.norm = nn.Conv2d(6, 6, 3, 1, 1, groups=6), nn.LayerNorm(6)
        self.fc1, self.fc2, self.scale = nn.Linear(6, 9), nn.Linear(9, 6), nn.Parameter(torch.ones(6))
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm0(self.stem(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        y = self.fc2(F.gelu(self.fc1(self.norm(self.depth(x).permute(0, 2, 3, 1)))))
        return self.head((x + (self.scale * y).permute(0, 3, 1, 2)).mean((-2, -1)))


class Windows(nn.Module):
    """Shifted windows with relative positions and patch merging."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Conv2d(1, 8, 2, 2), nn.LayerNorm(8)
        self.qkv, self.proj = nn.Linear(8, 24), nn.Linear(8, 8)
        self.table = nn.Parameter(torch.randn(9, 2))
        grid = torch.stack(torch.meshgrid(torch.arange(2), torch.arange(2), indexing="ij")).flatten(1)
        offset = (grid[:, :, None] - grid[:, None]).permute(1, 2, 0) + 1
        self.register_buffer("index", offset[..., 0] * 3 + offset[..., 1])
        self.merge_norm, self.merge, self.head = (
            nn.LayerNorm(32),
            nn.Linear(32, 7, bias=False),
            nn.Linear(7, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).permute(0, 2, 3, 1)
        b, shortcut = len(x), x
        x = torch.roll(self.norm(x), (-1, -1), (1, 2))
        x = x.view(b, 2, 2, 2, 2, 8).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, 8)
        q, k, v = self.qkv(x).reshape(-1, 4, 3, 2, 4).permute(2, 0, 3, 1, 4)
        scores = q * 0.5 @ k.transpose(-2, -1)
        scores = scores + self.table[self.index.view(-1)].view(4, 4, 2).permute(2, 0, 1)
        x = self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(-1, 4, 8))
        x = x.view(b, 2, 2, 2, 2, 8).permute(0, 1, 3, 2, 4, 5).reshape(b, 4, 4, 8)
        x = shortcut + torch.roll(x, (1, 1), (1, 2))
        x = torch.cat([x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)], -1)
        return self.head(self.merge(self.merge_norm(x)).mean((1, 2)))


class Language(nn.Module):
    """A causal decoder with a tied head, gated MLP, and attention of a kind.

    Args:
        kind: ``"plain"``, ``"rope"`` (rotary positions), ``"norm"`` (of queries and keys) or
            ``"shared"`` (two query heads share keys and values).
    """

    def __init__(self, kind: str = "plain") -> None:
        super().__init__()
        self.kind = kind
        self.token, self.position = nn.Embedding(11, 16), nn.Embedding(7, 16)
        self.norm1, self.norm2 = nn.LayerNorm(16), nn.RMSNorm(16)
        self.qkv = nn.Linear(16, 32 if kind == "shared" else 48)
        self.proj = nn.Linear(16, 16)
        if kind == "norm":
            self.qk_norm = nn.LayerNorm(4)
        self.gate, self.up, self.down = nn.Linear(16, 10), nn.Linear(16, 10), nn.Linear(10, 16)
        self.head = nn.Linear(16, 11, bias=False)
        self.head.weight = self.token.weight

    def forward(self, ids: Tensor) -> Tensor:
        b, t = ids.shape
        x = self.token(ids) + self.position(torch.arange(t))
        shared = self.kind == "shared"
        widths = [16, 8, 8] if shared else [16, 16, 16]
        q, k, v = (
            part.view(b, t, -1, 4).transpose(1, 2) for part in self.qkv(self.norm1(x)).split(widths, dim=2)
        )
        if self.kind == "norm":
            q, k = self.qk_norm(q), self.qk_norm(k)
        if self.kind == "rope":
            q, k = _rotary(q), _rotary(k)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=shared)
        x = x + self.proj(mixed.transpose(1, 2).reshape(b, t, 16))
        h = self.norm2(x)
        return self.head(x + self.down(F.silu(self.gate(h)) * self.up(h)))


def _rotary(x: Tensor) -> Tensor:
    angle = torch.arange(x.shape[-2])[:, None] * torch.tensor([1.0, 0.1])
    cos, sin = (f(angle).repeat(1, 2).to(x) for f in (torch.cos, torch.sin))
    return x * cos + torch.cat([-x[..., 2:], x[..., :2]], -1) * sin


class Translator(nn.Module):
    """PyTorch's own encoder and decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(4, 8), nn.Linear(8, 2)
        self.body = nn.Transformer(8, 2, 1, 1, 6, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self.embed(x), self.embed(x[:, :3])))


class Latents(nn.Module):
    """Learned queries: their own order is free."""

    def __init__(self) -> None:
        super().__init__()
        self.latents, self.embed = nn.Parameter(torch.randn(6, 8)), nn.Linear(4, 8)
        self.attention, self.head = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        queries = self.latents.expand(len(x), -1, -1)
        return self.head(F.relu(queries + self.attention(queries, x, x)[0]).mean(1))


class Mixer(nn.Module):
    """MLPs over tokens and over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm1, self.norm2 = nn.Conv2d(1, 8, 2, 2), nn.LayerNorm(8), nn.LayerNorm(8)
        self.token1, self.token2 = nn.Linear(16, 10), nn.Linear(10, 16)
        self.channel1, self.channel2, self.head = nn.Linear(8, 12), nn.Linear(12, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = x + self.token2(F.gelu(self.token1(self.norm1(x).transpose(1, 2)))).transpose(1, 2)
        return self.head((x + self.channel2(F.gelu(self.channel1(self.norm2(x))))).mean(1))


class Recurrent(nn.Module):
    """The last state of a recurrent layer."""

    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.body, self.head = kind(4, 6, num_layers=2, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x)[0][:, -1])


class PerHead(nn.Module):
    """Attention whose weights have an axis of heads."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(4, 8), nn.Linear(8, 3)
        self.q, self.k, self.v = (nn.Parameter(torch.randn(2, 8, 5)) for _ in range(3))
        self.o = nn.Parameter(torch.randn(2, 5, 8))

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        q, k, v = (torch.einsum("btc,hcd->bhtd", x, w) for w in (self.q, self.k, self.v))
        weights = torch.einsum("bhtd,bhsd->bhts", q, k).softmax(-1)
        return self.head(F.relu(x + torch.einsum("bhts,bhsd,hdc->btc", weights, v, self.o)))


class Experts(nn.Module):
    """A soft mixture of experts, whose weights are stacked."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.router, self.head = nn.Linear(4, 8), nn.Linear(8, 3), nn.Linear(8, 2)
        self.first, self.second = nn.Parameter(torch.randn(3, 8, 5)), nn.Parameter(torch.randn(3, 5, 8))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.embed(x))
        hidden = F.relu(torch.einsum("btc,ecf->btef", x, self.first))
        mixed = self.router(x).softmax(-1)[..., None] * torch.einsum("btef,efc->btec", hidden, self.second)
        return self.head(torch.tanh(mixed.sum(2)))


class Spectral(nn.Module):
    """A learned filter of the Fourier transform over positions."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.filter = nn.Conv2d(1, 6, 2, 2), nn.Parameter(torch.randn(4, 3, 6, 2))
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).permute(0, 2, 3, 1)
        spectrum = torch.fft.rfft2(x, dim=(1, 2)) * torch.view_as_complex(self.filter)
        return self.head(F.gelu(x + torch.fft.irfft2(spectrum, s=(4, 4), dim=(1, 2))).mean((1, 2)))


class Branches(nn.Module):
    """A branch on the values of the data, a loop, a write into a slice, a sort."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again, self.head = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for _ in range(2):
            x = F.relu(self.again(x)) if bool(x.sum() < 1e9) else x
        y = torch.zeros(*x.shape[:2], 12, dtype=x.dtype)
        y[..., :6] = x
        y[..., 6:] = x.relu_()
        return self.head(y.sort(1).values.amax(1))


def _reparametrised() -> nn.Module:
    wrap = nn.utils.parametrizations
    return nn.Sequential(
        wrap.weight_norm(nn.Linear(4, 6)),
        nn.ReLU(),
        wrap.spectral_norm(nn.Linear(6, 5)),
        nn.Tanh(),
        nn.Linear(5, 2),
    )


def _gated() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(5, 8, 3),
        nn.InstanceNorm1d(8, affine=True),
        nn.PReLU(8),
        nn.Conv1d(8, 6, 2),
        nn.GLU(1),
        nn.Flatten(),
        nn.Linear(3, 4),
        nn.LayerNorm(4),
        nn.Linear(4, 2),
    )


def _shuffled() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.LayerNorm([4, 8, 8]),
        nn.ReLU(),
        nn.Conv2d(4, 8, 1),
        nn.PixelShuffle(2),
        nn.Conv2d(2, 2, 1),
    )


ARCHITECTURES = {
    "vgg": Architecture(VGG, images, [(6,), (8,), (10,)]),
    "mobile": Architecture(MobileBlock, images, [(6,), (12,), (5,)]),
    "grouped": Architecture(Grouped, images, [(8,), (3,), (4, 3), (2, 3)]),
    "unet": Architecture(UNet, images, [(2,), (4, 2), (6,), (2,), (4, 2), (5,)]),
    "densenet": Architecture(DenseNet, images, [(5,), (4,), (4,)]),
    "padded": Architecture(PaddedShortcut, images, [(2,), (4,), (2,), (8,)]),
    "convnext": Architecture(ConvNeXt, images, [(6,), (9,)]),
    "windows": Architecture(Windows, images, [(8,), (2,), (4, 2), (4, 2), (7,)]),
    "language": Architecture(Language, tokens, [(16,), (4,), (4, 4), (4, 4), (10,)]),
    "rotary": Architecture(lambda: Language("rope"), tokens, [(16,), (4,), (4, 4), (10,)]),
    "qk-norm": Architecture(lambda: Language("norm"), tokens, [(16,), (4,), (4,), (4, 4), (10,)]),
    "shared keys": Architecture(
        lambda: Language("shared"), tokens, [(16,), (2,), (2, 2), (4, 2), (4, 2), (10,)]
    ),
    "translator": Architecture(Translator, sequences, [(8,)] + 3 * [(2,), (4, 2), (4, 2)] + 2 * [(6,)]),
    "latents": Architecture(Latents, sequences, [(6,), (8,), (2,), (4, 2), (4, 2)]),
    "mixer": Architecture(Mixer, images, [(8,), (10,), (12,)]),
    "lstm": Architecture(lambda: Recurrent(nn.LSTM), sequences, [(6,), (6,)]),
    "gru": Architecture(lambda: Recurrent(nn.GRU), sequences, [(6,), (6,)]),
    "per head": Architecture(PerHead, sequences, [(8,), (2,), (5, 2), (5, 2)]),
    "experts": Architecture(Experts, sequences, [(8,), (3,), (5, 3), (8,)]),
    "spectral": Architecture(Spectral, images, [(6,)]),
    "branches": Architecture(Branches, sequences, [(6,)]),
    "reparametrised": Architecture(_reparametrised, sequences, [(6,), (5,)]),
    "gated": Architecture(_gated, sequences, [(8,), (3,), (4,)]),
    "shuffled": Architecture(_shuffled, images, [(4,), (2,)]),
}
