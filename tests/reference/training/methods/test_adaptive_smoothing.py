import pytest
import torch
from torch import nn
from torch.nn import functional

from landscape.errors import InputError
from landscape.reference.models import resnet
from landscape.reference.training import AdaptiveSmoothing, CrossEntropy, train
from landscape.reference.training.checkpoints import load_weights
from landscape.reference.training.methods.adaptive_smoothing import answer_distances, equal_bins
from landscape.reference.training.objective import Batch

DIGITS = "landscape.reference.data:digits"
HELD = {"count": 30, "size": 8, "skip": 100}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


IMAGES = torch.rand(24, 1, 4, 4, generator=generator()), torch.arange(24) % 3


def smoothing(**options):
    given = {"arguments": HELD, "bins": 3, "after": 1, "mean": (0.1307,), "std": (0.3081,)}
    return AdaptiveSmoothing(DIGITS, **{**given, **options})


def ready(objective, targets, bins):
    """The objective as after an epoch, with these targets of bins, and bins of the training images."""
    objective.load_state_dict({"targets": torch.tensor(targets).double(), "train_bins": torch.tensor(bins)})
    return objective


class Fixed(nn.Module):
    """Puts out logits that are given, whatever the images."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)
        self.moves = nn.BatchNorm2d(1)

    def forward(self, x):
        return self.logits[: len(x)] + 0.0 * self.moves(x).sum()


def test_the_loss_is_that_of_soft_targets():
    """Oracle: torch's cross-entropy with probabilities p for the class and (1 − p)/(C − 1) for the others."""
    logits = torch.randn(5, 4, dtype=torch.float64, generator=generator(), requires_grad=True)
    labels, rows = torch.tensor([0, 3, 1, 1, 2]), torch.tensor([7, 0, 3, 2, 5])
    objective = ready(smoothing(), [0.6, 1.0, 0.9], [0, 1, 2, 0, 1, 2, 0, 1])
    batch = Batch(torch.zeros(5, 1, 2, 2), labels, rows, 0.0)
    loss = objective(lambda x: logits, batch, generator())
    p = torch.tensor([1.0, 0.6, 0.6, 0.9, 0.9]).double()  # of bins 1, 0, 0, 2, 2
    soft = ((1 - p) / 3)[:, None].repeat(1, 4)
    soft[torch.arange(5), labels] = p
    want = functional.cross_entropy(logits, soft)
    torch.testing.assert_close(loss, want)
    slopes = [torch.autograd.grad(part, logits, retain_graph=True)[0] for part in (loss, want)]
    torch.testing.assert_close(*slopes)


def test_targets_follow_the_gap_of_each_bin():
    """Oracle: the rule by hand, with logits whose confidence is set; a calibrated bin stays as it is.

    Six validation images of three bins: confidence 0.8, 0.5 and 0.8 with accuracy ½, ½ and 1.
    """
    c = torch.tensor([0.8, 0.8, 0.5 + 1e-12, 0.5 + 1e-12, 0.8, 0.8]).double()
    model = Fixed(torch.stack([c.log(), (1 - c).log()], 1))
    objective = smoothing(rate=0.5)
    held = torch.randn(6, 1, 2, 2), torch.tensor([0, 1, 0, 1, 0, 0])
    model.double()
    objective._kept.update(data=held, held=(held[0].double(), held[1]))
    objective.load_state_dict(
        {"train_bins": torch.zeros(6).long(), "held_bins": torch.tensor([0, 0, 1, 1, 2, 2])}
    )
    before = {name: part.clone() for name, part in model.state_dict().items()}
    model.train()
    objective.epoch(model, 0, generator())  # on hard labels
    assert "targets" not in objective.state_dict()
    objective.epoch(model, 1, generator())
    first = torch.tensor([1 - 0.5 * 0.3, 1.0, 1.0]).double()
    torch.testing.assert_close(objective.state_dict()["targets"], first)
    for _ in range(4):
        objective.epoch(model, 2, generator())
    lowest = torch.tensor([0.5, 1.0, 1.0]).double()
    torch.testing.assert_close(objective.state_dict()["targets"], lowest)
    assert model.training
    assert model.moves.training
    assert all(map(torch.equal, before.values(), model.state_dict().values()))


def test_bins_are_equal_but_for_one():
    """Oracle: their sizes, and the order of the values; ties in their order."""
    values = torch.rand(17, generator=generator())
    bins = equal_bins(values, 5)
    counts = bins.bincount().tolist()
    assert sorted(counts) == [3, 3, 3, 4, 4]
    assert (bins[values.argsort()].diff() >= 0).all()
    assert equal_bins(torch.zeros(4), 2).tolist() == [0, 0, 1, 1]


