"""``compression`` where the loss is quadratic in the weights, and where sizes can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape import Problem
from landscape.base.registry import find
from landscape.core.stats.intervals import share_error, standard_error
from landscape.errors import InputError, LandscapeError
from landscape.reference.compression import prune, quantise

DECAY = 0.03
OPTIONS = {"prune": ("global", "layer", "random"), "scales": ("channel", "tensor"), "rel_se": 1e-6}


class Two(nn.Module):
    """Ax + Bx² + b: with a squared error the loss is quadratic in all parameters, across both."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 3), nn.Linear(4, 3, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.a(x) + self.b(x.square())


def quadratic(decay: float = DECAY) -> Problem:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, x, y = Two().double(), torch.randn(30, 4).double(), torch.randn(30, 3).double()
    return Problem(model, "mse", (x, y), weight_decay=decay)


def classifier(seed: int = 0) -> tuple[nn.Module, tuple[torch.Tensor, torch.Tensor]]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Conv2d(1, 2, 3, stride=2, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)
        )
        return model, (torch.randn(20, 1, 5, 5), torch.arange(20) % 3)


def test_what_is_foreseen_of_a_quadratic_loss_is_what_happens():
    """Oracle: a quadratic is its own expansion; by layer too, whatever the weight decay."""
    for decay in (0.0, DECAY):
        ds = landscape.compression(quadratic(decay), **OPTIONS)
        np.testing.assert_allclose(ds["predicted"], ds["loss_change"], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(ds["layer_predicted"], ds["layer_loss_change"], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(ds["ratio"], 1.0, rtol=1e-6)
    assert not np.allclose(ds["layer_predicted"].sum("layer"), ds["predicted"])


def test_both_terms_and_traces_are_those_of_the_dense_hessian():
    """Oracle: products with the dense Hessian, less the decay's λI, and its traces, written out."""
    problem = quadratic()
    ds = landscape.compression(problem, **OPTIONS)
    n, theta = problem.size, problem.theta.numpy()
    H = landscape.hessian(problem).dense().numpy() - DECAY * np.eye(n)
    g = problem.gradient().numpy() - DECAY * theta
    new = quantise(problem.module, bits=3)
    delta = problem.space.flatten(dict(new.named_parameters())).numpy() - theta
    row = ds.sel(perturbation="3 bits")
    assert float(row["first"]) == pytest.approx(g @ delta, rel=1e-9)
    assert float(row["second"]) == pytest.approx(0.5 * delta @ H @ delta, rel=1e-9)
    assert float(row["distance"]) == pytest.approx(np.linalg.norm(delta), rel=1e-12)
    trace = np.trace(H)
    assert float(ds["trace"]) == pytest.approx(trace, rel=1e-9)
    assert float(row["predicted_trace"]) == pytest.approx(0.5 * trace * delta @ delta / n, rel=1e-9)
    hawq = 0.0
    for place, name in enumerate(ds["layer"].values):
        start = sum(problem.space.sizes[: problem.space.names.index(name)])
        part = slice(start, start + 12)
        own = 0.5 * np.trace(H[part, part]) * delta[part] @ delta[part] / 12
        assert float(row["layer_predicted_trace"][place]) == pytest.approx(own, rel=1e-9)
        assert float(row["layer_second"][place]) == pytest.approx(
            0.5 * delta[part] @ H[part, part] @ delta[part], rel=1e-9
        )
        hawq += own
    assert float(row["predicted_layer_trace"]) == pytest.approx(hawq, rel=1e-9)


def test_changes_are_those_of_the_compressed_model():
    """Oracle: the reference zoo's `prune` and `quantise`, measured as models of their own; errors by hand."""
    model, data = classifier()
    ds = landscape.compression(Problem(model, "cross_entropy", data), prune=("global", "layer"))
    before = Problem(model, "cross_entropy", data).measure()
    for way, made in {
        "prune 70 %": prune(model, share=0.7),
        "prune 50 % (layer)": prune(model, share=0.5, scope="layer"),
        "2 bits": quantise(model, bits=2),
    }.items():
        after = Problem(made, "cross_entropy", data).measure()
        row = ds.sel(perturbation=way)
        losses = (after.losses - before.losses).double().numpy()
        right = after.correct.double().numpy() - before.correct.double().numpy()
        assert float(row["loss_change"]) == pytest.approx(losses.mean(), rel=1e-5)
        assert float(row["loss_change_se"]) == pytest.approx(standard_error(losses), rel=1e-4)
        assert float(row["accuracy_change"]) == pytest.approx(right.mean())
        assert float(row["accuracy_change_se"]) == pytest.approx(share_error(right), rel=1e-6)


def test_nothing_is_changed_by_no_pruning_and_little_by_many_bits():
    """Oracle: identity; half a step of 16 bits, at most."""
    model, data = classifier()
    ds = landscape.compression(Problem(model, "cross_entropy", data), shares=(0.0,), bits=(32, 16))
    for way in ("prune 0 %", "prune 0 % (random)", "32 bits"):
        row = ds.sel(perturbation=way)
        for name in ("loss_change", "distance", "predicted", "accuracy_change"):
            assert float(row[name]) == 0.0, (way, name)
        assert np.isnan(row["ratio"])
    assert abs(float(ds["loss_change"].sel(perturbation="16 bits"))) < 1e-3


def test_sizes_are_counted():
    """Oracle: by hand: 18 kernel entries at 4 places, 24 weights once, 3 biases; 32-bit floats."""
    model, data = classifier()
    options = {"shares": (0.5,), "prune": ("global",), "bits": (4,), "scales": ("channel", "tensor")}
    ds = landscape.compression(
        Problem(model, "cross_entropy", data), curvature=False, layers=False, **options
    )
    assert int(ds["parameters"]) == 18 + 24 + 3
    assert float(ds["dense_bytes"]) == 4 * 45
    assert float(ds["dense_multiply_adds"]) == 18 * 4 + 24
    half = prune(model, share=0.5)
    kernel, matrix = (int((half[i].weight != 0).sum()) for i in (0, 3))
    row = ds.sel(perturbation="prune 50 %")
    assert int(row["nonzero"]) == 21 + 3 == kernel + matrix + 3
    assert float(row["multiply_adds"]) == 4 * kernel + matrix
    assert float(row["bytes"]) == 12 + min(72, 4 * kernel + 18 / 8) + min(96, 4 * matrix + 24 / 8)
    # half a byte a weight, and a scale for each of 2 + 3 channels or of 2 tensors
    assert float(ds["bytes"].sel(perturbation="4 bits")) == 12 + 21 + 4 * 5
    assert float(ds["bytes"].sel(perturbation="4 bits (tensor)")) == 12 + 21 + 4 * 2
    assert "predicted" not in ds and "layer_loss_change" not in ds and "trace" not in ds
    assert np.isnan(ds["seconds"])


def test_time_is_measured_on_request():
    """Oracle: it is positive, and less than the whole call took."""
    model, data = classifier()
    problem = Problem(model, "cross_entropy", data)
    ds = landscape.compression(problem, bits=(4,), prune=(), curvature=False, layers=False, repeats=2)
    assert 0 < float(ds["seconds"]) * 20 < float(ds.attrs["wall_time_s"])


def test_layers_do_not_change_the_whole():
    """Oracle: the same numbers by one product of the whole step in place of the sum over layers."""
    model, data = classifier()
    problem = Problem(model, "cross_entropy", data)
    with_layers = landscape.compression(problem, bits=(3, 2), prune=())
    without = landscape.compression(problem, bits=(3, 2), prune=(), layers=False)
    for name in ("loss_change", "first", "second", "predicted_trace", "predicted_layer_trace"):
        np.testing.assert_allclose(without[name], with_layers[name], rtol=1e-4, atol=1e-8)


def test_parameters_left_out_stay():
    """Oracle: a step within the chosen weights alone, and the sentence where there is none among them."""
    model, data = classifier()
    some = Problem(model, "cross_entropy", data, parameters="3.*")
    ds = landscape.compression(some, bits=(2,), prune=())
    assert ds["layer"].values.tolist() == ["3.weight"]
    delta = quantise(model[3], bits=2).weight - model[3].weight
    assert float(ds["distance"][0]) == pytest.approx(float(delta.detach().norm()), rel=1e-6)
    with pytest.raises(InputError, match="none of the chosen parameters is a matrix or kernel"):
        landscape.compression(Problem(model, "cross_entropy", data, parameters="3.bias"))


def test_a_regression_has_no_accuracy():
    """Oracle: NaN; the loss is measured all the same."""
    ds = landscape.compression(quadratic(), bits=(3,), prune=())
    assert np.isnan(ds["accuracy"]) and np.isnan(ds["accuracy_change"]).all()
    assert np.isfinite(ds["loss_change"]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": (), "prune": ()}, "there is nothing to do"),
        ({"bits": (4, 4)}, "named once"),
        ({"bits": (1,)}, "greater than or equal to 2|at least 2"),
        ({"shares": (1.5,)}, "less than or equal to 1|at most 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict, message: str):
    """Oracle: the sentences."""
    with pytest.raises(LandscapeError, match=message):
        landscape.compression(quadratic(), **options)


def test_bits_that_change_nothing_save_nothing():
    """Oracle: a weight of doubles is left alone by 40 bits, and takes 8 bytes."""
    ds = landscape.compression(quadratic(), bits=(40, 16), prune=(), curvature=False, layers=False)
    assert float(ds["distance"][0]) == 0.0
    assert float(ds["bytes"][0]) == float(ds["dense_bytes"]) == 8 * 27
    assert float(ds["bytes"][1]) == 2 * 24 + 8 * (3 + 6)


def test_the_summary_says_what_was_compressed_and_no_more():
    """Oracle: counts by hand; a regression keeps no accuracy."""
    described = find("compression")
    ds = landscape.compression(quadratic(), bits=(3,), prune=(), curvature=False)
    numbers = {metric.name: metric.value for metric in described.summary(ds)}
    assert numbers["compressed"] == pytest.approx(24 / 27)
    assert "smallest that keeps" not in numbers


def test_the_picture_of_the_loss_is_of_a_way_that_was_asked_for():
    """Oracle: the options; without curvature nothing is said to be foreseen."""
    model, data = classifier()
    options = {"prune": ("random",), "shares": (0.3, 0.6), "bits": (3,), "scales": ("tensor",)}
    ds = landscape.compression(
        Problem(model, "cross_entropy", data), curvature=False, layers=False, **options
    )
    figures = {figure.name: figure for figure in find("compression").plots({"m": ds})}
    assert {"loss_pruning", "loss_quantisation"} <= set(figures)
    assert "foresees" not in figures["loss_pruning"].title and "dashed" not in figures["loss_pruning"].caption


def test_pictures_name_the_weights_and_mark_the_whole_model():
    """Oracle: the names, size and accuracy of the model; the mark is none of those of a method."""
    model, data = classifier()
    options = {"prune": (), "bits": (3,), "max_products": 16}
    ds = landscape.compression(Problem(model, "cross_entropy", data), **options)
    figures = {figure.name: figure for figure in find("compression").plots({"m": ds})}
    assert "In order: 0.weight, 3.weight." in figures["layers"].caption
    whole = figures["size"].marks[1]
    assert whole.style == "dot" and whole.x[1] == float(ds["dense_bytes"]) / 1024
    assert list(whole.y) == [float(ds["accuracy"])] * 2
