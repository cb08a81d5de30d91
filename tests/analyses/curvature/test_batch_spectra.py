"""Mini-batch spectra against exact Hessians of each mini-batch."""

import numpy as np
import pytest
import torch
from cases import CASES, ConvNet, images, regression, vectors
from torch import nn

import landscape
from landscape.analyses.curvature.batch_spectra import BatchSpectraParams
from landscape.base.analysis import Context
from landscape.errors import InputError
from landscape.plotting.group_summary import summarize_by_group


def exact(case, rows, weight_decay=0.0, data=None):
    """Eigenvalues of the Hessian of some rows of a case's data, by falling magnitude."""
    x, y = data or case.data()
    part = type(case)(case.make, lambda: (x[rows], y[rows]), case.loss, case.plain)
    values = torch.linalg.eigvalsh(part.exact_hessian()).numpy() + weight_decay
    return values[np.argsort(-np.abs(values), kind="stable")]


def test_every_batch_has_the_top_of_its_own_hessian():
    """Independent: the Hessian of each mini-batch by differentiating twice; weight decay shifts all alike."""
    case = CASES["mlp"]
    ds = landscape.batch_spectra(case.problem(weight_decay=0.05), batch_size=4, k=3, shuffle=False)
    assert ds["eigenvalues"].dims == ("batch", "eigenpair")
    assert ds["eigenvalues"].shape == (3, 3)  # 13 examples: the last one is left out
    for number, values, residuals in zip(
        ds["batch"].values, ds["eigenvalues"].values, ds["residuals"].values, strict=True
    ):
        truth = exact(case, slice(4 * number, 4 * number + 4), weight_decay=0.05)[:3]
        assert (np.abs(values - truth) <= residuals + 1e-9).all()
    assert ds["example"].values.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert bool(ds["converged"])
    assert bool(ds["batch_complete"].all())
    assert int(ds["products"]) == int(ds["batch_products"].sum())


def test_one_batch_of_everything_is_the_spectrum():
    """Independent: `spectrum`, which knows nothing of mini-batches."""
    problem = CASES["conv_batchnorm"].problem()
    whole = landscape.spectrum(problem, k=4)
    ds = landscape.batch_spectra(problem, batch_size=100, k=4)
    np.testing.assert_allclose(ds["eigenvalues"][0], whole["eigenvalues"], rtol=1e-4)
    assert float(ds["batch_loss"][0]) == pytest.approx(problem.loss())
    assert np.isnan(ds["mean_positive_interval"]).all()  # one batch has no spread


def test_shares_and_means_pool_all_eigenvalues():
    """Independent: counted here from the stored eigenvalues; the intervals by resampling batches in numpy."""
    x, y = vectors(120)
    problem = landscape.Problem(CASES["mlp"].model(), "cross_entropy", (x, y))
    ds = landscape.batch_spectra(problem, batch_size=6, k=6, bootstrap=2000)
    values = ds["eigenvalues"].values
    assert 0 < (values < 0).mean() < 1
    assert float(ds["negative_proportion"]) == (values < 0).mean()
    assert float(ds["mean_positive"]) == pytest.approx(values[values > 0].mean())
    assert float(ds["mean_negative"]) == pytest.approx(values[values < 0].mean())
    rng = np.random.default_rng(1)
    draws = [values[rng.integers(20, size=20)] for _ in range(4000)]
    for name, statistic in {
        "negative_proportion": lambda v: (v < 0).mean(),
        "mean_positive": lambda v: v[v > 0].mean(),
    }.items():
        expected = np.quantile([statistic(d) for d in draws], [0.025, 0.975])
        width = expected[1] - expected[0]
        np.testing.assert_allclose(ds[f"{name}_interval"], expected, atol=0.1 * width)


def test_positive_hessians_have_no_negative_mean():
    """Independent: linear regression, whose Hessians are positive."""
    problem = landscape.Problem(nn.Linear(4, 1).double(), "mse", regression(16), weight_decay=0.1)
    ds = landscape.batch_spectra(problem, batch_size=8, k=2)
    assert float(ds["negative_proportion"]) == 0.0
    assert np.isnan(ds["mean_negative"])
    assert list(landscape.analyses()["batch_spectra"].plots({"a": ds}))


