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
# # Writing your own analysis
#
# An analysis is one declaration: options, the contents of a result, how to compute, draw and sum it up.
# Commands, storage, resume, plots and the report's section follow from it.

# %%
import numpy as np
from pydantic import Field
from torch import nn

import landscape
from landscape import Analysis, Metric, Params, Schema, Variable
from landscape.base.figure import Axis, Bars, FigureSpec, series
from landscape.reference.data import digits

# %% [markdown]
# The question of this example: how are the norms of the weights spread over the layers?


# %%
class NormParams(Params):
    """Options; each has a default and a description."""

    order: float = Field(2.0, gt=0, description="order of the norm")


def compute(problem, params, context):
    """Arrays by name, as the schema declares them."""
    import torch  # here, so that listing and plotting need no torch

    names = problem.space.names
    norms = [torch.linalg.vector_norm(p.double(), params.order).item() for p in problem.parameters]
    return {"parameter": np.array(names), "norm": np.array(norms)}


def plots(datasets):
    """One figure for any number of models; no plotting library is named."""
    names = tuple(str(n) for n in next(iter(datasets.values()))["parameter"].values)
    marks = tuple(
        Bars(np.arange(len(names)), ds["norm"].values, series(label, ds)) for label, ds in datasets.items()
    )
    y = Axis("norm")
    return [FigureSpec("norms", "Norms of the parameters", Axis("", categories=names), y, marks)]


# %% [markdown]
# The schema says what a result holds, with dimensions, units and meanings. It is checked each time.

# %%
weight_norms = Analysis(
    name="weight_norms",
    title="Norms of the weights",
    description="The vector norm of each parameter tensor.",
    scope="checkpoint",
    params=NormParams,
    schema=Schema(
        version=1,
        coords=(Variable("parameter", ("parameter",), "name of the parameter", "", "str"),),
        variables=(Variable("norm", ("parameter",), "norm of the parameter"),),
    ),
    compute=compute,
    plots=plots,
    summary=lambda ds: [Metric("largest norm", float(ds["norm"].max()))],
)

# %% [markdown]
# It is used as the others are.

# %%
model = nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.ReLU(), nn.Linear(16, 10))
problem = landscape.Problem(model, "cross_entropy", digits("train", count=32))
result = weight_norms(problem)
result

# %%
landscape.plot(plots({"untrained": result}), backend="matplotlib")

# %% [markdown]
# In a zoo, name it in the manifest: `[analyses.weight_norms]` with `analysis = "my_module:weight_norms"`. To
# publish it, add an entry point of the group `landscape.analyses`.
