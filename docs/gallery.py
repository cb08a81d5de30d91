"""The gallery: thumbnails of the repository's pictures, each with its caption and the code that draws it."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Picture", "pictures_of", "write_gallery"]

_WIDTH = 480  # px of a thumbnail, twice what is shown
_FIRST = "The demo"
_NATURAL = "natural_"  # after a study's name: a picture of its run on natural images
_DEMO = {
    "report": "landscape demo    # and open landscape-demo/report.html",
    "overview": "python docs/overview.py landscape-demo",
    "connect_loss": "landscape figure landscape-demo/results -a connect -f loss_0 -o connect_loss.png",
    "connect_plane": "landscape figure landscape-demo/results -a connect -f plane_0 -o connect_plane.png",
    "connectivity_barriers_aligned": (
        "landscape figure landscape-demo/results -a connectivity -f barriers_0_1"
        " -o connectivity_barriers_aligned.png"
    ),
    "surface_resnet": "landscape figure landscape-demo/results -a surface -f loss-1 -o surface_resnet.png",
    "surface_vit": "landscape figure landscape-demo/results -a surface -f loss-2 -o surface_vit.png",
}
"""How pictures of the demo are drawn whose names are not those of an analysis and of its figure."""

_TITLES = {
    "cka_layers_0": "CKA of all layers",
    "connect_loss": "Loss along paths between two models",
    "connect_plane": "Plane of a curve between two models",
    "connectivity_barriers_aligned": "Loss barriers after alignment",
    "density_density": "Density of eigenvalues",
    "feature_variance_spatial_variance": "Variance of feature maps by depth",
    "fourier_high_low": "High- against low-frequency power by depth",
    "line_loss": "Loss along a direction",
    "overview": "Six pictures of the demo",
    "report": "The report",
    "spectrum_eigenvalues": "Extreme eigenvalues",
    "surface_resnet": "Loss surface of a residual network",
    "surface_vit": "Loss surface of a vision transformer",
}
"""What pictures of the demo are called; a study's say it in their captions."""

_LABELS = ("feature_variance", "connectivity")  # with an underscore, or longer than another


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        path: The file.
        title: A few words.
        caption: What it shows; may be empty.
        code: What draws it.
        language: Of the code: ``bash`` or ``python``.
    """

    path: Path
    title: str
    caption: str
    code: str
    language: str = "bash"


def pictures_of(root: Path) -> dict[str, list[Picture]]:
    """The pictures of a checkout by group, the demo's first, then each study's under its title.

    Args:
        root: The folder that holds ``figures/`` and ``analysis_scripts/``.
    """
    folder = root / "figures"
    studies = {name: script for script in _scripts(root) for name in [_name_of(script)] if name}
    of = {path: _study(path, studies) for path in sorted(folder.glob("*.png"))}
    groups = {_FIRST: [_of_demo(path) for path, study in of.items() if study is None]}
    for name, script in sorted(studies.items()):
        captions = _captions(folder / f"{name}_captions.md")
        held = [_of_study(p, name, script, captions) for p, study in of.items() if study == name]
        if held:
            groups[_title(root, script)] = held
    return {title: held for title, held in groups.items() if held}


def _scripts(root: Path) -> Iterator[Path]:
    yield from sorted((root / "analysis_scripts").glob("*.py"))


def _name_of(script: Path) -> str | None:
    """The name that a script's study has, which its pictures begin with."""
    found = re.search(r'^STUDY = Study\(\s*name="(\w+)"', script.read_text("utf-8"), re.MULTILINE)
    return found[1] if found else None


def _study(path: Path, studies: dict[str, Path]) -> str | None:
    """The study of a picture: the longest name that it begins with."""
    fitting = [n for n in studies if path.stem.startswith(f"{n}_")]
    return max(fitting, key=len, default=None)


