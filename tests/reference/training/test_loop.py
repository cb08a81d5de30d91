import copy
import json
import math

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn
from torch.nn import functional

from landscape.errors import CheckpointError, InputError
from landscape.reference.data import noisy_labels
from landscape.reference.models import mlp, resnet, vit
from landscape.reference.training.checkpoints import load_weights, read_notes
from landscape.reference.training.loop import evaluate, train


class Killed(BaseException):
    """Stands for a process that ends: nothing catches it."""


def images(count=24, size=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(count, 1, size, size, generator=generator),
        torch.randint(0, 3, (count,), generator=generator),
    )


DATA, TEST = images(), images(10, seed=1)
SETTINGS = {"epochs": 3, "batch_size": 7, "lr": 0.01, "weight_decay": 0.01, "augment": "shift"}


def dropout_net():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Dropout(0.5), nn.Linear(8, 3))


BUILDERS = {
    "resnet": lambda: resnet(width=2, blocks=(1, 1), classes=3).to(memory_format=torch.channels_last),
    "vit": lambda: vit(dim=8, depth=1, heads=2, patch=4, classes=3, image=8),
    "dropout": dropout_net,
}


def fresh(name):
    torch.manual_seed(3)
    return BUILDERS[name]()


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_killed_at_any_step_gives_the_same_bits(tmp_path, name, optimizer):
    """Oracle: the same training without interruption; killed in every forward pass in turn."""
    settings = SETTINGS | {"optimizer": optimizer, "schedule": "step"}
    whole = fresh(name)
    train(whole, DATA, TEST, path=tmp_path / "whole.safetensors", **settings)
    expected = weights(whole)
    path = tmp_path / "killed.safetensors"
    for instant in (1, 4, 3, 2, 6):  # forward passes until the next kill; an epoch has four
        model = fresh(name)
        left = iter(range(instant))

        def kill(*_, left=left):
            if next(left, None) is None:
                raise Killed

        model.register_forward_pre_hook(kill)
        with pytest.raises(Killed):
            train(model, DATA, TEST, path=path, **settings)
        assert not path.exists()
    model = fresh(name)
    train(model, DATA, TEST, path=path, **settings)
    assert same(weights(model), expected)
    assert path.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["killed.safetensors", "whole.safetensors"]


def test_narrow_strided_convolutions_are_trained_by_right_gradients(tmp_path):
    """Oracle: a step of plain SGD by float64 gradients; torch gets them wrong where channels lie last."""
    model = fresh("resnet")  # channels last, with a strided 1 x 1 convolution of two channels
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.clone(memory_format=torch.channels_last)
    exact = copy.deepcopy(model).double().to(memory_format=torch.contiguous_format)
    settings = {"epochs": 1, "batch_size": len(DATA[0]), "lr": 0.1, "schedule": "constant"}
    train(model, DATA, TEST, path=tmp_path / "a.safetensors", optimizer="sgd", **settings)
    functional.cross_entropy(exact.train()(DATA[0].double()), DATA[1]).backward()
    for found, start in zip(model.parameters(), exact.parameters(), strict=True):
        torch.testing.assert_close(found.double(), start - 0.1 * start.grad, rtol=1e-4, atol=1e-6)


def test_killed_in_the_callback_continues_with_the_next_epoch(tmp_path):
    """Oracle: the epochs reported before and after the kill, and the uninterrupted weights."""
    path, seen = tmp_path / "a.safetensors", []

    def kill_after_second(epoch, epochs, loss, accuracy):
        seen.append(epoch)
        if epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        train(fresh("vit"), DATA, TEST, path=path, on_epoch=kill_after_second, **SETTINGS)
    model = fresh("vit")
    result = train(model, DATA, TEST, path=path, on_epoch=lambda e, *_: seen.append(e), **SETTINGS)
    whole = fresh("vit")
    train(whole, DATA, TEST, path=tmp_path / "b.safetensors", **SETTINGS)
    assert seen == [1, 2, 3]
    assert result.epochs == 3
    assert same(weights(model), weights(whole))


