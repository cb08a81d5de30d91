"""A network of another builder with bounded layers: which ones, and that outputs are those of the network."""

import torch

from landscape.core.inputs.feature_map import layer_norms
from landscape.reference.models import bounded, resnet


def test_all_layers_but_the_head_are_bounded():
    """Oracle: exact norms of the layers, by another iteration: those of the plain network above the bound."""
    kwargs = {"width": 2, "blocks": [1, 1], "image": 8}
    torch.manual_seed(0)
    plain = resnet(**kwargs).eval()
    torch.manual_seed(0)
    model = bounded(kwargs=kwargs, shape=[1, 8, 8], bound=0.6)
    x = torch.randn(3, 1, 8, 8)
    for _ in range(60):
        model(x)
    model.eval()
    own, found = (layer_norms(m, lambda m=m: m(x)) for m in (plain, model))
    assert own.keys() == found.keys()
    assert max(own[name] for name in own if name != "head") > 0.6
    assert all(found[name] < 0.6 * 1.01 for name in found if name != "head")
    assert not hasattr(model.head, "parametrizations")


def test_a_loose_bound_changes_nothing():
    """Oracle: the network without a bound, bit for bit."""
    torch.manual_seed(0)
    plain = resnet(width=2).eval()
    torch.manual_seed(0)
    model = bounded(kwargs={"width": 2}, bound=1e3).eval()
    x = torch.randn(2, 1, 28, 28)
    assert torch.equal(model(x), plain(x))
