"""Point symbols and legends of kinds of units."""

from landscape.core.features.unit_kinds import KINDS, SYMBOL_LEGEND, symbol_key, symbols_of


def test_every_kind_has_the_symbol_that_the_legend_says():
    """Oracle: the sentence of the legend, read word by word."""
    for kind in KINDS:
        (symbol,) = symbols_of([kind])
        word = {"mlp": "MLPs", "convolution": "convolutions"}.get(kind, kind)
        named = f"{symbol}s {word}" in SYMBOL_LEGEND
        assert named == (kind in ("attention", "convolution", "mlp", "downsampling"))


def test_a_legend_lists_each_symbol_once_and_nothing_alone():
    """Oracle: written out by hand."""
    assert symbol_key(["attention", "attention"]) == ()
    assert symbol_key([]) == ()
    assert symbol_key(["norm", "block"]) == ()
    assert symbol_key(["residual_sum", "mlp"]) == (("square", "MLP"), ("cross", "residual sum"))
    assert symbol_key(["norm", "block", "convolution"]) == (("circle", "convolution"), ("cross", "other"))
