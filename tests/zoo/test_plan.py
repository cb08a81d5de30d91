"""Plans: whom a section looks at, parts of a plan, and keys that stay what they were."""

from __future__ import annotations

import collections
import hashlib
import json
import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from landscape.errors import InputError
from landscape.store import Store, read_contents
from landscape.zoo import Zoo
from landscape.zoo.plan import Shard

TOTAL = '[analyses.total]\nanalysis = "toys:total"'
GROUPS = '[analyses.losses]\nanalysis = "toys:losses"'
PAIRS = '[analyses.distance]\nanalysis = "toys:distance"'
SLOW = f"{TOTAL}\nsleep_s = 0.1"

# Does a run, tells which tasks it did itself and which it found done, and how it ended.
RUN = """
import json, sys, torch
from landscape.zoo import Zoo
from landscape.zoo.events import Done, DoneElsewhere
torch.set_num_threads(1)
events = []
result = Zoo.from_manifest(sys.argv[1]).run(on_event=events.append, **json.loads(sys.argv[2]))
keys = {cls.__name__: [e.task.key for e in events if isinstance(e, cls)] for cls in (Done, DoneElsewhere)}
print(json.dumps(keys | {"skipped": result.skipped, "failed": len(result.failed)}))
"""


def start(path, **options):
    command = [sys.executable, "-c", RUN, str(path), json.dumps(options)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def end(process):
    out, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    return json.loads(out)


def make(folder, models, analyses):
    for i in range(models):
        folder.add(f"m{i}", 'group = "g"', seed=i)
    return folder.write(analyses)


def values(directory):
    contents = read_contents(directory)
    assert (contents.failures, contents.missing) == ([], 0)
    return {
        (s.label, subject, name): ds[name].values.tobytes()
        for s in contents.sections
        for subject, ds in s.results.items()
        for name in ds.variables
    }


def plan(path):
    zoo = Zoo.from_manifest(path)
    return zoo._plan(None, Store(zoo.store), False)[0]


def sections(path):
    result = Zoo.from_manifest(path).run()
    assert result.failed == ()
    return {s.label: s.results for s in read_contents(result.store).sections}


def test_models_are_chosen_by_name(folder):
    """Oracle: the names in the manifest."""
    for name in ("a-s0", "a-s1", "b-s0"):
        folder.add(name)
    found = sections(
        folder.write(
            f'{TOTAL}\nmodels = ["a-*", "b-s0"]\n[analyses.one]\nanalysis = "toys:total"\nmodels = ["*-s1"]'
        )
    )
    assert list(found["total"]) == ["a-s0", "a-s1", "b-s0"]
    assert list(found["one"]) == ["a-s1"]


def test_a_pattern_without_models_is_named(folder):
    """Oracle: the pattern matches no name in the manifest."""
    folder.add("resnet")
    with pytest.raises(
        InputError, match=r"no model matches 'resnt' of \[analyses.total\]; did you mean 'resnet'"
    ):
        sections(folder.write(f'{TOTAL}\nmodels = ["resnt"]'))


@pytest.mark.parametrize("batch_size", [12, 4])
def test_examples_are_a_random_sample(folder, batch_size):
    """Oracle: autograd on the model itself, on seven of twelve examples of torch's own permutation."""
    folder.add("m0")
    found = sections(
        folder.write(f"{TOTAL}\nexamples = 7\n{GROUPS}\nexamples = 7", problem=f"batch_size = {batch_size}")
    )
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
    model.load_state_dict(torch.load(folder.root / "m0.pt"))
    x = torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
    seven = torch.randperm(12, generator=torch.Generator().manual_seed(0))[:7]
    loss = nn.functional.cross_entropy(model(x[seven]), (x.sum(1) > 0).long()[seven])
    assert float(found["losses"]["all"]["value"][0]) == pytest.approx(loss.item(), rel=1e-6)
    assert found["total"]["m0"].attrs["examples"] == 7


def test_more_examples_than_there_are_is_all(folder):
    """Oracle: the number of examples the data builder makes."""
    folder.add("m0")
    assert sections(folder.write(f"{TOTAL}\nexamples = 99"))["total"]["m0"].attrs["examples"] == 12


def test_groups_together(folder):
    """Oracle: the groups in the manifest."""
    folder.add("m0", 'group = "g"')
    folder.add("m1", 'group = "h"', seed=1)
    apart = sections(folder.write(GROUPS))["losses"]
    assert list(apart) == ["g", "h"]
    together = sections(folder.write(f"{GROUPS}\ntogether = true"))["losses"]
    assert together["all"]["who"].values.tolist() == ["m0", "m1"]


@pytest.mark.parametrize(
    ("line", "message"), [("examples = 0", "'examples' in"), ("models = 3", "'models' in")]
)
def test_mistakes_are_named(folder, line, message):
    """Oracle: one mistake in a good table."""
    folder.add("m0")
    with pytest.raises(InputError, match=rf"{message} \[analyses.total\] cannot be"):
        sections(folder.write(f"{TOTAL}\n{line}"))


def test_shards_are_the_whole(folder):
    """Oracle: the plan; a model's own tasks are in one shard, and pairs are dealt out evenly."""
    path = make(folder, 6, f"{TOTAL}\n[analyses.twice]\nanalysis = 'toys:total'\nscale = 2\n{PAIRS}")
    whole = plan(path)
    parts = [whole.part(Shard(i, 4)) for i in (1, 2, 3, 4)]
    rows = [Zoo.from_manifest(path).estimate(shard=f"{i}/4") for i in (1, 2, 3, 4)]
    assert [sum(row.todo for row in part) for part in rows] == [len(part) for part in parts]
    keys = [t.key for part in parts for t in part]
    assert sorted(keys) == sorted(t.key for t in whole.tasks)
    homes = collections.defaultdict(set)
    for number, part in enumerate(parts):
        for task in part:
            if task.scope == "checkpoint":
                homes[task.subject].add(number)
    assert all(len(home) == 1 for home in homes.values())
    assert {sum(t.scope == "pair" for t in part) for part in parts} <= {3, 4}


def test_shards_at_once(folder, tmp_path):
    """Oracle: an undivided run; the last shard to end consolidates, and only it."""
    path = make(folder, 5, f"{SLOW}\n{PAIRS}")
    store = folder.root / "results"
    first = Zoo.from_manifest(path).run(shard="1/3")
    assert first.done < 15
    assert not (store / "zoo.h5").exists()
    ends = [end(p) for p in [start(path, shard="2/3"), start(path, shard="3/3")]]
    assert first.done + sum(len(e["Done"]) for e in ends) == 15
    assert (store / "zoo.h5").exists()
    assert values(store) == values(Zoo.from_manifest(path).run(store=tmp_path / "alone").store)


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/4", ""])
def test_shards_that_are_none(text, folder):
    folder.add("m0")
    with pytest.raises(InputError, match=rf"shard '{text}' must be i/n"):
        Zoo.from_manifest(folder.write()).run(shard=text)


FIXED = """
[model]
builder = "toy_models:mlp"
kwargs = { width = 3 }
[data]
builder = "fixed:data"
split = "test"
[analyses.total]
analysis = "toys:total"
scale = 2.0
[analyses.few]
analysis = "toys:total"
examples = 3
[analyses.distance]
analysis = "toys:distance"
[analyses.losses]
analysis = "toys:losses"
[[checkpoints]]
path = "a.pt"
group = "g"
tags = { made = 2024-01-02 }
[[checkpoints]]
path = "b.pt"
group = "g"
"""
EVERY_OPTION = """
[problem]
loss = "mse"
weight_decay = 1
batch_size = 8
batchnorm = "train"
parameters = "0.*"
forward = "fixed:forward"
device = "cpu"
allow = ["argparse.Namespace"]
prefix = "net."
"""
FIXED_DATA = """
import torch
def data():
    return torch.arange(8.0).reshape(4, 2), torch.tensor([0, 1, 1, 0])
def forward(model, batch):
    return model(batch[0])
"""
KEYS = {
    ("total", "a"): "d30a48ddd66879b155f7e91a0f93090e",
    ("total", "b"): "696595e38672cffc2a6fcd94d6d242e2",
    ("few", "a"): "e1db82d8648993f21aae256d34d68a94",
    ("few", "b"): "5e053375cc2c99e45cc7a45df972628c",
    ("distance", "a ~ b"): "14584ff193e7745cc55b175f20e3597e",
    ("losses", "g"): "d4090234de3e375570ca2864cba22364",
}
KEYS_WITH_EVERY_OPTION = {
    ("total", "a"): "4288589d3246f877c0be1c6a6201a22e",
    ("total", "b"): "7042bd35bc3327bb1eb1e200fd15bafb",
    ("few", "a"): "34a8b94b62a81709f9c64351c35dd9af",
    ("few", "b"): "4d2a7fb7735dd9ffbf850820c3bc2c16",
    ("distance", "a ~ b"): "e88b23c3523a5e627d2d17adc70a6995",
    ("losses", "g"): "7c329df02ba0937aff9acfdb3d0ca133",
}


@pytest.mark.parametrize(("problem", "expected"), [("", KEYS), (EVERY_OPTION, KEYS_WITH_EVERY_OPTION)])
def test_keys_stay_what_they_were(problem, expected, folder):
    """Oracle: the keys that the code gave before the options of a problem became one class.

    A store whose keys changed would be computed anew.
    """
    (folder.root / "fixed.py").write_text(FIXED_DATA)
    (folder.root / "a.pt").write_bytes(b"the first checkpoint")
    (folder.root / "b.pt").write_bytes(b"the second checkpoint")
    path = folder.root / "zoo.toml"
    path.write_text(FIXED + problem)
    assert {(t.label, t.subject): t.key for t in plan(path).tasks} == expected


def test_a_checkpoint_that_cannot_be_read_fails_its_own_tasks_alone(folder):
    """Oracle: the file that is missing; the other is hashed by hand."""
    folder.add("m0")
    folder.add("gone", save=False)
    good, bad = plan(folder.write()).tasks
    assert good.members[0].sha256 == hashlib.sha256((folder.root / "m0.pt").read_bytes()).hexdigest()
    assert good.error is None
    assert bad.members[0].sha256 is None
    assert "does not exist" in bad.error


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        (
            "together = true",
            "together = true compares the models of all groups, and 'total' looks at one model",
        ),
        ('modelss = ["*"]', "has no option 'modelss'; did you mean 'models'"),
        (
            "scale = true",
            "option 'scale' of analysis 'total' cannot be True: this option is not turned on or off",
        ),
    ],
)
def test_entries_of_a_section_that_cannot_be_meant(folder, entries, sentence):
    """Oracle: the words; none of it costs a model."""
    folder.add("m0")
    with pytest.raises(InputError, match=sentence):
        Zoo.from_manifest(folder.write(f"{TOTAL}\n{entries}")).run()


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [
        ('loss = "gone:loss"', "loss 'gone:loss': there is no module 'gone'"),
        ('forward = "toy_losses:gone"', "forward 'toy_losses:gone': 'toy_losses' has no 'gone'"),
        ('size = "toy_models:number"', "size 'toy_models:number' is a int, not a function"),
        ('device = "quantum"', "there is no device 'quantum'"),
    ],
)
def test_what_a_problem_names_is_looked_up_once_and_first(folder, problem, sentence):
    """Oracle: the data builder raises, so that any sentence but its own came before it."""
    folder.add("m0")
    with pytest.raises(InputError, match=sentence):
        Zoo.from_manifest(folder.write(problem=problem, data="raising")).run()


