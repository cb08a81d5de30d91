"""Training that can be killed at any instant and gives the same bits when it is run again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Generator, Tensor, nn

from landscape.core.problem.memory_layout import has_unsound_convolution, sound_convolutions
from landscape.core.seeds import seeded_generator
from landscape.errors import InputError, suggest
from landscape.reference.data.digits import noisy_labels
from landscape.reference.training import checkpoints as files
from landscape.reference.training.augment import Augment, AugmentName, augmentation, mix
from landscape.reference.training.evaluation import LossName, TrainResult, evaluate, measure
from landscape.reference.training.identity import as_json, belongs, fingerprint
from landscape.reference.training.objective import Batch, CrossEntropy, Objective, RegressionLoss
from landscape.reference.training.optimisation import (
    OptimizerName,
    ScheduleName,
    learning_rate_factor,
    make_optimizer,
)

__all__ = ["TrainResult", "evaluate", "train"]

Data = tuple[Tensor, Tensor]
OnEpoch = Callable[[int, int, float, float], None]


def train(
    model: nn.Module,
    data: Data,
    test_data: Data,
    *,
    path: Path | str,
    epochs: int,
    optimizer: OptimizerName = "adamw",
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    batch_size: int = 64,
    seed: int = 0,
    schedule: ScheduleName = "cosine",
    augment: AugmentName | None = None,
    label_noise: float = 0.0,
    data_fraction: float = 1.0,
    label_smoothing: float = 0.0,
    mixup: float = 0.0,
    cutmix: float = 0.0,
    loss: LossName = "cross_entropy",
    objective: Objective | None = None,
    unlabelled: Tensor | None = None,
    unlabelled_batch_size: int | None = None,
    keep: Sequence[int] = (),
    keep_optimizer: bool = False,
    save_every: int = 1,
    on_epoch: OnEpoch | None = None,
    note: Mapping[str, Any] | None = None,
    after: Path | str | None = None,
) -> TrainResult:
    """Train a classifier, or a regression, and save its weights as safetensors.

    After every epoch the whole state is saved beside `path` as ``<path>.resume``. If the process is killed,
    the same call continues from there and ends with the same weights, bit for bit, as one that was not
    killed; if `path` already holds the finished weights of the same call, they are loaded and nothing is
    trained. "The same call" means: the same settings, data, initial weights and note; anything else found at
    `path` is replaced. Bits repeat on the CPU of one machine with one number of torch threads. The caller's
    random numbers are left as they were.

    Args:
        model: The network, on its device. It is changed in place and left in eval mode.
        data: Training inputs (N, ...) and labels (N,); of a regression, targets (N,) or (N, D).
        test_data: Held-out inputs (M, ...) and labels (M,), or targets.
        path: Where the final weights go. The file's metadata hold the settings and the metrics.
        epochs: Passes through the data.
        optimizer: ``"adamw"`` (decoupled weight decay) or ``"sgd"`` (momentum 0.9; its weight
            decay is the term (weight_decay/2)‖θ‖² of the loss).
        lr: Largest learning rate.
        weight_decay: Applied to every parameter.
        batch_size: Examples of a step; the last batch of an epoch may be smaller.
        seed: Decides the order of the examples, the augmentation and any dropout.
        schedule: The learning rate over the steps: ``"constant"``; ``"cosine"``, from `lr` to
            zero; ``"warmup_cosine"``, the same after a linear rise over the first tenth;
            ``"step"``, times 0.2 after 30, 60 and 80 percent of the steps.
        augment: ``"shift"`` moves each image by up to 2 pixels up or down and left or right, at
            random in every epoch, repeating its border; ``"crop_flip"`` moves by up to 4 pixels into
            zeros and mirrors left and right every second time, as is usual for CIFAR;
            ``"rand_crop_flip"`` does so and then applies two random operations of RandAugment, each
            with probability 1/2 and a strength of 0.9 ± 0.05 of the full one ("m9-mstd0.5"), with
            torchvision, which the `vision` extra installs, and about 0.3 ms per image; None changes
            nothing.
        label_noise: Fraction of the training labels drawn anew from all classes, once for all epochs
            and the same for every `seed`, as `landscape.reference.data.noisy_labels` does.
        data_fraction: Fraction of the training examples that is used, the first of a random order,
            the same for every `seed`.
        label_smoothing: Share of each target that is spread evenly over all classes; of cross-entropy, so
            not for another objective.
        mixup: Parameter α of Beta(α, α), from which each batch draws how far its examples are blended
            with one another; 0 for no mixup.
        cutmix: The same for rectangles of images put into one another; 0 for no cutmix. With both, each
            batch takes one of the two at random, see `landscape.reference.training.augment.mix`.
        loss: What losses are reported of, and the objective by default: ``"cross_entropy"`` of classes;
            ``"gaussian_nll"`` of means and variances; ``"mse"`` of means alone.
        objective: What is minimised, such as ``CrossEntropy() + 0.2 * NoiseConsistency()``; by default,
            `CrossEntropy`, or `RegressionLoss` of the loss.
        unlabelled: Inputs (K, ...) without labels, for objectives that look at some, such as
            `VirtualAdversarial`; each step gets the next ones of a random order.
        unlabelled_batch_size: How many of them; by default, `batch_size`.
        keep: Epochs whose weights are kept too, as ``<stem>-epoch<n>.safetensors`` beside `path`;
            0 stands for the initial weights. Those of the last epoch are as the last step left them, before
            the objective's ``end``.
        keep_optimizer: Whether those of `keep` are ``.pt`` files with the optimiser's state, for `stability`.
        save_every: Epochs from one saved state to the next: more than 1 where they take milliseconds.
        on_epoch: Called after each epoch, once its state is saved, with (epochs done, epochs,
            mean training loss of the epoch as trained, held-out accuracy, or root mean square of the
            errors); once, with the final values, if the training was already finished.
        note: JSON-like facts that tell this training from others, such as the model's builder
            and arguments.
        after: A file of `keep` of another training with `keep_optimizer`, from which this one goes on: with
            its weights and its optimiser's state, at its epoch of the schedule. With the settings of that
            training it ends with the same weights, bit for bit; with another `seed` it is a child with
            another order of the data, see `branch`.

    Returns:
        Losses, and accuracies or errors, of the final weights; those of the training examples are of the
        examples used, with the labels used.

    Raises:
        InputError: If a setting or the data are unusable, or the loss becomes NaN or infinite.
        CheckpointError: If the file of an earlier run is damaged.
        StoreError: If a file cannot be written.
    """
    began = time.perf_counter()
    settings = {
        "epochs": epochs,
        "optimizer": optimizer,
        "lr": lr,
        "weight_decay": weight_decay,
        "batch_size": batch_size,
        "seed": seed,
        "schedule": schedule,
        "augment": augment,
    }
    # Only what differs from the default: trainings of before these options stay what they were.
    options: dict[str, tuple[Any, Any]] = {
        "label_noise": (label_noise, 0.0),
        "data_fraction": (data_fraction, 1.0),
        "mixup": (mixup, 0.0),
        "cutmix": (cutmix, 0.0),
    }
    options["loss"] = (loss, "cross_entropy")
    settings |= {name: value for name, (value, usual) in options.items() if value != usual}
    if unlabelled is not None:
        settings["unlabelled_batch_size"] = (
            batch_size if unlabelled_batch_size is None else unlabelled_batch_size
        )
    _check({**settings, "save_every": save_every}, data, test_data, keep, unlabelled)
    objective = _objective(objective, label_smoothing, loss)
    settings |= objective.settings()
    data = _training_examples(data, label_noise, data_fraction)
    device = next(model.parameters()).device
    parent = None if after is None else files.load_parent(Path(after), device, epochs, keep)
    identity = as_json(
        {
            **({} if parent is None else {"after": [parent["identity"], parent["epoch"]]}),
            "settings": settings,
            "note": note or {},
            "start": fingerprint(*model.state_dict().values()),
            "data": fingerprint(*data, *test_data, *([] if unlabelled is None else [unlabelled])),
        }
    )
    path = Path(path)
    resume = path.with_name(path.name + ".resume")

    ending = ".pt" if keep_optimizer else path.suffix
    kept = {epoch: path.with_name(f"{path.stem}-epoch{epoch}{ending}") for epoch in keep}
    notes = files.read_notes(path)
    if belongs(notes, identity) and all(belongs(files.read_notes(file), identity) for file in kept.values()):
        assert notes is not None
        files.load_weights(model.eval(), path)
        resume.unlink(missing_ok=True)
        result = TrainResult.of(notes["metrics"], epochs, 0.0)
        if on_epoch is not None:
            score = result.test_rmse if result.is_regression else result.test_accuracy
            on_epoch(epochs, epochs, result.train_loss, score)
        return result

    change = augmentation(augment, data[0])
    solver = make_optimizer(optimizer, model, lr, weight_decay)
    done = 0
    state = files.load_state(resume, device)
    with _own_random_numbers(device):
        # Of three numbers, unlike the seed of any epoch.
        objective.begin(model, data, seeded_generator(seed, 0, 1))
    if state is not None and state["identity"] == identity:
        model.load_state_dict(state["model"])
        solver.load_state_dict(state["solver"])
        objective.load_state_dict(state.get("objective", {}))
        done = state["epochs"]
        if not all(belongs(files.read_notes(file), identity) for at, file in kept.items() if at <= done):
            raise InputError(
                f"{path.name} is trained to epoch {done} without keeping all of the epochs {list(keep)}:"
                f" delete {resume} to start again, or keep later ones."
            )
    else:
        if parent is not None:
            model.load_state_dict(parent["model"])
            solver.load_state_dict(parent["optimizer"])
            objective.load_state_dict(parent.get("objective", {}))
            done = parent["epoch"]
        if done in kept:
            files.save_kept(model, solver, kept[done], _facts(identity, done, objective))

    with _own_random_numbers(device):
        for epoch in range(done, epochs):
            with sound_convolutions(has_unsound_convolution(model)):
                trained = _epoch(model, solver, objective, data, unlabelled, change, settings, epoch)
            if not math.isfinite(trained):
                raise InputError(
                    f"The training of {path.name} diverged in epoch {epoch + 1}: the loss is "
                    f"{trained}; lower the learning rate {lr} or check the data for NaN."
                )
            if epoch + 1 in kept:  # before the state: what it passes over is there
                files.save_kept(model, solver, kept[epoch + 1], _facts(identity, epoch + 1, objective))
            if (epoch + 1) % save_every == 0:
                state = {
                    "identity": identity,
                    "epochs": epoch + 1,
                    "model": model.state_dict(),
                    "solver": solver.state_dict(),
                    "objective": objective.state_dict(),
                }
                files.save_state(state, resume)
            if on_epoch is not None:
                on_epoch(epoch + 1, epochs, trained, evaluate(model, test_data, loss=loss)[1])
        objective.end(model, data)

    metrics = measure(model, data, test_data, loss)
    files.save_weights(model, path, {"identity": identity, "metrics": metrics})
    resume.unlink(missing_ok=True)
    return TrainResult.of(metrics, epochs, time.perf_counter() - began)


def _epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    objective: Objective,
    data: Data,
    unlabelled: Tensor | None,
    change: Augment | None,
    settings: Mapping[str, Any],
    epoch: int,
) -> float:
    """One pass through the data; returns the mean loss of its examples.

    All randomness of an epoch comes from a seed of its own, so there is no state of random
    numbers to save.
    """
    inputs, labels = data
    device = next(model.parameters()).device
    generator = seeded_generator(settings["seed"], epoch)
    seed = generator.initial_seed()
    torch.default_generator.manual_seed(seed)  # dropout
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    objective.epoch(model, epoch, generator)
    order = torch.randperm(len(labels), generator=generator)
    batches = torch.split(order, settings["batch_size"])
    others = None
    if unlabelled is not None:
        others = _stream(unlabelled, settings["unlabelled_batch_size"], generator)
    total = 0.0
    model.train()
    for index, rows in enumerate(batches):
        progress = (epoch + index / len(batches)) / settings["epochs"]
        for group in optimizer.param_groups:
            group["lr"] = settings["lr"] * learning_rate_factor(settings["schedule"], progress)
        # Inputs are changed on the CPU, so that the device does not decide the numbers.
        x, y = inputs[rows], labels[rows].to(device)
        if change is not None:
            x = change(x, generator)
        x, share = mix(x, settings.get("mixup", 0.0), settings.get("cutmix", 0.0), generator)
        u = None if others is None else next(others)
        if u is not None:
            u = (u if change is None else change(u, generator)).to(device)
        optimizer.zero_grad()
        loss = objective(model, Batch(x.to(device), y, rows, progress, share, u), generator)
        torch.autograd.backward(loss)
        optimizer.step()
        total += loss.item() * len(rows)
    return total / len(labels)


def _stream(inputs: Tensor, size: int, generator: Generator) -> Iterator[Tensor]:
    """Batches of inputs in one random order after another, without end."""
    order = torch.empty(0, dtype=torch.long)
    while True:
        while len(order) < size:
            order = torch.cat([order, torch.randperm(len(inputs), generator=generator)])
        yield inputs[order[:size]]
        order = order[size:]


def _objective(objective: Objective | None, label_smoothing: float, loss: LossName) -> Objective:
    """What is minimised."""
    if objective is None and loss == "cross_entropy":
        return CrossEntropy(label_smoothing)
    if objective is None and not label_smoothing:
        return RegressionLoss(loss)
    if not isinstance(objective, Objective):
        raise InputError(
            f"train: objective is an Objective, such as CrossEntropy(), not {type(objective).__name__}."
        )
    if label_smoothing:
        raise InputError(
            "train: give label_smoothing to the objective, as in CrossEntropy(0.1), not beside it."
        )
    return objective


def _facts(identity: Mapping[str, Any], epoch: int, objective: Objective) -> dict[str, Any]:
    """What is kept beside the weights of an epoch."""
    state = objective.state_dict()
    return {"identity": identity, "epoch": epoch, **({"objective": state} if state else {})}


def _own_random_numbers(device: torch.device) -> AbstractContextManager[None]:
    """Within it, torch's global random numbers may be used; afterwards they are as they were."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def _training_examples(data: Data, label_noise: float, fraction: float) -> Data:
    """The share of the examples that is used, with the labels that are used."""
    inputs, labels = data
    if fraction != 1.0:
        generator = torch.Generator().manual_seed(0)
        rows = torch.randperm(len(labels), generator=generator)[: max(1, round(fraction * len(labels)))]
        inputs, labels = inputs[rows], labels[rows]
    if label_noise:
        labels = noisy_labels(labels, label_noise)
    return inputs, labels


