"""VAT: its direction against the exact eigenvector, its value against the quadratic form."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from landscape.core.inputs.attacks import class_gradients
from landscape.core.inputs.image_lanczos import image_eigenvalues
from landscape.core.inputs.norms import size
from landscape.core.inputs.operators import InputFisher, exact_fisher
from landscape.errors import InputError
from landscape.reference.models import resnet
from landscape.reference.training import Batch, CrossEntropy, VirtualAdversarial, train


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def net(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 4)).double()


def inputs(n=8):
    return torch.randn(n, 1, 4, 4, generator=generator(1), dtype=torch.float64)


def a_batch(x, unlabelled=None):
    return Batch(x, torch.arange(len(x)) % 3, torch.arange(len(x)), 0.0, unlabelled=unlabelled)


def cosines(r, top):
    return functional.cosine_similarity(r.flatten(1), top.flatten(1)).abs()


@pytest.mark.parametrize(("xi", "steps"), [(None, 40), (1e-6, 40)])
def test_many_steps_find_the_top_eigenvector(xi, steps):
    """Oracle: eigenvector of the Fisher matrix from all class gradients, where it stands clear."""
    model, x = net(), inputs(30)
    exact = exact_fisher(*class_gradients(model, x), count=2)
    clear = exact.values[:, 1] / exact.values[:, 0] < 0.5
    assert clear.sum() > 10
    clean = model(x).log_softmax(-1).detach()
    r = VirtualAdversarial(0.3, steps=steps, xi=xi).perturbation(model, x, clean, generator())
    torch.testing.assert_close(size(r, "l2"), torch.full((30,), 0.3, dtype=torch.float64))
    assert (cosines(r, exact.vectors)[clear] > 0.999).all()


def test_power_steps_rise_to_the_eigenvalue_of_lanczos():
    """Oracle: Lanczos with the Fisher products of all images, which shares no iteration with power steps.

    The quotient dᵀFd of power steps never falls, stays below the top eigenvalue, and reaches it.
    """
    model, x = net(), inputs(20)
    fisher = InputFisher(model, x)
    start = torch.randn(20, 16, generator=generator(2), dtype=torch.float64)
    lanczos = image_eigenvalues(fisher.blocks, start, tolerance=1e-10)
    clean, last = model(x).log_softmax(-1).detach(), torch.zeros(20, dtype=torch.float64)
    for steps in (0, 1, 2, 5, 20, 400):
        d = VirtualAdversarial(1.0, steps).perturbation(model, x, clean, generator()).flatten(1)
        quotient = (d * fisher.blocks(d)).sum(1)
        assert (quotient >= last * (1 - 1e-9)).all()
        assert (quotient <= lanczos.top[:, 0] * (1 + 1e-9)).all()
        last = quotient
    torch.testing.assert_close(last, lanczos.top[:, 0], rtol=1e-4, atol=0)
    found = cosines(d, lanczos.vectors)
    torch.testing.assert_close(found, torch.ones_like(found), rtol=1e-2, atol=0)


def test_one_step_is_better_than_none_and_a_long_difference_is_none():
    """Oracle: mean |cos| with the exact eigenvector; the published step against ξ = 10."""
    model, x = net(), inputs(40)
    top = exact_fisher(*class_gradients(model, x)).vectors
    clean = model(x).log_softmax(-1).detach()
    mean = {}
    for name, method in {
        "random": VirtualAdversarial(1.0, 0),
        "exact": VirtualAdversarial(1.0, 1),
        "published": VirtualAdversarial(1.0, 1, xi=1e-6),
        "port": VirtualAdversarial(1.0, 1, xi=10.0),
        "two": VirtualAdversarial(1.0, 2),
    }.items():
        r = method.perturbation(model, x, clean, generator())
        mean[name] = cosines(r, top).mean().item()
    assert mean["random"] < mean["port"] < mean["exact"] < mean["two"]
    assert mean["published"] == pytest.approx(mean["exact"], abs=1e-3)
    assert mean["random"] < 0.35 and mean["exact"] > 0.7  # E|cos| of random directions in 16 dimensions: 0.2


def test_small_perturbations_cost_half_the_square_times_the_eigenvalue():
    """Oracle: KL ≈ ½ε²λ₁ for the top eigenvector, from the exact spectrum; 0 at no radius."""
    model, x = net(), inputs()
    values = exact_fisher(*class_gradients(model, x)).values[:, 0]
    loss = VirtualAdversarial(1e-3, steps=60)(model, a_batch(x), generator())
    assert loss.item() == pytest.approx(0.5e-6 * values.mean().item(), rel=0.01)
    assert VirtualAdversarial(0.0)(model, a_batch(x), generator()).item() == 0.0
    assert VirtualAdversarial(2.0)(model, a_batch(x), generator()).item() > 0


def test_gradients_flow_through_the_changed_prediction_alone():
    """Oracle: the same r and a prediction kept as numbers, by hand; the entropy has a gradient of its own."""
    model, x = net(), inputs()
    method = VirtualAdversarial(0.5)
    loss = method(model, a_batch(x), generator())
    p = model(x).softmax(-1).detach()
    r = method.perturbation(model, x, p.log(), generator())
    by_hand = (p * (p.log() - model(x + r).log_softmax(-1))).sum(-1).mean()
    entropy = torch.distributions.Categorical(logits=model(x)).entropy().mean()
    both = VirtualAdversarial(0.5, entropy=0.7)(model, a_batch(x), generator())
    for got, want in ((loss, by_hand), (both, by_hand + 0.7 * entropy)):
        torch.testing.assert_close(got, want)
        parameters = list(model.parameters())
        for g, w in zip(
            torch.autograd.grad(got, parameters, retain_graph=True),
            torch.autograd.grad(want, parameters, retain_graph=True),
            strict=True,
        ):
            torch.testing.assert_close(g, w)


def test_pixels_are_changed_by_the_radius():
    """Oracle: the norm of r times the spread of each channel; the exact direction by pixels."""
    x = torch.randn(5, 2, 4, 4, generator=generator(), dtype=torch.float64)
    model = nn.Sequential(nn.Flatten(), nn.Linear(32, 3)).double()
    std = torch.tensor([0.5, 0.1]).double().view(2, 1, 1)
    clean = model(x).log_softmax(-1).detach()
    r = VirtualAdversarial(0.2, 30, std=(0.5, 0.1)).perturbation(model, x, clean, generator())
    torch.testing.assert_close(size(r * std, "l2"), torch.full((5,), 0.2, dtype=torch.float64))
    top = exact_fisher(*class_gradients(lambda pixels: model(pixels / std), x * std)).vectors
    assert (cosines(r * std, top) > 0.99).all()
    with pytest.raises(InputError, match="std has 2 channels"):
        VirtualAdversarial(std=(0.5, 0.1)).perturbation(model, x[:, :1], clean, generator())


def test_only_the_labelled_pass_moves_running_statistics():
    """Oracle: the buffers after one clean pass of the labelled images, bit for bit; finite differences."""
    torch.manual_seed(0)
    models = [resnet(width=2, blocks=(1,), classes=3).train() for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    x, u = torch.randn(8, 1, 8, 8), torch.randn(5, 1, 8, 8)
    models[0](x)
    objective = CrossEntropy() + VirtualAdversarial(0.5, entropy=1.0)
    objective(models[1], a_batch(x, u), generator())
    want, got = (dict(model.named_buffers()) for model in models)
    assert all(torch.equal(got[k], v) for k, v in want.items())
    double = models[1].double()
    clean = double(u.double()).log_softmax(-1).detach()
    by_product = VirtualAdversarial(1.0).perturbation(double, u.double(), clean, generator())
    by_difference = VirtualAdversarial(1.0, xi=1e-5).perturbation(double, u.double(), clean, generator())
    torch.testing.assert_close(by_product, by_difference, atol=1e-3, rtol=0)


def test_training_on_unlabelled_images_goes_on_with_the_same_bits(tmp_path):
    """Oracle: a training that was not killed; other unlabelled images, or another radius, are another one."""

    class Killed(BaseException):
        pass

    data = torch.randn(20, 1, 8, 8, generator=generator()), torch.arange(20) % 3
    pool = torch.randn(31, 1, 8, 8, generator=generator(9))

    def run(name, others=pool, radius=0.5, killed=False):
        torch.manual_seed(3)
        model = resnet(width=2, blocks=(1, 1), classes=3)

        def stop(done, *_):
            if killed and done == 1:
                raise Killed

        train(
            model,
            data,
            data,
            path=tmp_path / name,
            epochs=2,
            batch_size=7,
            augment="shift",
            on_epoch=stop,
            objective=CrossEntropy() + VirtualAdversarial(radius),
            unlabelled=others,
            unlabelled_batch_size=13,
        )
        return [value.clone() for value in model.state_dict().values()]

    whole = run("a.safetensors")
    with pytest.raises(Killed):
        run("b.safetensors", killed=True)
    assert all(map(torch.equal, whole, run("b.safetensors")))
    assert not all(map(torch.equal, whole, run("b.safetensors", pool[:30])))
    assert not all(map(torch.equal, whole, run("b.safetensors", radius=0.6)))
    with pytest.raises(InputError, match="unlabelled holds inputs like those of data"):
        run("c.safetensors", pool[:, :, :4])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"radius": -1.0}, "radius must be at least 0"),
        ({"steps": -1}, "steps must be at least 0"),
        ({"xi": 0.0}, "xi must be above 0"),
        ({"entropy": -1.0}, "entropy must be at least 0"),
        ({"std": ()}, "std holds positive numbers"),
    ],
)
def test_bad_settings_are_named(options, message):
    """Oracle: the sentence the user must see."""
    with pytest.raises(InputError, match=message):
        VirtualAdversarial(**options)
