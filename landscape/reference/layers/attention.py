"""Self-attention over all tokens and within windows, and the blocks made of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from landscape.errors import InputError

__all__ = [
    "Attention",
    "DropPath",
    "TransformerBlock",
    "WindowAttention",
    "drop_rates",
    "from_windows",
    "mlp",
    "residual",
    "to_windows",
]


class Attention(nn.Module):
    """Multi-head self-attention over tokens (N, T, dim)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, dim) to (N, T, dim)."""
        # (N, T, 3·dim) -> three of (N, heads, T, dim/heads)
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out


class WindowAttention(nn.Module):
    """Multi-head self-attention within windows, with a learned bias for each relative position.

    Args:
        dim: Width of a token.
        heads: Attention heads; must divide ``dim``.
        window: Height and width of a window in tokens.

    Reference:
        Liu et al. (2021), Swin transformer, equation 4.
    """

    relative_position_index: Tensor

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        if dim % heads:
            raise InputError(f"WindowAttention: {heads} heads do not divide dim {dim} evenly.")
        self.heads = heads
        self.window = window
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.position_bias = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.position_bias, std=0.02)
        # Not in the checkpoint, since it follows from the size of the window.
        self.register_buffer("relative_position_index", _relative_position_index(window), persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend within windows.

        Args:
            x: Tokens of windows, (N·windows, window², dim), the windows of an image in row order.
            mask: Added to the scores, (windows, window², window²); minus infinity forbids a pair.

        Returns:
            The same shape as ``x``.
        """
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        bias = self.position_bias[self.relative_position_index].permute(2, 0, 1)  # (heads, T, T)
        if mask is not None:
            each = bias + mask[:, None]  # (windows, heads, T, T)
            bias = each.repeat(len(x) // len(mask), 1, 1, 1)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out


class DropPath(nn.Module):
    """Stochastic depth: drops a residual branch for whole examples, and scales it up for the others.

    The expected branch is the branch; in eval mode it is the branch itself.

    Args:
        rate: Probability of dropping the branch of an example; at least 0 and below 1.

    Reference:
        Huang et al. (2016), Deep networks with stochastic depth, section 3; scaled while training instead of
        while testing.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, ...) to (N, ...)."""
        if not self.training:
            return x
        kept = torch.rand((len(x), *(1,) * (x.ndim - 1)), device=x.device) >= self.rate
        return x * kept / (1 - self.rate)


class TransformerBlock(nn.Module):
    """Pre-norm attention and pre-norm MLP, each added to its input."""

    def __init__(self, dim: int, heads: int, mlp_ratio: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = mlp(dim, mlp_ratio * dim)
        self.drop1, self.drop2 = (DropPath(drop_path) if drop_path else None for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, dim) to (N, T, dim)."""
        x = residual(x, self.attn(self.norm1(x)), self.drop1)
        return residual(x, self.mlp(self.norm2(x)), self.drop2)


def drop_rates(builder: str, rate: float, depth: int) -> list[float]:
    """Rates of stochastic depth, rising linearly from 0 in the first of `depth` blocks to `rate` in the last.

    Raises:
        InputError: If the rate is not at least 0 and below 1.
    """
    if not 0 <= rate < 1:
        raise InputError(f"{builder}: drop_path must be at least 0 and below 1, not {rate}.")
    return [rate * index / max(depth - 1, 1) for index in range(depth)]


def residual(x: Tensor, branch: Tensor, drop: DropPath | None) -> Tensor:
    """The sum of a stream and a branch, which may be dropped."""
    return x + (branch if drop is None else drop(branch))


def mlp(dim: int, hidden: int) -> nn.Sequential:
    """Two linear layers with GELU between them, over the last axis."""
    layers = nn.Sequential()
    layers.add_module("fc1", nn.Linear(dim, hidden))
    layers.add_module("act", nn.GELU())
    layers.add_module("fc2", nn.Linear(hidden, dim))
    return layers


def to_windows(x: Tensor, window: int) -> Tensor:
    """Cut maps (N, H, W, C) into windows (N·windows, window², C), windows in row order.

    Raises:
        InputError: If windows do not tile the map.
    """
    n, height, width, channels = x.shape
    if height % window or width % window:
        raise InputError(f"windows of {window} tokens do not tile a map of {height} × {width}.")
    x = x.view(n, height // window, window, width // window, window, channels)
    return x.transpose(2, 3).reshape(-1, window * window, channels)


def from_windows(x: Tensor, height: int, width: int) -> Tensor:
    """Undo `to_windows`: (N·windows, window², C) to (N, height, width, C)."""
    window = int(x.shape[1] ** 0.5)
    x = x.view(-1, height // window, width // window, window, window, x.shape[-1])
    return x.transpose(2, 3).reshape(-1, height, width, x.shape[-1])


def _relative_position_index(window: int) -> Tensor:
    """Where the bias of a pair of tokens stands in the table, (window², window²)."""
    at = torch.cartesian_prod(torch.arange(window), torch.arange(window))
    apart = at[:, None] - at[None] + window - 1
    return apart[..., 0] * (2 * window - 1) + apart[..., 1]