def _captions(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    return dict(re.findall(r"^- `(.+?)`: (.+)$", file.read_text("utf-8"), re.MULTILINE))


def _title(root: Path, script: Path) -> str:
    page = root / "docs" / "studies" / f"{script.stem}.md"
    first = page.read_text("utf-8").partition("\n")[0] if page.is_file() else ""
    return first.removeprefix("# ") or script.stem.replace("_", " ").capitalize()


def _of_demo(path: Path) -> Picture:
    words = _TITLES.get(path.stem, path.stem.replace("_", " ").capitalize())
    label = next((x for x in _LABELS if path.stem.startswith(f"{x}_")), path.stem.partition("_")[0])
    figure = path.stem.removeprefix(f"{label}_")
    code = f"landscape figure landscape-demo/results -a {label} -f {figure} -o {path.name}"
    return Picture(path, words, "", _DEMO.get(path.stem, code))


def _of_study(path: Path, study: str, script: Path, captions: dict[str, str]) -> Picture:
    rest = path.stem.removeprefix(f"{study}_")
    command = f"landscape study analysis_scripts/{script.name}"
    if rest.startswith(_NATURAL):
        rest = rest.removeprefix(_NATURAL)
        command += " --size natural --data DIR"
    caption = captions.get(path.name, "")
    title = caption.partition(". ")[0] or rest.replace("_", " ").capitalize()
    declared = [text for label, text in _declared(script) if rest == label or rest.startswith(f"{label}_")]
    if declared:
        code = f"# analysis_scripts/{script.name}: {command}\n{declared[0]}"
        return Picture(path, title, caption, code, "python")
    return Picture(path, title, caption, command)


def _declared(script: Path) -> list[tuple[str, str]]:
    """The figures that a study declares: what their files' names begin with, and the source of each."""
    text = script.read_text("utf-8")
    found = []
    for node in ast.walk(ast.parse(text)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Figure"):
            continue
        strings = [a.value for a in node.args[:1] if isinstance(a, ast.Constant)]
        tags = [k.value.value for k in node.keywords if k.arg == "tag" and isinstance(k.value, ast.Constant)]
        source = ast.get_source_segment(text, node) or ""
        code = re.sub(r"\n\s+", "\n    ", source)
        found += [(str(label), code) for label in dict.fromkeys([*tags, *strings]) if label]
    return sorted(found, key=lambda pair: -len(pair[0]))  # the most precise first


def write_gallery(root: Path, folder: Path) -> None:
    """Write a page of thumbnails, and a page for each group with its pictures, captions and code."""
    folder.mkdir(parents=True)
    groups = pictures_of(root)
    pages = {title: f"group-{i}" for i, title in enumerate(groups)}
    intro = (
        "Pictures of the demo zoo and of published findings measured again. Each leads to its caption and to"
        " the code that draws it; all are drawn from results alone, and `landscape figure STORE` lists what a"
        " store has."
    )
    parts = ["# Gallery", intro]
    for title, held in groups.items():
        parts += [f"## {title}", _thumbnails(held, pages[title], folder)]
        (folder / f"{pages[title]}.md").write_text(_page(title, held, folder), "utf-8")
    contents = "\n".join(pages.values())
    parts.append(f"```{{toctree}}\n:hidden:\n\n{contents}\n```")
    (folder / "index.md").write_text("\n\n".join(parts) + "\n", "utf-8")


def _thumbnails(pictures: list[Picture], page: str, folder: Path) -> str:
    lines = []
    for picture in pictures:
        small = folder / f"small-{picture.path.name}"
        _shrink(picture.path, small)
        alt = picture.title.replace('"', "'")
        target = f"{page}.html#{_anchor(picture)}"
        lines.append(f"```{{image}} {small.name}\n:alt: {alt}\n:class: thumbnail\n:target: {target}\n```")
    return ":::{container} gallery\n" + "\n".join(lines) + "\n:::"


def _anchor(picture: Picture) -> str:
    return "picture-" + re.sub(r"[^a-z0-9]+", "-", picture.path.stem.lower()).strip("-")


def _page(title: str, pictures: list[Picture], folder: Path) -> str:
    parts = [f"# {title}"]
    for picture in pictures:
        shutil.copy(picture.path, folder / picture.path.name)
        parts += [
            f"({_anchor(picture)})=",
            f"## {_plain(picture.title)}",
            f"![{_plain(picture.title)}]({picture.path.name})",
        ]
        if picture.caption:
            parts.append(_plain(picture.caption))
        parts.append(f"```{picture.language}\n{picture.code}\n```")
    return "\n\n".join(parts) + "\n"


def _shrink(source: Path, target: Path) -> None:
    from PIL import Image

    with Image.open(source) as image:
        small = image.convert("RGB")
        small.thumbnail((_WIDTH, _WIDTH))
        small.save(target, optimize=True)


def _plain(text: str) -> str:
    from derived import plain

    return plain(text)