def test_a_fraction_is_part_of_the_whole():
    """Independent: the full run; each batch has its own seed, so that the choice of others changes no bit."""
    x, y = vectors(80)
    problem = landscape.Problem(CASES["mlp"].model(), "cross_entropy", (x, y))
    whole = landscape.batch_spectra(problem, batch_size=4, k=2)
    part = landscape.batch_spectra(problem, batch_size=4, k=2, fraction=0.3)
    assert part.sizes["batch"] == 6
    same = whole.sel(batch=part["batch"])
    np.testing.assert_array_equal(part["eigenvalues"], same["eigenvalues"])
    np.testing.assert_array_equal(part["example"], same["example"])
    other = landscape.batch_spectra(problem, batch_size=4, k=2, fraction=0.3, seed=1)
    assert other["batch"].values.tolist() != part["batch"].values.tolist()
    assert landscape.batch_spectra(problem, batch_size=4, k=2, fraction=0.01).sizes["batch"] == 2


def test_shuffled_batches_are_hessians_of_their_examples():
    """Independent: the exact Hessian of the examples named."""
    case = CASES["mlp"]
    ds = landscape.batch_spectra(case.problem(), batch_size=5, k=2)
    rows = ds["example"].values
    assert bool(ds["shuffled"])
    assert len(np.unique(rows)) == 10
    assert rows.tolist() != np.sort(rows.ravel()).reshape(rows.shape).tolist()
    for values, mine in zip(ds["eigenvalues"].values, rows, strict=True):
        np.testing.assert_allclose(values, exact(case, mine)[:2], rtol=1e-4)


class Mean(nn.Module):
    """A model of sequences of any length."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        return torch.tanh(self.layer(x)).mean(1)


def test_batches_that_differ_in_form_keep_their_order_and_the_result_says_so():
    """Independent: `spectrum` of each mini-batch alone, cut by hand; shuffling on request is refused."""
    generator = torch.Generator().manual_seed(0)
    data = [(torch.randn(4, n, 3, generator=generator).double(), torch.tensor([0, 0, 1, 1])) for n in (3, 5)]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Mean().double()
    problem = landscape.Problem(model, "cross_entropy", data)
    ds = landscape.batch_spectra(problem, batch_size=2, k=2)
    assert not bool(ds["shuffled"])
    assert ds["example"].values.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    parts = [(x[i : i + 2], y[i : i + 2]) for x, y in data for i in (0, 2)]
    for values, part in zip(ds["eigenvalues"].values, parts, strict=True):
        alone = landscape.spectrum(landscape.Problem(model, "cross_entropy", part), k=2)
        np.testing.assert_allclose(values, alone["eigenvalues"], rtol=1e-4)
    figures = landscape.analyses()["batch_spectra"].plots({"a": ds})
    assert all("2 examples, dealt in the data's order" in f.caption for f in figures)
    mixed = {"a": ds, "b": ds.assign(shuffled=True)}
    caption = landscape.analyses()["batch_spectra"].plots(mixed)[0].caption
    assert "dealt at random or in the data's order" in caption
    assert "order, without weight decay, pooled" in caption
    mixed["b"] = mixed["b"].assign_attrs(weight_decay=5e-4)
    caption = landscape.analyses()["batch_spectra"].plots(mixed)[0].caption
    assert "order, with weight decay 0 or 0.0005, pooled" in caption
    with pytest.raises(InputError, match="differ in form"):
        landscape.batch_spectra(problem, batch_size=2, shuffle=True)


def test_data_may_come_in_any_batches():
    """Independent: the same examples in uneven batches give the same mini-batches."""
    case = CASES["mlp"]
    x, y = case.data()
    loose = landscape.Problem(case.model(), "cross_entropy", [(x[:3], y[:3]), (x[3:], y[3:])])
    one, two = (landscape.batch_spectra(p, batch_size=4, k=2) for p in (case.problem(), loose))
    np.testing.assert_array_equal(one["eigenvalues"], two["eigenvalues"])


def test_augmented_batches_are_hessians_of_changed_images():
    """Independent: the exact Hessian of images that are changed by hand; two seeds differ."""
    case = CASES["conv_batchnorm"]
    x, y = case.data()

    def mirror(inputs, generator):
        return inputs.flip(-1)

    ds = landscape.batch_spectra(case.problem(), batch_size=6, k=2, shuffle=False, transform=mirror)
    for number, values in enumerate(ds["eigenvalues"].values):
        rows = slice(6 * number, 6 * number + 6)
        np.testing.assert_allclose(values, exact(case, rows, data=(x.flip(-1), y))[:2], rtol=1e-4)
    drawn = [
        landscape.batch_spectra(case.problem(), batch_size=6, augment="shift", seed=s) for s in (0, 0, 1)
    ]
    np.testing.assert_array_equal(drawn[0]["eigenvalues"], drawn[1]["eigenvalues"])
    assert not np.allclose(drawn[0]["eigenvalues"], drawn[2]["eigenvalues"], rtol=1e-3)
    with pytest.raises(InputError, match="augmentation needs images"):
        landscape.batch_spectra(CASES["mlp"].problem(), augment="flip")


def test_batch_statistics_are_those_of_the_mini_batch():
    """Independent: a problem made of that mini-batch alone, in training mode of BatchNorm."""
    x, y = images(12)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ConvNet().double()
    problem = landscape.Problem(model, "cross_entropy", (x, y), batchnorm="train")
    ds = landscape.batch_spectra(problem, batch_size=6, k=2, shuffle=False)
    alone = landscape.Problem(model, "cross_entropy", (x[6:], y[6:]), batchnorm="train")
    np.testing.assert_allclose(ds["eigenvalues"][1], landscape.spectrum(alone, k=2)["eigenvalues"], rtol=1e-4)


def test_a_run_that_was_stopped_goes_on_with_the_same_bits(tmp_path):
    """Independent: the uninterrupted run; the second run multiplies only what the first left."""
    analysis = landscape.analyses()["batch_spectra"]
    problem, params = CASES["mlp"].problem(), BatchSpectraParams(batch_size=4, k=2)

    def stop(fraction):
        if fraction > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        analysis.run(problem, params, Context(progress=stop, partial=tmp_path / "partial"))
    seen = []
    again = analysis.run(problem, params, Context(progress=seen.append, partial=tmp_path / "partial"))
    np.testing.assert_array_equal(again["eigenvalues"], analysis.run(problem, params)["eigenvalues"])
    assert len(list((tmp_path / "partial").glob("batch-*.npz"))) == 3


def test_pieces_of_another_transform_are_not_taken_over(tmp_path):
    """Independent: two functions of one name; the first one's pieces stay valid for the first alone."""
    analysis = landscape.analyses()["batch_spectra"]
    problem, params = CASES["conv_batchnorm"].problem(), BatchSpectraParams(batch_size=6, k=1)
    twice, thrice = (lambda x, generator, by=by: by * x for by in (2.0, 3.0))
    assert twice.__qualname__ == thrice.__qualname__

    def run(transform):
        inputs = {"transform": transform}
        return analysis.run(problem, params, Context(partial=tmp_path / "partial", inputs=inputs))

    first = run(twice)
    np.testing.assert_array_equal(run(twice)["eigenvalues"], first["eigenvalues"])
    with pytest.raises(InputError, match="made with another transform"):
        run(thrice)


