"""Distillation: its value by torch's own divergence, and its teacher as a file."""

import pytest
import torch
from torch.nn import functional

from landscape.errors import InputError
from landscape.reference.models import mlp
from landscape.reference.training import Batch, CrossEntropy, Distillation, train
from landscape.reference.training.checkpoints import load_weights

BUILDER, KWARGS = "landscape.reference.models:mlp", {"widths": [4, 6, 3]}


def net(seed=0, hidden=6):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return mlp(widths=(4, hidden, 3))


def data(n=12):
    return torch.randn(n, 4, generator=torch.Generator().manual_seed(1)), torch.arange(n) % 3


@pytest.fixture
def teacher(tmp_path):
    path = tmp_path / "teacher.safetensors"
    train(net(5), data(), data(), path=path, epochs=3, lr=0.05)
    return path


def test_the_loss_is_the_mixture_of_both(teacher):
    """Oracle: torch's kl_div of both softened answers, its cross-entropy; gradients for the student."""
    x, y = data()
    objective, student = Distillation(BUILDER, str(teacher), KWARGS, 3.0, 0.7), net()
    objective.begin(student, (x, y), torch.Generator())
    got = objective(student, Batch(x, y, torch.arange(12), 0.0), torch.Generator())
    other = mlp(**KWARGS)
    load_weights(other, teacher)
    logits = student(x)
    soft = functional.kl_div(
        (logits / 3).log_softmax(-1), (other.eval()(x) / 3).softmax(-1), reduction="batchmean"
    )
    torch.testing.assert_close(got, 0.7 * 9 * soft + 0.3 * functional.cross_entropy(logits, y))
    got.backward()
    assert all(p.grad is not None for p in student.parameters())


def test_the_teacher_itself_is_at_the_minimum(teacher):
    """Oracle: a divergence of a distribution from itself is 0, and so is its gradient."""
    x, y = data()
    objective, student = Distillation(BUILDER, str(teacher), KWARGS, share=1.0), mlp(**KWARGS)
    load_weights(student, teacher)
    objective.begin(student, (x, y), torch.Generator())
    loss = objective(student, Batch(x, y, torch.arange(12), 0.0), torch.Generator())
    assert loss.abs() < 1e-6
    assert max(g.abs().max() for g in torch.autograd.grad(loss, list(student.parameters()))) < 1e-6


def test_a_share_of_zero_is_plain_training(teacher, tmp_path):
    """Oracle: the losses of the cross-entropy; a smaller student learns from a larger teacher."""
    losses = []
    for name, objective in {
        "a": Distillation(BUILDER, str(teacher), KWARGS, share=0.0),
        "b": CrossEntropy(),
    }.items():
        path = tmp_path / f"{name}.safetensors"
        losses.append(
            train(net(1, 2), data(), data(), path=path, epochs=2, lr=0.05, objective=objective).train_loss
        )
    assert losses[0] == losses[1]


def test_a_training_is_known_by_what_is_in_the_teachers_file(teacher, tmp_path):
    """Oracle: a copy of the file elsewhere trains nothing anew; another teacher does."""
    path = tmp_path / "student.safetensors"

    def run(weights):
        objective = Distillation(BUILDER, str(weights), KWARGS)
        return train(net(), data(), data(), path=path, epochs=2, objective=objective).seconds

    assert run(teacher) > 0
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(teacher.read_bytes())
    assert run(copy) == 0
    train(net(6), data(), data(), path=copy, epochs=1)
    assert run(copy) > 0


def test_what_cannot_teach_is_refused(teacher):
    """Oracle: the sentences."""
    with pytest.raises(InputError, match="train the teacher first"):
        Distillation(BUILDER, "nowhere.safetensors")
    with pytest.raises(InputError, match="the temperature is positive, not 0"):
        Distillation(BUILDER, str(teacher), KWARGS, temperature=0.0)
    with pytest.raises(InputError, match="share lies within 0 and 1, not 2"):
        Distillation(BUILDER, str(teacher), KWARGS, share=2.0)
    x, y = data()
    objective, student = Distillation(BUILDER, str(teacher), KWARGS), mlp(widths=(4, 6, 5))
    objective.begin(student, (x, y), torch.Generator())
    with pytest.raises(InputError, match="both need the same classes"):
        objective(student, Batch(x, y, torch.arange(12), 0.0), torch.Generator())


def test_a_teacher_that_cannot_be_loaded_is_said(teacher, tmp_path):
    """Oracle: the sentences, of a file of other sizes, of one that is none, and of arguments misspelt."""
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"no weights")
    for path, kwargs in ((teacher, {"widths": (4, 5, 3)}), (bad, KWARGS)):
        with pytest.raises(InputError, match="does not hold the weights of"):
            Distillation(BUILDER, str(path), kwargs).begin(net(), data(), torch.Generator())
    with pytest.raises(InputError, match="unexpected keyword argument 'widht'"):
        Distillation(BUILDER, str(teacher), {"widht": 4}).begin(net(), data(), torch.Generator())
