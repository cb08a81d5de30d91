"""What the parts of a path say: seed, how far training had come, nothing at all, or which variant it is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from landscape.zoo.layouts.names import PROGRESS

__all__ = ["Parts", "parts_of"]

_SEED = re.compile(r"(?:^|(?<=[-_.,]))(?:random_?)?(?:seed|s)[-_=]?(\d+)(?=$|[-_.,])", re.IGNORECASE)
# ``checkpoint-500`` of Hugging Face and timm, ``checkpoint_000003`` of Ray, ``ckpt_10``, ``iter_5000``
_NUMBERED = re.compile(
    r"(?:^|(?<=[-_.]))(?:check_?point|ckpt|iter|step|epoch|ep)[-_=]?(\d+)(?=$|[-_.])", re.IGNORECASE
)
# what a name states of a run's numbers, as Lightning writes it: ``val_loss=0.25``
_STATED = re.compile(
    r"(?:^|(?<=[-_.]))[A-Za-z_/]*(?:loss|acc|accuracy|top1|top5|f1|auc|bleu|err|error|metric|mse|mae)"
    r"[-_=]+\d+(?:[.,]\d+)?(?=$|[-_])",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"(?:^|(?<=[-_.,T]))(?:\d{4}-\d{2}-\d{2}|20\d{6}|\d{2}-\d{2}-\d{2}|\d{2}:\d{2}:\d{2}|\d{6})(?=$|[-_.,T])"
)
_NOTHING = re.compile(
    r"(?:check_?points?|ckpts?|weights?|models?|state_?dict|pytorch_model|model_state|params|files|states?"
    r"|lightning_logs|version|wandb|latest-run|offline-run|run|runs|multirun|outputs?|results?|logs?|exp"
    r"|experiments?|tb_logs|final|last|latest|best|model_best|best_model|best_checkpoint|epoch|step|iter|seed)",
    re.IGNORECASE,
)
_WANDB = re.compile(r"(?:offline-)?run-\d{8}_\d{6}-[a-z0-9]{6,}")
# Ray Tune's names of trials: function, experiment, number of the trial, then what is searched over
_TRIAL = re.compile(r"[-_]?[0-9a-f]{5,8}_\d{5}_\d+(?=$|[-_])")
_VERSION = re.compile(r"version_(\d+)")
_STATE = re.compile(r"(?:^|[-_.])(last|latest|final|best)(?=$|[-_.])", re.IGNORECASE)
_WHOLE = re.compile(r"\d{1,6}")


@dataclass(frozen=True)
class Parts:
    """A path, taken apart.

    Attributes:
        variant: What is left of its folders and its name: which variant it is.
        run: The same with the seed and whatever tells runs apart, and without how far training had come.
        seed: The seed that it states.
        number: Numbers that stand alone, as folders or at the end of a name, with the place in ``variant``
            that they would leave: seeds, if nothing else is.
        state: ``last`` or ``best``; empty if it does not say.
    """

    variant: tuple[str, ...]
    run: tuple[str, ...]
    seed: int | None = None
    number: int | None = None
    state: str = ""
    without_number: tuple[str, ...] = field(default=())


def parts_of(path: str) -> Parts:
    """Take apart a relative path without its ending.

    Example:
        >>> parts_of("runs/vit_seed1/checkpoints/epoch=3-step=100").variant
        ('vit',)
        >>> parts = parts_of("runs/vit/0/last")
        >>> parts.variant, parts.number, parts.without_number, parts.state
        (('vit', '0'), 0, ('vit',), 'last')
    """
    variant: list[str] = []
    run: list[str] = []
    seed: int | None = None
    components = [c for c in path.split("/") if c not in ("", ".", "..")]
    state = _STATE.findall(components[-1]) if components else []
    for component in components:
        if _WANDB.fullmatch(component) or _VERSION.fullmatch(component):
            run.append(component)
            continue
        stated = _SEED.findall(component)
        seed = int(stated[-1]) if stated else seed
        rest = _without_progress(component)
        if rest:
            run.append(rest)
        named = _tidy(_TIME.sub("", _SEED.sub("", _TRIAL.sub("", rest))))
        if named:
            variant.append(named)
    number, without = _number(variant)
    return Parts(
        tuple(variant),
        tuple(run),
        seed,
        number,
        {"latest": "last", "final": "last"}.get(state[-1].lower(), state[-1].lower()) if state else "",
        without,
    )


def _without_progress(component: str) -> str:
    for pattern in (_NUMBERED, _STATED, *PROGRESS.values()):
        component = pattern.sub("", component)
    return _tidy(component)


def _tidy(text: str) -> str:
    """A name without separators at its ends, doubled ones, and words that say nothing."""
    text = re.sub(r"([-_.,=])[-_.,=]+", r"\1", text).strip("-_.,=T ")
    if _NOTHING.fullmatch(text):
        return ""
    words = re.split(r"([-_])", text)
    # ``vit_last``, ``model_best_vit``: at the ends alone, since ``best-of-n`` is a name
    while len(words) > 1 and _NOTHING.fullmatch(words[-1]) and words[-1].lower() not in ("exp", "run"):
        words = words[:-2]
    while len(words) > 1 and words[0].lower() in ("checkpoint", "ckpt", "best", "last", "final"):
        words = words[2:]
    rest = "".join(words).strip("-_.,= ")
    return "" if _NOTHING.fullmatch(rest) else rest


def _number(variant: list[str]) -> tuple[int | None, tuple[str, ...]]:
    """A number that stands alone, as a folder or the last word of a name, and the parts without it."""
    for place in range(len(variant) - 1, -1, -1):
        part = variant[place]
        if _WHOLE.fullmatch(part):
            return int(part), (*variant[:place], *variant[place + 1 :])
        ended = re.fullmatch(r"(.*[^\d\W_].*?)[-_](\d{1,6})", part)
        if ended:
            return int(ended[2]), (*variant[:place], _tidy(ended[1]) or ended[1], *variant[place + 1 :])
        words = re.fullmatch(r"(run|exp|trial|job|rep|fold|version|v|r)(\d{1,4})", part, re.IGNORECASE)
        if words:
            return int(words[2]), (*variant[:place], *variant[place + 1 :])
    return None, tuple(variant)