def test_distances_of_a_linear_network():
    """Oracle: the least |Δlogit| / ‖Δw‖ in pixels, of the answer and, where it is right, of the label."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double()
    mean, std = (0.4,), (0.25,)
    pixels = 0.45 + 0.1 * IMAGES[0].double()
    inputs = (pixels - 0.4) / 0.25
    logits = model(inputs)
    answers = logits.argmax(1)
    rows = torch.arange(24)
    gaps = logits[rows, answers][:, None] - logits
    lengths = (model[1].weight[answers][:, None] - model[1].weight[None]).norm(dim=-1) / 0.25
    want = (gaps / lengths).nan_to_num(nan=torch.inf).amin(1)
    inside = want < 0.3  # the border is met before a pixel is black or white
    got = answer_distances(model, inputs, mean=mean, std=std)
    assert inside.sum() > 5
    torch.testing.assert_close(got[inside], want[inside], rtol=1e-3, atol=1e-6)
    labels = answers.clone()
    labels[:7] = (labels[:7] + 1) % 3
    by_label = answer_distances(model, inputs, labels, mean=mean, std=std)
    assert (by_label[:7] == 0).all()
    assert torch.equal(by_label[7:], got[7:])


def net():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return resnet(width=2, blocks=(1, 1), classes=10, dropout=0.2)


def examples():
    from landscape.reference.data import digits

    return digits("train", count=60, size=8)


def trained(path, objective, epochs=3, last=None):
    model, data = net(), examples()

    def stop(done, *rest):
        if done == last:
            raise KeyboardInterrupt

    options = {"epochs": epochs, "batch_size": 20, "augment": "shift", "on_epoch": stop}
    train(model, data, data, path=path, objective=objective, **options)
    return model


def same(a, b):
    return all(map(torch.equal, a.state_dict().values(), b.state_dict().values()))


def test_without_a_rate_it_is_cross_entropy_bit_for_bit(tmp_path):
    """Oracle: `CrossEntropy`, all weights and statistics; one bin that is fixed is `CrossEntropy(ε)`."""
    plain = trained(tmp_path / "plain.safetensors", CrossEntropy())
    for by in ("answer", "random"):
        assert same(plain, trained(tmp_path / f"{by}.safetensors", smoothing(rate=0.0, by=by, steps=2)))
    logits = torch.randn(6, 10, generator=generator())
    batch = Batch(torch.zeros(6), torch.arange(6), torch.arange(6), 0.0)
    one = ready(smoothing(bins=1), [0.91], [0] * 6)
    assert one(lambda x: logits, batch, generator()).item() == pytest.approx(
        CrossEntropy(0.1)(lambda x: logits, batch, generator()).item(), rel=1e-6
    )


@pytest.mark.parametrize("by", ["answer", "label", "random"])
def test_a_training_that_was_killed_goes_on_with_the_same_bits(tmp_path, by):
    """Oracle: the training that was not killed; its file byte for byte, which a plain network loads."""
    objective = smoothing(rate=0.3, by=by, steps=3)
    whole = trained(tmp_path / "whole.safetensors", objective)
    targets = objective.state_dict()["targets"]
    assert len(targets.unique()) > 1
    for last in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "killed.safetensors", smoothing(rate=0.3, by=by, steps=3), last=last)
    trained(tmp_path / "killed.safetensors", smoothing(rate=0.3, by=by, steps=3))
    files = [(tmp_path / f"{name}.safetensors").read_bytes() for name in ("whole", "killed")]
    assert files[0] == files[1]
    plain = net()
    load_weights(plain, tmp_path / "whole.safetensors")
    assert same(plain, whole)


def test_one_bin_is_all_validation_images(tmp_path):
    """Oracle: mean confidence less accuracy of the network of the epoch, kept beside the weights."""
    objective, path = smoothing(bins=1, rate=0.25, steps=1), tmp_path / "net.safetensors"
    model, data = net(), examples()
    train(model, data, data, path=path, objective=objective, epochs=2, keep=(1,), batch_size=20)
    before = net()
    load_weights(before, tmp_path / "net-epoch1.safetensors")
    from landscape.reference.data import digits

    x, y = digits("train", **HELD)
    confidence, answers = before.eval()(x).double().softmax(-1).max(-1)
    gap = confidence.mean() - (answers == y).double().mean()
    want = (1.0 - 0.25 * gap).clamp(0.1, 1.0)
    assert objective.state_dict()["targets"].item() == pytest.approx(want.item(), rel=1e-6)


def test_validation_images_are_part_of_the_identity():
    """Oracle: the hash changes with the images, although the name of their builder does not."""
    first, second = (smoothing(arguments={**HELD, "skip": skip}).describe() for skip in (100, 101))
    assert first["validation_sha256"] != second["validation_sha256"]
    assert first == smoothing().describe()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bins": 0}, "bins is at least 1, not 0"),
        ({"after": 0}, "after is at least 1, not 0"),
        ({"rate": -1.0}, "rate is at least 0, not -1"),
        ({"by": "margin"}, "by has no 'margin'"),
        ({"lowest": 0.0}, "lowest lies above 0"),
        ({"std": (0.0,)}, "those of std positive"),
    ],
)
def test_settings_out_of_range_are_said(options, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        smoothing(**options)


def test_data_that_do_not_fit_are_said():
    """Oracle: the sentences the user must see."""
    with pytest.raises(InputError, match=r"31 bins need as many validation images.* 30 images and 30 labels"):
        smoothing(bins=31).begin(net(), (torch.zeros(40, 1, 8, 8), torch.zeros(40)), generator())
    mixed = Batch(*IMAGES, torch.arange(24), 0.0, 0.5)
    with pytest.raises(InputError, match="knows no mixed images"):
        smoothing()(net(), mixed, generator())
    with pytest.raises(InputError, match=r"needs images \(N, C, H, W\)"):
        answer_distances(nn.Linear(3, 2), torch.zeros(4, 3))


def test_targets_below_an_even_guess_have_a_loss():
    """Oracle: cross-entropy with the targets written out, one of them below 1/C in a bin alone."""
    objective = smoothing(bins=1, lowest=0.05)
    ready(objective, [0.05], [0, 0])
    logits, labels = torch.randn(2, 4).double(), torch.tensor([1, 3])
    batch = Batch(logits, labels, torch.arange(2), 0.0)
    targets = torch.full((2, 4), 0.95 / 3).double()
    targets[torch.arange(2), labels] = 0.05
    found = objective(nn.Identity(), batch, generator())
    torch.testing.assert_close(found, functional.cross_entropy(logits, targets))
