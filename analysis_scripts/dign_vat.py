"""Trace against top eigenvalue: what consistency under noise and virtual adversarial training penalise.

    python analysis_scripts/dign_vat.py [--quick | --size natural --data DIR | --full]

Trains small networks with the divergence between predictions on an image and beside it: along random
noise (DiGN: Tsiligkaridis & Tsiligkaridis 2023), which penalises the trace of the Fisher matrix of the
prediction about the image, and where it grows fastest (VAT: Miyato et al. 2018), which penalises its top
eigenvalue. Beside them, plain training, noise as augmentation, and random directions of VAT's length.
"""

from landscape.reference import models
from landscape.reference.training import CrossEntropy, NoiseAugmentation, NoiseConsistency, VirtualAdversarial
from landscape.studies import Association, Cohort, Data, Figure, Finding, On, Size, Study, effects, kind
from landscape.studies.quantities import accuracy
from landscape.studies.settings import CIFAR10_PIXELS, COLOUR_LENET, DIGIT_PIXELS, SHORT_SGD

SMALL = {"optimizer": "adamw", "lr": 0.01, "schedule": "warmup_cosine", "batch_size": 64}
SIZES = {
    "quick": Size(
        data=Data.digits(train=60, test=30, side=14),
        training={**SMALL, "batch_size": 30, "epochs": 1},
        net=(models.resnet, {"width": 2, "blocks": [1, 1, 1]}),
        pixels=DIGIT_PIXELS,
        deviation=0.5,
        radius=0.5,
        radii=(0.5,),
        images=10,
        shifted=10,
        steps=3,
    ),
    "default": Size(
        data=Data.digits(train=1000, test=1000, side=14),
        training={**SMALL, "epochs": 6},
        net=(models.resnet, {"width": 8, "blocks": [1, 1, 1]}),
        pixels=DIGIT_PIXELS,
        deviation=0.5,
        radius=0.5,
        radii=(0.1, 0.3, 0.5),
        images=100,
        shifted=500,
        steps=20,
    ),
    "natural": Size(
        data=Data.natural(train=5000, test=1000),
        training={**SMALL, "lr": 0.003, "epochs": 12, "augment": "crop_flip"},
        net=(models.lenet, COLOUR_LENET),
        pixels=CIFAR10_PIXELS,
        deviation=0.2,
        radius=0.5,
        radii=(0.1, 0.25, 0.5),
        images=200,
        shifted=1000,
        steps=20,
    ),
    "full": Size(
        data=Data.cifar(10),
        training=SHORT_SGD,
        net=(models.resnet, {"width": 64, "blocks": [2, 2, 2, 2], "in_channels": 3}),
        pixels=CIFAR10_PIXELS,
        deviation=0.2,
        radius=0.5,
        radii=(0.1, 0.25, 0.5),
        images=1000,
        shifted=10_000,
        steps=50,
    ),
}
NOISE = ("gaussian_noise", "shot_noise", "impulse_noise")
KINDS = ("plain", "noise", "dign-weak", "dign", "vat", "random")


def cohorts(size: Size) -> list[Cohort]:
    """One kind for each objective, on the same network."""
    std = size.pixels["std"]
    consistency = NoiseConsistency(size.deviation, samples=2, share=1.0, std=std)
    objectives = {
        "plain": CrossEntropy(),
        "noise": NoiseAugmentation(size.deviation, std=std),
        "dign-weak": CrossEntropy() + 0.2 * consistency,
        "dign": CrossEntropy() + 3.0 * consistency,
        "vat": CrossEntropy() + VirtualAdversarial(size.radius, std=std),
        "random": CrossEntropy() + VirtualAdversarial(size.radius, steps=0, std=std),
    }
    recipes = [
        kind(name, *size.net, {**size.training, "objective": objective})
        for name, objective in objectives.items()
    ]
    shown = {**size.pixels, "images": size.images}
    attack = {"norm": "l2", "radii": size.radii, "steps": size.steps, "targets": 1, "distance": False}
    seen, other = ({**size.pixels, "kinds": k} for k in (NOISE[:1], NOISE[1:]))
    return [
        Cohort(
            recipes,
            size.data,
            [
                On("test", "input_curvature", {**shown, "hessian": False}, examples=size.images),
                On("test", "robustness", {**shown, **attack}, examples=size.images),
                On("test", "corruptions", seen, examples=size.shifted, label="gaussian"),
                On("test", "corruptions", other, examples=size.shifted, label="unseen"),
            ],
        )
    ]


