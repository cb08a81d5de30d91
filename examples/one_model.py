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
# # One model in five minutes
#
# A small network on handwritten digits: how curved is its loss, and what does the loss look like around it?

# %%
import torch
from torch import nn

import landscape
from landscape.reference.data import digits

inputs, targets = digits("train", count=200)

# %% [markdown]
# Any module will do. This one is trained for a moment with plain PyTorch.

# %%
torch.manual_seed(0)
model = nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.ReLU(), nn.Linear(16, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for _ in range(60):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(inputs), targets)
    loss.backward()
    optimizer.step()
print(f"loss {loss.item():.3f}")

# %% [markdown]
# A problem is a model, a loss and data. It works on a private copy: nothing of yours is changed.

# %%
problem = landscape.Problem(model, "cross_entropy", (inputs, targets), weight_decay=5e-4)
print(problem.size, "parameters, loss", round(problem.loss(), 4))

# %% [markdown]
# ## Curvature
#
# The eigenvalues of largest magnitude of the Hessian, with residuals that bound their errors.

# %%
spectrum = landscape.spectrum(problem, k=5)
spectrum[["eigenvalues", "residuals", "converged"]]

# %%
landscape.plot(spectrum, backend="matplotlib")

# %% [markdown]
# The Hessian itself is an operator: it multiplies vectors and never becomes a matrix.

# %%
hessian = landscape.hessian(problem)
vector = torch.randn(problem.size, generator=torch.Generator().manual_seed(0))
print("curvature along a random direction:", float(vector @ (hessian @ vector) / (vector @ vector)))

# %% [markdown]
# ## The loss along a direction
#
# The direction is random and filter-normalised (Li et al. 2018);
# the band is two standard errors wide on each side.

# %%
line = landscape.line(problem, steps=15)
landscape.plot(line, backend="matplotlib", figure="loss")

# %% [markdown]
# A result is an `xarray.Dataset` with units, seeds and hashes; it is saved as HDF5 and opens anywhere.

# %%
landscape.save(line, "line.h5")
print(landscape.open("line.h5").attrs["parameters"])
