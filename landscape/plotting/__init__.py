"""Drawing: datasets and figure specifications become plotly or matplotlib figures.

`plot`, as ``landscape.plot(ds)``, looks the dataset's analysis up by
name and draws the figures that the analysis declares; the back ends below know `FigureSpec` and
nothing of analyses. No part of it imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from landscape.base.figure import FigureSpec
from landscape.errors import InputError
from landscape.plotting.backends.find import BACKENDS, Backend, find_backend
from landscape.plotting.choice import choose_figures
from landscape.plotting.drawn import Figures
from landscape.plotting.palette import Palette

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["BACKENDS", "Backend", "Figures", "Palette", "figures_of", "find_backend", "plot"]


def plot(
    results: xr.Dataset | Mapping[str, xr.Dataset] | FigureSpec | Iterable[FigureSpec],
    backend: Literal["plotly", "matplotlib", "relief", "null"] = "plotly",
    figure: str | None = None,
    palette: Palette | None = None,
) -> Figures:
    """Draw results.

    Args:
        results: A dataset of one analysis; a mapping ``{label: dataset}`` to compare several on
            shared axes; or ready figure specifications.
        backend: ``plotly`` (interactive), ``matplotlib`` (papers), ``relief`` (plotly, with fields as
            surfaces in three dimensions) or ``null`` (draws nothing).
        figure: Draw only the figure of this name; of a figure of one model, its number may be the model's
            name (``"loss-resnet-s0"``), and the model's name alone draws all that is of it.
        palette: The look of each model; by default, one made from what is drawn.

    Returns:
        The figures, which ``show()`` and ``save(path)`` themselves; one alone has the attributes of the back
        end's figure.

    Raises:
        InputError: If the back end, the analysis or the figure is unknown, or there is nothing to
            draw.

    Example:
        >>> import landscape
        >>> from landscape.base.figure import Axis, FigureSpec, Line
        >>> spec = FigureSpec("cut", "A cut", Axis("t"), Axis("loss"), (Line([0, 1], [2, 3]),))
        >>> landscape.plot(spec, backend="null").extents["y"]
        (2.0, 3.0)
    """
    drawer = find_backend(backend)
    specs, labels = figures_of(results), _labels(results)
    if figure is not None:
        specs = choose_figures(specs, figure, labels)
    look = palette or Palette.of(specs)
    return Figures((drawer.draw(spec, look) for spec in specs), specs, look, labels)


def figures_of(
    results: xr.Dataset | Mapping[str, xr.Dataset] | FigureSpec | Iterable[FigureSpec],
) -> list[FigureSpec]:
    """The figure specifications of results, as `landscape.plot` takes them."""
    import xarray as xr

    if isinstance(results, FigureSpec):
        return [results]
    if isinstance(results, xr.Dataset):
        return figures_of({str(results.attrs.get("model") or "model"): results})
    if not isinstance(results, Mapping):
        return _specs(results)
    from landscape.base.registry import find_recorded

    datasets: dict[str, Any] = {str(label): ds for label, ds in results.items()}
    names = sorted({_analysis(label, ds) for label, ds in datasets.items()})
    if not names:
        raise InputError("there is nothing to plot: the mapping of datasets is empty.")
    if len(names) > 1:
        raise InputError(f"no figure compares results of {' and '.join(names)}; plot them apart.")
    return find_recorded(names[0]).figures(datasets)


def _specs(results: Any) -> list[FigureSpec]:
    specs = list(results) if isinstance(results, Iterable) and not isinstance(results, str) else [results]
    odd = [type(s).__name__ for s in specs if not isinstance(s, FigureSpec)]
    if odd:
        raise InputError(
            f"landscape.plot takes a dataset, a mapping of datasets or FigureSpecs; got {odd[0]}."
        )
    return specs


def _analysis(label: str, ds: Any) -> str:
    name = getattr(ds, "attrs", {}).get("analysis")
    if not name:
        raise InputError(
            f"'{label}' is not a result of landscape: no attribute 'analysis' says how to draw it."
        )
    return str(name)


def _labels(results: Any) -> list[str]:
    """The models, pairs or groups that results are of."""
    if hasattr(results, "attrs"):
        return [str(results.attrs.get("model") or "model")]
    return [str(label) for label in results] if isinstance(results, Mapping) else []
