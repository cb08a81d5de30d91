"""FiLM-Ensemble: many members in one network (Turkoglu et al., NeurIPS 2022).

    python analysis_scripts/implicit_ensembles.py [--quick]

Trains residual networks whose members share all convolutions and differ in their norms, on random parts of
the digits; beside them, as controls, identical members, one network, and deep ensembles of as many networks
(Lakshminarayanan et al. 2017). Asks what averaging gains on noisy and on turned digits, and whether that is
because members differ. Run it again to go on where it stopped.
"""

from itertools import pairwise
from typing import NamedTuple

from landscape.base.figure import Axis
from landscape.core.behaviour.deep_ensemble import DeepEnsemble
from landscape.reference import models
from landscape.reference.training import MemberCrossEntropy
from landscape.reference.uncertainty import film_member
from landscape.studies import Average, Cohort, Data, Figure, Finding, Ladder, On, Size, Study, effects, kind
from landscape.studies.settings import DIGIT_PIXELS

SIDE = 12  # pixels
NET = {"width": 8, "image": SIDE}
ADAM = {"optimizer": "adamw", "lr": 0.01, "batch_size": 50, "schedule": "cosine"}
NOISE = 0.2  # standard deviation, of the pixel range
GAINS = {"identical": 0.0, "gain-0.5": 0.5, "gain-1": 1.0, "film": 2.0, "gain-4": 4.0}
MEMBERS = {"members-1": 1, "members-2": 2, "film": 4, "members-8": 8}
ONE = {f"one-of-{name}": count for name, count in MEMBERS.items()}
FILM = {  # members, gain, what scales are drawn about
    **{name: {"members": 4, "gain": gain} for name, gain in GAINS.items()},
    **{name: {"members": count, "gain": 2.0} for name, count in MEMBERS.items()},
    "published": {"members": 4, "gain": 1.0, "center": 0.0},
}
ALL, FAST = dict(DIGIT_PIXELS), {**DIGIT_PIXELS, "bootstrap": 2}
KINDS = ("single", "identical", "gain-0.5", "film", "published", "deep-ensemble")  # those of most figures
FEW, MANY = ([NOISE], [30.0]), ([0.1, NOISE, 0.3], [15.0, 30.0, 45.0])  # amounts of noise, and degrees
SIZES = {
    "quick": Size(data=Data.digits(60, 30, SIDE), epochs=1, parts=1, options=FAST, amounts=FEW),
    "default": Size(data=Data.digits(600, 500, SIDE), epochs=10, parts=5, options=ALL, amounts=MANY),
}


def cohort(size, part):
    """Networks and FiLM-Ensembles on one random part of the digits; the first member of each alone."""
    data = Data.digits(size.data.examples, size.data.test.kwargs["count"], SIDE, seed=part)
    training = {**ADAM, "epochs": size.epochs}
    together = {**training, "objective": MemberCrossEntropy()}
    recipes = [kind("single", models.resnet, NET, training)]
    recipes += [kind(name, models.film_resnet, {**own, **NET}, together) for name, own in FILM.items()]
    averages = [Average("deep-ensemble", "single", DeepEnsemble)]
    averages += [Average(f"one-of-{name}", name, film_member) for name in FILM]
    noisy = {**size.options, "shifts": ["gaussian_noise"], "intensities": size.amounts[0]}
    turned = {**size.options, "shifts": ["rotation"], "intensities": size.amounts[1]}
    measure = [
        On("test", "uncertainty", noisy, label="noise"),
        On("test", "uncertainty", turned, KINDS, label="turned"),
    ]
    return Cohort(recipes, data, measure, f"part-{part}", averages=averages, first_seed=tuple(FILM))


def cohorts(size):
    """One cohort for each random part; the single networks of a part make its deep ensemble."""
    return [cohort(size, part) for part in range(size.parts)]


def at(name, intensity):
    """A score of ``uncertainty`` at an intensity of its only shift; 0 for unchanged digits."""
    return lambda ds: float(ds[name].sel(intensity=intensity)[0])


class Row(NamedTuple):
    """A claim: an effect is larger in one kind than in another."""

    claim: str
    effect: object
    more: str
    than: str
    of: str = "noise"
    unit: str = "nats"