CURVATURE = {"of": "input_curvature", "unit": "ln of the median over images"}
TRACE = {"effect": effects.log_number("median_fisher_trace"), **CURVATURE}
TOP = {"effect": effects.log_number("median_fisher_top"), **CURVATURE, "paper": "Miyato et al. 2018"}
SHARE = {**TOP, "effect": effects.number("median_fisher_share"), "unit": "λ₁/tr, median over images"}
POINTS = {"unit": "points of accuracy", "scale": 100}
UNSEEN = {"effect": effects.shifted("accuracy"), "of": "unseen", **POINTS}
ECE = {"effect": effects.shifted("ece"), "of": "gaussian", "unit": "ECE under noise"}
PGD = {"effect": effects.attacked_accuracy("pgd"), "of": "robustness", **POINTS, "paper": TOP["paper"]}
OF_PGD, OF_NOISE = (PGD["effect"], "robustness"), (UNSEEN["effect"], "gaussian")
OVER_TOP, OVER_TRACE = ({"over": x["effect"], "over_of": x["of"]} for x in (TOP, TRACE))
FINDINGS = [
    Finding("DiGN lowers the trace", more="plain", than="dign", **TRACE),
    Finding("VAT lowers the top eigenvalue", more="plain", than="vat", **TOP),
    Finding("VAT lowers the top eigenvalue more than random directions", more="random", than="vat", **TOP),
    Finding("VAT lowers the top eigenvalue more than DiGN does", more="dign", than="vat", **TOP),
    Finding("DiGN lowers the trace more than VAT does", more="vat", than="dign", **TRACE),
    Finding("the top's share of the trace: less after VAT than DiGN", more="dign", than="vat", **SHARE),
    Finding("the top's share: less after VAT than random directions", more="random", than="vat", **SHARE),
    Finding("DiGN raises the accuracy on unseen noise", more="dign", than="plain", **UNSEEN),
    Finding("on unseen noise, DiGN does better than augmentation", more="dign", than="noise", **UNSEEN),
    Finding("on unseen noise, DiGN does better than VAT", more="dign", than="vat", **UNSEEN),
    accuracy("DiGN leaves more clean accuracy than augmentation", more="dign", than="noise"),
    accuracy("DiGN costs no clean accuracy", more="dign", than="plain"),
    Finding("under noise, weak DiGN has less ECE than augmentation", more="noise", than="dign-weak", **ECE),
    Finding("under noise, weak DiGN has less ECE than strong", more="dign", than="dign-weak", **ECE),
    Finding("VAT raises the accuracy under PGD", more="vat", than="plain", **PGD),
    Finding("under PGD, VAT does better than random directions", more="vat", than="random", **PGD),
    Finding("under PGD, VAT does better than DiGN", more="vat", than="dign", **PGD),
    Finding("DiGN raises the accuracy under PGD", more="dign", than="plain", **{**PGD, "paper": ""}),
    Association("accuracy under PGD falls with λ₁", *OF_PGD, **OVER_TOP, sign=-1, kinds=KINDS),
    Association("accuracy under noise falls with tr F", *OF_NOISE, **OVER_TRACE, sign=-1, kinds=KINDS),
]

STUDY = Study(
    name="dign_vat",
    script=__file__,
    paper="Tsiligkaridis & Tsiligkaridis 2023",
    sizes=SIZES,
    cohorts=cohorts,
    findings=FINDINGS,
    figures=[
        Figure("input_curvature", ("fisher_top", "fisher_trace")),
        Figure("robustness", "worst"),
        Figure("gaussian", ("mean_accuracy", "mean_ece")),
        Figure("unseen", "mean_accuracy"),
    ],
    seeds=5,
)

if __name__ == "__main__":
    STUDY.main()
