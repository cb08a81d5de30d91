"""FiLM-Ensembles of residual networks against the plain network."""

import copy

import numpy as np
import torch
from torch.nn import functional

import landscape
from landscape.reference.data import digits
from landscape.reference.models import film_resnet, resnet
from landscape.reference.training import CrossEntropy, MemberCrossEntropy, train
from landscape.reference.training.checkpoints import load_weights, save_weights
from landscape.reference.uncertainty import members_as_plain

NET = {"width": 2, "blocks": [1, 1], "image": 8}
X = torch.randn(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))
DATA = X, torch.arange(12) % 10


def seeded(build):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return build()


def trained(model, objective, path):
    train(
        model,
        DATA,
        DATA,
        path=path,
        epochs=2,
        lr=0.02,
        batch_size=6,
        objective=objective,
        schedule="constant",
    )
    return model


def test_one_member_of_gain_zero_is_the_plain_network(tmp_path):
    """Oracle: `resnet` from the same seed: bits of the weights after training, and of the logits."""
    plain = trained(seeded(lambda: resnet(**NET)), CrossEntropy(), tmp_path / "plain.safetensors")
    film = seeded(lambda: film_resnet(1, gain=0.0, **NET))
    trained(film, MemberCrossEntropy(), tmp_path / "film.safetensors")
    (member,) = members_as_plain(film)
    assert all(torch.equal(a, b) for a, b in zip(member.parameters(), plain.parameters(), strict=True))
    assert torch.equal(film.members(X)[:, 0], plain(X))


def test_identical_members_stay_identical(tmp_path):
    """Oracle: each other; members of a gain part."""
    for gain, same in ((0.0, True), (1.0, False)):
        model = seeded(lambda gain=gain: film_resnet(3, gain, **NET))
        trained(model, MemberCrossEntropy(), tmp_path / f"{gain}.safetensors")
        logits = model.members(X)
        spread = (logits - logits.mean(1, keepdim=True)).abs().max()
        assert (spread < 1e-5) == same
        answers = logits.argmax(-1)
        if same:
            assert answers.eq(answers[:, :1]).all()
            torch.testing.assert_close(model(X), logits[:, 0].log_softmax(-1))


def test_a_trained_file_fits_the_builder_and_each_member_the_plain_one(tmp_path):
    """Oracle: strict loading; the predictions of the model that was trained, before and after."""
    path = tmp_path / "film.safetensors"
    model = trained(seeded(lambda: film_resnet(3, **NET)), MemberCrossEntropy(), path)
    again = film_resnet(3, **NET).eval()
    load_weights(again, path)
    assert torch.equal(again(X), model(X))
    before = copy.deepcopy(model.state_dict())
    for m, part in enumerate(members_as_plain(model)):
        plain = resnet(**NET).eval()
        plain.load_state_dict(part.state_dict())
        torch.testing.assert_close(plain(X), model.members(X)[:, m])
        alone = film_resnet(3, member=m, **NET).eval()
        load_weights(alone, path)
        torch.testing.assert_close(alone(X), plain(X).log_softmax(-1))
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


MANIFEST = """
[model]
builder = "landscape.reference.models:film_resnet"
kwargs = { width = 2, blocks = [1, 1], image = 8, members = 2 }
[data]
builder = "landscape.reference.data:digits"
kwargs = { split = "test", count = 20, size = 8 }
[analyses.calibration]
bootstrap = 2
models = ["film", "first"]
[analyses.diversity]
models = ["film-m*"]
[[checkpoints]]
path = "film.safetensors"
[[predictives]]
name = "first"
builder = "landscape.reference.uncertainty:film_member"
members = "film"
kwargs = { index = 0 }
"""
MEMBER = """[[checkpoints]]
name = "film-m{0}"
path = "film.safetensors"
kwargs = {{ member = {0} }}
group = "members"
"""


def test_a_manifest_looks_at_the_ensemble_and_at_its_members(tmp_path):
    """Oracle: the members as plain networks: their losses one by one, and that of their mean."""
    model = seeded(lambda: film_resnet(2, width=2, blocks=[1, 1], image=8)).eval()
    save_weights(model, tmp_path / "film.safetensors", {})
    path = tmp_path / "zoo.toml"
    path.write_text(MANIFEST + "".join(MEMBER.format(m) for m in range(2)), "utf-8")
    zoo = landscape.Zoo.from_manifest(path)
    result = zoo.run(jobs=1)
    assert (result.done, result.failed) == (3, ())
    x, y = digits("test", 20, size=8)
    alone = [functional.cross_entropy(m(x), y).item() for m in members_as_plain(model)]
    ds = landscape.open(zoo.store, "diversity/members")
    np.testing.assert_allclose(ds["member_nll"], alone, rtol=1e-5)
    np.testing.assert_allclose(ds["average_nll"], functional.cross_entropy(model(x), y).item(), rtol=1e-5)
    first = landscape.open(zoo.store, "calibration/first")
    np.testing.assert_allclose(first["nll"], alone[0], rtol=1e-5)
