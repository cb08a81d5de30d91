"""Texts as tokens, by the tokenizer that lies in a model's own folder."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from landscape.errors import InputError, one_line
from landscape.zoo.sources.preprocess import Preprocess

__all__ = ["tokens"]


def tokens(
    texts: Sequence[str], how: Preprocess, folder: Path, where: str
) -> dict[str, np.ndarray[Any, Any]]:
    """What a model of texts takes: ``input_ids``, ``attention_mask`` and what else is made, (B, L).

    Args:
        texts: The texts.
        how: Names the folder of the tokenizer, and the most tokens of a text; longer ones are cut.
        folder: What that folder is relative to.
        where: The data, for error messages.

    Raises:
        InputError: If there is no tokenizer, or it cannot be used offline.
    """
    if not how.tokenizer:
        raise InputError(
            f"{where} holds texts, and no tokenizer lies beside the checkpoints; give --tokenizer DIR"
            ' ([data] tokenizer = "DIR"), a folder with tokenizer.json or its like.'
        )
    try:
        transformers: Any = importlib.import_module("transformers")
    except ImportError as error:
        raise InputError(
            f"{where}: tokenizers need transformers: pip install 'landscape-toolkit[hf]'."
        ) from error
    home = folder / Path(how.tokenizer).expanduser()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            str(home), local_files_only=True, trust_remote_code=False
        )
        if tokenizer.pad_token is None:  # models of one text after another have none, and mask what is padded
            tokenizer.pad_token = tokenizer.eos_token
        made = tokenizer(
            list(texts), padding=True, truncation=True, max_length=how.length, return_tensors="np"
        )
    except Exception as error:  # whatever a tokenizer raises
        raise InputError(f"tokenizer '{home}' cannot be used: {one_line(error)}.") from error
    return {name: np.asarray(values, np.int64) for name, values in made.items()}
