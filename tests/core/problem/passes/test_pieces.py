"""Pieces: cuts and layouts of passes change cost, never numbers."""

from __future__ import annotations

import pytest
import torch
from cases import CASES, Centred, ConvNet, Fixed, images, mlp, vectors
from torch import nn

from landscape import Problem
from landscape.core.behaviour.calibration import predict
from landscape.core.behaviour.drawn import predict_draws, predict_other_draws
from landscape.core.behaviour.mc_dropout import MCDropout
from landscape.core.problem.answers.own_metrics import OwnMetrics
from landscape.core.problem.batchnorm import batch_statistics, recalibrated
from landscape.core.problem.execution import BatchLayout, with_batch_layout
from landscape.core.problem.passes import pieces as passes
from landscape.core.problem.passes.pieces import PassPlan, in_trial, laid_out, pieces, takes_channels_last

every_case = pytest.mark.parametrize("name", CASES)


@pytest.fixture
def tiny(monkeypatch):
    """Pieces of at most two examples."""
    for name, value in (("GRAPH_BYTES", 1), ("MAP_BYTES", 1), ("LEAST_EXAMPLES", 2)):
        monkeypatch.setattr(passes, name, value)


def sizes(problem, batches=None, **options):
    return [piece.size for piece in pieces(problem, batches, **options)]


def whole(problem):
    """The same problem with its batches as they were given."""
    return with_batch_layout(problem, BatchLayout(problem.examples))


CUT = [2] * 6 + [1]


@every_case
def test_pieces_give_the_same_numbers(name, tiny):
    """Oracle: one pass over all the data, whose sums know no pieces; float64, to rounding."""
    problem = CASES[name].problem(weight_decay=0.1)
    plain = whole(problem)
    scalar = name == "scalar_loss"
    assert sizes(problem) == sizes(problem, graph=True) == ([13] if scalar else CUT)
    assert sizes(plain) == [13]
    assert problem.loss() == pytest.approx(plain.loss(), rel=1e-12)
    found, expected = problem.measure(), plain.measure()
    if not scalar:
        torch.testing.assert_close(found.losses, expected.losses, rtol=1e-12, atol=1e-14)
    if expected.correct is not None:
        assert torch.equal(found.correct, expected.correct)
    torch.testing.assert_close(problem.gradient(), plain.gradient(), rtol=1e-12, atol=1e-14)


def test_predictions_are_the_same(tiny):
    """Oracle: one pass over all the data, of a classifier and of masks that are one for all examples."""
    problem = CASES["dropout"].problem()
    torch.testing.assert_close(
        torch.from_numpy(predict(problem).log_p),
        torch.from_numpy(predict(whole(problem)).log_p),
        rtol=1e-12,
        atol=1e-14,
    )
    drawn = Problem(MCDropout(CASES["dropout"].model(), 3), "cross_entropy", vectors(), dtype=torch.float64)
    one, other = (predict_draws(p, seed=4).per_example() for p in (drawn, whole(drawn)))
    assert sizes(drawn) == CUT
    for key, values in one.items():
        torch.testing.assert_close(
            *map(torch.from_numpy, (values, other[key])), rtol=1e-11, atol=1e-13, equal_nan=True
        )


def test_pieces_are_made_while_they_are_used_and_in_order(tiny):
    """Oracle: the inputs themselves; batches of other data are cut as the own ones are."""
    problem = CASES["mlp"].problem(batch_size=5)
    assert sizes(problem) == [2, 2, 1, 2, 2, 1, 2, 1]
    joined = torch.cat([piece.inputs for piece in pieces(problem)])
    assert torch.equal(joined, torch.cat([batch.inputs for batch in problem.batches]))
    asked = []

    def batches():
        for batch in problem.batches:
            asked.append(batch.size)
            yield batch

    made = pieces(problem, batches())
    next(made)
    assert asked == [5]


