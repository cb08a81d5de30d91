"""What captions read off the attributes of results."""

from __future__ import annotations

import xarray as xr

from landscape.analyses._shared.captions import loss_unit, weight_decays


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
