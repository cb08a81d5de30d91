"""Mini-batches as in training, with soft targets, in a manifest."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest
import torch

import landscape
from landscape.errors import InputError
from landscape.reference.training.augment import mix
from landscape.reference.training.batch_transforms import as_in_training
from landscape.store import read_contents
from landscape.zoo import Zoo


def generator():
    return torch.Generator().manual_seed(2)


def test_targets_are_mixed_as_the_images_are():
    """Oracle: `mix` alone for the images; the smoothed and mixed targets entry by entry."""
    x, y = torch.rand(4, 1, 6, 6), torch.tensor([0, 1, 2, 1])
    images, targets = as_in_training(x, y, generator(), classes=3, label_smoothing=0.3)
    mixed, share = mix(x, 0.8, 1.0, generator())
    assert torch.equal(images, mixed)
    for i, own in enumerate(y.tolist()):
        for c in range(3):
            soft = [0.7 * (c == k) + 0.1 for k in (own, y.tolist()[3 - i])]
            assert targets[i, c].item() == pytest.approx(share * soft[0] + (1 - share) * soft[1], rel=1e-6)
    with pytest.raises(InputError, match="takes classes"):
        as_in_training(x, torch.rand(4, 3), generator(), classes=3)


def test_batch_spectra_of_mixed_batches_from_a_manifest(invoke, tmp_path):
    """Oracle: exact Hessians of the softmax regression on batches that the test mixes itself."""
    (tmp_path / "mine.py").write_text(
        textwrap.dedent(
            """
            import torch
            from torch import nn
            def build():
                return nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
            def data():
                g = torch.Generator().manual_seed(0)
                return torch.randn(12, 1, 2, 2, generator=g), torch.randint(0, 3, (12,), generator=g)
            def half(images, targets, generator, share=0.5):
                soft = nn.functional.one_hot(targets, 3).to(images.dtype)
                mixed = share * images + (1 - share) * images.flip(0)
                return mixed, share * soft + (1 - share) * soft.flip(0)
            def wrong(images, targets):
                return images
            """
        )
    )
    torch.manual_seed(1)
    linear = torch.nn.Linear(4, 3)
    torch.save({f"1.{k}": v for k, v in linear.state_dict().items()}, tmp_path / "a.pt")
    text = (
        '[model]\nbuilder = "mine:build"\n[data]\nbuilder = "mine:data"\n[[checkpoints]]\npath = "a.pt"\n'
        "[analyses.batch_spectra]\nbatch_size = 4\nk = 2\nshuffle = false\n"
        'batch_transform = "mine:half"\nbatch_transform_kwargs = { share = 0.25 }\n'
    )
    (tmp_path / "zoo.toml").write_text(text)
    done = invoke("run", "zoo.toml", "--no-report")
    assert done.exit_code == 0, done.output
    (ds,) = read_contents(tmp_path / "results").sections[0].results.values()
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(12, 1, 2, 2, generator=g).flatten(1), torch.randint(0, 3, (12,), generator=g)
    theta = torch.cat([linear.weight.detach().flatten(), linear.bias.detach()]).double()
    for number in range(3):
        part = x[4 * number : 4 * number + 4].double()
        soft = torch.nn.functional.one_hot(y[4 * number : 4 * number + 4], 3).double()
        part, soft = 0.25 * part + 0.75 * part.flip(0), 0.25 * soft + 0.75 * soft.flip(0)

        def loss(t, part=part, soft=soft):
            logits = part @ t[:12].reshape(3, 4).T + t[12:]
            return -(soft * logits.log_softmax(1)).sum(1).mean()

        exact = np.sort(np.abs(np.linalg.eigvalsh(torch.autograd.functional.hessian(loss, theta).numpy())))
        np.testing.assert_allclose(np.abs(ds["eigenvalues"].values[number]), exact[::-1][:2], rtol=1e-3)
        assert float(ds["batch_loss"][number]) == pytest.approx(loss(theta).item(), rel=1e-5)
    (tmp_path / "zoo.toml").write_text(text.replace("mine:half", "mine:hlf"))
    refused = invoke("run", "zoo.toml", "--dry-run")
    assert refused.exit_code == 2
    assert "batch_transform 'mine:hlf': 'mine' has no 'hlf'; did you mean 'half'" in refused.output
    (tmp_path / "zoo.toml").write_text(text.replace("mine:half", "mine:wrong"))
    (failed,) = Zoo.from_manifest(tmp_path / "zoo.toml").run().failed
    assert "batch_transform 'mine:wrong' failed" in failed.error
    with pytest.raises(InputError, match="takes the place of augment"):
        landscape.batch_spectra.validate({"batch_transform": "a:b", "augment": "flip"})