def test_what_depends_on_its_batch_is_not_cut(tiny):
    """Oracle: what each model, loss or watch says of its batch."""

    class Tilted(Centred):
        """A mean over the batch that the loss cannot see: it adds to all logits alike."""

        def forward(self, x):
            return self.net(x) + x.mean()

    def about_the_mean(outputs, labels):
        return nn.functional.cross_entropy(outputs - outputs.mean(0), labels, reduction="none")

    data = vectors()
    for model in (Centred(), Fixed(), Tilted()):
        assert sizes(Problem(model, "cross_entropy", data, dtype=torch.float64)) == [13]
    assert sizes(Problem(mlp(), about_the_mean, data, dtype=torch.float64)) == [13]
    assert sizes(CASES["scalar_loss"].problem()) == [13]
    assert sizes(CASES["conv_batchnorm"].problem(batchnorm="train")) == [13]
    problem = CASES["conv_batchnorm"].problem()
    assert sizes(problem) == CUT
    with batch_statistics(problem):
        assert sizes(problem) == [13]
    problem = CASES["dropout"].problem()
    assert sizes(problem) == CUT
    next(part for part in problem.module.modules() if isinstance(part, nn.Dropout)).train()
    assert sizes(problem) == [13]
    problem = CASES["mlp"].problem()
    with OwnMetrics({"size": lambda output, target: torch.full((len(output),), float(len(output)))}).watching(
        problem
    ):
        assert sizes(problem) == [13]
    assert sizes(problem) == CUT


def test_statistics_pooled_anew_are_those_of_the_given_batches(tiny):
    """Oracle: BatchNorm's definition over whole batches of 13, though measuring is cut."""
    problem = CASES["conv_batchnorm"].problem()
    first = problem.module.body[1]
    with torch.no_grad():
        seen = problem.module.body[0](problem.first.inputs)
    with recalibrated(problem):
        torch.testing.assert_close(first.running_mean, seen.mean((0, 2, 3)), rtol=1e-12, atol=1e-14)
        assert sizes(problem) == CUT


def test_trials_disturb_nobody(tiny):
    """Oracle: what hooks hear of a problem whose passes nothing is known of, and of moments in float32."""
    problem = CASES["conv_batchnorm"].problem()
    heard = []
    handle = problem.module.register_forward_hook(lambda m, i, o: heard.append((len(o), in_trial())))
    assert sizes(problem) == [13]
    assert heard == []
    handle.remove()
    seen = []
    problem.module.register_forward_pre_hook(lambda m, i: seen.append(in_trial()))
    assert sizes(problem) == CUT
    assert seen
    assert all(seen)
    assert not in_trial()
    x, y = images(40)
    problem = Problem(ConvNet(), "cross_entropy", (x.float(), y))
    with recalibrated(problem):
        first = problem.module.body[1]
        seen = problem.module.body[0](problem.first.inputs).detach()
        torch.testing.assert_close(first.running_mean, seen.mean((0, 2, 3)), rtol=1e-4, atol=1e-6)
    assert problem.passes.channels_last


def test_draws_of_trials_are_not_heard(tiny):
    """Oracle: one call of the predictive for each batch, of which nothing is known before."""
    drawn = Problem(MCDropout(CASES["dropout"].model(), 3), "cross_entropy", vectors(), dtype=torch.float64)
    assert predict_other_draws(drawn, vectors(20)[0]).draws == 3
    assert drawn.passes.divisible


