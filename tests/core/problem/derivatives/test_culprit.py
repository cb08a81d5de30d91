"""The module at fault is named: the innermost one whose parts are right."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from landscape import Problem
from landscape.core.curvature.double_backward import twice_differentiable
from landscape.core.problem.derivatives.culprit import culprit
from landscape.core.problem.derivatives.twin import Twin, make_twin
from tests.architectures import ARCHITECTURES
from tests.wrong_models import SOUND, WRONG_CURVATURE, WRONG_GRADIENTS, Detached, Lambda, Sine, around, data


def twin(model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor] = F.mse_loss) -> Twin:
    x, _ = data()
    found = make_twin(Problem(model, loss, (x, model.eval()(x).detach() + 1.0)))
    assert found is not None
    return found


@pytest.mark.parametrize("kind", WRONG_GRADIENTS)
def test_wrong_gradients(kind: str) -> None:
    """Wherever it stands within other modules."""
    made = WRONG_GRADIENTS[kind]()
    model = nn.Sequential(nn.Sequential(around(made), nn.Tanh()), nn.Linear(3, 3))
    assert culprit(twin(model)).startswith(f", in module '0.0.1' ({type(made).__name__})")


@pytest.mark.parametrize("kind", WRONG_CURVATURE)
def test_wrong_second_derivatives(kind: str) -> None:
    """Gradients are right there, and functions of the user's are named."""
    model = around(WRONG_CURVATURE[kind]())
    assert culprit(twin(model)) == ""
    assert culprit(twin(model), second=True).startswith(", in module '1' (Lambda) by its function ")


def test_functions_are_named() -> None:
    assert culprit(twin(around(Lambda(Sine.apply)))).endswith("by its function Sine")
    assert culprit(twin(around(Lambda(Detached.apply))), second=True).endswith("by its function Detached")


def test_the_forward_pass_itself_and_the_loss() -> None:
    """What no module does alone is the doing of the one around them; else it is the loss."""

    class Around(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return Sine.apply(super().forward(x))  # type: ignore[no-untyped-call, no-any-return]

    assert culprit(twin(Around(6, 3))).startswith(", in the forward pass of Around itself by its function")
    wrong = twin(nn.Linear(6, 3), lambda output, target: F.mse_loss(Sine.apply(output), target))
    assert culprit(wrong) == ", in the loss"


def test_what_cannot_be_differentiated_twice() -> None:
    """The loss of connectionist temporal classification has no second derivative in torch."""

    def ctc(output: Tensor, target: Tensor) -> Tensor:
        scores = output[None].expand(3, -1, -1).log_softmax(2)
        lengths = torch.full((len(output),), 3), torch.ones(len(output), dtype=torch.long)
        return F.ctc_loss(scores, torch.ones(len(output), 1, dtype=torch.long), *lengths)

    assert culprit(twin(nn.Linear(6, 3), ctc), second=True) == ", in the loss"
    assert culprit(twin(nn.Linear(6, 3), ctc)) == ""


@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("kind", [*SOUND, *ARCHITECTURES])
def test_nothing_sound_is_accused(kind: str, second: bool) -> None:
    """Kinks, rounding, hard gates: each module by itself, of every architecture."""
    settings = twice_differentiable if second else torch.enable_grad
    if kind in SOUND:
        assert culprit(twin(SOUND[kind]()), second=second, settings=settings) == ""
        return
    x = ARCHITECTURES[kind].inputs()
    model = ARCHITECTURES[kind].build().eval()
    found = make_twin(Problem(model, "mse", (x, model(x).detach() + 1.0)))
    assert found is not None
    assert culprit(found, second=second, settings=settings) == ""