def test_halves_of_the_picture_have_the_areas_of_their_shares():
    """Independent: NEP and its complement; the area under a density per decade."""
    x, y = vectors(120)
    problem = landscape.Problem(CASES["mlp"].model(), "cross_entropy", (x, y))
    ds = landscape.batch_spectra(problem, batch_size=6, k=6)
    density, violins = landscape.analyses()["batch_spectra"].plots({"one": ds})
    areas = {m.series.name: np.trapezoid(m.y, np.log10(m.x)) for m in density.marks}
    share = float(ds["negative_proportion"])
    assert areas["one, λ < 0"] == pytest.approx(share, abs=0.01)
    assert areas["one, λ > 0"] == pytest.approx(1 - share, abs=0.01)
    assert len(violins.marks[0].y) == 120


def test_a_median_over_models_counts_those_without_negative_eigenvalues():
    """Independent: of two models without any and one with some, the median density is zero."""
    x, y = vectors(24)
    problem = landscape.Problem(CASES["mlp"].model(), "cross_entropy", (x, y))
    ds = landscape.batch_spectra(problem, batch_size=6, k=6)
    assert 0 < float(ds["negative_proportion"]) < 1
    bare = ds.assign(eigenvalues=np.abs(ds["eigenvalues"]))
    three = {name: d.assign_attrs(model=name) for name, d in {"a": ds, "b": bare, "c": bare}.items()}
    density = landscape.analyses()["batch_spectra"].plots(three)[0]
    grouped = summarize_by_group(density, dict.fromkeys("abc", "kind"), "kind")
    (dashed,) = (m for m in grouped.marks if m.style == "dash")
    assert np.max(dashed.y) == 0.0
    assert np.max(dashed.high) > 0.0


def test_a_loss_that_is_not_finite_is_named():
    """Independent: by inspection."""
    x, y = torch.full((4, 2), 1e30), torch.zeros(4, 1)
    problem = landscape.Problem(nn.Linear(2, 1), "mse", (x, y))
    with pytest.raises(InputError, match="mini-batch 0 is inf"):
        landscape.batch_spectra(problem, batch_size=2)