def test_a_model_that_runs_without_a_graph_alone_is_measured(tiny):
    """Oracle: the plain value; what cannot be counted is not cut."""

    class Ungraded(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp()

        def forward(self, x):
            if torch.is_grad_enabled():
                raise RuntimeError("no graph")
            return self.net(x)

    problem = Problem(Ungraded(), "cross_entropy", vectors(), dtype=torch.float64)
    assert sizes(problem) == [13]
    x, y = vectors()
    with torch.no_grad():
        expected = nn.functional.cross_entropy(problem.module.net(x), y)
    assert problem.loss() == pytest.approx(float(expected), rel=1e-13)


def test_losses_that_are_not_finite_decide_nothing(tiny):
    """Oracle: the same problem after a finite point: what is found out there, and not before."""
    problem = CASES["mlp"].problem()
    with problem.at(torch.full_like(problem.theta, torch.nan)):
        assert sizes(problem) == [13]
    assert sizes(problem) == CUT


def test_the_rule_goes_by_bytes(monkeypatch):
    """Oracle: what a convolution saves, by hand: 4 channels of 8 x 8 in float64 are 2,048 bytes each."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(256, 3))
    x, y = torch.randn(64, 3, 8, 8, dtype=torch.float64), torch.arange(64) % 3
    problem = Problem(net.double(), "cross_entropy", (x, y), batch_size=64)
    assert sizes(problem) == [64]
    monkeypatch.setattr(passes, "MAP_BYTES", 2048 * 20)
    assert sizes(problem) == [16] * 4  # 20 and no more, evenly
    twice = [problem.first.replace(problem.first.inputs, torch.cat([x, x], 3))]
    assert sizes(problem, twice) == [10] * 6 + [4]  # of twice the size half as many fit
    monkeypatch.setattr(passes, "MAP_BYTES", 1)
    assert sizes(problem) == [8] * 8  # no fewer
    assert sizes(problem, graph=True) == [64]
    monkeypatch.setattr(passes, "GRAPH_BYTES", 1)
    assert sizes(problem, graph=True) == [8] * 8


# Layout


class _Views(nn.Module):
    """Takes its maps for vectors by a view, which there is of one layout only."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return self.convolution(x).view(len(x), -1)


class _Reordered(_Views):
    """Takes its maps for vectors in the order of memory: other numbers in the other layout."""

    def forward(self, x):
        maps = self.convolution(x)
        return maps.as_strided((len(maps), maps[0].numel()), (maps[0].numel(), 1))


def test_who_takes_images_channels_last():
    """Oracle: by construction: images or none, float32, a flattening or a view, and a user who says no."""
    y = torch.zeros(2, dtype=torch.long)
    pictures, rows = torch.randn(2, 3, 5, 5), torch.randn(2, 3)
    flat = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten())
    assert takes_channels_last(Problem(flat, "cross_entropy", (pictures, y)))
    assert not takes_channels_last(Problem(flat, "cross_entropy", (pictures, y), channels_last=False))
    assert not takes_channels_last(Problem(flat, "cross_entropy", (pictures, y), dtype=torch.float64))
    assert not takes_channels_last(Problem(_Views(), "cross_entropy", (pictures, y)))
    assert not takes_channels_last(Problem(_Reordered(), "cross_entropy", (pictures, y)))
    assert not takes_channels_last(Problem(nn.Linear(3, 4), "cross_entropy", (rows, y)))


def test_passes_lie_channels_last():
    """Oracle: the strides that the model sees, of its own data and of others; the other layout."""
    seen = []

    class Watched(nn.Conv2d):
        def forward(self, x):
            seen.append(x.stride())
            return super().forward(x).flatten(1)

    data = torch.randn(6, 1, 4, 3), torch.arange(6)
    problem = Problem(Watched(1, 2, 1), "cross_entropy", data)
    plain = Problem(Watched(1, 2, 1), "cross_entropy", data, channels_last=False)
    plain.module.load_state_dict(problem.module.state_dict())
    takes_channels_last(problem)
    seen.clear()
    assert problem.loss() == pytest.approx(plain.loss(), rel=1e-6)
    problem.measure(batches=[problem.first])
    assert seen == [(12, 1, 3, 1), (12, 12, 3, 1), (12, 1, 3, 1)]
    seen.clear()
    problem.derivatives.wanted = False
    problem.gradient()
    assert seen[-1] == (12, 1, 3, 1)


def test_dropout_in_training_mode_keeps_its_masks():
    """Oracle: torch draws a mask in the order of memory, so that it stays as given; BatchNorm draws none."""
    x, y = images()
    net = nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten())
    problem = Problem(net, "cross_entropy", (x.float(), y))
    assert takes_channels_last(problem)
    problem.module[2].train()
    assert laid_out(problem, problem.first) is problem.first
    problem.module[2].eval()
    with batch_statistics(problem):
        assert takes_channels_last(problem)


def test_each_form_of_a_problem_finds_out_for_itself():
    """Oracle: a model in another dtype shares no plan; the same model on other data does."""
    problem = Problem(ConvNet(), "cross_entropy", images(), dtype=torch.float32)
    assert problem.rebuilt(torch.float64, problem.first).passes is not problem.passes
    assert problem.on(problem.batches).passes is problem.passes
    assert PassPlan() == PassPlan(False, None, 0.0, None, None)
