"""The networks of `curvature_sides.py` in JAX, and products with their matrices: compiled, on one thread.

Images lie channels last and kernels as XLA wants them, which is JAX's own best; parameters are the model's,
so that a vector means the same on all sides.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

# Read when jax is imported.
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np
import torch
from curvature_sides import Residual, Task, Transformer
from torch import Tensor, nn

Weights = Mapping[str, Any]
"""Parameters and running statistics by their names in the state dict."""


def convolve(x: Any, w: Any, stride: int, padding: int) -> Any:
    """A convolution of maps (B, H, W, C) with a kernel (O, I, h, w) as torch keeps it."""
    numbers = ("NHWC", "OIHW", "NHWC")
    pads = [(padding, padding)] * 2
    return jax.lax.conv_general_dilated(x, w, (stride, stride), pads, dimension_numbers=numbers)


def batch_norm(x: Any, w: Weights, name: str) -> Any:
    """BatchNorm in evaluation mode."""
    scale = w[f"{name}.weight"] / jnp.sqrt(w[f"{name}.running_var"] + 1e-5)
    return x * scale + (w[f"{name}.bias"] - w[f"{name}.running_mean"] * scale)


def resnet(model: nn.Sequential, w: Weights, x: Any) -> Any:
    """Logits (B, 10) of ResNet-20."""
    x = jax.nn.relu(batch_norm(convolve(x, w["0.weight"], 1, 1), w, "1"))
    for place, block in enumerate(model):
        if not isinstance(block, Residual):
            continue
        stride = block.conv1.stride[0]
        y = jax.nn.relu(batch_norm(convolve(x, w[f"{place}.conv1.weight"], stride, 1), w, f"{place}.norm1"))
        y = batch_norm(convolve(y, w[f"{place}.conv2.weight"], 1, 1), w, f"{place}.norm2")
        if not isinstance(block.shortcut, nn.Identity):
            short = convolve(x, w[f"{place}.shortcut.0.weight"], stride, 0)
            x = batch_norm(short, w, f"{place}.shortcut.1")
        x = jax.nn.relu(y + x)
    last = len(model) - 1
    return x.mean((1, 2)) @ w[f"{last}.weight"].T + w[f"{last}.bias"]


def layer_norm(x: Any, w: Weights, name: str) -> Any:
    """LayerNorm over the last axis."""
    x = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return x * w[f"{name}.weight"] + w[f"{name}.bias"]


def linear(x: Any, w: Weights, name: str) -> Any:
    """A layer of weights (O, I)."""
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def transformer(model: Transformer, w: Weights, x: Any) -> Any:
    """Logits (B, 10) of the vision transformer."""
    x = convolve(x, w["patches.weight"], 4, 0) + w["patches.bias"]
    x = x.reshape(len(x), -1, x.shape[-1]) + w["position"]
    for place, layer in enumerate(model.layers):
        name, (b, t, d) = f"layers.{place}", x.shape
        qkv = linear(layer_norm(x, w, f"{name}.norm1"), w, f"{name}.qkv")
        q, k, v = qkv.reshape(b, t, 3, layer.heads, d // layer.heads).transpose(2, 0, 3, 1, 4)
        shares = jax.nn.softmax(q @ k.swapaxes(-1, -2) * (d // layer.heads) ** -0.5, -1)
        x = x + linear((shares @ v).swapaxes(1, 2).reshape(b, t, d), w, f"{name}.out")
        y = jax.nn.gelu(linear(layer_norm(x, w, f"{name}.norm2"), w, f"{name}.mlp.0"), approximate=False)
        x = x + linear(y, w, f"{name}.mlp.2")
    return linear(layer_norm(x, w, "norm").mean(1), w, "head")


def product_of(task: Task, *, kept: bool, matrix: str) -> Callable[[Tensor], Tensor]:
    """A product with one vector (n,).

    Args:
        task: Model and data.
        kept: Linearise the gradient of each batch once, and hold what that needs.
        matrix: ``"hessian"`` or ``"ggn"``.
    """
    forward = {nn.Sequential: resnet, Transformer: transformer}.get(type(task.model))
    if forward is None or (forward is resnet and not isinstance(task.model[3], Residual)):
        raise NotImplementedError(f"no such network in JAX: {type(task.model).__name__}")
    names = [name for name, _ in task.model.named_parameters()]
    shapes = [tuple(p.shape) for p in task.model.parameters()]
    state = {name: jnp.asarray(value.numpy()) for name, value in task.model.state_dict().items()}
    weights = {name: state[name] for name in names}
    fixed = {name: value for name, value in state.items() if name not in weights}

    def outputs(p: Weights, x: Any) -> Any:
        return forward(task.model, {**p, **fixed}, x)

    def total(z: Any, y: Any) -> Any:
        return -jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], 1).sum()

    def hessian(p: Weights, v: Weights, x: Any, y: Any) -> Any:
        return jax.jvp(jax.grad(lambda q: total(outputs(q, x), y)), (p,), (v,))[1]

    def ggn(p: Weights, v: Weights, x: Any, y: Any) -> Any:
        z, pull = jax.vjp(lambda q: outputs(q, x), p)
        tangent = jax.jvp(lambda q: outputs(q, x), (p,), (v,))[1]
        return pull(jax.jvp(jax.grad(lambda u: total(u, y)), (z,), (tangent,))[1])[0]

    data = [(jnp.asarray(x.permute(0, 2, 3, 1).numpy()), jnp.asarray(y.numpy())) for x, y in task.batches]
    if kept:
        gradients = [jax.grad(lambda q, x=x, y=y: total(outputs(q, x), y)) for x, y in data]
        linear_maps = [jax.jit(jax.linearize(g, weights)[1]) for g in gradients]
        pieces: list[Callable[[Weights], Any]] = linear_maps
    else:
        compiled = jax.jit({"hessian": hessian, "ggn": ggn}[matrix])
        pieces = [lambda v, x=x, y=y: compiled(weights, v, x, y) for x, y in data]

    def product(v: Tensor) -> Tensor:
        parts = v.split([int(np.prod(shape)) for shape in shapes])
        tangents = {
            n: jnp.asarray(t.numpy()).reshape(s) for n, t, s in zip(names, parts, shapes, strict=True)
        }
        out = torch.zeros_like(v)
        for piece in pieces:
            found = piece(tangents)
            out += torch.cat([torch.from_numpy(np.array(found[n])).reshape(-1) for n in names])
        return out / len(task.x)

    return product
