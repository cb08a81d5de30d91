"""What a study declares to be measured, before a run: `On` names an analysis, its data and options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from landscape.base.registry import find
from landscape.reference.training import augment
from landscape.studies.averages import Average
from landscape.studies.data import Data
from landscape.zoo.spec import SectionSpec

__all__ = ["On", "augmentation_options", "frequency_noise", "sections", "spectra"]


@dataclass(frozen=True)
class On:
    """One analysis on the data of a study.

    Attributes:
        data: ``train``, ``test``, ``mixup`` or others, see `landscape.studies.data.Data.builder`.
        analysis: Its name.
        options: Options other than the defaults.
        kinds: Globs over kinds of models: whom it looks at.
        seeds: Models of ``all`` seeds; of the ``first`` alone; or, for ``each``, models of all seeds with
            the option ``seed`` of the analysis that of the model.
        examples: How many examples it uses; ``None`` for all.
        label: What findings and figures call its results; default: the name of the analysis. Results of
            one label are put together.
        with_dropout: Whether it looks at models as they were trained, in a cohort whose models are otherwise
            looked at without dropout.
    """

    data: str
    analysis: str
    options: Mapping[str, Any] = field(default_factory=dict)
    kinds: tuple[str, ...] = ("*",)
    seeds: Literal["all", "each", "first"] = "all"
    examples: int | None = None
    label: str = ""
    with_dropout: bool = False

    @property
    def of(self) -> str:
        """What findings and figures call its results."""
        return self.label or self.analysis


def sections(
    measures: Sequence[On], seeds: Sequence[int], averages: Sequence[Average] = ()
) -> dict[str, list[SectionSpec]]:
    """The sections of a zoo that measures make, by what findings and figures call their results.

    Args:
        measures: What is measured.
        seeds: Training seeds.
        averages: Ensembles, at which analyses of predictions look as at kinds of models.
    """
    found: dict[str, list[SectionSpec]] = {}
    named = {average.name for average in averages}
    for on in measures:
        made = found.setdefault(on.of, [])
        for seed in {"all": ("*",), "first": seeds[:1], "each": seeds}[on.seeds]:
            own = {"seed": seed} if on.seeds == "each" else {}
            label = f"{on.of}_{seed}" if own else on.of
            if any(label == section.label for section in made):
                label = f"{label}-{len(made) + 1}"
            models = tuple(f"{kind}-s{seed}" for kind in on.kinds if kind not in named)
            if on.seeds == "all" and averages and find(on.analysis).takes == "predictive":
                chosen = [a for a in averages if any(fnmatchcase(a.name, kind) for kind in on.kinds)]
                models += tuple(f"{a.name}-s*" if a.each else a.name for a in chosen)
            made.append(SectionSpec(label, on.analysis, {**on.options, **own}, models, on.examples))
    return found


def spectra(data: Data, training: Mapping[str, Any], batches: int, k: int = 5) -> On:
    """``batch_spectra``: k eigenvalues of so many mini-batches of 16 examples, changed as in training.

    Seeds have mini-batches of their own, which models of one seed share: intervals over seeds then speak of
    mini-batches as well, and means over seeds rest on more of them.
    """
    # Mini-batches of 16, as in Park & Kim (2022), are the default of `batch_spectra`.
    options = {
        **augmentation_options(training),
        "fraction": min(1.0, batches / (data.examples // 16)),
        "k": k,
    }
    return On("train", "batch_spectra", options, seeds="each")


def frequency_noise(examples: int) -> On:
    """Accuracy on held-out images with noise of standard deviation 0.5 in one frequency band at a time.

    Its results are called ``noise``, see `landscape.studies.quantities.noise_harm`.
    """
    options = {"heat_steps": 1, "sigma": 0.5}
    return On("test", "frequency_noise", options, examples=examples, label="noise")


def augmentation_options(training: Mapping[str, Any]) -> dict[str, Any]:
    """Options of ``batch_spectra`` that change images as the training did, RandAugment and mixing apart."""
    if training["augment"] == "shift":
        return {"augment": "shift", "margin": augment.SHIFT}
    return {"augment": "shift+flip", "margin": augment.CROP}
