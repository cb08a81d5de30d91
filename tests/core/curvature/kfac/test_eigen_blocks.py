"""Kronecker blocks in their eigenbases against dense matrices."""

from __future__ import annotations

import pytest
import torch
from cases import CASES

from landscape.core.curvature.kfac.factors import ekfac, kfac
from landscape.errors import InputError

NAMES = ["conv_batchnorm", "transformer_dict", "tied"]


def exact(got, wanted):
    torch.testing.assert_close(got, wanted, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("make", [kfac, ekfac])
def test_inverse_root_and_determinant(name, make):
    """Oracle: torch.linalg on the dense matrix, λ = 0.1 and δ = 0.2 on its diagonal."""
    operator = make(CASES[name].problem(weight_decay=0.1))
    dense = operator.dense()
    damped = dense + 0.2 * torch.eye(len(dense), dtype=dense.dtype)
    exact(operator.inverse(0.2).dense(), torch.linalg.inv(damped))
    root = operator.root(-0.5, 0.2).dense()
    exact(root @ damped @ root, torch.eye(len(dense), dtype=dense.dtype))
    assert operator.logdet(0.2) == pytest.approx(float(torch.linalg.slogdet(damped)[1]), rel=1e-10)
    exact(operator.eigenvalues(), torch.linalg.eigvalsh(dense).flip(0))
    exact(torch.cat([operator.layer(n).dense().diagonal() for n in operator.kinds]).sum(), dense.trace())


def test_factored_damping_is_the_product_of_damped_factors():
    """Oracle: (S + √δ/π I) ⊗ (A + π√δ I) by torch.kron, π² the ratio of mean eigenvalues.

    Another matrix than δ on the diagonal (Martens & Grosse 2015, section 6.3).
    """
    operator = kfac(CASES["mlp"].problem()).layer("2")
    (block,) = operator.layers
    S, A = ((Q[0] * v[0]) @ Q[0].T for Q, v in zip((block.left, block.right), block.factors, strict=True))
    pi = (A.diagonal().mean() / S.diagonal().mean()).sqrt()
    eye = [torch.eye(len(M), dtype=M.dtype) for M in (S, A)]
    wanted = torch.linalg.inv(torch.kron(S + 0.5 / pi * eye[0], A + 0.5 * pi * eye[1]))
    rows, a = block.values.shape[1:]
    # θ has the weight, then the bias; the block has the bias behind each row
    order = [r * a + i for r in range(rows) for i in range(a - 1)] + [r * a + a - 1 for r in range(rows)]
    exact(operator.inverse(0.25, how="factored").dense(), wanted[order][:, order])
    assert (operator.inverse(0.25).dense() - operator.inverse(0.25, how="factored").dense()).norm() > 1e-3


def test_refusals():
    """Oracle: the sentence says what is wrong."""
    operator = kfac(CASES["mlp"].problem())
    for call, match in (
        (lambda: operator.inverse(), "singular with a damping of 0"),
        (lambda: operator.logdet(), "singular"),
        (lambda: operator.inverse(-1.0), "not negative"),
        (lambda: operator.inverse(1.0, how="typo"), "no damping 'typo'"),
        (lambda: ekfac(CASES["mlp"].problem()).inverse(1.0, how="factored"), "KFAC"),
        (lambda: operator.layer("typo"), "no layer 'typo'"),
    ):
        with pytest.raises(InputError, match=match):
            call()