def test_other_data_under_the_same_name_are_another_task(folder):
    """Oracle: a builder that reads a file: keys change with the file, and no key of an analysis without it.

    A builder that fails leaves the plan, and the task fails with its sentence.
    """
    (folder.root / "elsewhere.py").write_text(
        "from pathlib import Path\n"
        "import torch\n"
        "def shifted():\n"
        "    return torch.full((4, 2), float((Path(__file__).parent / 'amount.txt').read_text()))\n"
        "def held():\n"
        "    return shifted(), torch.tensor([0, 1, 0, 1])\n"
    )
    amount = folder.root / "amount.txt"
    folder.add("m0")
    named = (
        '[analyses.calibration]\nood_data = "elsewhere:shifted"\nfit_data = "elsewhere:held"\nbootstrap = 2'
    )
    plain = '[analyses.plain]\nanalysis = "calibration"\nbootstrap = 2'
    path = folder.write(f"{named}\n{plain}")

    def run(text):
        amount.write_text(text)
        keys = []
        found = Zoo.from_manifest(path).run(
            on_event=lambda e: keys.append((e.task.label, e.task.key)) if hasattr(e, "task") else None
        )
        return found, dict(keys)

    first, keys = run("1.0")
    assert (first.done, len(first.failed)) == (2, 0)
    again, _ = run("1.0")
    assert (again.done, again.skipped) == (0, 2)
    moved, other = run("2.0")
    assert (moved.done, moved.skipped) == (1, 1)
    assert other["calibration"] != keys["calibration"]
    broken, _ = run("no number")
    assert broken.skipped == 1
    assert "no number" in broken.failed[0].error


