from __future__ import annotations

from pathlib import Path

import pytest

from landscape.errors import InputError
from landscape.studies.data import Data
from landscape.studies.options import Options, Size

SIZES = {
    "default": Size(data=Data.digits(20, 10), epochs=3),
    "quick": Size(data=Data.digits(10, 5), epochs=1),
    "full": Size(data=Data.cifar(100), epochs=9),
}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"seeds": 2}, "--seeds must be at least 3"),
        ({"jobs": 0}, "--jobs must be at least 1"),
        ({"more_seeds": 5}, "--more-seeds must be more than the 5 seeds of the first look, not 5"),
        ({"data": Path("here")}, "only --size full uses"),
        ({"size": "fulll"}, "no size 'fulll'; did you mean 'full'"),
    ],
)
def test_what_cannot_work_is_refused(given, sentence: str):
    """Oracle: the sentence."""
    with pytest.raises(InputError, match=sentence):
        Options.read("taxonomy", SIZES, default_seeds=5, least_seeds=3, **given)


def test_what_is_not_given_is_filled_in():
    """Oracle: the documented defaults; a quick run takes three seeds."""
    options = Options.read("x", SIZES, default_seeds=5)
    assert options.out == Path("landscape-studies/x-default")
    assert options.checkpoints == options.out / "checkpoints"
    assert options.figures == options.out / "figures"
    assert options.seeds == (0, 1, 2, 3, 4)
    assert Options.read("x", SIZES, default_seeds=5, size="quick").seeds == (0, 1, 2)
    assert Options.read("x", SIZES, default_seeds=5, size="quick", seeds=4).seeds == (0, 1, 2, 3)


def test_a_size_knows_the_seeds_and_the_folder_of_a_run():
    """Oracle: the options; all other fields stay."""
    options = Options.read("x", SIZES, default_seeds=5, size="full", data=Path("there"))
    size = SIZES["full"].at(options)
    assert (size.seeds, size.epochs) == (5, 9)
    assert size.data.train.kwargs["root"] == "there"
    assert SIZES["full"].data.train.kwargs["root"] == "data"