@pytest.mark.parametrize("ending", [".resume", ""])
def test_killed_between_writing_and_renaming(tmp_path, monkeypatch, ending):
    """Oracle: the uninterrupted weights; the kill leaves a complete temporary file behind."""
    whole = fresh("resnet")
    train(whole, DATA, TEST, path=tmp_path / "whole.safetensors", **SETTINGS)
    path = tmp_path / "a.safetensors"

    def kill(self, target):
        if target.name == path.name + ending:
            raise Killed
        return replace(self, target)

    replace = type(path).replace
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(type(path), "replace", kill)
        train(fresh("resnet"), DATA, TEST, path=path, **SETTINGS)
    model = fresh("resnet")
    train(model, DATA, TEST, path=path, **SETTINGS)
    assert same(weights(model), weights(whole))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.safetensors", "whole.safetensors"]


def test_finished_training_is_loaded_not_repeated(tmp_path):
    """Oracle: a model whose forward pass is forbidden can only have been loaded."""
    path, seen = tmp_path / "a.safetensors", []
    first = fresh("vit")
    result = train(first, DATA, TEST, path=path, note={"blocks": (1, 2)}, **SETTINGS)
    again = fresh("vit")

    def forbid(*_):
        raise AssertionError("trained again")

    again.register_forward_pre_hook(forbid)
    repeated = train(
        again,
        DATA,
        TEST,
        path=path,
        note={"blocks": (1, 2)},
        on_epoch=lambda *report: seen.append(report),
        **SETTINGS,
    )
    assert same(weights(again), weights(first))
    assert repeated.metrics() == result.metrics()
    assert repeated.seconds == 0
    assert seen == [(3, 3, result.train_loss, result.test_accuracy)]


