"""Names of layers without wrappers."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from landscape.core.similarity.layer_names import without_wrappers


def test_a_wrapped_model_has_the_names_of_the_model():
    """Oracle: the model's own names, from torch; the wrappers' are those of DataParallel and of compile."""
    model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 2)))
    own = [name for name, _ in model.named_modules() if name]
    for wrapper in ("module", "_orig_mod"):
        wrapped = nn.Sequential(OrderedDict({wrapper: model}))
        names = [name for name, _ in wrapped.named_modules() if name]
        assert without_wrappers(names)[1:] == own


def test_names_that_would_fall_together_stay():
    """A model of which one part is called "module" beside another of the same inner name."""
    assert without_wrappers(["a.b", "module.a.b"]) == ["a.b", "module.a.b"]