CLEAN, NOISY, TURNED = at("nll", 0.0), at("nll", NOISE), effects.shifted("nll")
DIFFER, ECE = at("disagreement", NOISE), at("ece", NOISE)
LOWER, PLAIN, NOISED, TURNS = "has a lower NLL on", "unchanged digits", "noisy digits", "turned digits"
FOUR, SAME = "FiLM of 4, gain 2,", "identical members"
CONTROLS = [
    Row(f"{FOUR} {LOWER} {NOISED} than {SAME}", NOISY, "identical", "film"),
    Row(f"{FOUR} {LOWER} {TURNS} than {SAME}", TURNED, "identical", "film", "turned"),
    Row(f"{FOUR} {LOWER} {PLAIN} than {SAME}", CLEAN, "identical", "film"),
    Row(f"{FOUR} is better calibrated on {NOISED} than {SAME}", ECE, "identical", "film", unit=""),
    Row(f"{FOUR} {LOWER} {NOISED} than one network", NOISY, "single", "film"),
    Row(f"FiLM of {SAME} {LOWER} {NOISED} than one network", NOISY, "single", "identical"),
    Row(f"one member of {FOUR} {LOWER} {NOISED} than {SAME}", NOISY, "identical", "one-of-film"),
    Row(f"one network of gain 2 {LOWER} {NOISED} than as usual", NOISY, "single", "members-1"),
    Row(f"{FOUR} {LOWER} {PLAIN} than as published (gain 1 about 0)", CLEAN, "published", "film"),
]
DEEP = [
    Row(f"a deep ensemble of 4 {LOWER} {what} than {FOUR[:-1]}", effect, "film", "deep-ensemble", of)
    for what, effect, of in ((PLAIN, CLEAN, "noise"), (NOISED, NOISY, "noise"), (TURNS, TURNED, "turned"))
]
AVERAGED = [
    Row(f"the mean of members {LOWER} {NOISED} than the first of them: {who}", NOISY, f"one-of-{who}", who)
    for who in ("gain-0.5", "gain-1", "film", "gain-4", "published", "members-2", "members-8")
]
MORE = [
    Row(f"members disagree more on {NOISED} at gain {b:g} than at {a:g}", DIFFER, high, low, unit="of pairs")
    for (low, a), (high, b) in pairwise(GAINS.items())
]
MORE += [
    Row(f"FiLM of {b} {LOWER} {NOISED} than of {a}", NOISY, few, many)
    for (few, a), (many, b) in pairwise(MEMBERS.items())
]

FIGURES = [
    Figure("noise", ("nll_gaussian_noise", "ece_gaussian_noise", "split"), KINDS, by_cohort=True),
    Figure("turned", "nll_rotation", KINDS, by_cohort=True),
    Ladder(
        "gain",
        "How much members of one network disagree",
        "noise",
        {"unchanged digits": (at("disagreement", 0.0), GAINS), f"noise of {NOISE}": (DIFFER, GAINS)},
        Axis("gain of scales and shifts at the start"),
        Axis("share of pairs of members that disagree"),
        "Four members; at gain 0 they are the same.",
    ),
    Ladder(
        "members",
        f"What averaging members gains under noise of {NOISE}",
        "noise",
        {"mean of the members": (NOISY, MEMBERS), "first member alone": (NOISY, ONE)},
        Axis("members", scale="log"),
        Axis("negative log-likelihood", "nats/example"),
        "Members of gain 2 that share convolutions and head.",
    ),
]
STUDY = Study(
    name="film",
    script=__file__,
    paper="Turkoglu et al. 2022",
    sizes=SIZES,
    cohorts=cohorts,
    findings=[
        Finding(row.claim, row.effect, row.of, more=row.more, than=row.than, unit=row.unit, by_cohort=True)
        for row in (*CONTROLS, *DEEP, *AVERAGED, *MORE)
    ],
    figures=FIGURES,
    seeds=4,  # networks of a deep ensemble, as many as a FiLM-Ensemble has members
)

if __name__ == "__main__":
    STUDY.main()
