"""Attacks: closed forms of linear models, where the worst perturbation is known."""

import pytest
import torch
from torch import nn

from landscape.core.inputs.attacks import (
    class_gradients,
    cross_entropies,
    fgsm,
    margins,
    nearest_classes,
    pgd,
    random_start,
)
from landscape.core.inputs.norms import dual_size, size
from landscape.errors import InputError


def linear(classes, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    W = scale * torch.randn(classes, 16, generator=generator, dtype=torch.float64)
    b = torch.randn(classes, generator=generator, dtype=torch.float64)
    return W, lambda pixels: pixels.flatten(1) @ W.T + b


def grey(n=40, seed=1):
    """Images away from 0 and 1, so that no perturbation below 0.3 is cut."""
    generator = torch.Generator().manual_seed(seed)
    return 0.4 + 0.2 * torch.rand(n, 1, 4, 4, generator=generator, dtype=torch.float64)


def test_loss_along_fgsm_of_two_linear_classes():
    """Oracle: softplus(−m + a‖w₀ − w₁‖₁), the worst loss there is in the ℓ∞ ball; PGD reaches it."""
    W, model = linear(2)
    x = grey()
    y = torch.arange(40) % 2
    m = margins(model(x), y)
    reach = (W[0] - W[1]).abs().sum()
    for a in (0.0, 0.01, 0.1, 0.3):
        worst = nn.functional.softplus(-m + a * reach)
        found = cross_entropies(model(x + fgsm(model, x, y, a)), y)
        torch.testing.assert_close(found, worst, rtol=1e-12, atol=1e-12)
        for objective in ("margin", "cross_entropy"):
            attack = pgd(model, x, y, a, steps=1, objective=objective)
            torch.testing.assert_close(
                cross_entropies(model(x + attack.delta), y), worst, rtol=1e-12, atol=1e-12
            )


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_margin_attack_meets_the_closed_form_and_cross_entropy_overstates(norm):
    """Oracle: an image can be changed within ε iff min_j (z_y − z_j)/‖w_y − w_j‖* < ε."""
    W, model = linear(10)
    x = grey(200)
    y = model(x).argmax(1)
    z = model(x)
    gaps = z.gather(1, y[:, None]) - z
    lengths = torch.stack([dual_size((W[y] - W[k]).view(-1, 1, 4, 4), norm) for k in range(10)], 1)
    distance = (gaps / lengths).where(torch.arange(10) != y[:, None], torch.inf).amin(1)
    (nearest,) = nearest_classes(model, x, y, 1, norm).unbind(1)
    overstated = 0
    for epsilon in (0.3 * distance.median(), distance.median(), 1.7 * distance.median()):
        epsilon = float(epsilon)
        attack = pgd(model, x, y, epsilon, norm=norm, targets=nearest, clip=False)
        # at the border itself rounding decides
        clear = (distance - epsilon).abs() > 1e-12
        robust = attack.value <= 0
        assert torch.equal(robust[clear], (distance > epsilon)[clear])
        ce = pgd(model, x, y, epsilon, norm=norm, objective="cross_entropy", steps=50, clip=False)
        survives = margins(model(x + ce.delta), y) > 0
        assert (survives | ~robust).all()
        overstated += int((survives & ~robust).sum())
    assert overstated > 0


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_attacks_stay_within_the_ball_and_the_pixels(norm):
    """Oracle: the definition of the threat; white and black pixels lie at the edge of it."""
    _, model = linear(3)
    x = (grey(30) > 0.5).double()
    y = torch.arange(30) % 3
    start = random_start(x, 0.2, norm, torch.Generator().manual_seed(0))
    for delta in (
        fgsm(model, x, y, 0.2, norm=norm, step=1.25, start=start),
        pgd(model, x, y, 0.2, norm=norm, start=start).delta,
        pgd(model, x, y, 0.2, norm=norm, keep="last").delta,
        start,
    ):
        assert (size(delta, norm) <= 0.2 + 1e-12).all()
        assert (x + delta).min() >= 0 and (x + delta).max() <= 1
        assert delta.any()


def test_best_point_is_never_worse_than_start_or_end():
    """Oracle: the value of each point passed, by running the same ascent for each number of steps."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    x, y = grey(20), torch.arange(20) % 3
    best = pgd(model, x, y, 0.2, steps=7, step=0.15)
    passed = torch.stack(
        [
            -margins(model(x + pgd(model, x, y, 0.2, steps=n, step=0.15, keep="last").delta), y)
            for n in range(8)
        ]
    )
    torch.testing.assert_close(best.value, passed.amax(0).detach())
    torch.testing.assert_close(-margins(model(x + best.delta), y), best.value)


def test_class_gradients_are_the_weights_of_a_linear_model():
    """Oracle: the weights."""
    W, model = linear(5)
    logits, gradients = class_gradients(model, grey(3))
    torch.testing.assert_close(gradients.flatten(2), W.expand(3, 5, 16))
    torch.testing.assert_close(logits, model(grey(3)))
    with pytest.raises(InputError, match="1 to 4 others; got 5"):
        nearest_classes(model, grey(3), torch.arange(3), 5, "l2")


def test_a_model_that_ignores_its_input_is_not_changed():
    """Oracle: no gradient, no perturbation."""

    def model(pixels):
        return torch.zeros(len(pixels), 3, dtype=torch.float64) + torch.arange(3.0)

    x, y = grey(4), torch.full((4,), 2)
    assert not fgsm(model, x, y, 0.1).any()
    assert not pgd(model, x, y, 0.1).delta.any()


@pytest.fixture(scope="module")
def toolbox():
    """A small network as adversarial-robustness-toolbox knows it, the network, images and their labels.

    The network is smooth: at a kink, rounding alone would decide which way an attack goes on.
    """
    reason = "adversarial-robustness-toolbox is not installed: extra 'attacks'"
    evasion = pytest.importorskip("art.attacks.evasion", reason=reason)
    classification = pytest.importorskip("art.estimators.classification", reason=reason)
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 8, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(128, 5)
    model = nn.Sequential(*layers).eval()
    with torch.no_grad():
        model[-1].weight *= 6  # so that small perturbations change answers
    pixels = torch.rand(30, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    loss, shape = nn.CrossEntropyLoss(), (1, 8, 8)
    known = classification.PyTorchClassifier(model, loss, shape, 5, clip_values=(0.0, 1.0), device_type="cpu")
    return evasion, known, model, pixels, torch.arange(30) % 5


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_one_step_and_many_are_those_of_the_toolbox(toolbox, norm):
    """Oracle: adversarial-robustness-toolbox, another code: its perturbed pixels, to single precision.

    In ℓ2 images are grey: where pixels are cut, it cuts before it projects and we after, so that paths part.
    """
    evasion, known, model, pixels, labels = toolbox
    pixels = pixels if norm == "linf" else 0.4 + 0.2 * pixels
    order, radius = {"linf": (float("inf"), 0.05), "l2": (2, 0.4)}[norm]
    x, y = pixels.numpy(), labels.numpy()
    one = evasion.FastGradientMethod(known, norm=order, eps=radius).generate(x, y)
    torch.testing.assert_close(
        pixels + fgsm(model, pixels, labels, radius, norm=norm), torch.from_numpy(one), rtol=0, atol=2e-6
    )
    many = evasion.ProjectedGradientDescent(
        known, norm=order, eps=radius, eps_step=radius / 4, max_iter=7, num_random_init=0, verbose=False
    ).generate(x, y)
    options = {"norm": norm, "steps": 7, "step": radius / 4, "objective": "cross_entropy", "keep": "last"}
    found = pgd(model, pixels, labels, radius, **options)
    torch.testing.assert_close(pixels + found.delta, torch.from_numpy(many), rtol=0, atol=5e-6)
