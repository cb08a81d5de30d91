"""What `landscape run DIR` and `landscape scan DIR` have in common: flags that say what files do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landscape.errors import InputError

if TYPE_CHECKING:
    from landscape.zoo import Zoo
    from landscape.zoo.draft.draft import Wishes

__all__ = ["OPTIONS", "manifest_in", "quick_first", "wishes_of", "zoo_of", "zoo_to_run"]

Model = Annotated[
    list[str] | None,
    typer.Option(
        help="Of a directory: what its checkpoints are, where they do not say: timm:NAME, torchvision:NAME,"
        " transformers:CLASS or package.module:function, with arguments as in 'my:net(width=8)'. Of some of"
        " them: 'GLOB=my:net'; repeatable."
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        help="Of a directory: what to measure on: imagefolder:DIR, torchvision:CIFAR10, hf:NAME_OR_DIR,"
        " npz:FILE, npy:FILE, pt:FILE, csv:FILE, parquet:FILE or package.module:function, with arguments as"
        " in 'torchvision:CIFAR10(root=\"data\")'."
    ),
]
Examples = Annotated[
    int | None, typer.Option(min=0, help="How many examples of --data to use; 0 for all. Default: 512.")
]
Size = Annotated[int | None, typer.Option(min=1, help="Pixels of a side that the models get.")]
Crop = Annotated[float | None, typer.Option(help="Share of the shorter side that a centre crop keeps.")]
Mean = Annotated[
    str | None, typer.Option(metavar="NUMBERS", help="Mean of pixels from 0 to 1, one or three.")
]
Std = Annotated[str | None, typer.Option(metavar="NUMBERS", help="Their standard deviation.")]
Tokenizer = Annotated[str | None, typer.Option(metavar="DIR", help="The tokenizer of models of text.")]
Split = Annotated[
    str | None,
    typer.Option(help="Which split --data is: train, validation or test; to compare recorded metrics."),
]
Loss = Annotated[str | None, typer.Option(help="The loss. Default: cross_entropy.")]
GroupBy = Annotated[
    str,
    typer.Option(
        help="What makes a group of a directory's checkpoints: name, folder, none, or tags (arch,width)."
    ),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(help="A name that pickles may import, such as argparse.Namespace; repeatable."),
]

OPTIONS = {
    "model": None,
    "data": None,
    "examples": None,
    "size": None,
    "crop": None,
    "mean": None,
    "std": None,
    "tokenizer": None,
    "split": None,
    "group_by": "name",
    "loss": None,
    "allow": None,
}
"""The flags, by name, and what they are if they are not given."""


def wishes_of(given: Mapping[str, Any]) -> Wishes:
    """What the flags say.

    Args:
        given: All of `OPTIONS` by name.

    Raises:
        InputError: If one is not of its form, or holds no numbers.
    """
    from landscape.zoo.draft.calls import builder_of, chosen_of
    from landscape.zoo.draft.draft import Wishes

    said = {name: given[name] for name in OPTIONS}
    split = said["split"]
    if split not in (None, "train", "validation", "test"):
        raise InputError(f"--split must be train, validation or test; got '{split}'.")
    how = {name: said[name] for name in ("size", "crop", "tokenizer")}
    how |= {name: _numbers(f"--{name}", said[name]) for name in ("mean", "std")}
    return Wishes(
        models=tuple(chosen_of("--model", text) for text in said["model"] or ()),
        data=None if said["data"] is None else builder_of("--data", said["data"]),
        examples=said["examples"],
        preprocess={k: v for k, v in how.items() if v is not None},
        split=split,
        loss=said["loss"],
        group_by=said["group_by"],
    )


def quick_first(zoo: Zoo, analyses: Sequence[str] | None) -> tuple[Sequence[str], Sequence[str] | None]:
    """The analyses of a pass or two of a first run, and the others; of any other run none, and all."""
    from landscape.zoo.draft.sections import QUICK, is_first_run

    if analyses is not None or not is_first_run(zoo.spec):
        return (), analyses
    labels = [section.label for section in zoo.spec.sections]
    return [n for n in labels if n in QUICK], [n for n in labels if n not in QUICK]


def _numbers(flag: str, text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.replace(",", " ").split()]
    except ValueError:
        raise InputError(f"{flag} takes numbers such as 0.485,0.456,0.406; got '{text[:80]}'.") from None


def zoo_of(directory: Path, wishes: Wishes, allow: Sequence[str] = ()) -> Zoo:
    """The zoo of a directory with what the flags say; modules and paths are those of the current folder.

    Raises:
        InputError: If there is no such directory, or a flag cannot be what is given.
    """
    import landscape
    from landscape.zoo.draft.draft import drafted

    return landscape.Zoo(drafted(landscape.scan(directory, allow=allow).spec, wishes, Path.cwd()))


def zoo_to_run(place: Path, store: Path | None, given: Mapping[str, Any], write: bool) -> Zoo:
    """The zoo of a manifest, or of a directory with what the flags say.

    Args:
        place: The one or the other.
        store: The folder of the results, if it is given.
        given: All flags by name.
        write: Whether to write what was decided of a directory as a manifest.

    Raises:
        InputError: If it cannot be used, or a flag is about a directory and it is none.
    """
    import landscape

    if place.is_dir():
        return manifest_in(zoo_of(place, wishes_of(given), given["allow"] or ()), place, store, write)
    said = next((name for name, default in OPTIONS.items() if given[name] not in (default, [], ())), None)
    if said is not None:
        flag = said.replace("_", "-")
        raise InputError(f"--{flag} says what a directory does not, and '{place}' is none; write it there.")
    return landscape.Zoo.from_manifest(place)


def manifest_in(zoo: Zoo, directory: Path, store: Path | None, write: bool) -> Zoo:
    """The zoo of the manifest that says what was decided of a directory.

    It lies in the store, since one that lies in the directory may be a stranger's, and names the store, so
    that running it goes on with the same results.

    Args:
        zoo: What was decided.
        directory: The directory.
        store: The folder of the results; ``None`` for ``results/`` in the directory.
        write: Whether to write the manifest.

    Raises:
        InputError: If something is unknown.
        StoreError: If it cannot be written.
    """
    from dataclasses import replace

    import landscape
    from landscape.store.files import write_bytes
    from landscape.zoo.draft.draft import lacking
    from landscape.zoo.draft.sections import first_sections
    from landscape.zoo.layouts import manifest_template
    from landscape.zoo.manifest import manifest_of

    lacking(zoo.spec)
    home = (store or directory / "results").resolve()
    spec = replace(zoo.spec, store=home, folder=Path.cwd(), sections=tuple(first_sections(zoo.spec)))
    text = manifest_template(spec, home)
    path = home / "zoo.toml"
    if write:
        home.mkdir(parents=True, exist_ok=True)
        write_bytes(path, text.encode())
    return landscape.Zoo(replace(manifest_of(text, path), notes=zoo.spec.notes))
