# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A zoo of models
#
# Four small networks are trained, analysed in one run, and compared on the same axes. The run writes its
# results one file at a time: stopped at any moment, it goes on from there.

# %%
from pathlib import Path

import landscape
from landscape.reference.demo import build_zoo

manifest = build_zoo("zoo", quick=True)
print(Path(manifest).read_text()[:420])

# %% [markdown]
# ## Run
#
# What is analysed, and with which options, stands in the manifest; here two of its analyses.

# %%
zoo = landscape.Zoo.from_manifest(manifest)
done = zoo.run(["line", "calibration"], store="results")
print(done.done, "results in", done.store)

# %% [markdown]
# ## A table
#
# One row per model, one column per number that sums up a result.

# %%
table = landscape.table("results")
table["calibration"]

# %% [markdown]
# ## Compare
#
# Results of one analysis are drawn on shared axes.

# %%
results = [landscape.open(path) for path in sorted(Path("results/line").glob("*.h5"))]
landscape.compare(results, backend="matplotlib", figure="loss")

# %% [markdown]
# ## Report and paper figures
#
# The report is one page that works offline. For a paper,
# `landscape figure results --analysis line -o line.pdf` draws vector graphics of the width of a column.

# %%
landscape.report("results", "report.html")
