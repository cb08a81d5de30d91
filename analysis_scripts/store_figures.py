"""Draw every figure of a store as a paper figure: `python analysis_scripts/store_figures.py STORE [OUT]`.

Reads results alone (no torch); writes OUT/<label>_<figure>.png, by default into figures/.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import landscape
from landscape.plotting import Palette
from landscape.store import read_contents


def main() -> None:
    """Draw the figures that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path, help="folder of results, such as landscape-demo/results")
    parser.add_argument("out", type=Path, nargs="?", default=Path("figures"))
    parser.add_argument("--only", nargs="*", default=None, help="names such as line_loss")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    contents = read_contents(options.store)
    palette = Palette({m.name: m.group for m in contents.models})  # as in the report
    for section in contents.sections:
        analysis = landscape.analyses()[section.analysis]
        for spec in analysis.plots(section.results):
            name = f"{section.label}_{spec.name}"
            if options.only is None or name in options.only:
                figure = landscape.plot(spec, backend="matplotlib", palette=palette)
                figure.savefig(options.out / f"{name}.png", dpi=160)
                print(options.out / f"{name}.png")


if __name__ == "__main__":
    main()
