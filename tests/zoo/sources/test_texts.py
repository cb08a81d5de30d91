"""Texts as tokens: what a real tokenizer makes of them, and what is asked for without one."""

from __future__ import annotations

import pytest

from landscape.errors import InputError
from landscape.zoo.sources.preprocess import Preprocess
from landscape.zoo.sources.texts import tokens

WORDS = ["[PAD]", "[UNK]", "good", "bad", "film"]


def test_without_a_tokenizer_one_is_asked_for(tmp_path):
    with pytest.raises(InputError, match=r"holds texts, and no tokenizer .* give --tokenizer DIR"):
        tokens(["a"], Preprocess(), tmp_path, "csv:a.csv")


def test_tokens_are_those_of_the_vocabulary(tmp_path):
    """Oracle: the numbers of the words in the vocabulary, written by hand."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]")
    fast.save_pretrained(tmp_path / "net")
    found = tokens(["good film", "bad"], Preprocess(tokenizer="net", length=8), tmp_path, "csv:a.csv")
    assert found["input_ids"].tolist() == [[2, 4], [3, 0]]
    assert found["attention_mask"].tolist() == [[1, 1], [1, 0]]
    with pytest.raises(InputError, match=r"cannot be used"):
        tokens(["a"], Preprocess(tokenizer="none"), tmp_path, "csv:a.csv")
