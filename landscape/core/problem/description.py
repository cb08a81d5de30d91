"""A problem in words, for a prompt and for notebooks."""

from __future__ import annotations

from typing import Any

from landscape.text import facts_html

__all__ = ["Described"]


class Described:
    """What says of itself what it is, shortly."""

    def _facts(self) -> dict[str, Any]:
        problem: Any = self
        facts = {
            "model": type(problem.module).__name__,
            "loss": problem.loss_name,
            "parameters": f"{problem.size} in {len(problem.space.names)} tensors",
            "examples": f"{problem.examples} in {len(problem.shard)} batches",
            "weight decay": f"{problem.weight_decay:g}",
            "BatchNorm": str(problem.batchnorm),
            "computed": f"{str(problem.dtype).removeprefix('torch.')} on {problem.device}",
        }
        if problem.sharding.ranks > 1:
            facts["ranks"] = str(problem.sharding.ranks)
        return facts

    def __repr__(self) -> str:
        return f"Problem({', '.join(f'{name}: {value}' for name, value in self._facts().items())})"

    def _repr_html_(self) -> str:
        return facts_html("Problem", self._facts())