def _check(
    settings: Mapping[str, Any],
    data: Data,
    test_data: Data,
    keep: Sequence[int],
    unlabelled: Tensor | None,
) -> None:
    """Raise InputError for settings and data that cannot be trained on."""
    choices = {
        "optimizer": get_args(OptimizerName),
        "schedule": get_args(ScheduleName),
        "augment": (None, *get_args(AugmentName)),
        "loss": get_args(LossName),
    }
    for name, known in choices.items():
        if settings.get(name, known[0]) not in known:
            words = [str(word) for word in known]
            raise InputError(f"train has no {name} {settings[name]!r}: {suggest(str(settings[name]), words)}")
    least = {"epochs": 1, "batch_size": 1, "seed": 0, "weight_decay": 0, "mixup": 0, "cutmix": 0}
    least |= {"unlabelled_batch_size": 1, "save_every": 1}
    for name, bound in least.items():
        if not settings.get(name, bound) >= bound:
            raise InputError(f"train: {name} must be at least {bound}, not {settings[name]}.")
    if not settings["lr"] > 0:
        raise InputError(f"train: lr must be positive, not {settings['lr']}.")
    for name, (inputs, labels) in {"data": data, "test_data": test_data}.items():
        if len(inputs) != len(labels) or len(labels) == 0:
            raise InputError(
                f"train: {name} needs as many inputs as labels, and at least one; "
                f"it has {len(inputs)} inputs and {len(labels)} labels."
            )
    _check_targets(settings, data[1])
    if unlabelled is not None and (len(unlabelled) == 0 or unlabelled.shape[1:] != data[0].shape[1:]):
        raise InputError(
            f"train: unlabelled holds inputs like those of data, {tuple(data[0].shape[1:])}, and at least"
            f" one; it has shape {tuple(unlabelled.shape)}."
        )
    for name, low in {"label_noise": 0.0, "data_fraction": 1e-9}.items():
        if not low <= settings.get(name, 1.0) <= 1.0:
            raise InputError(f"train: {name} is a fraction of the examples, not {settings[name]}.")
    if any(not 0 <= epoch <= settings["epochs"] for epoch in keep):
        raise InputError(f"train: epochs to keep lie within 0 and {settings['epochs']}, not {list(keep)}.")
    for name in ("augment", "cutmix"):
        if settings.get(name) is not None and data[0].ndim != 4:
            raise InputError(
                f"train: {name}={settings[name]!r} needs images of shape (N, C, H, W), "
                f"but the inputs have shape {tuple(data[0].shape)}."
            )


def _check_targets(settings: Mapping[str, Any], targets: Tensor) -> None:
    """Raise InputError for targets that are not those of the loss, and for what only classes have."""
    loss = settings.get("loss", "cross_entropy")
    if loss == "cross_entropy":
        return
    if not targets.is_floating_point():
        raise InputError(f"train: loss={loss!r} is one of numbers, but the targets are {targets.dtype}.")
    for name in ("label_noise", "mixup", "cutmix"):
        if settings.get(name):
            raise InputError(f"train: {name} is for classes, not for loss={loss!r}.")
