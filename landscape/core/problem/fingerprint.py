"""Where numbers come from: content hashes and library versions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from landscape.core.problem.problem import Problem

__all__ = ["describe", "fingerprint", "library_versions", "provenance"]


def fingerprint(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of tensors, in order (32 hexadecimal digits)."""
    digest = hashlib.sha256()
    for name, tensor in tensors:
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        for part in _strided_parts(tensor.detach()):
            digest.update(part.to("cpu").contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]


def _strided_parts(tensor: Tensor) -> list[Tensor]:
    """The tensor itself; of a sparse one its indices and values."""
    if tensor.layout is torch.sparse_coo:
        tensor = tensor.coalesce()
        return [tensor.indices(), tensor.values()]
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [tensor.crow_indices(), tensor.col_indices(), tensor.values()]
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return [tensor.ccol_indices(), tensor.row_indices(), tensor.values()]
    return [tensor]


def describe(value: object) -> str:
    """A content hash of a tensor, an array, a mapping of tensors or a model; else the type's name."""
    if isinstance(value, Tensor | np.ndarray):
        return fingerprint([("", torch.as_tensor(value))])
    if isinstance(value, Mapping) and all(isinstance(v, Tensor) for v in value.values()):
        return fingerprint(value.items())
    if isinstance(value, nn.Module):
        return f"{type(value).__name__} {fingerprint(value.state_dict().items())}"
    return type(value).__name__


@cache
def library_versions() -> dict[str, str]:
    """Versions of landscape and of the libraries that shape its numbers."""
    found = {"torch": str(torch.__version__)}  # with the build, such as +cu130, which metadata may lack
    for name in ("landscape-toolkit", "numpy", "scipy", "xarray"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed as a package"
    return found


def provenance(problem: Problem) -> dict[str, str | int | float]:
    """What a result should remember of a problem: strings and numbers only."""
    checkpoint, data = problem.fingerprint()
    facts: dict[str, str | int | float] = {
        "checkpoint": checkpoint,
        "theta": fingerprint(problem.space.unflatten(problem.theta).items()),
        "data": data,
        "model_class": type(problem.module).__name__,
        "loss": problem.loss_name,
        "weight_decay": problem.weight_decay,
        "batchnorm": problem.batchnorm,
        "examples": problem.examples,
        "parameters_count": problem.size,
        "device": str(problem.device),
        "dtype": str(problem.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
    }
    if problem.conversions:
        facts["converted"] = "; ".join(conversion.what for conversion in problem.conversions)
    if problem.criterion.is_sum:
        facts["loss_reduction"] = "sum"
    elif problem.criterion.reduction != "example":
        facts["loss_reduction"] = "batch mean"
    if problem.reading.doubt:
        facts["scores_notice"] = problem.reading.doubt
    if rounded := problem.precision:
        facts["precision"] = rounded
    facts |= problem.derivatives.facts()
    return facts if problem.sharding.ranks == 1 else facts | {"ranks": problem.sharding.ranks}
