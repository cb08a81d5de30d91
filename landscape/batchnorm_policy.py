"""The words for where BatchNorm statistics come from: one vocabulary, torch-free, for options and results."""

from __future__ import annotations

from typing import Any, Literal

__all__ = ["BatchNormPolicy", "ProblemPolicy", "SurfacePolicy", "key_word", "normalise"]

BatchNormPolicy = Literal["checkpoint", "batch", "recalibrate", "interpolate", "repair"]
"""Where the statistics come from.

- ``checkpoint``: the running statistics of the checkpoint; between two, of the nearer one.
- ``batch``: those of the batch at hand.
- ``recalibrate``: pooled anew over the problem's data at each point (Izmailov et al. 2018, section 3.3).
- ``interpolate``: between two checkpoints, (1 − t) of one's and t of the other's.
- ``repair``: recalibrated, and every linear and convolution layer's outputs get the interpolated means and
  deviations of the two checkpoints' (Jordan et al. 2023).
"""

SurfacePolicy = Literal["checkpoint", "batch", "recalibrate"]
"""Those that need no second checkpoint."""

ProblemPolicy = Literal["checkpoint", "batch"]
"""Those that a problem by itself can have."""

_SYNONYMS = {"eval": "checkpoint", "frozen": "checkpoint", "keep": "checkpoint", "train": "batch"}

# Keys hash the word of before, so that results of a problem that means the same are still found.
_KEY_WORDS = {"checkpoint": "eval", "batch": "train"}


def normalise(word: Any) -> Any:
    """The word of the vocabulary for a word of before; whatever else is given comes back as it is.

    Example:
        >>> [normalise(word) for word in ("eval", "train", "frozen", "keep", "repair", None)]
        ['checkpoint', 'batch', 'checkpoint', 'checkpoint', 'repair', None]
    """
    return _SYNONYMS.get(word, word) if isinstance(word, str) else word


def key_word(word: str) -> str:
    """What of a problem's BatchNorm enters the key of a task.

    Example:
        >>> key_word("checkpoint"), key_word("eval"), key_word("batch")
        ('eval', 'eval', 'train')
    """
    return _KEY_WORDS.get(normalise(word), word)
