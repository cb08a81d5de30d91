import pytest
import torch
from torch import nn
from torch.nn import functional

from landscape.errors import InputError
from landscape.reference.models import resnet
from landscape.reference.training import CrossEntropy, train
from landscape.reference.training.methods.dign import NoiseAugmentation, NoiseConsistency
from landscape.reference.training.objective import Batch


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def a_batch(inputs):
    count = len(inputs)
    return Batch(inputs, torch.zeros(count, dtype=torch.int64), torch.arange(count), 0.0)


class Recorder(nn.Module):
    """Uniform predictions that still have a gradient, and the inputs that were seen."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))
        self.seen = []

    def forward(self, x):
        self.seen.append(x.detach().clone())
        return self.weight.expand(len(x), -1)


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_small_noise_penalises_the_trace_of_the_input_fisher(share):
    """Oracle: share · (σ²/6) · tr Wᵀ(diag p − ppᵀ)W of softmax regression, a formula without any draw.

    Within four standard errors over 20 sets of 2,000 draws, and 1 % for terms of fourth order.
    """
    torch.manual_seed(0)
    model = nn.Linear(6, 4).double()
    x = torch.randn(6, dtype=torch.float64)
    p = model(x).softmax(0)
    fisher = model.weight.T @ (torch.diag(p) - torch.outer(p, p)) @ model.weight
    want = share * 0.05**2 / 6 * fisher.trace().item()
    objective = NoiseConsistency(deviation=0.05, samples=1, share=share)
    draws = generator(1)
    with torch.no_grad():
        values = torch.stack([objective(model, a_batch(x.expand(2000, 6)), draws) for _ in range(20)])
    error = values.std().item() / 20**0.5
    assert abs(values.mean().item() - want) < 4 * error + 0.01 * want
    assert error < 0.02 * want  # else the test would see little


def test_value_and_gradient_by_hand():
    """Oracle: torch's kl_div on the noisy inputs that the model was shown, with both predictions live."""
    torch.manual_seed(0)
    model, seen = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).double(), []
    x = torch.randn(4, 5, dtype=torch.float64)
    handle = model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    loss = NoiseConsistency(deviation=0.7, samples=2, share=0.5)(model, a_batch(x), generator(3))
    handle.remove()
    assert [torch.equal(inputs, x) for inputs in seen] == [True, False, False]
    clean, *noisy = (model(inputs).log_softmax(-1) for inputs in seen)
    by_hand = sum(functional.kl_div(q, clean, reduction="batchmean", log_target=True) for q in noisy) / 2
    torch.testing.assert_close(loss, by_hand)
    for got, want in zip(
        torch.autograd.grad(loss, list(model.parameters())),
        torch.autograd.grad(by_hand, list(model.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(got, want)


def test_strengths_are_uniform_for_each_image_and_masks_for_each_pixel():
    """Oracle: moments of σε: variance d²/3 over all, d²U² within an image; shares binomial, 4 deviations."""
    model = Recorder()
    x = torch.zeros(500, 1, 20, 20)
    NoiseConsistency(deviation=0.6, samples=2, share=0.2)(model, a_batch(x), generator())
    first, second = model.seen[1:]
    assert not torch.equal(first, second)
    hit = first != 0
    assert abs(hit.double().mean().item() - 0.2) < 4 * (0.2 * 0.8 / hit.numel()) ** 0.5
    sigma = torch.stack([image[image != 0].square().mean().sqrt() for image in first])
    assert sigma.max() < 0.6 * 1.4  # of some 80 entries each
    # deviations uniform on (0, 0.6): mean 0.3, standard deviation 0.173 of each of the 500
    assert abs(sigma.mean().item() - 0.3) < 4 * 0.18 / 500**0.5
    assert 0.16 < sigma.std().item() < 0.19
    within = (first.flatten(1) / sigma[:, None])[hit.flatten(1)]
    assert abs(within.mean().item()) < 4 / len(within) ** 0.5


def test_noise_in_pixels_is_divided_by_the_spread_of_each_channel():
    """Oracle: the same draws times a known factor per channel."""
    x = torch.zeros(6, 2, 3, 3)
    shown = []
    for std in ((1.0,), (0.5, 0.25)):
        model = Recorder()
        NoiseConsistency(std=std, samples=1)(model, a_batch(x), generator(2))
        shown.append(model.seen[1])
    torch.testing.assert_close(shown[1][:, 0], 2 * shown[0][:, 0])
    torch.testing.assert_close(shown[1][:, 1], 4 * shown[0][:, 1])
    with pytest.raises(InputError, match="std has 2 channels"):
        NoiseConsistency(std=(0.5, 0.25))(Recorder(), a_batch(torch.zeros(6, 3)), generator())


def test_no_noise_no_loss():
    """Oracle: KL(p ‖ p) = 0, and so is its gradient, up to the rounding of Σp = 1."""
    model = nn.Linear(5, 3).double()
    x = torch.randn(4, 5, dtype=torch.float64)
    loss = NoiseConsistency(deviation=0.0)(model, a_batch(x), generator())
    assert loss.item() == 0
    assert all(g.abs().max() < 1e-14 for g in torch.autograd.grad(loss, list(model.parameters())))


def test_noisy_passes_leave_running_statistics_unless_told():
    """Oracle: the buffers after one clean pass, bit for bit."""
    torch.manual_seed(0)
    models = [resnet(width=2, blocks=(1,)).train() for _ in range(3)]
    for model in models[1:]:
        model.load_state_dict(models[0].state_dict())
    x = torch.randn(8, 1, 8, 8)
    models[0](x)
    NoiseConsistency()(models[1], a_batch(x), generator())
    NoiseConsistency(update_statistics=True)(models[2], a_batch(x), generator())
    want, left, moved = (dict(model.named_buffers()) for model in models)
    assert all(torch.equal(left[name], value) for name, value in want.items())
    assert moved["stem.norm.num_batches_tracked"] == 4
    assert not torch.equal(moved["stem.norm.running_mean"], want["stem.norm.running_mean"])


def test_training_with_it_repeats_and_is_its_own(tmp_path):
    """Oracle: equal bits from equal settings; weights that differ from those of cross-entropy alone."""
    data = torch.randn(24, 1, 8, 8, generator=generator()), torch.arange(24) % 3
    results = []
    for number, deviation in enumerate((0.5, 0.5, 0.0)):
        torch.manual_seed(3)
        model = resnet(width=2, blocks=(1, 1), classes=3)
        objective = CrossEntropy() + 0.2 * NoiseConsistency(deviation, samples=1)
        path = tmp_path / f"{number}.safetensors"
        train(model, data, data, path=path, epochs=2, batch_size=7, objective=objective)
        results.append(model.head.weight.detach().clone())
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_augmentation_is_the_cross_entropy_of_what_the_model_was_shown():
    """Oracle: torch's cross-entropy on the one input seen; the noise is that of consistency's first copy."""
    torch.manual_seed(0)
    model, seen = nn.Linear(5, 3).double(), []
    x, y = torch.randn(4, 5, dtype=torch.float64), torch.tensor([0, 2, 1, 2])
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    batch = Batch(x, y, torch.arange(4), 0.0)
    loss = NoiseAugmentation(deviation=0.7, share=0.5, std=(0.3,))(model, batch, generator(3))
    (noisy,) = seen
    torch.testing.assert_close(loss, functional.cross_entropy(model(noisy), y))
    seen.clear()
    NoiseConsistency(deviation=0.7, samples=1, share=0.5, std=(0.3,))(model, batch, generator(3))
    assert torch.equal(seen[1], noisy)
    mixed = Batch(x, y, torch.arange(4), 0.0, share=0.25)
    both = functional.cross_entropy(model(noisy), y), functional.cross_entropy(model(noisy), y.flip(0))
    settings = NoiseAugmentation(deviation=0.7, share=0.5, std=(0.3,))
    torch.testing.assert_close(settings(model, mixed, generator(3)), 0.25 * both[0] + 0.75 * both[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"deviation": -1.0}, "deviation must be at least 0"),
        ({"samples": 0}, "samples must be at least 1"),
        ({"share": 0.0}, "share lies above 0"),
        ({"std": (1.0, 0.0)}, "std holds positive numbers"),
    ],
)
def test_bad_settings_are_named(options, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        NoiseConsistency(**options)
    if "samples" not in options:
        with pytest.raises(InputError, match=f"NoiseAugmentation: {message}"):
            NoiseAugmentation(**options)
