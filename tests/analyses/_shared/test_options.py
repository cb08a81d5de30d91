"""Options that several analyses take: the same limits and words wherever they stand, and nothing more."""

from __future__ import annotations

import pytest

import landscape
from landscape.errors import InputError

SHARED = {
    "prefix_tokens": ("attention_response", "cka", "feature_variance", "fourier", "lesion", "similarity"),
    "images": ("attention_response", "feature_variance", "fourier", "transfer"),
    "operator": ("density", "spectrum", "trace"),
    "batchnorm": ("line", "surface"),
    "resamples": ("connect", "connectivity"),
    "test": ("connect", "connectivity", "simplex"),
    "tokens": ("cka", "similarity"),
    "std": ("corruptions", "frequency_noise"),
}


@pytest.mark.parametrize("option", SHARED)
def test_an_option_means_the_same_in_every_analysis(option):
    """Oracle: the declarations beside one another."""
    fields = [landscape.analyses()[name].params.model_fields[option] for name in SHARED[option]]
    assert len({(f.description, str(f.annotation), str(f.metadata)) for f in fields}) == 1
    assert fields[0].description


@pytest.mark.parametrize(
    ("analysis", "options"),
    [
        ("fourier", {"prefix_tokens": -1}),
        ("transfer", {"images": 0}),
        ("trace", {"operator": "fishers"}),
        ("simplex", {"test": "no builder"}),
        ("connectivity", {"resamples": 99}),
        ("structure", {"tol": 0.0}),
    ],
)
def test_limits_of_shared_options_hold(analysis, options):
    """Oracle: values beyond the limits that the option's help tells."""
    with pytest.raises(InputError, match=f"option '{next(iter(options))}' of analysis '{analysis}'"):
        landscape.analyses()[analysis].validate(options)
