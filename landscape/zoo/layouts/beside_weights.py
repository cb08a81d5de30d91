"""What trainers and users keep beside weights in files of the same endings, and is no model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from landscape.text import foreign

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["why_by_content", "why_by_name"]

# As the trainers of Hugging Face, accelerate, Lightning and DeepSpeed name them, with or without a rank.
_NAMES = re.compile(
    r"(optimizer|lr_scheduler|scheduler|scaler|rng_state|random_states?|training_args|sampler|dl_state_dict)"
    r"([_-]?\d+)*(\.[a-z]+)+"
)
_OF_OPTIMISERS = {
    "step",
    "exp_avg",
    "exp_avg_sq",
    "exp_inf",
    "max_exp_avg_sq",
    "momentum_buffer",
    "square_avg",
    "grad_avg",
    "acc_delta",
    "sum",
    "prev",
    "step_size",
}
_OF_RANDOM_NUMBERS = re.compile(r"(cpu|cuda|xpu|mps|numpy|python)|(torch_?)?\w*(rng|random|manual_seed)\w*")
_OF_DATA = re.compile(
    r"((train|test|val|valid)_?)?(images?|labels?|inputs?|targets?|data|features|embeddings|logits|indices|[xy]"
    r"|mean|std|tokens|input_ids|attention_mask)(_?(train|test|val|valid))?",
    re.IGNORECASE,
)
_SHOWN = 3


def why_by_name(name: str) -> str:
    """Why a file of that name is no model; empty if the name does not say so.

    Example:
        >>> why_by_name("random_states_0.pkl"), why_by_name("model.pt")
        ('what a trainer keeps beside the weights, by its name.', '')
    """
    return "what a trainer keeps beside the weights, by its name." if _NAMES.fullmatch(name) else ""


def why_by_content(state: Mapping[str, Tensor], beside: Mapping[Any, Any]) -> str:
    """Why what a file holds is no model; empty if it may be one.

    Args:
        state: The tensors that are most likely its weights.
        beside: The other entries of the outermost mapping.
    """
    if "param_groups" in beside or set(state) <= _OF_OPTIMISERS:
        return "the state of an optimiser, no model."
    if all(_OF_RANDOM_NUMBERS.fullmatch(key) for key in state):
        return f"states of random numbers ({_few(state)}), no model."
    # a letter alone says nothing
    if (len(state) > 1 or len(min(state)) > 1) and all(_OF_DATA.fullmatch(key) for key in state):
        return f"data ({_few(state)}), no model; if it is one, name it in a manifest."
    return ""


def _few(keys: Iterable[str]) -> str:
    keys = list(keys)
    return ", ".join(foreign(k, 60) for k in keys[:_SHOWN]) + (", ..." if len(keys) > _SHOWN else "")
