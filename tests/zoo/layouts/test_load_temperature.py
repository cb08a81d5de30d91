"""Zoos of load and temperature: cells of a grid."""

from __future__ import annotations


def test_load_temperature(of_layout, facts):
    models = of_layout("load-temperature")
    assert [(m.seed, m.tags["batch_size"]) for m in models] == [(0, 128), (1, 128), (0, 16), (1, 16)]
    assert {m.group for m in models} == {"bs_128-normal-ResNet18_w8", "bs_16-normal-ResNet18_w8"}
    assert models[0].tags == {"width": 8, "batch_size": 128, "data_fraction": 0.2}
    assert models[1].path.name == "net_exp_1_early_stopped_model.pkl"