@pytest.mark.parametrize(
    "section",
    [
        '[analyses.posterior_mass]\nother_data = "elsewhere:several"\nother_kwargs = { more = 1 }',
        '[analyses.posterior_mass]\nother_data = "elsewhere:inputs"',
        '[analyses.weights]\ninitial_state = "elsewhere:state"',
    ],
    ids=["pairs by name", "inputs by name", "weights by name"],
)
def test_several_data_by_name_are_in_the_key(folder, section):
    """Oracle: builders that read a file, whose parts have no one length: one key for each content."""
    (folder.root / "elsewhere.py").write_text(
        "from pathlib import Path\n"
        "import torch\n"
        "def amount():\n"
        "    return float((Path(__file__).parent / 'amount.txt').read_text())\n"
        "def several(more):\n"
        "    return {n: (torch.full((n, 2), amount()), torch.arange(n) % 2) for n in (3, 4 + more)}\n"
        "def inputs():\n"
        "    return {'near': torch.zeros(3, 2), 'far': torch.full((4, 2), amount())}\n"
        "def state():\n"
        "    return {'weight': torch.full((3, 2), amount()), 'bias': torch.zeros(2), 'n': torch.zeros(())}\n"
    )
    folder.add("m0")
    path = folder.write(section)

    def key(text):
        (folder.root / "amount.txt").write_text(text)
        (task,) = plan(path).tasks
        return task.key

    assert key("1.0") == key("1.0") != key("2.0")
