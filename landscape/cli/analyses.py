"""Commands of analyses, with a flag for each option; and what `landscape show` says of a result."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from rich.console import Console, RenderableType
from rich.table import Table

import landscape
from landscape.cli.common import Guard, headline
from landscape.cli.display import ProgressBar, cell, metric_table, number
from landscape.cli.outputs import check_file
from landscape.errors import InputError, LandscapeError, one_line

if TYPE_CHECKING:
    import xarray as xr

    from landscape.base.analysis import Analysis
    from landscape.zoo.spec import ZooSpec

__all__ = ["command_of", "describe", "groups_in", "parse_option", "small_zoo"]

_FEW = 6

# Options whose plain flag is the analysis' own, since it is about them; the problem's flag gets a prefix.
_SUBJECT = {"batch_spectra": ("batch_size",)}


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
    trust_pickle: Annotated[
        bool, typer.Option("--trust-pickle", help="Let the pickle run ANY code. Own files only.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Result file. Default: ANALYSIS-CHECKPOINT.h5.")
    ] = None,
) -> None:
    """The arguments that every analysis shares, beside a problem's options (only its signature is used)."""


def _problem_fields() -> dict[str, FieldInfo]:
    from landscape.zoo.problem_options import ProblemOptions

    return ProblemOptions.model_fields


def _command(analysis: Analysis, guard: Guard) -> Callable[..., None]:
    """The function behind a command; typer reads its flags from the signature made here."""
    common = inspect.signature(_common, eval_str=True).parameters
    problem = _problem_fields()
    shared = {*common, *problem}
    subject = _SUBJECT.get(analysis.name, ())
    flags = {name: name if name in subject else _flag(name, shared) for name in analysis.params.model_fields}
    of_problem = {name: f"problem_{name}" if name in subject else name for name in problem}

    def command(**given: Any) -> None:
        with guard():
            options = _given(analysis.params.model_fields, flags, given)
            problem_options = _given(problem, of_problem, given)
            _analyse(analysis, options, problem_options, **{name: given[name] for name in common})

    for_problem = [_parameter(of_problem[n], f, repeatable=_is_list(f)) for n, f in problem.items()]
    own = [
        _parameter(flags[n], f, also=f"--option-{n.replace('_', '-')}" if n in subject else "")
        for n, f in analysis.params.model_fields.items()
    ]
    signature = inspect.Signature([*common.values(), *for_problem, *own])
    command.__signature__ = signature  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    command.__name__ = analysis.name
    return command


def _flag(name: str, shared: Any) -> str:
    """Name of an option's flag; one that a shared flag has already gets a prefix."""
    return f"option_{name}" if name in shared else name


def _given(fields: dict[str, FieldInfo], flags: dict[str, str], given: dict[str, Any]) -> dict[str, Any]:
    """The options that the command line names, by name; ``flags`` are their flags."""
    texts = {name: given[flag] for name, flag in flags.items() if given[flag] not in (None, "", [])}
    texts = {name: ",".join(text) if isinstance(text, list) else text for name, text in texts.items()}
    return {name: parse_option(fields[name], text) for name, text in texts.items()}


def _is_list(field: FieldInfo) -> bool:
    """Whether an option takes any number of values."""
    kinds = (field.annotation, *get_args(field.annotation))
    return any(get_origin(kind) is tuple and Ellipsis in get_args(kind) for kind in kinds)


def _parameter(flag: str, field: FieldInfo, *, repeatable: bool = False, also: str = "") -> inspect.Parameter:
    text = f"{field.description}{' Repeatable.' if repeatable else ''} [default: {_shown(field.default)}]"
    dashed = f"--{flag.replace('_', '-')}"
    if field.annotation in (bool, bool | None):
        option = typer.Option(f"{dashed}/--no-{dashed[2:]}", help=text)
        kind: Any = Annotated[bool | None, option]
    else:
        names = (dashed, also) if also else (dashed,)
        option = typer.Option(*names, help=text, metavar=_metavar(field))
        kind = Annotated[list[str] | None, option] if repeatable else Annotated[str | None, option]
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
    return "none" if value in (None, "") else str(value)


def parse_option(field: FieldInfo, given: str | bool) -> Any:
    """A flag's text as a value of an option's type: as it is, as JSON, or as a list with commas.

    Text that fits none of these is returned as it is, so that validation names what is wrong.
    """
    annotation: Any = field.annotation
    kind: TypeAdapter[Any] = TypeAdapter(annotation)
    # The text itself first: what an option takes as a text must not be read as JSON.
    candidates: list[Any] = [given]
    if isinstance(given, str):
        with suppress(ValueError, RecursionError):
            candidates.append(json.loads(given))
        if given.lower() == "none":
            candidates += [None, ()]
        candidates.append([part.strip() for part in given.split(",")])
    for candidate in candidates:
        try:
            kind.validate_python(candidate)
        except (ValidationError, RecursionError):
            continue
        return candidate
    return given


