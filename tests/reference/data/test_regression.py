import numpy as np
import pytest
import torch

from landscape.errors import InputError
from landscape.reference.data import cubic, diabetes, uci


def test_diabetes_is_scikit_learns_own():
    """Oracle: scikit-learn's reader, standardised by NumPy; parts together are all patients, each once."""
    datasets = pytest.importorskip("sklearn.datasets")
    raw = datasets.load_diabetes(scaled=False)
    train, test = diabetes("train", 3), diabetes("test", 3)
    assert (train[0].shape, test[0].shape, train[1].shape) == ((398, 10), (44, 10), (398,))
    assert train[0].dtype == train[1].dtype == torch.float32
    both = torch.cat([train[1], test[1]]).double().numpy()
    order = np.argsort(both, kind="stable")
    assert np.corrcoef(both[order], np.sort(raw.target))[0, 1] == pytest.approx(1.0, abs=1e-6)
    assert train[1].mean().abs() < 1e-6
    assert train[1].std(correction=0) == pytest.approx(1.0, abs=1e-6)
    inputs = torch.cat([train[0], test[0]]).double().numpy()
    for column in range(10):
        fit = np.corrcoef(np.sort(inputs[:, column]), np.sort(raw.data[:, column]))[0, 1]
        assert fit == pytest.approx(1.0, abs=1e-6)
    assert not torch.equal(diabetes("test", 4)[1], test[1])
    assert torch.equal(diabetes("test", 3)[0], test[0])


def test_a_table_in_a_folder(tmp_path):
    """Oracle: the table itself in the units of its training part; a column that does not change stays 0."""
    rng = np.random.default_rng(0)
    table = np.column_stack([rng.normal(5, 2, 40), np.full(40, 7.0), rng.normal(size=40)])
    (tmp_path / "uci").mkdir()
    np.savetxt(tmp_path / "uci" / "yacht.txt", table)
    x, y = uci(tmp_path, "yacht", "train", 1)
    tested = uci(tmp_path, "yacht", "test", 1)
    assert (len(x), len(tested[1])) == (36, 4)
    assert (x[:, 1] == 0).all()
    whole = torch.cat([y, tested[1]]).numpy()
    assert np.corrcoef(np.sort(whole), np.sort(table[:, 2]))[0, 1] == pytest.approx(1.0, abs=1e-6)
    (tmp_path / "energy.txt").write_text("a b\n")
    for name, sentence in (("energy", "no table"), ("concrete", "no concrete.txt"), ("x", "no set 'x'")):
        with pytest.raises(InputError, match=sentence):
            uci(tmp_path, name)


def test_the_cubic_is_a_cubic():
    """Oracle: x³ in the units of the docstring; noise of standard deviation 3 over many points."""
    x, y = cubic("test")
    torch.testing.assert_close(y, x[:, 0] ** 3)
    assert (x.abs() <= 1).flatten().tolist() == sorted((x.abs() <= 1).flatten().tolist(), reverse=True)
    x, y = cubic("train", part=2, count=4000)
    noise = 64 * (y - x[:, 0] ** 3).double()
    assert abs(noise.std().item() - 3) < 5 * 3 / 8000**0.5
    assert x.abs().max() <= 1
    assert not torch.equal(cubic(part=0)[0], cubic(part=1)[0])
    for call, sentence in (
        (lambda: cubic("all"), "no split 'all'"),
        (lambda: cubic(count=0), "count is at least 1"),
        (lambda: diabetes(part=-1), "part counts from 0"),
    ):
        with pytest.raises(InputError, match=sentence):
            call()
