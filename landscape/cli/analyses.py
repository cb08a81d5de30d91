"""Commands of analyses, with a flag for each option; and what `landscape show` says of a result."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

import landscape
from landscape.cli.display import Meter, metric_table, number
from landscape.cli.group import Guard, headline
from landscape.errors import InputError, LandscapeError

if TYPE_CHECKING:
    import xarray as xr

    from landscape.base.analysis import Analysis
    from landscape.zoo.spec import ZooSpec

__all__ = ["command_of", "describe", "groups_in", "parse_option"]

_FEW = 6


def command_of(analysis: Analysis, guard: Guard) -> Any:
    """The command of an analysis, with a flag for each of its options.

    Args:
        analysis: Of any scope but ``table``.
        guard: Turns errors into sentences and exit statuses.

    Returns:
        A click command, as ``typer.main.get_command`` makes it.
    """
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    text = f"{headline(analysis.title, analysis.scope)}\n\n{analysis.description}"
    single.command(analysis.name, help=text)(_command(analysis, guard))
    return typer.main.get_command(single)


def _common(
    checkpoints: Annotated[list[Path], typer.Argument(help="Checkpoint files.")],
    model: Annotated[str, typer.Option(help="Function that makes the model, package.module:function.")],
    data: Annotated[str, typer.Option(help="Function that makes the data, package.module:function.")],
    model_kwargs: Annotated[str, typer.Option(metavar="JSON", help="Arguments of --model.")] = "{}",
    data_kwargs: Annotated[str, typer.Option(metavar="JSON", help="Arguments of --data.")] = "{}",
    loss: Annotated[
        str, typer.Option(help="cross_entropy, mse or package.module:function.")
    ] = "cross_entropy",
    weight_decay: Annotated[float, typer.Option(help="λ of the term (λ/2)‖θ‖².")] = 0.0,
    batch_size: Annotated[int, typer.Option(help="Micro-batch size.")] = 256,
    batchnorm: Annotated[str, typer.Option(help="eval or train.")] = "eval",
    parameters: Annotated[
        list[str] | None, typer.Option(help="Glob over parameter names; repeatable.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Where to compute, such as cuda:0.")] = None,
    allow: Annotated[
        list[str] | None, typer.Option(help="A name that the pickle may import; repeatable.")
    ] = None,
    trust_pickle: Annotated[
        bool, typer.Option("--trust-pickle", help="Let the pickle run ANY code. Own files only.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Result file. Default: ANALYSIS-CHECKPOINT.h5.")
    ] = None,
) -> None:
    """The arguments that every analysis shares (only its signature is used)."""


def _command(analysis: Analysis, guard: Guard) -> Callable[..., None]:
    """The function behind a command; typer reads its flags from the signature made here."""
    shared = inspect.signature(_common, eval_str=True).parameters
    flags = {name: _flag(name, shared) for name in analysis.params.model_fields}

    def command(**given: Any) -> None:
        with guard():
            fields = analysis.params.model_fields
            options = {
                name: parse_option(fields[name], given[flag])
                for name, flag in flags.items()
                if given[flag] is not None
            }
            _analyse(analysis, options, **{name: given[name] for name in shared})

    own = [_parameter(flags[n], f) for n, f in analysis.params.model_fields.items()]
    signature = inspect.Signature([*shared.values(), *own])
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    command.__name__ = analysis.name
    return command


def _flag(name: str, shared: Any) -> str:
    """Name of an option's flag; one that a shared flag has already gets a prefix."""
    return f"option_{name}" if name in shared else name


def _parameter(flag: str, field: FieldInfo) -> inspect.Parameter:
    text = f"{field.description} [default: {_shown(field.default)}]"
    dashed = f"--{flag.replace('_', '-')}"
    if field.annotation in (bool, bool | None):
        option = typer.Option(f"{dashed}/--no-{dashed[2:]}", help=text)
        kind: Any = Annotated[bool | None, option]
    else:
        option = typer.Option(dashed, help=text, metavar=_metavar(field))
        kind = Annotated[str | None, option]
    return inspect.Parameter(flag, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)


def _metavar(field: FieldInfo) -> str:
    choices = _choices(field.annotation)
    if choices and all(isinstance(c, str) for c in choices):
        return "|".join(choices)
    plain = {int: "INT", float: "FLOAT", str: "TEXT"}
    return next((text for kind, text in plain.items() if field.annotation is kind), "VALUE")


