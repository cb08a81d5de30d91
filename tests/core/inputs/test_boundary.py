"""The border of the answer: closed form of linear models, and a curved one by a dense search."""

import pytest
import torch
from torch import nn

from landscape.core.inputs.attacks import margins
from landscape.core.inputs.boundary import border_on_segment, boundary
from landscape.core.inputs.norms import dual_size, size


def grey(n=50):
    generator = torch.Generator().manual_seed(1)
    return 0.4 + 0.2 * torch.rand(n, 1, 4, 4, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_distance_of_linear_models_is_exact(norm):
    """Oracle: min_j (z_y − z_j)/‖w_y − w_j‖*, 0 for wrong answers."""
    generator = torch.Generator().manual_seed(0)
    W = 3 * torch.randn(7, 16, generator=generator, dtype=torch.float64)

    def model(pixels):
        return (pixels - 0.5).flatten(1) @ W.T

    x = grey()
    y = model(x).argmax(1)
    y[:5] = (y[:5] + 1) % 7
    z = model(x)
    lengths = torch.stack([dual_size((W[y] - W[k]).view(-1, 1, 4, 4), norm) for k in range(7)], 1)
    ratio = ((z.gather(1, y[:, None]) - z) / lengths).where(torch.arange(7) != y[:, None], torch.inf)
    exact = ratio.amin(1).clamp(min=0)
    found = boundary(model, x, y, norm=norm, clip=False)
    torch.testing.assert_close(found.distance, exact, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(size(found.delta, norm), exact, rtol=1e-12, atol=1e-12)
    assert not found.delta[:5].any()
    assert margins(model(x + found.delta), y)[5:].abs().max() < 1e-12


def test_distance_of_a_curved_model_is_that_of_a_sphere():
    """Oracle: the border is a sphere about grey: its distance from x is radius − ‖x − c‖."""
    center = torch.full((1, 4, 4), 0.5, dtype=torch.float64)

    def model(pixels):
        square = (pixels - center).flatten(1).square().sum(1)
        return torch.stack([0.25 - square, torch.zeros_like(square)], 1)

    x, y = grey(), torch.zeros(50, dtype=torch.long)
    found = boundary(model, x, y, clip=False, bisections=40)
    exact = 0.5 - torch.linalg.vector_norm((x - center).flatten(1), dim=1)
    torch.testing.assert_close(found.distance, exact, rtol=1e-9, atol=0)


def test_border_on_a_segment_is_on_the_wrong_side():
    """Oracle: the root of the margin along the segment by brute force."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 2)).double()
    x = grey(30)
    y = model(x).argmax(1)
    delta = boundary(model, x, y, bisections=0, clip=False).delta
    border = border_on_segment(model, x, y, delta, 30)
    with torch.no_grad():
        for i in range(30):
            if not delta[i].any():
                continue
            assert margins(model(x + border), y)[i] <= 1e-15
            shares = torch.linspace(0, 1, 20001, dtype=torch.float64)
            line = margins(model(x[i] + shares.view(-1, 1, 1, 1) * delta[i]), y[i].expand(20001))
            first = shares[line <= 0][0]
            assert abs(size(border[i : i + 1], "l2") / size(delta[i : i + 1], "l2") - first) < 1e-4


def test_where_nothing_changes_the_answer_the_distance_is_infinite():
    """Oracle: a model of constant logits; and pixels that may not leave 0 to 1."""

    def constant(pixels):
        return torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand(len(pixels), 2) + 0 * pixels.sum()

    found = boundary(constant, grey(3), torch.zeros(3, dtype=torch.long))
    assert torch.isinf(found.distance).all() and not found.delta.any()

    def far(pixels):
        total = pixels.flatten(1).sum(1)
        return torch.stack([torch.zeros_like(total), total - 100.0], 1)

    assert torch.isinf(boundary(far, grey(3), torch.zeros(3, dtype=torch.long)).distance).all()
    assert torch.isfinite(boundary(far, grey(3), torch.zeros(3, dtype=torch.long), clip=False).distance).all()


def test_deepfool_goes_no_farther_than_that_of_the_toolbox():
    """Oracle: adversarial-robustness-toolbox: its perturbation less the 2 % it goes beyond the border.

    Both take the same steps; ours then takes the border on the segment, so that it may only be nearer.
    """
    reason = "adversarial-robustness-toolbox is not installed: extra 'attacks'"
    evasion = pytest.importorskip("art.attacks.evasion", reason=reason)
    classification = pytest.importorskip("art.estimators.classification", reason=reason)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 24), nn.Tanh(), nn.Linear(24, 5)).eval()
    pixels = grey(30).float()
    labels = model(pixels).argmax(1)
    known = classification.PyTorchClassifier(
        model, nn.CrossEntropyLoss(), (1, 4, 4), 5, clip_values=(0.0, 1.0), device_type="cpu"
    )
    attack = evasion.DeepFool(known, max_iter=50, epsilon=0.02, nb_grads=5, verbose=False)
    theirs = torch.from_numpy(attack.generate(pixels.numpy())) - pixels
    assert (model(pixels + theirs).argmax(1) != labels).all()
    ours = boundary(model, pixels, labels, norm="l2").distance
    ratio = ours / size(theirs, "l2")
    assert ratio.max() < 1.0 + 1e-4
    assert ratio.min() > 0.9


def test_the_model_of_some_images_is_asked_for_the_images_left():
    """Oracle: a model that tells its images apart: each must meet the border of its own."""
    shift = torch.linspace(0.1, 0.9, 20, dtype=torch.float64)

    def of(rows):
        def model(pixels):
            mean = pixels.flatten(1).mean(1)
            return torch.stack([shift[rows] - mean, torch.zeros_like(mean)], 1)

        return model

    pixels = torch.zeros(20, 1, 2, 2, dtype=torch.float64)
    whole = of(torch.arange(20))
    found = boundary(whole, pixels, torch.zeros(20, dtype=torch.long), norm="linf", take=of)
    torch.testing.assert_close(found.distance, shift)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_black_and_white_pixels_do_not_stop_it(norm):
    """Oracle: linear programme and quadratic programme over the box, by bisection of their one multiplier.

    Half of the pixels are 0 or 1, so that half of each gradient points out of the box; within 2 %, since
    only the last segment is searched for the border.
    """
    generator = torch.Generator().manual_seed(3)
    w = torch.randn(36, generator=generator, dtype=torch.float64)
    x = torch.rand(40, 36, generator=generator, dtype=torch.float64)
    x = torch.where(x < 0.25, 0.0, torch.where(x > 0.75, 1.0, x))
    middle = (x @ w).mean()

    def model(pixels):
        score = pixels.flatten(1) @ w - middle
        return torch.stack([score, -score], 1)

    images = x.view(40, 1, 6, 6)
    y = model(images).argmax(1)
    down = torch.where(y == 0, -1.0, 1.0)[:, None] * w  # the way to the border

    def moved(r):  # the best perturbation of size r, or of multiplier r
        step = r[:, None] * (down.sign() if norm == "linf" else down)
        return (x + step).clamp(0, 1) - x

    low, high = torch.zeros(40, dtype=torch.float64), torch.full((40,), 50.0, dtype=torch.float64)
    need = (x @ w - middle).abs()
    for _ in range(80):
        r = (low + high) / 2
        enough = (moved(r) * down).sum(1) >= need
        low, high = low.where(enough, r), r.where(enough, high)
    exact = size(moved(high)[:, None], norm)
    possible = (moved(torch.full_like(high, 50.0)) * down).sum(1) > need
    assert possible.sum() > 30
    found = boundary(model, images, y, norm=norm).distance
    ratio = (found / exact)[possible]
    assert ratio.min() > 1 - 1e-9
    assert ratio.max() < 1.02
