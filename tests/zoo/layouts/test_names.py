"""Facts in names."""

from __future__ import annotations

from landscape.zoo.layouts.names import facts_in_name


def test_names_state_numbers_only_between_separators():
    assert facts_in_name("a/resnet18_epochs_old/net2").tags == {}
    assert facts_in_name("lr_0.05/wd=5e-4/batch_size=16_w4").tags == {
        "learning_rate": 0.05,
        "weight_decay": 5e-4,
        "batch_size": 16,
        "width": 4,
    }