def _choices(annotation: Any) -> list[Any]:
    """The values of a literal type, also of one that may be ``None``."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    inner = [kind for kind in get_args(annotation) if kind is not NoneType]
    return _choices(inner[0]) if len(inner) == 1 else []


def _shown(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ",".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def parse_option(field: FieldInfo, given: str | bool) -> Any:
    """A flag's text as a value of an option's type: as it is, as JSON, or as a list with commas.

    Text that fits none of these is returned as it is, so that validation names what is wrong.
    """
    annotation: Any = field.annotation
    kind: TypeAdapter[Any] = TypeAdapter(annotation)
    candidates: list[Any] = [given]
    if isinstance(given, str):
        with suppress(ValueError):
            candidates.append(json.loads(given))
        if given.lower() == "none":
            candidates += [None, ()]
        candidates.append([part.strip() for part in given.split(",")])
    for candidate in candidates:
        try:
            kind.validate_python(candidate)
        except ValidationError:
            continue
        return candidate
    return given


def _analyse(
    analysis: Analysis,
    options: dict[str, Any],
    *,
    checkpoints: list[Path],
    output: Path | None,
    trust_pickle: bool,
    **shared: Any,
) -> None:
    """Run one analysis on the checkpoints of the command line, save the result and sum it up."""
    from landscape.zoo import analyse
    from landscape.zoo.checkpoint import TRUST_WARNING

    wanted = {"checkpoint": 1, "pair": 2}.get(analysis.scope)
    if wanted is not None and len(checkpoints) != wanted:
        raise InputError(f"'{analysis.name}' takes {wanted} checkpoint(s); got {len(checkpoints)}.")
    params = analysis.validate(options)
    spec = _spec(analysis.name, params.model_dump(mode="json"), checkpoints, **shared)
    console = Console()
    if trust_pickle:
        Console(stderr=True).print(TRUST_WARNING, style="bold red", highlight=False, soft_wrap=True)
    with Meter(console) as meter:
        meter.begin(100.0, "%")
        ds = analyse(
            spec,
            trust_pickle=trust_pickle,
            on_progress=lambda fraction: meter.update(100.0 * fraction, analysis.title),
        )
    path = output or Path(f"{analysis.name}-{'-'.join(m.name for m in spec.models)}.h5")
    landscape.save(ds, path)
    console.print(metric_table(analysis.summary(ds)), highlight=False)
    console.print(escape(f"saved to {path}"), highlight=False, soft_wrap=True)


def _spec(
    name: str,
    options: dict[str, Any],
    checkpoints: list[Path],
    *,
    model: str,
    data: str,
    model_kwargs: str,
    data_kwargs: str,
    parameters: list[str] | None,
    allow: list[str] | None,
    **settings: Any,
) -> ZooSpec:
    """A small zoo of the checkpoints; modules are imported from the current folder."""
    from landscape.zoo.spec import Builder, ModelSpec, SectionSpec, Settings, ZooSpec, unique_names

    builder = Builder(model, _json("--model-kwargs", model_kwargs))
    names = unique_names([str(p) for p in checkpoints])
    if settings["batchnorm"] not in ("eval", "train"):
        raise InputError(f"--batchnorm must be eval or train; got '{settings['batchnorm']}'.")
    return ZooSpec(
        name="",
        folder=Path.cwd(),
        models=tuple(ModelSpec(n, p, str(p), builder) for n, p in zip(names, checkpoints, strict=True)),
        data=Builder(data, _json("--data-kwargs", data_kwargs)),
        settings=Settings(
            parameters=tuple(parameters) if parameters else None, allow=tuple(allow or ()), **settings
        ),
        sections=(SectionSpec(name, name, options),),
    )


def _json(flag: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InputError(f"{flag} is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise InputError(f'{flag} must be a JSON object such as {{"width": 8}}; got {text}.')
    return value


def describe(ds: xr.Dataset) -> Iterator[RenderableType]:
    """What a dataset holds: where it comes from, its variables, and the numbers that sum it up."""
    from landscape.base.registry import find_recorded

    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column()
    facts.add_column(overflow="fold")
    for key, value in ds.attrs.items():
        facts.add_row(escape(str(key)), number(value))
    yield facts
    yield ""
    variables = Table("variable", "dimensions", "unit", "values", "meaning", box=None, pad_edge=False)
    for name, variable in ds.variables.items():
        sizes = ", ".join(f"{d}: {n}" for d, n in variable.sizes.items())
        values = variable.values.reshape(-1)
        some = " ".join(number(v.item() if hasattr(v, "item") else v) for v in values[:_FEW])
        more = " ..." if len(values) > _FEW else ""
        unit, meaning = (str(variable.attrs.get(k, "")) for k in ("units", "long_name"))
        variables.add_row(escape(str(name)), sizes, escape(unit), some + more, escape(meaning))
    yield variables
    try:
        metrics = find_recorded(str(ds.attrs.get("analysis", ""))).summary(ds)
    except LandscapeError:  # a plug-in that is not installed here
        return
    yield ""
    yield metric_table(metrics)


def groups_in(file: Path) -> list[str]:
    """The groups of a consolidated file that hold results."""
    import h5py

    found: list[str] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Group) and any(isinstance(v, h5py.Dataset) for v in item.values()):
            found.append(name)

    with h5py.File(file, "r") as handle:
        handle.visititems(visit)
    return found
