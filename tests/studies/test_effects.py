from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from landscape.studies import effects


def test_effects_of_units_are_read_off_residual_sums():
    """Oracle: numbers put in by hand for two blocks of attention and MLP."""
    kinds = ["attention", "residual_sum", "mlp", "residual_sum"] * 2
    variance = [9.0, 1.0, 9.0, 2.0, 9.0, 1.0, 9.0, 4.0]
    ds = xr.Dataset(
        {"spatial_variance": ("layer", variance), "gain_high_low": ("layer", [0, -1, 0, 2, 0, -3, 0, 4.0])},
        coords={"kind": ("layer", kinds)},
    )
    assert effects.growth_after("attention")(ds) == pytest.approx(np.log(0.5))
    assert effects.growth_after("mlp")(ds) == pytest.approx((np.log(2) + np.log(4)) / 2)
    assert effects.gain_after("attention")(ds) == pytest.approx(-2)
    assert effects.gain_after("mlp")(ds) == pytest.approx(3)
    assert np.isnan(effects.gain_after("convolution")(ds))
    assert effects.mean_gain("residual_sum")(ds) == pytest.approx(0.5)
    assert np.isnan(effects.mean_gain("convolution")(ds))
    assert effects.head_gain(ds) == pytest.approx(0.25)


def test_the_middle_of_a_network_against_its_ends():
    """Oracle: means by hand; NaN where nothing lies between the ends."""
    names = ["blocks.0.attn", "blocks.0.mlp", "blocks.1.attn", "blocks.2.attn", "blocks.3.attn"]
    ds = xr.Dataset(
        {"delta_loss": (("unit", "replacement"), [[1.0], [9.0], [4.0], [6.0], [2.0]])},
        coords={"unit": names},
    )
    assert effects.middle_attention_effect(ds) == pytest.approx(5 - 1.5)
    assert np.isnan(effects.middle_attention_effect(ds.isel(unit=[0, 4])))


def test_the_last_attention_of_stages_against_the_first():
    """Oracle: differences by hand in two stages, and their mean."""
    names = ["stages.0.0.attn", "stages.0.1.attn", "stages.0.1.mlp", "stages.1.0.attn", "stages.1.1.attn"]
    ds = xr.Dataset(
        {"delta_loss": (("unit", "replacement"), [[1.0], [3.0], [9.0], [2.0], [8.0]])},
        coords={"unit": names},
    )
    assert effects.last_attention_effect(ds) == pytest.approx((2 + 6) / 2)


def test_mean_cka_is_over_pairs_of_layers_of_one_model():
    """Oracle: the mean of three entries above the diagonal; other models' are left out."""
    cka = np.full((4, 4), 99.0)
    cka[:3, :3] = [[1.0, 0.1, 0.2], [0.1, 1.0, 0.6], [0.2, 0.6, 1.0]]
    ds = xr.Dataset({"cka": (("row", "column"), cka)}, coords={"model_a": ("row", ["a", "a", "a", "b"])})
    assert effects.mean_cka(ds, "a") == pytest.approx(0.3)


def test_numbers_of_robustness_and_averaging():
    """Oracle: means by hand: the three highest bands, severities above zero, a number of masks."""
    ds = xr.Dataset(
        {
            "accuracy_change": ("band", [-0.9, -0.1, -0.2, -0.3]),
            "mean_accuracy": ("severity", [0.9, 0.5, 0.3]),
            "nll": ("samples", [3.0, 2.0, 1.0]),
            "feature_variance": np.exp(2.0),
            "mean_positive": np.exp(-1.5),
        },
        coords={"samples": [1, 2, 10]},
    )
    assert effects.high_frequency_harm(ds) == pytest.approx(20.0)
    assert effects.corrupted_accuracy(ds) == pytest.approx(40.0)
    assert [effects.mc_score("nll", n)(ds) for n in (1, 2, 10)] == [3.0, 2.0, 1.0]
    assert effects.log_feature_variance(ds) == pytest.approx(2.0)
    assert effects.log_mean_positive(ds) == pytest.approx(-1.5)


def test_noise_near_a_frequency_and_kinds_of_corruption():
    """Oracle: numbers put in by hand; 0.42 cycles per pixel are 0.84 π, nearest to the band at 0.8."""
    change = xr.Dataset({"accuracy_change": ("frequency", [0.0, -0.1, -0.3])}, {"frequency": [0.2, 0.8, 0.9]})
    assert effects.near_noise_harm(0.42)(change) == pytest.approx(10.0)
    assert effects.near_noise_harm(1 / 12)(change) == 0.0
    table = [[1.0, 0.5, 0.3], [1.0, 0.9, 0.7], [1.0, 0.2, 0.0]]
    ds = xr.Dataset({"accuracy": (("corruption", "severity"), table)}, {"corruption": ["a", "b", "c"]})
    assert effects.accuracy_under("a", "c")(ds) == pytest.approx(25.0)


def test_effects_of_uncertainty():
    """Oracle: numbers put in by hand."""
    ds = xr.Dataset(
        {
            "nll": 0.5,
            "coverage": ("level", [0.4, 0.8]),
            "example_target": (("example", "target"), [[0.5], [-1.0], [2.0], [-3.0]]),
            "example_sd": (("example", "target"), [[1.0], [3.0], [4.0], [8.0]]),
        },
        coords={"level": [0.5, 0.9]},
    )
    assert effects.score("nll")(ds) == 0.5
    assert effects.coverage(0.9)(ds) == 0.8
    assert effects.far_over_near(1.0)(ds) == 3.0
    images = xr.Dataset(
        {
            "nll": (("shift", "intensity"), [[0.0, 1.0, 2.0], [0.0, 3.0, 6.0]]),
            "ood_auroc": (("ood", "by"), [[0.5, 0.9], [0.7, 0.9]]),
        },
        coords={"by": ["entropy", "score"]},
    )
    assert effects.shifted("nll")(images) == 3.0
    assert effects.ood_auroc(images) == pytest.approx(0.6)


