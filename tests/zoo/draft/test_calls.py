"""References with arguments: read as Python writes them, never run."""

from __future__ import annotations

import pytest

from landscape.errors import InputError
from landscape.zoo.draft.calls import builder_of, chosen_of
from landscape.zoo.spec import Builder


@pytest.mark.parametrize(
    ("text", "reference", "kwargs"),
    [
        ("my:net", "my:net", {}),
        ("my:net()", "my:net", {}),
        ("my:net(width=8, name='a', sizes=[1, 2])", "my:net", {"width": 8, "name": "a", "sizes": [1, 2]}),
    ],
)
def test_models(text, reference, kwargs):
    assert builder_of("--model", text) == Builder(reference, kwargs)


def test_data_and_brackets_in_the_names_of_files():
    assert builder_of("--data", "imagefolder:photos (1)") == Builder("imagefolder:photos (1)", {})
    assert builder_of("--data", 'csv:a b.csv(y="kind")') == Builder("csv:a b.csv", {"y": "kind"})


@pytest.mark.parametrize("text", ["net", "my:net(8)", "my:net(width=os.getcwd())", "my:net(**{})", "a b:c"])
def test_what_is_no_reference(text):
    with pytest.raises(InputError, match="--model takes"):
        builder_of("--model", text)


def test_globs():
    assert chosen_of("--model", "vit-*=my:net(width=8)") == ("vit-*", Builder("my:net", {"width": 8}))
    assert chosen_of("--model", "my:net(width=8)") == ("", Builder("my:net", {"width": 8}))
