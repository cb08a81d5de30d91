"""Manifests: what is written is understood, and what is not is named in one sentence."""

from __future__ import annotations

import pytest

from landscape.errors import InputError
from landscape.zoo.manifest import read_manifest
from landscape.zoo.problem_options import ProblemOptions
from landscape.zoo.spec import Builder

FULL = """
name = "my zoo"
[model]
builder = "my_models:resnet"
kwargs = { width = 8, depth = 3 }
[data]
builder = "my_data:train_set"
kwargs = { count = 512 }
[problem]
loss = "mse"
weight_decay = 5e-4
batch_size = 128
batchnorm = "train"
parameters = "fc.*"
device = "cpu"
allow = ["argparse.Namespace"]
[analyses.spectrum]
k = 5
[analyses.tight]
analysis = "spectrum"
k = 2
[[checkpoints]]
name = "resnet-s0"
path = "checkpoints/resnet-s0.safetensors"
kwargs = { width = 16 }
group = "resnet"
seed = 0
tags = { width = 16 }
metrics = { train_accuracy = 0.99, test_accuracy = 0.97 }
[[checkpoints]]
path = "vit.pt"
builder = "my_models:vit"
"""

SMALL = """
[data]
builder = "d:f"
[[checkpoints]]
path = "x.pt"
builder = "m:f"
"""


@pytest.fixture
def read(tmp_path):
    def read(text):
        (tmp_path / "zoo.toml").write_text(text)
        return read_manifest(tmp_path / "zoo.toml")

    return read


def test_everything_is_understood(read, tmp_path):
    """Oracle: the manifest, read by eye."""
    spec = read(FULL)
    first, second = spec.models
    assert (spec.name, spec.folder) == ("my zoo", tmp_path.resolve())
    assert spec.data == Builder("my_data:train_set", {"count": 512})
    assert spec.problem == ProblemOptions(
        loss="mse",
        weight_decay=5e-4,
        batch_size=128,
        batchnorm="batch",
        parameters=("fc.*",),
        device="cpu",
        allow=("argparse.Namespace",),
    )
    assert [(s.label, s.analysis, s.options) for s in spec.sections] == [
        ("spectrum", "spectrum", {"k": 5}),
        ("tight", "spectrum", {"k": 2}),
    ]
    assert first.path == tmp_path.resolve() / "checkpoints/resnet-s0.safetensors"
    assert first.builder == Builder("my_models:resnet", {"width": 16, "depth": 3})
    assert (first.group, first.seed, first.tags) == ("resnet", 0, {"width": 16})
    assert first.metrics == {"train_accuracy": 0.99, "test_accuracy": 0.97}
    assert first.record().path == "checkpoints/resnet-s0.safetensors"
    assert (second.name, second.builder) == ("vit", Builder("my_models:vit"))


def test_defaults(read, tmp_path):
    spec = read(SMALL)
    assert spec.name == tmp_path.name
    assert spec.problem == ProblemOptions()
    assert spec.sections == ()
    assert spec.models[0].name == "x"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[data]", "[dat]", r"the top level has no entry 'dat'; did you mean 'data'\?"),
        ("[problem]", "[problm]", r"no entry 'problm'; did you mean 'problem'\?"),
        ("batch_size", "batchsize", r"\[problem\] has no entry 'batchsize'; did you mean 'batch_size'"),
        ("group =", "grup =", r"\[\[checkpoints\]\] number 1 has no entry 'grup'; did you mean 'group'"),
        ('path = "vit.pt"', "", r"\[\[checkpoints\]\] number 2 lacks 'path'"),
        ('"my_models:vit"', '"my_models.vit"', r"'builder' in .* must be 'package.module:function'"),
        ("5e-4", "-1", r"'weight_decay' in \[problem\] cannot be -1: give at least 0"),
        ("128", '"many"', r"'batch_size' in \[problem\] cannot be 'many'"),
        (
            '"train"',
            '"other"',
            r"'batchnorm' in \[problem\] cannot be 'other': .*'checkpoint' or 'batch'",
        ),
        ("0.99", '"good"', r"'train_accuracy' in \[\[checkpoints\]\] number 1 cannot be 'good'"),
        ('"resnet-s0"', '"vit"', "two checkpoints are named 'vit'"),
        ('"resnet-s0"', '"a/b"', "'a/b' cannot be the name of a checkpoint"),
        ('group = "resnet"', 'group = ".."', r"'\.\.' cannot be the name of a group"),
        ("[analyses.tight]", '[analyses."a/b"]', "'a/b' cannot be the name of a section"),
        ('analysis = "spectrum"', "analysis = 3", r"'analysis' in \[analyses.tight\] cannot be 3"),
        ("[model]", "[model", "is not valid TOML"),
        ('"vit.pt"', '"none/*.pt"', r"no file matches path 'none/\*\.pt'"),
        ('"checkpoints/resnet-s0.safetensors"', '"*.pt"', r"stands for many files.*drop its name"),
    ],
)
def test_mistakes_are_named(old, new, message, read):
    """Oracle: one mistake is put into a good manifest."""
    assert old in FULL
    with pytest.raises(InputError, match=message) as caught:
        read(FULL.replace(old, new))
    assert "zoo.toml'" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the top level lacks 'data'"),
        ('[data]\nbuilder = "d:f"', "the top level lacks 'checkpoints'"),
        ('checkpoints = []\n[data]\nbuilder = "d:f"', "'checkpoints' in the top level cannot be"),
        ("checkpoints = 3", "cannot be 3|lacks 'data'"),
        (SMALL.replace('builder = "m:f"', ""), "checkpoint 'x.pt' has no builder"),
    ],
)
def test_what_is_missing_is_named(text, message, read):
    with pytest.raises(InputError, match=message):
        read(text)