def test_numbers_of_attacks_are_those_of_the_largest_radius():
    """Oracle: numbers put in by hand."""
    ds = xr.Dataset(
        {
            "accuracy": (("attack", "radius"), [[0.9, 0.8, 0.7], [0.9, 0.5, 0.1]]),
            "worst": ("radius", [0.9, 0.4, 0.05]),
            "gap": ("radius", [0.0, 0.3, 0.6]),
            "distorted": 0.25,
        },
        coords={"attack": ["fgsm", "pgd"]},
    )
    assert effects.attacked_accuracy("pgd")(ds) == 0.1
    assert effects.attacked_accuracy()(ds) == 0.05
    assert effects.attack_gap(ds) == 0.6
    assert effects.number("distorted")(ds) == 0.25


def test_numbers_of_what_is_far_away():
    """Oracle: numbers put in by hand."""
    ds = xr.Dataset(
        {"example_confidence": ("example", [0.5, 0.9, 0.7]), "ood_confidence": ("ood", [0.2, 0.4])}
    )
    assert effects.mean_confidence(ds) == pytest.approx(0.7)
    assert effects.largest_confidence(ds) == 0.9
    assert effects.ood_confidence(ds) == pytest.approx(0.3)


def test_numbers_of_aliasing_and_of_random_perturbations():
    """Oracle: numbers put in by hand; NaN where nothing coarsens its map."""
    ds = xr.Dataset({"aliasing": ("layer", [np.nan, 0.1, 0.3]), "top": np.exp(2.0)})
    assert effects.aliasing(ds) == pytest.approx(0.2)
    assert np.isnan(effects.aliasing(ds.isel(layer=[0])))
    assert effects.log_number("top")(ds) == pytest.approx(2.0)
    attacks = {"accuracy": (("attack", "radius"), [[0.9, 0.1], [0.9, 0.8]]), "worst": ("radius", [0.9, 0.05])}
    ds = xr.Dataset(attacks, coords={"attack": ["pgd", "random"]})
    assert [effects.attacked_accuracy(place=i)(ds) for i in (0, -1)] == [0.9, 0.05]
    assert effects.over_random(ds) == pytest.approx(0.75)


def test_numbers_of_compression():
    """Oracle: by hand: |0.5 − 0.3 + 0.1| over 0.3 + 0.1, and |0.2 − 0.1 − 0.1| = 0; NaN of an unknown way."""
    ways = {"perturbation": ["3 bits", "8 bits"]}
    numbers = {"loss_change": [0.5, 0.2], "first": [0.3, 0.1], "second": [-0.1, 0.1]}
    ds = xr.Dataset({name: ("perturbation", row) for name, row in numbers.items()}, coords=ways)
    assert effects.compressed("loss_change", "3 bits")(ds) == 0.5
    assert effects.compressed("loss_change", "3 bits", "8 bits")(ds) == pytest.approx(0.3)
    assert effects.unforeseen("3 bits")(ds) == pytest.approx(0.75)
    assert effects.unforeseen("3 bits", "8 bits")(ds) == pytest.approx(0.75)
    assert np.isnan(effects.compressed("loss_change", "4 bits")(ds))
    assert np.isnan(effects.unforeseen("3 bits")(0.0 * ds))


def test_numbers_of_distance_and_order():
    """Oracle: numbers by hand: points beyond 1, the strongest shift, all together."""
    ds = xr.Dataset(
        {
            "point_confidence": ("point", [0.9, 0.5, 0.7]),
            "point_input_distance": ("point", [0.5, 2.0, 3.0]),
            "spearman": (("other", "space", "by"), [[[0.1, 0.2], [9.0, 9.0]], [[0.3, 0.6], [9.0, 9.0]]]),
            "expansion_spread": ("pair_kind", [np.e, 99.0]),
        },
        coords={"space": ["inputs", "features"], "by": ["entropy", "score"]},
    )
    assert effects.far_confidence(1.0)(ds) == pytest.approx(0.6)
    assert effects.doubt_by_distance("score")(ds) == pytest.approx(0.4)
    assert effects.log_expansion_spread(ds) == pytest.approx(1.0)
    ds = xr.Dataset(
        {
            "raulc": (("shift", "intensity", "by"), [[[9.0, 9.0], [0.2, 0.1]], [[9.0, 9.0], [0.4, 0.3]]]),
            "pooled_raulc": (("shift", "by"), [[0.5, 0.6], [0.7, 0.8]]),
            "pooled_window_spearman": (("shift", "by"), [[-0.5, -0.1], [-0.7, 0.3]]),
            "ood_auroc": (("ood", "by"), [[0.6, 0.9], [0.8, 1.0]]),
        },
        coords={"by": ["entropy", "score"]},
    )
    assert effects.error_order(ds) == pytest.approx(0.3)
    assert effects.error_order(ds, "score", pooled=True) == pytest.approx(0.7)
    assert effects.accuracy_by_doubt(ds) == pytest.approx(-0.6)
    assert effects.accuracy_by_doubt(ds, "score") == pytest.approx(0.1)
    assert effects.ood_auroc(ds) == pytest.approx(0.7)
    assert effects.ood_auroc(ds, "score") == pytest.approx(0.95)
