"""The images of a problem: in pixels, some of them, and what the model makes of others."""

import pytest
import torch
from cases import CASES, images, uneven
from torch import nn
from torch.nn import functional

from landscape import Problem
from landscape.core.inputs.images import image_parts
from landscape.errors import InputError


def test_logits_and_losses_of_pixels_are_plain_torch():
    """Oracle: the caller's model in plain torch on inputs made by hand."""
    model, (x, y) = CASES["conv_batchnorm"].model(), images()
    problem = Problem(model, "cross_entropy", uneven((x, y), [9, 4]))
    scale, parts = image_parts(problem, (0.5,), (0.25,), 99)
    assert [len(part.numbers) for part in parts] == [9, 4]
    model.eval()
    for part, rows in zip(parts, (slice(0, 9), slice(9, 13)), strict=True):
        torch.testing.assert_close(part.pixels, x[rows] * 0.25 + 0.5)
        pixels = part.pixels.flip(3).requires_grad_()
        want = model((pixels - 0.5) / 0.25)
        torch.testing.assert_close(part(pixels), want)
        losses = functional.cross_entropy(want, y[rows], reduction="none")
        torch.testing.assert_close(part.losses(pixels), losses)
        got, wanted = (torch.autograd.grad(v.sum(), pixels)[0] for v in (part.losses(pixels), losses))
        torch.testing.assert_close(got, wanted)
        some = part.take(torch.tensor([3, 1]))
        torch.testing.assert_close(some.pixels, part.pixels[[3, 1]])
        assert some.numbers.tolist() == part.numbers[[3, 1]].tolist()
        torch.testing.assert_close(some(some.pixels), part(part.pixels)[[3, 1]])
    assert scale.mean == (0.5,)


def test_a_sample_keeps_the_scale_of_all_the_data():
    """Oracle: the data's own range, whichever images are looked at; numbers name the examples."""
    model, (x, y) = CASES["conv_batchnorm"].model(), images(40)
    problem = Problem(model, "cross_entropy", (x, y), batch_size=16)
    whole, _ = image_parts(problem, (), (), 40)
    scale, parts = image_parts(problem, (), (), 20)
    assert scale == whole
    numbers = torch.cat([part.numbers for part in parts])
    assert len(numbers.unique()) == 20
    torch.testing.assert_close(torch.cat([part.pixels for part in parts]), scale.to_pixels(x[numbers]))
    torch.testing.assert_close(torch.cat([part.labels for part in parts]), y[numbers])


def test_labels_that_count_nowhere_are_left_out():
    """Oracle: the examples with other labels."""
    model, (x, y) = CASES["conv_batchnorm"].model(), images()
    y = y.clone()
    y[::3] = 2
    loss = nn.CrossEntropyLoss(ignore_index=2)
    _, parts = image_parts(Problem(model, loss, (x, y)), (), (), 99)
    assert torch.cat([part.numbers for part in parts]).tolist() == torch.arange(13)[y != 2].tolist()
    # a sample of one image, which is the one without a label
    (first,) = image_parts(Problem(model, loss, (x, images()[1])), (), (), 1)[1][0].numbers.tolist()
    y[:] = 0
    y[first] = 2
    with pytest.raises(InputError, match="no label of the data counts"):
        image_parts(Problem(model, loss, (x, y)), (), (), 1)


def test_what_is_no_function_of_the_image_is_refused():
    """Oracle: the sentences."""
    model, data = CASES["conv_batchnorm"].model(), images()
    with pytest.raises(InputError, match="take batchnorm='checkpoint'"):
        image_parts(Problem(model, "cross_entropy", data, batchnorm="batch"), (), (), 9)
    regression = nn.Sequential(nn.Flatten(), nn.Linear(data[0][0].numel(), 1)).double()
    with pytest.raises(InputError, match="need logits"):
        image_parts(Problem(regression, "mse", (data[0], data[1][:, None].double())), (), (), 9)
    with pytest.raises(InputError, match="the batches hold 0"):
        image_parts(CASES["mlp"].problem(), (), (), 9)
    mean = Problem(model, lambda z, y: functional.cross_entropy(z, y) + 0.0, data)
    _, parts = image_parts(mean, (), (), 9)
    with pytest.raises(InputError, match="one loss per example"):
        parts[0].losses(parts[0].pixels)
