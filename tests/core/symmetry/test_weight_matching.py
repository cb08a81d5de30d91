"""Matching by weights against exhaustive search and scipy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from torch import nn

from landscape.core.symmetry import slice_products
from landscape.core.symmetry import weight_matching as matching
from landscape.core.symmetry.alignment import align
from landscape.core.symmetry.symmetry import find_symmetry
from landscape.core.symmetry.trees import innermost, trees
from landscape.core.symmetry.weight_matching import inner
from landscape.reference.models import mlp, resnet, vit


def build(make, seed=0):
    """A model in evaluation mode that has moved away from its initial constants."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = make().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
            for name, buffer in model.named_buffers():
                if "running" in name:
                    buffer.add_(0.2 * torch.rand_like(buffer))
    return model


def state_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def two_layers(seed):
    return build(lambda: nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)), seed).double()


def test_weights_find_the_best_of_all_orders():
    """Oracle: all 120 orders of five hidden units of two unrelated networks."""
    a, b = state_of(two_layers(1)), state_of(two_layers(2))

    def product(index):
        units = a["0.weight"] * b["0.weight"][index], a["0.bias"] * b["0.bias"][index]
        return sum(float(t.sum()) for t in (*units, a["2.weight"] * b["2.weight"][:, index]))

    values = {index: product(list(index)) for index in itertools.permutations(range(5))}
    found = align(two_layers(1), a, b, inputs=torch.randn(4, 3, dtype=torch.float64))
    assert found.objective_before == pytest.approx(values[0, 1, 2, 3, 4], rel=1e-12)
    assert found.objective_after == pytest.approx(max(values.values()), rel=1e-12)
    assert values[tuple(found.permutations["0.weight[0]"].tolist())] == max(values.values())


def structured(seed):
    """Wide layers that begin as the identity, between two that are small and random."""
    layers = (
        nn.Linear(3, 8),
        nn.Tanh(),
        nn.Linear(8, 8),
        nn.Tanh(),
        nn.Linear(8, 8),
        nn.Tanh(),
        nn.Linear(8, 2),
    )
    model = build(lambda: nn.Sequential(*layers), seed).double()
    with torch.no_grad():
        for layer in (model[2], model[4]):
            layer.weight.copy_(torch.diag(torch.arange(1.0, 9.0)) + 0.1 * layer.weight)
    return model


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_models_that_begin_alike_are_never_made_less_alike(seed):
    """Oracle: the sum of products without any alignment, by hand."""
    a, b = state_of(structured(seed)), state_of(structured(seed + 10))
    found = align(structured(seed), a, b, inputs=torch.randn(4, 3, dtype=torch.float64))
    before = sum(float((a[name] * b[name]).sum()) for name in a if name != "6.bias")
    assert found.objective_before == pytest.approx(before, rel=1e-12)
    assert found.objective_after >= before * (1 - 1e-12)  # but for the rounding of sums


class OneAttention(nn.Module):
    """Attention alone: two heads of three channels; inputs and outputs are fixed."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


def test_heads_and_their_channels_are_matched_together():
    """Oracle: all 2·6⁴ orders of two heads and of the channels within, of two unrelated models."""
    a, b = (state_of(build(OneAttention, seed).double()) for seed in (1, 2))
    rows = [
        torch.cat([s["attention.in_proj_weight"], s["attention.in_proj_bias"][:, None]], 1) for s in (a, b)
    ]
    rows = [t.reshape(3, 2, 3, 7) for t in rows]
    outs = [s["attention.out_proj.weight"].T.reshape(2, 3, 6) for s in (a, b)]
    within = list(itertools.permutations(range(3)))

    def best(i, j):
        """Of head i of a with head j of b."""
        qk = max(float((rows[0][:2, i] * rows[1][:2, j][:, list(p)]).sum()) for p in within)
        v = max(
            float((rows[0][2, i] * rows[1][2, j][list(p)]).sum() + (outs[0][i] * outs[1][j][list(p)]).sum())
            for p in within
        )
        return qk + v

    expected = max(best(0, 0) + best(1, 1), best(0, 1) + best(1, 0))
    model = build(OneAttention, 1).double()
    found = align(model, a, b, inputs=torch.randn(2, 4, 6, dtype=torch.float64))
    assert found.objective_after == pytest.approx(expected, rel=1e-12)


def test_rotations_are_those_of_procrustes():
    """Oracle: SciPy's orthogonal Procrustes on the two-layer linear net (A, B) ~ (MA, BMᵀ)."""
    a, b = (build(lambda: nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2)), s).double() for s in (1, 2))
    sa, sb = state_of(a), state_of(b)
    found = align(a, sa, sb, inputs=torch.randn(4, 3, dtype=torch.float64), rotate=True)
    stacked = [torch.cat([s["0.weight"], s["0.bias"][:, None], s["1.weight"].T], 1).numpy() for s in (sa, sb)]
    value = orthogonal_procrustes(stacked[0].T, stacked[1].T)[1]
    assert found.objective_after == pytest.approx(value, rel=1e-12)
    assert not found.permutations
    turn = found.rotations["0.weight[0]"]
    torch.testing.assert_close(turn @ turn.T, torch.eye(5, dtype=torch.float64))


