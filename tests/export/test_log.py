"""Log: which numbers go to a tracker, under which names, at which step."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape.errors import InputError


class Writer:
    """As torch's writer, and remembers."""

    def __init__(self):
        self.scalars, self.images, self.flushed = [], [], 0

    def add_scalar(self, name, value, step):
        self.scalars.append((name, value, step))

    def add_image(self, name, pixels, step, dataformats):
        assert (pixels.dtype, pixels.ndim, pixels.shape[2], dataformats) == (np.uint8, 3, 3, "HWC")
        assert pixels.std() > 0  # something is drawn
        self.images.append((name, step))

    def flush(self):
        self.flushed += 1


@pytest.fixture(scope="module")
def traces():
    torch.manual_seed(0)
    model, x = nn.Linear(3, 2), torch.randn(8, 3)
    found = []
    for _ in range(3):
        ds = landscape.trace(landscape.Problem(model, "mse", (x, x[:, :2])), rel_se=0.5, max_products=16)
        found.append(ds)
        with torch.no_grad():
            model.weight.mul_(2)
    return found


def tagged(datasets, group="run", seed=0):
    tags = [json.dumps({"epoch": at}) for at in (0, 3, 9)]
    return {
        f"{group}{seed}-{i}": ds.assign_attrs(tags=t, group=group, model_seed=seed)
        for i, (ds, t) in enumerate(zip(datasets, tags, strict=True))
    }


def test_numbers_and_errors_of_one_result(traces):
    """Oracle: the summary of the analysis."""
    writer = Writer()
    expected = [m for m in landscape.trace.summary(traces[0]) if m.number is not None]
    errors = [m.error for m in expected if np.isfinite(m.error)]
    assert landscape.log(traces[0], writer, step=4, figures=False) == len(expected) + len(errors)
    assert [v for name, v, _ in writer.scalars if ".error" not in name] == [m.number for m in expected]
    assert [v for name, v, _ in writer.scalars if ".error" in name] == errors
    assert {at for *_, at in writer.scalars} == {4}
    assert all(name.startswith("trace/") and " " not in name for name, *_ in writer.scalars)
    assert (writer.images, writer.flushed) == ([], 1)


def test_moments_of_a_training_are_one_curve_and_several_trainings_keep_apart(traces):
    writer = Writer()
    landscape.log(tagged(traces), writer)
    curve = [(v, at) for name, v, at in writer.scalars if name == "trace/trace"]
    assert curve == [(float(ds["trace"]), at) for ds, at in zip(traces, (0, 3, 9), strict=True)]
    assert writer.images and {at for _, at in writer.images} == {9}
    writer = Writer()
    landscape.log({**tagged(traces), **tagged(traces[::-1], seed=1)}, writer, figures=False)
    names = {name for name, *_ in writer.scalars if name.startswith("trace/trace/")}
    assert names == {"trace/trace/run_seed_0", "trace/trace/run_seed_1"}
    writer = Writer()
    landscape.log({"a": traces[0], "b": traces[1]}, writer, figures=False)
    assert {name for name, *_ in writer.scalars} >= {"trace/trace/a", "trace/trace/b"}


def test_what_cannot_be_logged_is_said(traces):
    for given, sentence in (
        ({}, "got an empty mapping"),
        (3, "got a int"),
        ({"a": traces[0], "b": 2}, "one analysis"),
    ):
        with pytest.raises(InputError, match=sentence):
            landscape.log(given, Writer())
