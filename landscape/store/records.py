"""What a store remembers beside results: models, failures, and the zoo of the last run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

__all__ = ["Failure", "FileHash", "ModelRecord", "SectionRecord", "Snapshot", "validated"]

T = TypeVar("T")


def validated(kind: type[T], text: str) -> T:
    """What a record of a store holds, checked for its form.

    Args:
        kind: What it should be.
        text: JSON.

    Raises:
        ValueError: If it is something else.
    """
    from pydantic import TypeAdapter

    try:
        return TypeAdapter(kind).validate_python(json.loads(text))
    except RecursionError as error:
        raise ValueError("nested too deep") from error


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
    """

    name: str
    group: str = ""
    seed: int | None = None
    tags: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    path: str = ""
    members: list[str] = field(default_factory=list)


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
    """

    name: str
    models: tuple[ModelRecord, ...]
    sections: tuple[SectionRecord, ...]
    code: dict[str, str] = field(default_factory=dict)

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
        for model in data["models"]:
            if not model["members"]:  # of a zoo without predictives the form is what older programs read
                del model["members"]
        if not self.code:
            del data["code"]
        return json.dumps(data, indent=1, default=str)

    @classmethod
    def from_json(cls, text: str) -> Snapshot:
        """Read what `to_json` wrote; ValueError if it is not that."""
        return validated(cls, text)