def _analyse(
    analysis: Analysis,
    options: dict[str, Any],
    problem: dict[str, Any],
    *,
    checkpoints: list[Path],
    output: Path | None,
    trust_pickle: bool,
    **shared: Any,
) -> None:
    """Run one analysis on the checkpoints of the command line, save the result and sum it up."""
    from landscape.zoo import analyse
    from landscape.zoo.checkpoint import TRUST_WARNING

    takes = {"checkpoint": 1, "pair": 2}.get(analysis.scope)
    params = analysis.validate(options)
    if analysis.from_zoo(params) is not None:  # the plan says how many
        takes = None
    if takes is not None and len(checkpoints) != takes:
        raise InputError(f"'{analysis.name}' takes {takes} checkpoint(s); got {len(checkpoints)}.")
    check_file("--output", output)
    spec = _spec(analysis.name, params.model_dump(mode="json"), problem, checkpoints, **shared)
    console = Console()
    if trust_pickle:
        Console(stderr=True).print(TRUST_WARNING, style="bold red", highlight=False, soft_wrap=True)
    with ProgressBar(console) as bar:
        bar.begin(100.0, "%")
        ds = analyse(
            spec,
            trust_pickle=trust_pickle,
            on_progress=lambda fraction: bar.update(100.0 * fraction, analysis.title),
        )
    path = output or Path(f"{analysis.name}-{'-'.join(m.name for m in spec.models)}.h5")
    landscape.save(ds, path)
    console.print(metric_table(analysis.summary(ds)), highlight=False)
    console.print(cell(f"saved to {path}", None), soft_wrap=True)


def _spec(
    name: str,
    options: dict[str, Any],
    problem: dict[str, Any],
    checkpoints: list[Path],
    *,
    model: str,
    data: str,
    model_kwargs: str,
    data_kwargs: str,
) -> ZooSpec:
    """A small zoo of the checkpoints with one analysis."""
    from landscape.zoo.spec import SectionSpec

    builders = {"model": model, "data": data, "model_kwargs": model_kwargs, "data_kwargs": data_kwargs}
    zoo = small_zoo(checkpoints, problem, **builders)
    return replace(zoo, sections=(SectionSpec(name, name, options),))


def small_zoo(
    checkpoints: list[Path],
    problem: dict[str, Any],
    *,
    model: str,
    data: str,
    model_kwargs: str,
    data_kwargs: str,
) -> ZooSpec:
    """A zoo of the checkpoints of a command line; modules are imported from the current folder.

    Args:
        checkpoints: Their files.
        problem: Options of problems by name.
        model: Function that makes the model.
        data: Function that makes the data.
        model_kwargs: Arguments of ``model``, as JSON.
        data_kwargs: Arguments of ``data``, likewise.

    Raises:
        InputError: If something is no JSON object, or an option is wrong.
    """
    from landscape.zoo.problem_options import ProblemOptions
    from landscape.zoo.spec import Builder, Model, ZooSpec, unique_names

    builder = Builder(model, _json("--model-kwargs", model_kwargs))
    names = unique_names([str(p) for p in checkpoints])
    return ZooSpec(
        name="",
        folder=Path.cwd(),
        models=tuple(Model(n, p, str(p), builder) for n, p in zip(names, checkpoints, strict=True)),
        data=Builder(data, _json("--data-kwargs", data_kwargs)),
        problem=ProblemOptions.check(problem),
        sections=(),
    )


def _json(flag: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except RecursionError:
        raise InputError(
            f"{flag} nests lists or objects too deep; give a file of your own instead."
        ) from None
    except ValueError as error:
        raise InputError(f"{flag} is not JSON: {one_line(error)}.") from error
    if not isinstance(value, dict):
        raise InputError(f'{flag} must be a JSON object such as {{"width": 8}}; got {text[:80]}.')
    return value


def describe(ds: xr.Dataset) -> Iterator[RenderableType]:
    """What a dataset holds: where it comes from, its variables, and the numbers that sum it up."""
    from landscape.base.registry import find_recorded

    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column()
    facts.add_column(overflow="fold")
    for key, value in ds.attrs.items():
        facts.add_row(cell(key), cell(number(value), None))
    yield facts
    yield ""
    variables = Table("variable", "dimensions", "unit", "values", "meaning", box=None, pad_edge=False)
    for name, variable in ds.variables.items():
        sizes = ", ".join(f"{d}: {n}" for d, n in variable.sizes.items())
        values = variable.values.reshape(-1)
        some = " ".join(number(v.item() if hasattr(v, "item") else v) for v in values[:_FEW])
        more = " ..." if len(values) > _FEW else ""
        unit, meaning = (str(variable.attrs.get(k, "")) for k in ("units", "long_name"))
        variables.add_row(cell(name), cell(sizes), cell(unit), cell(some + more), cell(meaning, None))
    yield variables
    try:
        analysis = find_recorded(str(ds.attrs.get("analysis", "")))
    except LandscapeError:  # a plug-in that is not installed here
        return
    other, _ = analysis.schema.other_version(analysis.name, {"": ds})
    if other:
        yield ""
        yield cell(f"note: {other}", None)
        return
    metrics = analysis.summary(ds)
    yield ""
    yield metric_table(metrics)


def groups_in(file: Path) -> list[str]:
    """The groups of a consolidated file that hold results."""
    import h5py

    from landscape.store.within import check_group

    found: list[str] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Group) and any(isinstance(v, h5py.Dataset) for v in item.values()):
            found.append(name)

    with h5py.File(file, "r", locking=False) as handle:
        check_group(handle, file, depth=3)
        handle.visititems(visit)
    return found
