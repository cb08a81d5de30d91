"""``sharpness`` against exact Hessians of tiny networks and the sums it is made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import CASES

import landscape
from landscape.core.curvature.adaptive_sharpness import adaptive_sharpness, parameter_scales
from landscape.core.data.minibatches import split_into_minibatches
from landscape.errors import InputError


def test_the_whole_family_on_a_network():
    """Oracle: the dense Hessian of NumPy for THT; the core's own ascent for the worst case."""
    problem = CASES["mlp"].problem(weight_decay=0.02)
    ds = landscape.sharpness(problem, radii=(0.05, 0.3), sigmas=(1e-3,), samples=40)
    t = parameter_scales(problem).numpy()
    THT = t[:, None] * (CASES["mlp"].exact_hessian().numpy() + 0.02 * np.eye(len(t))) * t
    assert float(ds["scaled_trace"]) == pytest.approx(
        np.trace(THT), abs=4 * float(ds["scaled_trace_se"]) + 1e-9
    )
    assert float(ds["adaptive_curvature"]) == pytest.approx(np.linalg.eigvalsh(THT)[-1], rel=1e-3)
    assert abs(float(ds["average"][0]) - 0.5e-6 * np.trace(THT)) < 4 * float(ds["average_se"][0])
    assert float(ds["average_second_order"][0]) == pytest.approx(0.5e-6 * float(ds["scaled_trace"]))
    found = adaptive_sharpness(problem, (0.05, 0.3))
    np.testing.assert_array_equal(ds["sharpness"], found.ascent)
    np.testing.assert_array_equal(ds["linear_rise"], found.linear)
    assert np.isnan(ds["sharpness_se"]).all() and int(ds["subset_count"]) == 1
    assert int(ds["subset_size"]) == problem.examples


def test_subsets_have_worst_points_of_their_own():
    """Oracle: the core on each subset alone; a mean of maxima is no less than the maximum of the mean."""
    problem = CASES["mlp"].problem()
    m = problem.examples // 3
    ds = landscape.sharpness(problem, subset=m, subsets=8, radii=(0.3,), seed=4, samples=2, sigmas=(0.1,))
    parts = split_into_minibatches(problem.batches, m, shuffle=None, generator=np.random.default_rng(4))
    rises = [adaptive_sharpness(problem.on([parts[i]]), (0.3,)).ascent[0] for i in range(len(parts))]
    assert int(ds["subset_count"]) == len(parts) == 3 and int(ds["subset_size"]) == m
    assert float(ds["sharpness"][0]) == pytest.approx(np.mean(rises), rel=1e-9)
    assert float(ds["sharpness_se"][0]) == pytest.approx(np.std(rises, ddof=1) / 3**0.5, rel=1e-9)
    whole = adaptive_sharpness(problem, (0.3,), steps=20).ascent[0]
    assert float(ds["sharpness"][0]) > whole


def test_normalised_logits():
    """Oracle: a network with a head three times as large, which says the same."""
    case = CASES["mlp"]
    found = []
    for factor in (1.0, 3.0):
        model = case.model()
        with torch.no_grad():
            for p in list(model.parameters())[-2:]:
                p *= factor
        problem = landscape.Problem(model, "cross_entropy", case.problem().first.raw)
        found.append(landscape.sharpness(problem, normalise_logits=True, samples=2))
    np.testing.assert_allclose(found[0]["sharpness"], found[1]["sharpness"], rtol=1e-6)
    assert float(found[1]["logit_scale"]) == pytest.approx(3 * float(found[0]["logit_scale"]), rel=1e-9)


def test_the_default_radii_follow_the_ball():
    """Oracle: the description of the option."""
    ds = landscape.sharpness(CASES["mlp"].problem(), ball="linf", samples=2, sigmas=(0.1,))
    assert ds["radius"].values.tolist() == [0.0005, 0.001, 0.002, 0.005, 0.01]


def test_what_was_an_option_of_structure_is_told():
    """Oracle: the words of the sentence, in a call; old results keep their picture and their number."""
    with pytest.raises(InputError, match=r"'radii' of 'structure' is one of the analysis 'sharpness' now"):
        landscape.structure(CASES["mlp"].problem(), radii=(0.1,))
