from __future__ import annotations

from landscape.reporting.alike_texts import alike_texts


def test_numbers_become_spans_and_names_stay() -> None:
    """Oracle: by hand; exponents, signs and equal numbers; digits of names are no numbers."""
    texts = {
        "a": "1 of 3 values of fc1 in float64 are off by 2e-06, from −0.5",
        "b": "3 of 3 values of fc1 in float64 are off by 0.1, from -2",
        "c": "1 of 3 values of fc2 in float64 are off by 0.1, from -2",
        "d": "",
    }
    found = alike_texts(texts)
    merged = "1 to 3 of 3 values of fc1 in float64 are off by 2e-06 to 0.1, from -2 to −0.5"
    assert found == {merged: ("a", "b"), texts["c"]: ("c",)}


def test_one_text_is_left_as_it_is() -> None:
    """Oracle: itself."""
    assert alike_texts({"a": "up to 1.50 of 2"}) == {"up to 1.50 of 2": ("a",)}
