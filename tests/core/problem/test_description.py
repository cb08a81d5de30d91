"""Problems and operators in words."""

from __future__ import annotations

import torch

import landscape


def test_a_problem_says_what_it_holds():
    """Oracle: six parameters in two tensors and four examples in two batches, by hand."""
    data = [(torch.zeros(2, 2), torch.zeros(2, dtype=torch.long)) for _ in range(2)]
    problem = landscape.Problem(torch.nn.Linear(2, 2), "cross_entropy", data, weight_decay=1e-3)
    said = repr(problem)
    assert "Linear" in said and "6 in 2 tensors" in said and "4 in 2 batches" in said and "0.001" in said
    html = problem._repr_html_()
    assert "<b>Problem</b>" in html and "<th>loss</th><td>cross_entropy</td>" in html


def test_an_operator_says_its_size_and_its_products():
    """Oracle: six parameters; one product of two vectors counts as two."""
    data = torch.zeros(2, 2), torch.zeros(2, dtype=torch.long)
    H = landscape.hessian(landscape.Problem(torch.nn.Linear(2, 2), "cross_entropy", data))
    assert repr(H) == "Hessian(size=6, float32 on cpu)"
    H @ torch.zeros(6, 2)
    html = H._repr_html_()
    assert "6 × 6" in html and "<th>products so far</th><td>2</td>" in html
    assert repr(2 * H).startswith("Composed(size=6")
