"""What a store remembers beside results: models, failures, and the zoos of its runs.

Records are JSON, and carry a digest as their first entry: a flipped bit in one would change what a report
says of a model, or which results are whose.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

__all__ = [
    "Failure",
    "FileHash",
    "ModelRecord",
    "SectionRecord",
    "Snapshot",
    "parsed",
    "record",
    "validated",
]

T = TypeVar("T")

_SEAL = re.compile(r'\{\n "sha256": "([0-9a-f]{64})",\n')
_DIGEST = slice(14, 78)  # where the digest stands
_HEX = frozenset("0123456789abcdef")


def record(data: Mapping[str, Any], indent: int | None = None) -> str:
    """A mapping as JSON with its digest; values that JSON lacks (dates) become strings.

    Args:
        data: The mapping; an empty one has no digest.
        indent: Spaces within the values; by default each is on one line.

    Example:
        >>> print(record({"a": [1, 2]}))  # doctest: +ELLIPSIS
        {
         "sha256": "03a0...",
         "a": [1, 2]
        }
        >>> parsed(record({"a": [1, 2]}))
        {'a': [1, 2]}
    """
    if indent is None:
        entries = (f" {json.dumps(str(k))}: {json.dumps(v, default=str)}" for k, v in data.items())
        lines = ",\n".join(entries) + "\n}"
    else:
        lines = json.dumps(data, indent=indent, default=str)[2:]
    if not data:
        return "{}"
    return f'{{\n "sha256": "{hashlib.sha256(lines.encode()).hexdigest()}",\n{lines}'


def parsed(text: str) -> Any:
    """What a record holds; one without a digest, of an older version or written by hand, as it is.

    Raises:
        ValueError: If it is damaged, or no JSON.
    """
    seal = _SEAL.match(text)
    # Whatever bit of the first two lines flips, most of the digest is in its place and says that one was.
    if seal is None and sum(c in _HEX for c in text[_DIGEST]) > 60:
        raise ValueError("its digest is damaged")
    if seal is not None:
        lines = text[seal.end() :]
        if hashlib.sha256(lines.encode("utf-8", "surrogatepass")).hexdigest() != seal[1]:
            raise ValueError("it is not what was written (SHA-256)")
        text = "{\n" + lines
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def validated(kind: type[T], text: str) -> T:
    """What a record of a store holds, checked for its form.

    Args:
        kind: What it should be.
        text: JSON.

    Raises:
        ValueError: If it is something else.
    """
    from pydantic import TypeAdapter

    return TypeAdapter(kind).validate_python(parsed(text))


@dataclass(frozen=True)
class ModelRecord:
    """One model of a zoo, or one predictive made of models, as its manifest describes it.

    Attributes:
        name: Unique within the zoo.
        group: Models to be compared with one another; may be empty.
        seed: Training seed, if known.
        tags: Free labels (width, batch size, ...).
        metrics: Numbers recorded in training, such as ``test_accuracy``.
        path: The checkpoint, as the manifest names it; empty for a predictive.
        members: Names of the models that a predictive is made of; empty for a model.
        run: Training run that it is a checkpoint of, among those of its group; may be empty.
    """

    name: str
    group: str = ""
    seed: int | None = None
    tags: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    path: str = ""
    members: list[str] = field(default_factory=list)
    run: str = ""


@dataclass(frozen=True)
class Failure:
    """A task that failed.

    Attributes:
        label: The section it belongs to.
        analysis: Name of the analysis, which is its folder in the store.
        model: The subject: a model, a pair ``"a ~ b"`` or a group.
        key: The task's key.
        error: One sentence.
        kind: ``checkpoint``, ``input``, ``store``, ``worker`` or ``error`` (unexpected); ``inapplicable`` if
            the analysis has nothing to look at in this model, which is no failure.
    """

    label: str
    analysis: str
    model: str
    key: str
    error: str
    kind: str


@dataclass(frozen=True)
class FileHash:
    """A checkpoint as it was when it was hashed: size in bytes, time of change in ns, and SHA-256."""

    size: int
    changed_ns: int
    sha256: str


@dataclass(frozen=True)
class SectionRecord:
    """One analysis with its options, and where its results lie.

    Attributes:
        label: Heading, unique within the zoo.
        analysis: What `landscape.base.registry.find` takes: a name, or ``module:attribute``.
        folder: Name of the analysis: its folder in the store.
        parameters: All options, defaults included.
        tasks: Key of the task of each subject, in manifest order.
    """

    label: str
    analysis: str
    folder: str
    parameters: dict[str, Any]
    tasks: dict[str, str]


@dataclass(frozen=True)
class Snapshot:
    """The zoo of the last run: its models, and its sections with the keys of their tasks.

    Attributes:
        name: Of the zoo.
        models: In manifest order.
        sections: In manifest order.
        code: Hashes of the manifest's own modules in that run, by file; empty if it has none.
        source: Tells one manifest from others that share the store; empty in stores of older versions.
        others: The same for the last runs of these others; they have no others of their own.
    """

    name: str
    models: tuple[ModelRecord, ...]
    sections: tuple[SectionRecord, ...]
    code: dict[str, str] = field(default_factory=dict)
    source: str = ""
    others: tuple[Snapshot, ...] = ()

    def all(self) -> Iterator[Snapshot]:
        """This zoo, and the others of the store."""
        yield self
        yield from self.others

    def beside(self, former: Snapshot | None) -> Snapshot:
        """This zoo with the others that a store holds, but for the former one of the same manifest."""
        known = former.all() if former is not None else ()
        return replace(
            self, others=tuple(replace(s, others=()) for s in known if s.source not in ("", self.source))
        )

    def chosen(self, zoo: str) -> Snapshot | None:
        """The zoo of that name or source; the last one that ran, if there are several."""
        return next((s for s in self.all() if zoo in (s.source, s.name)), None)

    def holding(self, folder: str, key: str) -> Snapshot | None:
        """The zoo that a result belongs to."""
        return next(
            (s for s in self.all() for r in s.sections if r.folder == folder and key in r.tasks.values()),
            None,
        )

    def changed(self, code: object) -> tuple[str, ...]:
        """The files of a result's code that have changed since it was computed; empty if that is unknown.

        Args:
            code: The attribute ``code`` of the result: a JSON mapping of hashes by file.
        """
        try:
            recorded = json.loads(str(code)) if code and self.code else {}
        except (ValueError, RecursionError):
            return ()
        if not isinstance(recorded, dict):
            return ()
        return tuple(sorted(f for f, digest in recorded.items() if self.code.get(f) != digest))

    def to_json(self) -> str:
        """As indented JSON; values that JSON lacks (dates) become strings."""
        data = asdict(self)
        for zoo in (data, *data["others"]):
            for model in zoo["models"]:
                if not model["members"]:  # of a zoo without predictives the form is what older programs read
                    del model["members"]
                if not model["run"]:
                    del model["run"]
            for name in ("code", "source", "others"):
                if not zoo[name]:
                    del zoo[name]
        return record(data, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Snapshot:
        """Read what `to_json` wrote; ValueError if it is not that."""
        return validated(cls, text)