def test_missing_and_unreadable_manifest(tmp_path):
    with pytest.raises(InputError, match=r"there is no manifest .*scan DIR --write-manifest"):
        read_manifest(tmp_path / "zoo.toml")
    with pytest.raises(InputError, match="is a folder: name its manifest"):
        read_manifest(tmp_path)
    (tmp_path / "zoo.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="no text in UTF-8: save it as that"):
        read_manifest(tmp_path / "zoo.toml")


def test_globs_name_models_by_their_files(read, tmp_path):
    """Oracle: the files that were made."""
    for name in ("runs/a-s1.pt", "runs/b-s2.pt", "runs/deep/a-s1.pt", "runs/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("")
    spec = read(SMALL.replace('"x.pt"', '"runs/*.pt"\ngroup = "g"'))
    assert [(m.name, m.seed, m.group) for m in spec.models] == [("a-s1", 1, "g"), ("b-s2", 2, "g")]
    assert spec.models[0].path == tmp_path.resolve() / "runs/a-s1.pt"
    spec = read(SMALL.replace('"x.pt"', '"runs/**/*.pt"'))
    assert [m.name for m in spec.models] == ["a-s1", "b-s2", "deep-a-s1"]


def test_own_builder_takes_the_default_arguments_only_if_it_is_the_same(read):
    spec = read(FULL.replace('"my_models:vit"', '"my_models:resnet"\nkwargs = { depth = 9 }'))
    assert spec.models[1].builder == Builder("my_models:resnet", {"width": 8, "depth": 9})


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            '[problem]\nloss = "crossentropy"',
            "'loss' in .problem. cannot be 'crossentropy': give causal_lm, cross_entropy, gaussian_nll",
        ),
        (
            "[problem]\nweight_decay = true",
            "cannot be True: this option is not turned on or off; give its value",
        ),
        ("[problem]\nbatch_size = 2.5", "'batch_size' in .problem. cannot be 2.5: give a whole number"),
        ("[problem]\nparameters = 3", "'parameters' in .problem. cannot be 3: give a list"),
        ("[problem]\nbatchnorm = 3", "'batchnorm' in .problem. cannot be 3: give 'checkpoint' or 'batch'"),
        ("[analyses.spectrum]\nexamples = true", "'examples' in .analyses.spectrum. cannot be True"),
        ("[analyses]\nspectrum = 3", "cannot be 3: give a table of names and values"),
        ("seed = true", "'seed' in ..checkpoints.. number 1 cannot be True"),
        ("seed = 2.5", "'seed' in ..checkpoints.. number 1 cannot be 2.5: give a whole number"),
        ("tags = 3", "cannot be 3: give a table of names and values"),
    ],
)
def test_wrong_values_say_what_to_give(read, line, sentence):
    """Oracle: the words by hand; none is pydantic's."""
    with pytest.raises(InputError, match=sentence):
        read(SMALL + line)


def test_what_is_taken_of_a_file_and_how_its_name_is_cut(read):
    """Oracle: the name is that of a scan, `without_ending`, whatever dots are in it."""
    files = {"runs/last.pth.tar": "last", "net.th": "net", "epoch=3-loss=0.25": "epoch=3-loss=0.25"}
    for path, name in files.items():
        spec = read(SMALL.replace("x.pt", path) + 'state = "ema"\nprefix = "net."')
        (model,) = spec.models
        assert (model.name, model.state, model.prefix) == (name, "ema", "net.")


def test_files_that_editors_and_chance_make(tmp_path):
    """Oracle: a byte-order mark is no character; what is no manifest is said in one sentence."""
    path = tmp_path / "zoo.toml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.encode())
    assert [m.name for m in read_manifest(path).models] == ["x"]
    for content, sentence in (
        (SMALL.encode("utf-16"), "no text in UTF-8: save it as that"),
        (b"x = " + b"[" * 5000 + b"]" * 5000, "nests lists or tables too deep"),
        (b"seed = " + b"9" * 5000, "not valid TOML"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=sentence):
            read_manifest(path)
    with pytest.raises(InputError, match="is a folder: name its manifest"):
        read_manifest(tmp_path)
