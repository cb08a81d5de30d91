"""Sentences of errors: one line each, with a way out."""

import pytest

from landscape.errors import (
    CheckpointError,
    InputError,
    LandscapeError,
    SchemaError,
    StoreError,
    one_line,
    reason,
    suggest,
)


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (InputError, ValueError),
        (CheckpointError, ValueError),
        (SchemaError, ValueError),
        (StoreError, OSError),
    ],
)
def test_every_error_is_landscapes_and_pythons(kind, builtin):
    """Oracle: Python's own ``except``: who catches either kind catches it."""
    for caught in (LandscapeError, builtin):
        with pytest.raises(caught, match="words"):
            raise kind("words")


def test_the_nearest_known_word_is_suggested():
    """Oracle: by inspection; without a near word, all are listed in order."""
    assert suggest("surfce", ["surface", "spectrum"]) == "did you mean 'surface'?"
    assert suggest("?", iter(["b", "a"])) == "known: a, b."
    assert suggest("?", []) == "there is none."


def test_texts_of_any_error_fit_a_sentence():
    """Oracle: written out by hand: one line, no colours, no full stop that would stand twice."""
    assert one_line(RuntimeError("\x1b[31mbad\x1b[0m\n\n  shape...")) == "bad shape"
    assert one_line(RuntimeError()) == ""
    assert len(one_line(RuntimeError("long " * 1000))) <= 400
    assert reason(OSError("disk\nfull")) == "OSError: disk full"
