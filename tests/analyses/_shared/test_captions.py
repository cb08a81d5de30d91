"""What captions read off the attributes of results."""

from __future__ import annotations

import xarray as xr

import landscape
from landscape.analyses._shared.captions import data_word, loss_unit, of_data, weight_decays
from landscape.store import read_contents
from landscape.zoo import Zoo


def result(**attrs):
    return xr.Dataset(attrs=attrs)


def test_losses_are_in_nats_only_where_all_are_log_likelihoods():
    """Oracle: the attributes: a mean squared error has no unit that is known."""
    nats = result(loss="cross_entropy")
    assert loss_unit({"a": nats}) == loss_unit({"a": nats, "b": nats}) == "nats/example"
    assert loss_unit({"a": nats, "b": result(loss="mse")}) == "loss/example"
    assert loss_unit({"a": result()}) == "loss/example"
    assert loss_unit({"a": result(loss="gaussian_nll")}) == "nats/example"


def test_captions_say_how_much_weight_decay_is_in_the_losses():
    """Oracle: the attributes; results of old versions do not tell."""
    none, some, more = (result(weight_decay=value) for value in (0.0, 1e-4, 0.01))
    assert weight_decays({"a": none}) == "without weight decay"
    assert weight_decays({"a": more, "b": some, "c": more}) == "with weight decay 0.0001 or 0.01"
    assert weight_decays({"a": none, "b": some}) == "with weight decay 0 or 0.0001"
    assert weight_decays({"a": some, "b": result()}) == "weight decay included"


def test_words_follow_the_split_of_the_data():
    """Oracle: words by hand; held-out data beside unnamed ones make these the training data."""

    def of(stated=None, splits=None):
        attrs = {} if stated is None else {"data_split": stated}
        return xr.Dataset(coords={} if splits is None else {"split": splits}, attrs=attrs)

    assert of_data({"a": of("test")}) == "test loss"
    assert of_data({"a": of("train")}, "error") == "training error"
    assert of_data({"a": of()}) == "loss"
    assert of_data({"a": of("test"), "b": of("train")}) == "loss"
    assert of_data({"a": of(splits=["train", "test"])}) == "training loss"
    assert of_data({"a": of(splits=["train"])}) == "loss"
    assert data_word(of("validation", ["train", "test"]), "train") == "validation"
    assert data_word(of("test", ["train", "test"]), "train") == "test, as given"
    assert data_word(of("test", ["train", "test"]), "test") == "test"
    assert data_word(of(None, ["train"]), "train") == "train"


def test_a_manifest_that_states_the_split_is_heard(folder):
    """Oracle: the axis of the line that a run of such a manifest draws."""
    folder.add("m0")
    path = folder.write("[analyses.line]\nsteps = 3")
    path.write_text(path.read_text().replace('"toy_data:blobs"', '"toy_data:blobs"\nsplit = "test"'))
    Zoo.from_manifest(path).run()
    (ds,) = read_contents(folder.root / "results").sections[0].results.values()
    assert landscape.line.figures({"m0": ds})[0].y.label == "test loss"