@pytest.mark.parametrize(
    "change",
    [
        {"lr": 0.02},
        {"epochs": 2},
        {"seed": 1},
        {"note": {"heads": 1}},
        {"data": images(seed=5)},
        {"test_data": images(10, seed=6)},
        {"model": lambda: vit(dim=8, depth=1, heads=2, patch=4, classes=3, image=8)},
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_another_training_starts_anew(tmp_path, change, finished):
    """Oracle: the changed training in an empty directory."""

    def kill(*_):
        raise Killed

    path = tmp_path / "a.safetensors"
    if finished:
        train(fresh("vit"), DATA, TEST, path=path, **SETTINGS)
    else:
        with pytest.raises(Killed):
            train(fresh("vit"), DATA, TEST, path=path, on_epoch=kill, **SETTINGS)
    change = dict(change)
    build = change.pop("model", lambda: fresh("vit"))
    data, test = change.pop("data", DATA), change.pop("test_data", TEST)
    torch.manual_seed(99)
    start = build()
    clean = vit(dim=8, depth=1, heads=2, patch=4, classes=3, image=8)
    clean.load_state_dict(start.state_dict())
    changed = train(start, data, test, path=path, **SETTINGS | change)
    expected = train(clean, data, test, path=tmp_path / "b.safetensors", **SETTINGS | change)
    assert changed.metrics() == expected.metrics()
    assert same(weights(start), weights(clean))


def test_callers_random_numbers_are_untouched(tmp_path):
    """Oracle: the generator's state before and after, with dropout and augmentation in use."""
    model = fresh("dropout")
    torch.manual_seed(11)
    state = torch.get_rng_state()
    train(model, DATA, TEST, path=tmp_path / "a.safetensors", **SETTINGS)
    assert torch.equal(torch.get_rng_state(), state)


def test_seed_decides_the_bits(tmp_path):
    """Oracle: equality between trainings; the caller's own generator must play no part."""
    results = {}
    for label, seed, outside in (("a", 0, 1), ("b", 0, 2), ("c", 1, 1)):
        model = fresh("dropout")
        torch.manual_seed(outside)
        train(model, DATA, TEST, path=tmp_path / label, **SETTINGS | {"seed": seed})
        results[label] = weights(model)
    assert same(results["a"], results["b"])
    assert not same(results["a"], results["c"])


def test_one_full_batch_step_of_sgd_in_closed_form(tmp_path):
    """Oracle: softmax regression by hand in numpy: gradient Xᵀ(p − onehot)/N plus λθ."""
    model = mlp((64, 3)).double()
    x, y = DATA[0].double(), DATA[1]
    w0, b0 = (p.detach().numpy().copy() for p in model.parameters())
    rate, decay = 0.3, 0.1
    train(
        model,
        (x, y),
        (x, y),
        path=tmp_path / "a.safetensors",
        epochs=1,
        optimizer="sgd",
        lr=rate,
        weight_decay=decay,
        batch_size=len(y),
        schedule="constant",
    )
    flat = x.flatten(1).numpy()
    logits = flat @ w0.T + b0
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    error = (p - np.eye(3)[y.numpy()]) / len(y)
    np.testing.assert_allclose(model.fc1.weight.detach(), w0 - rate * (error.T @ flat + decay * w0))
    np.testing.assert_allclose(model.fc1.bias.detach(), b0 - rate * (error.sum(0) + decay * b0))


def test_shift_moves_whole_images_by_at_most_two_pixels(tmp_path):
    """Oracle: a single bright pixel shows each image's displacement; all 25 must occur."""
    x = torch.zeros(400, 2, 9, 9)
    x[:, 0, 4, 4] = 1.0
    x[:, 1, 3, 5] = 2.0
    seen = []
    model = nn.Sequential(nn.Flatten(), nn.Linear(162, 3))

    def watch(module, inputs):
        if module.training:
            seen.append(inputs[0].clone())

    model.register_forward_pre_hook(watch)
    y = torch.zeros(400, dtype=torch.int64)
    train(model, (x, y), (x, y), path=tmp_path / "a", epochs=1, lr=1e-3, augment="shift")
    moved = torch.cat(seen)
    at = moved[:, 0].nonzero()
    other = moved[:, 1].nonzero()
    assert at[:, 0].tolist() == list(range(400))
    assert torch.equal(other - at, torch.tensor([[0, -1, 1]]).expand(400, 3))
    assert {tuple(d) for d in (at[:, 1:] - 4).tolist()} == {
        (i, j) for i in range(-2, 3) for j in range(-2, 3)
    }


def test_metrics_and_settings_stand_in_the_file(tmp_path):
    """Oracle: the file's own metadata, read by safetensors alone."""
    path = tmp_path / "a.safetensors"
    result = train(fresh("vit"), DATA, TEST, path=path, note={"builder": "x:y"}, **SETTINGS)
    with safe_open(path, framework="np") as file:
        notes = json.loads(file.metadata()["landscape"])
    assert notes["metrics"] == result.metrics()
    assert notes["identity"]["settings"]["lr"] == 0.01
    assert notes["identity"]["note"] == {"builder": "x:y"}


def test_divergence_is_named_and_not_saved(tmp_path):
    """Oracle: NaN in the data must end the training with a sentence, and leave no checkpoint."""
    x = DATA[0].clone()
    x[3] = math.nan
    with pytest.raises(InputError, match=r"a\.safetensors diverged in epoch 1: the loss is nan"):
        train(fresh("vit"), (x, DATA[1]), TEST, path=tmp_path / "a.safetensors", **SETTINGS)
    assert not list(tmp_path.iterdir())


def test_damaged_resume_file_is_named(tmp_path):
    """Oracle: the sentence the user must see."""
    (tmp_path / "a.safetensors.resume").write_bytes(b"not a state")
    with pytest.raises(CheckpointError, match="delete it to start this training again"):
        train(fresh("vit"), DATA, TEST, path=tmp_path / "a.safetensors", **SETTINGS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "adam"}, "did you mean 'adamw'"),
        ({"schedule": "cos"}, "no schedule 'cos'"),
        ({"augment": "zoom"}, "known: None, crop_flip, rand_crop_flip, shift"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"weight_decay": -0.1}, "weight_decay must be at least 0"),
        ({"lr": 0.0}, "lr must be positive"),
        ({"mixup": -1.0}, "mixup must be at least 0"),
        ({"cutmix": math.nan}, "cutmix must be at least 0, not nan"),
        ({"label_smoothing": 1.0}, "label_smoothing is a share below 1"),
        ({"note": {"x": object()}}, "only what JSON can hold"),
    ],
)
def test_bad_settings_are_named(tmp_path, change, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        train(fresh("vit"), DATA, TEST, path=tmp_path / "a", **SETTINGS | change)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((DATA[0], DATA[1][:-1]), "24 inputs and 23 labels"),
        ((DATA[0][:0], DATA[1][:0]), "at least one"),
        ((DATA[0].flatten(1), DATA[1]), r"images of shape \(N, C, H, W\)"),
    ],
)
def test_bad_data_are_named(tmp_path, data, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        train(fresh("dropout"), data, TEST, path=tmp_path / "a", **SETTINGS)


def test_kept_epochs_are_those_of_the_trajectory(tmp_path):
    """Oracle: a training of fewer epochs at a constant rate passes through the same weights."""
    settings = SETTINGS | {"schedule": "constant"}
    model = fresh("dropout")
    start = weights(model)
    train(model, DATA, TEST, path=tmp_path / "long.safetensors", keep=(0, 2, 3), **settings)
    short = fresh("dropout")
    train(short, DATA, TEST, path=tmp_path / "short.safetensors", **settings | {"epochs": 2})
    for epoch, want in {0: start, 2: weights(short), 3: weights(model)}.items():
        got = fresh("dropout")
        load_weights(got, tmp_path / f"long-epoch{epoch}.safetensors")
        assert same(weights(got), want), epoch


def test_kept_epochs_hold_the_optimiser_where_asked_for(tmp_path):
    """Oracle: a training of the same bits without; the step counts of AdamW, epoch times batches."""
    settings = SETTINGS | {"epochs": 2}
    plain, model = fresh("dropout"), fresh("dropout")
    train(plain, DATA, TEST, path=tmp_path / "plain.safetensors", **settings)
    path = tmp_path / "a.safetensors"
    train(model, DATA, TEST, path=path, keep=(0, 1, 2), keep_optimizer=True, **settings)
    assert same(weights(model), weights(plain))
    for epoch in (0, 1, 2):
        read = torch.load(tmp_path / f"a-epoch{epoch}.pt", weights_only=True)
        steps = {int(entry["step"]) for entry in read["optimizer"]["state"].values()}
        assert len(steps) == (epoch > 0) and read["epoch"] == epoch
    assert same(read["model"], weights(model))
    before = path.stat().st_mtime_ns
    train(fresh("dropout"), DATA, TEST, path=path, keep=(0, 1, 2), keep_optimizer=True, **settings)
    assert path.stat().st_mtime_ns == before, "what is done is not done again"


def test_kept_epochs_survive_a_kill(tmp_path):
    """Oracle: the files of a training without interruption, byte for byte."""
    train(fresh("vit"), DATA, TEST, path=tmp_path / "whole" / "m.safetensors", keep=(0, 1, 3), **SETTINGS)
    model, left = fresh("vit"), iter(range(6))

    def kill(*_):
        if next(left, None) is None:
            raise Killed

    model.register_forward_pre_hook(kill)
    with pytest.raises(Killed):
        train(model, DATA, TEST, path=tmp_path / "killed" / "m.safetensors", keep=(0, 1, 3), **SETTINGS)
    train(fresh("vit"), DATA, TEST, path=tmp_path / "killed" / "m.safetensors", keep=(0, 1, 3), **SETTINGS)
    names = {f.name for f in (tmp_path / "whole").iterdir()}
    assert names == {"m.safetensors", *(f"m-epoch{n}.safetensors" for n in (0, 1, 3))}
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()


def test_label_noise_and_data_fraction(tmp_path):
    """Oracle: the same training on data corrupted by hand gives the same weights."""
    model = fresh("dropout")
    train(
        model,
        DATA,
        TEST,
        path=tmp_path / "a.safetensors",
        label_noise=0.5,
        data_fraction=0.5,
        seed=4,
        **SETTINGS,
    )
    rows = torch.randperm(24, generator=torch.Generator().manual_seed(0))[:12]
    by_hand = (DATA[0][rows], noisy_labels(DATA[1][rows], 0.5))
    assert not torch.equal(by_hand[1], DATA[1][rows])
    other = fresh("dropout")
    result = train(other, by_hand, TEST, path=tmp_path / "b.safetensors", seed=4, **SETTINGS)
    assert same(weights(model), weights(other))
    assert result.train_loss == pytest.approx(evaluate(other, by_hand)[0])


def test_defaults_leave_the_identity_of_earlier_trainings(tmp_path):
    """Oracle: the settings written down before there were such options; a file of then is not redone."""
    train(fresh("dropout"), DATA, TEST, path=tmp_path / "m.safetensors", **SETTINGS)
    known = (
        '{"augment": "shift", "batch_size": 7, "epochs": 3, "lr": 0.01, "optimizer": "adamw", '
        '"schedule": "cosine", "seed": 0, "weight_decay": 0.01}'
    )
    assert json.dumps(read_notes(tmp_path / "m.safetensors")["identity"]["settings"]) == known


MIXED = {"label_smoothing": 0.1, "mixup": 0.8, "cutmix": 1.0, "label_noise": 0.2, "data_fraction": 0.9}


@pytest.mark.parametrize("augment", ["crop_flip", "rand_crop_flip"])
def test_killed_with_all_options_on_gives_the_same_bits(tmp_path, augment):
    """Oracle: the same training without interruption; other random numbers stand around each call."""
    if augment == "rand_crop_flip":
        pytest.importorskip("torchvision")
    settings = SETTINGS | MIXED | {"augment": augment}

    def build():
        torch.manual_seed(3)
        return vit(dim=8, depth=3, heads=2, patch=4, classes=3, image=8, drop_path=0.3)

    whole = build()
    train(whole, DATA, TEST, path=tmp_path / "whole.safetensors", **settings)
    path = tmp_path / "killed.safetensors"
    for instant in (3, 6, 2):  # forward passes until the next kill; an epoch has four, with the test
        model, left = build(), iter(range(instant))

        def kill(*_, left=left):
            if next(left, None) is None:
                raise Killed

        model.register_forward_pre_hook(kill)
        torch.manual_seed(instant)
        with pytest.raises(Killed):
            train(model, DATA, TEST, path=path, **settings)
    model = build()
    train(model, DATA, TEST, path=path, **settings)
    assert same(weights(model), weights(whole))
    assert path.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    kept = read_notes(path)["identity"]["settings"]
    assert {name: kept[name] for name in MIXED} == MIXED


@pytest.mark.parametrize("option", ["label_smoothing", "mixup", "cutmix"])
def test_each_option_is_another_training(tmp_path, option):
    """Oracle: weights; a file of the plain training is not taken for that of another one."""
    plain, other = fresh("dropout"), fresh("dropout")
    train(plain, DATA, TEST, path=tmp_path / "m.safetensors", **SETTINGS)
    train(other, DATA, TEST, path=tmp_path / "m.safetensors", **SETTINGS | {option: 0.5})
    assert not same(weights(plain), weights(other))


def test_one_step_on_smoothed_and_mixed_targets_in_closed_form(tmp_path):
    """Oracle: softmax regression in numpy on soft targets: on 1 − s + s/K, off s/K, mixed with λ.

    λ is read off the images that the model was given: they hold a pixel that only tells the example.
    """
    x, y = DATA[0].double(), DATA[1]
    x[:, 0, 0, 0] = torch.arange(len(y)).double() ** 2
    model, seen = mlp((64, 3)).double(), []
    w0, b0 = (p.detach().numpy().copy() for p in model.parameters())
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    rate, s = 1e-3, 0.1
    train(
        model,
        (x, y),
        (x, y),
        path=tmp_path / "a.safetensors",
        epochs=1,
        optimizer="sgd",
        lr=rate,
        batch_size=len(y),
        schedule="constant",
        label_smoothing=s,
        mixup=0.8,
    )
    flat = seen[0].flatten(1).numpy()
    tell = flat[:, 0]
    # the order of the examples, and λ, from tell_i = λ a_i + (1 − λ) a_(n−1−i), a_i a square of a row
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(epoch_seed(0, 0))).numpy()
    a = order.astype(float) ** 2
    share = (tell - a[::-1])[0] / (a - a[::-1])[0]
    np.testing.assert_allclose(tell, share * a + (1 - share) * a[::-1])
    assert 0 < share < 1
    target = np.full((len(y), 3), s / 3)
    target[np.arange(len(y)), y.numpy()[order]] = 1 - s + s / 3
    target = share * target + (1 - share) * target[::-1]
    logits = flat @ w0.T + b0
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    error = (p - target) / len(y)
    np.testing.assert_allclose(model.fc1.weight.detach(), w0 - rate * error.T @ flat, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(model.fc1.bias.detach(), b0 - rate * error.sum(0), rtol=1e-10, atol=1e-12)


def epoch_seed(seed, epoch):
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0])


