"""Tasks that share a pass: the bits of separate runs, and failures that stay alone."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from landscape.core.features import collect as one_pass
from landscape.store import read_contents
from landscape.zoo import Zoo
from landscape.zoo.spec import Model
from landscape.zoo.task import Task, bundle

BUILDERS = '''
    """An image model, its data, and an analysis that fails in its own part of the pass."""
    import torch
    from torch import nn
    from landscape import Analysis, Params, Schema, Variable

    def net(width=3):
        return nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 4, 3, stride=2),
                             nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))

    def data():
        x = torch.randn(9, 1, 16, 16, generator=torch.Generator().manual_seed(0))
        return x, torch.arange(9) % 2

    def collect(params):
        from landscape.core.features.collector import Collector
        from landscape.core.features.units import Selection

        class Bad(Collector):
            selection = Selection()
            def receive(self, name, unit, module, inputs, output):
                raise RuntimeError("cannot look")
        return Bad()

    bad = Analysis(name="bad", title="Bad", description="Fails.", scope="checkpoint", params=Params,
                   schema=Schema(1, variables=(Variable("v", (), "v"),)), collect=collect,
                   finish=lambda collector, params: {"v": 0.0}, plots=lambda d: [], summary=lambda d: [])
'''
MANIFEST = """
    name = "images"
    [model]
    builder = "images:net"
    [data]
    builder = "images:data"
    [problem]
    batch_size = 4
    [[checkpoints]]
    name = "one"
    path = "one.pt"
    [[checkpoints]]
    name = "two"
    path = "two.pt"
"""
SECTIONS = ("fourier", "transfer", "feature_variance")


@pytest.fixture
def zoo(tmp_path):
    import torch
    from torch import nn

    (tmp_path / "images.py").write_text(textwrap.dedent(BUILDERS))
    for seed, name in enumerate(("one", "two")):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Flatten(), nn.Linear(4, 2)
        )
        torch.save(net.state_dict(), tmp_path / f"{name}.pt")
    (tmp_path / "zoo.toml").write_text(textwrap.dedent(MANIFEST))
    return Zoo.from_manifest(tmp_path / "zoo.toml")


def contents(store):
    return {
        (s.label, model): ds.drop_attrs()
        for s in read_contents(store).sections
        for model, ds in s.results.items()
    }


def count_passes(monkeypatch):
    """A list that grows with every pass over the data of any number of collectors."""
    passes = []
    plain = one_pass.collect

    def counted(problem, collectors, progress):
        passes.append(len(collectors))
        return plain(problem, collectors, progress)

    monkeypatch.setattr(one_pass, "collect", counted)
    return passes


def test_analyses_of_one_model_share_a_pass_to_the_same_bits(zoo, tmp_path, monkeypatch):
    """Oracle: a run per analysis; the number of passes by counting."""
    passes = count_passes(monkeypatch)
    together = zoo.run(SECTIONS, store=tmp_path / "together")
    assert passes == [3, 3]
    assert (together.done, together.failed) == (6, ())
    found, expected = contents(tmp_path / "together"), {}
    for section in SECTIONS:
        zoo.run([section], store=tmp_path / section)
        expected |= contents(tmp_path / section)
    assert passes == [3, 3] + [1] * 6
    assert found.keys() == expected.keys()
    assert all(found[key].identical(expected[key]) for key in found)


def test_what_is_done_takes_no_part(zoo, tmp_path, monkeypatch):
    """Oracle: the pass of the second run serves the two analyses that are missing."""
    passes = count_passes(monkeypatch)
    zoo.run(["transfer"], store=tmp_path / "s")
    zoo.run(SECTIONS, store=tmp_path / "s")
    assert passes == [1, 1, 2, 2]


def test_one_that_fails_fails_alone(zoo, tmp_path):
    """Oracle: the others' results are there; the failure has its own sentence."""
    result = zoo.run(["images:bad", "fourier", "attention_response", "transfer"], store=tmp_path / "s")
    assert result.done == 4
    both = {"one", "two"}
    assert {(f.label, f.model) for f in result.failed} == {("images:bad", model) for model in both}
    # what does not apply to a model is no failure
    unfit = {(f.label, f.model) for f in result.inapplicable}
    assert unfit == {("attention_response", model) for model in both}
    sentences = {f.label: f.error for f in (*result.failed, *result.inapplicable)}
    assert "cannot look" in sentences["images:bad"]
    assert "no self-attention" in sentences["attention_response"]


def test_a_pool_gives_the_same(zoo, tmp_path):
    """Oracle: the run in this process; tasks may be taken over by another worker."""
    zoo.run(SECTIONS, store=tmp_path / "serial")
    result = zoo.run(SECTIONS, store=tmp_path / "pool", jobs=2)
    assert (result.done, result.failed) == (6, ())
    found, expected = contents(tmp_path / "pool"), contents(tmp_path / "serial")
    assert all(found[key].identical(expected[key]) for key in expected)


def task(key, model, collects=True, error=None):
    """A task of one model."""
    members = (Model(model, Path(f"{model}.pt")),)
    facts = {"label": "x", "analysis": "x", "folder": "x", "options": "{}", "scope": "checkpoint"}
    return Task(key=key, subject=model, members=members, collects=collects, error=error, **facts)


def test_the_first_of_those_that_can_share_knows_the_others():
    """Oracle: the tasks, sorted out by eye; their order stays."""
    tasks = [
        task("a", "m"),
        task("b", "m", collects=False),
        task("c", "n"),
        task("d", "m"),
        task("e", "m", error="!"),
    ]
    bundled = bundle(tasks)
    assert [t.key for t in bundled] == ["a", "b", "c", "d", "e"]
    assert {t.key: [c.key for c in t.companions] for t in bundled if t.companions} == {"a": ["d"]}
    assert bundle([]) == []


def test_sections_of_other_numbers_of_examples_share_no_pass(zoo, tmp_path):
    """Oracle: a run of each section alone; a companion was given the examples of the first."""
    text = (tmp_path / "zoo.toml").read_text()
    sections = "[analyses.fourier]\nexamples = 4\n[analyses.transfer]\nexamples = 8\n"
    (tmp_path / "zoo.toml").write_text(f"{sections}{text[text.index('[model]') :]}")
    zoo = Zoo.from_manifest(tmp_path / "zoo.toml")
    zoo.run(store=tmp_path / "together")
    expected = {}
    for section in ("fourier", "transfer"):
        zoo.run([section], store=tmp_path / section)
        expected |= contents(tmp_path / section)
    found = contents(tmp_path / "together")
    assert found.keys() == expected.keys()
    assert all(found[key].identical(expected[key]) for key in found)
