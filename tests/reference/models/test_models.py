"""What all builders of the package have in common."""

import pytest
import torch
from torch.nn import functional

from landscape.reference.models import alternet, mixer, resnet, vgg, windowed

BUILDERS = [
    resnet,
    vgg,
    mixer,
    windowed,
    alternet,
    lambda: resnet(preact=True, head="mlp", activation="relu6"),
]


@pytest.mark.parametrize("build", BUILDERS)
def test_defaults_classify_digits_with_gradients_everywhere(build):
    """Oracle: shapes, and that no parameter is idle."""
    model = build()
    logits = model(torch.randn(4, 1, 28, 28))
    assert logits.shape == (4, 10)
    functional.cross_entropy(logits, torch.arange(4)).backward()
    idle = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # softmax does not feel the same offset on all keys, and BatchNorm no offset before it
    assert [n for n in idle if not n.endswith("bias")] == []