def plain_gains(symmetry, tree, a, b):
    """What each pair of positions of a tree adds, from the whole parameters, in float64."""
    gains = {}
    for name in a:
        for block in symmetry.blocks[name]:
            for chain in innermost(symmetry, tree, block):
                shape = [block.shape[k] for k in chain]
                front = [
                    block.take(t[name]).double().movedim(chain, tuple(range(len(chain)))) for t in (a, b)
                ]
                rows = [t.reshape(int(np.prod(shape)), -1) for t in front]
                table = (rows[0] @ rows[1].T).reshape(*shape, *shape)
                table = table.permute([k + side * len(chain) for k in range(len(chain)) for side in (0, 1)])
                number = block.dims[chain[-1]]
                gains[number] = gains.get(number, 0) + table
    return gains


def whole_sweeps(symmetry, a, b, seed, rotate):
    """The same ascent with a visit of every group in every sweep; how many there were, and the objective."""
    forest = trees(symmetry)
    generator = np.random.default_rng(seed)
    motion, current = symmetry.identity(), dict(b)
    scale = sum(float(a[n].norm() * b[n].norm()) for n in a)
    visits = 0
    while True:
        changed = False
        for index in generator.permutation(len(forest)):
            visits += 1
            step = matching.assign(
                symmetry, forest[index], plain_gains(symmetry, forest[index], a, current), rotate
            )[1]
            moved = symmetry.apply(step, current)
            if sum(inner(a[n], moved[n]) - inner(a[n], current[n]) for n in a) > 1e-12 * scale:
                current = moved
                motion = matching.compose(symmetry, motion, step)
                changed = True
        if not changed:
            return motion, visits, sum(inner(a[n], current[n]) for n in a)


class IntoItself(nn.Module):
    """A stream with a convolution from it into itself, and a grouped one beside."""

    def __init__(self):
        super().__init__()
        self.stem, self.mix = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3, padding=1)
        self.apart = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.head = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))

    def forward(self, x):
        x = self.stem(x)
        x = x + self.mix(x.relu()).relu()
        x = self.apart(x.relu()).relu()
        return self.head(x.mean((2, 3)))


@pytest.mark.parametrize("rotate", [False, True])
@pytest.mark.parametrize("kind", ["mlp", "resnet", "vit", "stream", "stream, nothing kept"])
def test_what_is_kept_and_passed_over_changes_nothing(kind, rotate, monkeypatch):
    """Oracle: the plain ascent, which visits every group in every sweep and keeps no product."""
    make = {
        "mlp": lambda: mlp((784, 12, 12, 12, 12, 10)),
        "resnet": lambda: resnet(width=4),
        "vit": lambda: vit(dim=12, depth=2, heads=3, patch=7),
        "stream": IntoItself,
    }[kind.partition(",")[0]]
    monkeypatch.setattr(slice_products, "KEPT", 0 if "nothing kept" in kind else slice_products.KEPT)
    models = []
    for seed in range(2):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            models.append(make().eval())
    symmetry = find_symmetry(models[0], torch.zeros(2, 1, 28, 28))
    a, b = (
        {n: p.detach() for n, p in m.named_parameters() if any(block.dims for block in symmetry.blocks[n])}
        for m in models
    )
    calls = []
    plain = matching.assign
    monkeypatch.setattr(matching, "assign", lambda *given: (calls.append(1), plain(*given))[1])
    found = matching.match_weights(symmetry, a, b, seed=0, sweeps=100, rotate=rotate, start=False)
    visited = len(calls)
    monkeypatch.undo()
    motion, visits, objective = whole_sweeps(symmetry, a, b, 0, rotate)
    assert found.converged
    for number, step in motion.items():  # rotations to the rounding of sums in another order
        if step.is_floating_point():
            torch.testing.assert_close(found.motion[number], step, rtol=0, atol=1e-11)
        else:
            assert torch.equal(found.motion[number], step)
    moved = symmetry.apply(found.motion, b)
    assert sum(inner(a[n], moved[n]) for n in a) == pytest.approx(objective, rel=1e-12)
    assert visited < visits
