"""``taxonomy``: phases of a load-temperature grid, after Yang et al. (2021)."""

from __future__ import annotations

from landscape.analyses.taxonomy.compute import SCHEMA, TaxonomyParams, compute, summary
from landscape.analyses.taxonomy.figures import plots
from landscape.base.analysis import Analysis, Cost

__all__ = ["taxonomy"]

taxonomy = Analysis(
    name="taxonomy",
    title="Taxonomy of a load-temperature grid",
    description=(
        "Phases of a grid of trainings over a load-like parameter (width, data fraction, label noise) and a"
        " temperature-like one (batch size, learning rate), after Yang et al. (2021): I sharp and poorly"
        " connected, II sharp and connected, III flat and poorly connected, IV-A flat, connected and"
        " dissimilar, IV-B flat, connected and similar. Sharp: ln λ_max above its threshold. Connected: mode"
        " connectivity at or above its own. Similar: CKA at or above its own. The paper gives no thresholds."
        " By default each is the border between two groups of cells with the least sum of distances to the"
        " groups' medians: no tuning, blind to test accuracy, and one long tail does not move it. The mode"
        " connectivity is split on the scale −ln(1 + gap/1 point), at least one point from zero; CKA among"
        " flat, connected cells. Intervals: percentile bootstrap over cells. Rows of one cell (seeds) are"
        " averaged. `top_eigenvalue` and `trace` are taken to the logarithm where a table has no"
        " `log_top_eigenvalue` and `log_trace`."
    ),
    scope="table",
    params=TaxonomyParams,
    schema=SCHEMA,
    compute=compute,
    plots=plots,
    summary=summary,
    cost=lambda params: Cost(),
)