def test_mixing_leaves_the_labels_and_their_noise_alone(tmp_path):
    """Oracle: the labels of the caller, and the accuracy on labels made noisy by hand."""
    labels = DATA[1].clone()
    model = fresh("dropout")
    result = train(model, DATA, TEST, path=tmp_path / "a.safetensors", **SETTINGS | MIXED)
    assert torch.equal(DATA[1], labels)
    rows = torch.randperm(24, generator=torch.Generator().manual_seed(0))[:22]
    loss, accuracy = evaluate(model, (DATA[0][rows], noisy_labels(labels[rows], 0.2)))
    assert (result.train_loss, result.train_accuracy) == (pytest.approx(loss), accuracy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label_noise": 1.5}, "label_noise is a fraction"),
        ({"data_fraction": 0.0}, "data_fraction is a fraction"),
        ({"keep": (4,)}, "epochs to keep"),
    ],
)
def test_bad_fractions_and_epochs_are_named(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        train(fresh("dropout"), DATA, TEST, path=tmp_path / "m.safetensors", **SETTINGS | change)


def test_a_regression_goes_on_where_it_was(tmp_path):
    """Oracle: least squares, since the network is linear; what is trained is not trained again."""
    x = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    y = x @ torch.tensor([1.0, -2.0, 0.5]) + 0.1 * torch.randn(60, generator=torch.Generator().manual_seed(1))
    heard = []

    def run(**changes):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = torch.nn.Linear(3, 2)
        given = {
            "path": tmp_path / "r.safetensors",
            "epochs": 60,
            "lr": 0.05,
            "loss": "gaussian_nll",
            "batch_size": 6,
            **changes,
        }
        return train(model, (x, y), (x[:9], y[:9]), on_epoch=lambda *a: heard.append(a), **given)

    result = run()
    solution = torch.linalg.lstsq(torch.cat([x, torch.ones(60, 1)], 1), y[:, None])
    least = (torch.cat([x, torch.ones(60, 1)], 1) @ solution.solution - y[:, None]).square().mean().sqrt()
    assert least <= result.train_rmse < 1.3 * least
    assert result.is_regression
    again = run()
    assert (again.seconds, again.metrics()) == (0.0, result.metrics())
    assert heard[-1] == (60, 60, result.train_loss, result.test_rmse)
    for changes, sentence in (
        ({"loss": "nll"}, "train has no loss 'nll'"),
        ({"mixup": 0.5}, "mixup is for classes"),
        ({"label_noise": 0.5}, "label_noise is for classes"),
    ):
        with pytest.raises(InputError, match=sentence):
            run(**changes)
    with pytest.raises(InputError, match="one of numbers, but the targets are"):
        train(torch.nn.Linear(3, 2), (x, y.long()), (x, y), path=tmp_path / "x", epochs=1, loss="mse")
