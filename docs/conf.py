"""Sphinx configuration: pages about analyses are written from the registry, notebooks from examples/."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import landscape  # noqa: E402

project = "landscape"
author = "The landscape developers"
copyright = author
release = version = landscape.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "offline_math",
]
exclude_patterns = [
    "conf.py",
    "derived.py",
    "gallery.py",
    "notebooks.py",
    "offline_math.py",
    "overview.py",
    "systems.py",
    "_build",
    "**/.ipynb_checkpoints",
    "README.md",
]
html_theme = "furo"
html_title = f"landscape {release}"
html_static_path = ["static"]
html_css_files = ["gallery.css"]
html_math_renderer = "mathml"  # no script, no network: the pages can be read offline

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "cache"
nb_execution_in_temp = True
nb_execution_timeout = 240
nb_execution_raise_on_error = True
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "description"
default_role = "code"


def _generate(app: object) -> None:
    """Write the pages that are derived: analyses, notebooks, the gallery's pictures."""
    from derived import write_analyses, write_scale
    from gallery import write_gallery

    target = HERE / "generated"
    shutil.rmtree(target, ignore_errors=True)
    write_analyses(target / "analyses")
    write_gallery(HERE.parent, target / "gallery")
    write_scale(HERE, target / "scale.md")
    (target / "examples").mkdir(parents=True)
    for script in sorted((HERE.parent / "examples").glob("*.py")):
        shutil.copy(script, target / "examples" / script.name)


def setup(app: object) -> None:
    """Connect the generator."""
    app.connect("builder-inited", _generate)  # type: ignore[attr-defined]
