"""``landscape merge A B ... -o merged.pt``: one checkpoint made of several."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from landscape.cli.common import Guard
from landscape.cli.outputs import check_file
from landscape.errors import InputError

__all__ = ["add_merge"]


class Method(StrEnum):
    """How models are merged."""

    mean = "mean"
    fisher = "fisher"
    regmean = "regmean"
    task_arithmetic = "task_arithmetic"
    ties = "ties"
    slerp = "slerp"


class Aligning(StrEnum):
    """How units are put in one order."""

    weights = "weights"
    activations = "activations"
    universe = "universe"


class Statistics(StrEnum):
    """Where BatchNorm statistics come from."""

    recalibrate = "recalibrate"
    average = "average"


class Part(StrEnum):
    """Between what SLERP takes the angle."""

    whole = "whole"
    tensor = "tensor"


class Roots(StrEnum):
    """How the Fisher matrix is found."""

    exact = "exact"
    mc = "mc"
    empirical = "empirical"


def add_merge(app: typer.Typer, guarded: Guard) -> None:
    """Add the command."""

    @app.command()
    def merge(
        checkpoints: Annotated[list[Path], typer.Argument(help="Checkpoints of one architecture.")],
        output: Annotated[
            Path, typer.Option("--output", "-o", help="The merged checkpoint, .pt or .safetensors.")
        ],
        method: Annotated[Method, typer.Option(help="How models are merged.")] = Method.mean,
        base: Annotated[
            Path | None,
            typer.Option(help="The checkpoint all were trained from, for task_arithmetic and ties."),
        ] = None,
        align: Annotated[
            Aligning | None,
            typer.Option(help="Put units in one order first: that of the first model, or of all at once."),
        ] = None,
        batchnorm: Annotated[
            Statistics | None,
            typer.Option(
                help="BatchNorm statistics: pooled anew over the data, or the models' mean. Default:"
                " recalibrate with --data, else average."
            ),
        ] = None,
        model: Annotated[
            str | None, typer.Option(help="Function that makes the model, package.module:function.")
        ] = None,
        data: Annotated[
            str | None, typer.Option(help="Function that makes the data, package.module:function.")
        ] = None,
        model_kwargs: Annotated[str, typer.Option(metavar="JSON", help="Arguments of --model.")] = "{}",
        data_kwargs: Annotated[str, typer.Option(metavar="JSON", help="Arguments of --data.")] = "{}",
        loss: Annotated[
            str, typer.Option(help="cross_entropy, mse, gaussian_nll or package.module:NAME.")
        ] = "cross_entropy",
        batch_size: Annotated[int, typer.Option(help="Examples of a batch.", min=1)] = 256,
        device: Annotated[str | None, typer.Option(help="Where to compute, such as cuda:0.")] = None,
        scale: Annotated[
            float | None,
            typer.Option(help="Multiple of what was learnt. Default: 0.4, of ties 1."),
        ] = None,
        keep: Annotated[float, typer.Option(help="Share of a task vector that ties keeps.")] = 0.2,
        shrink: Annotated[float, typer.Option(help="Factor of regmean's off-diagonal entries.")] = 0.9,
        t: Annotated[float, typer.Option(help="How far slerp goes from the first to the second.")] = 0.5,
        slerp_angle: Annotated[
            Part, typer.Option(help="Between what slerp takes the angle: all weights, or each tensor's.")
        ] = Part.whole,
        fisher: Annotated[
            Roots, typer.Option(help="A pass for each output, for drawn answers, or at the data's own.")
        ] = Roots.mc,
        samples: Annotated[int, typer.Option(help="Draws of each example, of --fisher mc.", min=1)] = 1,
        seed: Annotated[int, typer.Option(help="Seed of alignment and draws.", min=0)] = 0,
        trust_pickle: Annotated[
            bool, typer.Option("--trust-pickle", help="Let pickles run ANY code. Own files only.")
        ] = False,
    ) -> None:
        """Merge checkpoints into one: a state_dict, and beside it a record of where it comes from.

        mean, task_arithmetic, ties and slerp need no --model and --data; fisher, regmean, --align and
        recalibrated BatchNorm statistics do.
        """
        with guarded():
            from rich.console import Console

            from landscape.cli.display import ProgressBar
            from landscape.core.merging.merge import FROM_DATA, MergeOptions
            from landscape.zoo.checkpoint import TRUST_WARNING
            from landscape.zoo.writing.merged_file import ENDINGS, merge_files, merge_zoo, write_merged

            check_file("--output", output, ENDINGS)
            console = Console()
            say = ProgressBar(console).say
            if trust_pickle:
                Console(stderr=True).print(TRUST_WARNING, style="bold red", highlight=False, soft_wrap=True)
            options = MergeOptions(
                scale=scale,
                keep=keep,
                shrink=shrink,
                t=t,
                part=slerp_angle.value,
                roots=fisher.value,
                samples=samples,
                seed=seed,
            )
            given: dict[str, Any] = {"base": base, "options": options, "trust_pickle": trust_pickle}
            if (model is None) != (data is None):
                raise InputError("--model and --data go together; give both or neither.")
            if model is None or data is None:
                needs = {f"--method {method.value}": method.value in FROM_DATA, "--align": align is not None}
                needs["--batchnorm recalibrate"] = batchnorm is Statistics.recalibrate
                asked = next((what for what, needed in needs.items() if needed), None)
                if asked is not None:
                    raise InputError(f"{asked} looks at the models on data; give --model and --data.")
                statistics = Statistics.average
                merged = merge_files(checkpoints, method.value, **given)
            else:
                from landscape.cli.analyses import small_zoo

                statistics = batchnorm or Statistics.recalibrate
                spec = small_zoo(
                    checkpoints,
                    {"loss": loss, "batch_size": batch_size, "device": device},
                    model=model,
                    data=data,
                    model_kwargs=model_kwargs,
                    data_kwargs=data_kwargs,
                )
                order = None if align is None else align.value
                merged = merge_zoo(spec, method.value, align=order, batchnorm=statistics.value, **given)
            facts = {"align": None if align is None else align.value, "batchnorm": statistics.value}
            facts |= {"model": model, "model_kwargs": model_kwargs, "data": data, "data_kwargs": data_kwargs}
            beside = write_merged(merged, output, checkpoints, base=base, options=options, facts=facts)
            for note in merged.notes:
                say(note)
            made = f"{len(checkpoints)} checkpoints merged by {method.value} into {output}"
            say(f"{made} (record: {beside.name})")
