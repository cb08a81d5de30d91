"""A folder with builders, data, toy analyses of every scope, checkpoints and a manifest.

Tests get it as the fixture ``folder``; see ``conftest.py``.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import torch
from torch import nn

MODULES = {
    "toy_models.py": '''
        """Builders of models: good and bad."""
        import os, signal, sys, time
        import torch
        from torch import nn

        def mlp(width=3, depth=1):
            return nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, 2))

        def raising():
            raise RuntimeError("no such architecture\\nat all")

        def exiting():
            sys.exit("bye")

        def nothing():
            return None

        def deadly(**kwargs):
            os.kill(os.getpid(), signal.SIGKILL)

        def survived_by_a_child(**kwargs):
            if os.fork() == 0:  # holds the pipe of its dead parent open
                time.sleep(30)
                os._exit(0)
            os._exit(3)

        def count(members):
            return len(members)

        number = 3
    ''',
    "toy_data.py": '''
        """Builders of data: good and bad."""
        import os
        import torch

        def blobs(count=12, seed=0):
            x = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
            return x, (x.sum(1) > 0).long()

        def unseeded(count=12):
            x = torch.randn(count, 2)
            return x, (x.sum(1) > 0).long()

        class Shaken(torch.utils.data.Dataset):
            def __len__(self):
                return 12
            def __getitem__(self, index):
                x = blobs()[0][index]
                return x + 0.1 * torch.randn(2), int(x.sum() > 0)

        def augmented():
            return torch.utils.data.DataLoader(Shaken(), batch_size=4)

        def by_process():
            x = torch.full((4, 2), float(os.getpid()))
            return x, torch.zeros(4, dtype=torch.long)

        def uneven():
            x, y = blobs(7)
            return [(x[:4], y[:4]), (x[4:], y[4:])]

        def empty():
            return torch.zeros(0, 2), torch.zeros(0, dtype=torch.long)

        def bad_labels():
            x, y = blobs()
            return x, y + 5

        def raising():
            raise OSError("disk not mounted")

        def nothing():
            return None
    ''',
    "toy_losses.py": '''
        """Losses of one's own."""
        import torch.nn.functional as F

        def scalar(output, target):
            return F.cross_entropy(output, target)

        def per_example(output, target):
            return F.cross_entropy(output, target, reduction="none")

        def made():
            from torch import nn
            return nn.CrossEntropyLoss()

        def nan(output, target):
            return F.cross_entropy(output, target, reduction="none") * float("nan")
    ''',
    "toys.py": '''
        """Analyses of every scope, small enough to check by hand."""
        import time
        import torch
        from pydantic import Field
        from landscape import Analysis, Cost, Metric, Params, Schema, Variable

        class Options(Params):
            scale: float = Field(1.0, description="factor")
            sleep_s: float = Field(0.0, description="time to waste")
            seed: int = Field(0, description="seed")

        def schema(*extra):
            return Schema(1, coords=(Variable("x", ("x",), "position", "m"),),
                          variables=(Variable("value", ("x",), "value", "nat"), *extra))

        def total(problem, params, context):
            for step in range(3):
                time.sleep(params.sleep_s / 3)
                context.progress((step + 1) / 3)
            draw = torch.rand(3, dtype=torch.float64)  # of the global generator: seeded by the run
            return {"x": [0.0, 1.0, 2.0],
                    "value": params.scale * problem.gradient().double()[:3].numpy() + draw.numpy()}

        def distance(pair, params, context):
            gap = sum(float((pair.a[k].double() - pair.b[k].double()).square().sum()) for k in pair.a)
            return {"x": [0.0], "value": [params.scale * gap]}

        def losses(problems, params, context):
            return {"x": [float(i) for i in range(len(problems))],
                    "value": [p.loss() for p in problems.values()], "who": list(problems)}

        def broken(problem, params, context):
            return {"x": [1.0], "value": [1.0 / 0]}

        def plots(results):
            return []

        def summary(ds):
            return [Metric("largest", float(ds["value"].max()), "nat")]

        def make(name, scope, compute, *extra):
            return Analysis(name=name, title=name.title(), description="A toy.", scope=scope,
                            params=Options, schema=schema(*extra), compute=compute, plots=plots,
                            summary=summary, cost=lambda p: Cost(forwards=1.0, gradients=2.0))

        total = make("total", "checkpoint", total)
        distance = make("distance", "pair", distance)
        losses = make("losses", "group", losses, Variable("who", ("x",), "model", "", kind="str"))
        broken = make("broken", "checkpoint", broken)
        not_one = 3
    ''',
}


class ZooFolder:
    """A folder being made into a zoo."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.entries: list[str] = []
        for name, text in MODULES.items():
            (root / name).write_text(textwrap.dedent(text))

    def add(self, name, *lines, seed=0, width=3, save=True, suffix=".pt"):
        """Add a checkpoint with random weights and its entry."""
        path = self.root / f"{name}{suffix}"
        if save:
            torch.manual_seed(seed)
            torch.save(nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, 2)).state_dict(), path)
        self.entries.append(
            "\n".join(["[[checkpoints]]", f'name = "{name}"', f'path = "{name}{suffix}"', *lines])
        )
        return path

    def write(self, analyses='[analyses.total]\nanalysis = "toys:total"', problem="", data="blobs"):
        """Write the manifest."""
        blocks = [
            'name = "toys"',
            '[model]\nbuilder = "toy_models:mlp"',
            f'[data]\nbuilder = "toy_data:{data}"',
            f"[problem]\n{problem}",
            analyses,
            *self.entries,
        ]
        path = self.root / "zoo.toml"
        path.write_text("\n\n".join(blocks))
        return path
