"""Convolution and attention: curvature, frequencies and positions (Park & Kim, ICLR 2022).

    python analysis_scripts/how_do_vits_work.py [--quick | --size natural --data DIR | --full]

Trains a residual network, vision transformers (class token or average pooling, few heads or many, all data or
a part), a windowed transformer and AlterNet on the same images, analyses them, and says which of the paper's
findings hold. Run it again to go on where it was stopped.
"""

from functools import partial

from landscape.reference import models
from landscape.studies import Cohort, Data, Figure, On, Size, Study, kind
from landscape.studies import quantities as q
from landscape.studies.measure import frequency_noise, spectra
from landscape.studies.settings import ADAMW, CIFAR100, DEIT

DIGITS = {**ADAMW, "batch_size": 64, "lr": 3e-3, "augment": "shift"}
TOKENS = {**CIFAR100, "image": 32, "mlp_ratio": 4, "drop_path": 0.1}
WINDOWED = {"depths": [2, 2], "heads": [2, 4], "window": 7, "patch": 2}
SWIN = {"depths": [2, 2, 6, 2], "heads": [3, 6, 12, 24], "window": 4, "patch": 1}
LATE, COLOUR = {"attentions": [0, 1, 1], "heads": [1, 2, 4]}, {"in_channels": 3}
small = partial(Size, training=DIGITS, penalty=0.0, alternet={**LATE, "window": 7})
decayed = partial(Size, penalty=ADAMW["weight_decay"])
SIZES = {
    "quick": small(
        data=Data.digits(train=96, test=60),
        epochs={"cnn": 1, "vit": 1},  # transformers learn more slowly
        **{"few": 48, "hessian_batches": 1, "eigenvalues": 2, "images": 10, "many_heads": 4},
        cnn={"width": 2, "blocks": [2, 2, 2]},
        vit={"dim": 8, "depth": 2, "heads": 1, "patch": 4},
        windowed={"dim": 8, **WINDOWED},
    ),
    "default": small(
        data=Data.digits(train=2000, test=1000),
        epochs={"cnn": 12, "vit": 32},
        **{"few": 400, "hessian_batches": 16, "eigenvalues": 5, "images": 128, "many_heads": 12},
        cnn={"width": 8, "blocks": [2, 2, 2]},
        vit={"dim": 48, "depth": 4, "heads": 2, "patch": 4},
        windowed={"dim": 24, **WINDOWED},
    ),
    "natural": decayed(
        data=Data.natural(train=5000, test=1000),
        epochs={"cnn": 15, "vit": 20},
        training={**ADAMW, "batch_size": 32, "lr": 2e-3, "augment": "crop_flip"},
        **{"few": 1000, "hessian_batches": 8, "eigenvalues": 5, "images": 256, "many_heads": 6},
        cnn={**COLOUR, "width": 8, "blocks": [2, 2, 2]},
        vit={**COLOUR, "image": 32, "dim": 48, "depth": 4, "heads": 2, "patch": 4},
        windowed={**COLOUR, "image": 32, "dim": 32, **WINDOWED, "window": 4, "patch": 4},
        alternet={**LATE, "window": 8},
    ),
    "full": decayed(
        data=Data.cifar(100),
        epochs={"cnn": 300, "vit": 300},
        training={**ADAMW, "batch_size": 96, "lr": 1.25e-4, **DEIT},
        **{"few": 5000, "hessian_batches": 312, "eigenvalues": 5, "images": 256, "many_heads": 12},
        cnn={**CIFAR100, "width": 64, "blocks": [3, 4, 6, 3]},
        vit={**TOKENS, "dim": 192, "depth": 12, "heads": 3, "patch": 2},
        windowed={**TOKENS, "dim": 96, **SWIN},
        alternet={"attentions": [0, 1, 1, 1], "heads": [1, 2, 4, 8], "window": 4, "drop_path": 0.1},
    ),
}


def cohorts(size: Size) -> list[Cohort]:
    """Six kinds of model on all examples; the transformer on few, for about as many steps."""
    cnn, vit = ({**size.training, "epochs": size.epochs[name]} for name in ("cnn", "vit"))
    longer = {**vit, "epochs": vit["epochs"] * size.data.examples // size.few}
    recipes = [
        kind("resnet", models.resnet, {**size.cnn, "preact": True}, cnn),
        kind("vit", models.vit, size.vit, vit),
        kind("vit-gap", models.vit, {**size.vit, "pool": "gap"}, vit),
        kind("vit-heads", models.vit, {**size.vit, "heads": size.many_heads}, vit),
        kind("windowed", models.windowed, size.windowed, vit),
        kind("alternet", models.alternet, {**size.cnn, **size.alternet}, cnn),
    ]
    few = kind("vit-few", models.vit, size.vit, longer)
    part, n = size.data.subset(size.few), size.images
    curvature = partial(spectra, training=size.training, batches=size.hessian_batches, k=size.eigenvalues)
    units = {"kinds": ("residual_sum", "attention", "mlp", "convolution"), "images": n}
    blocks = {"layers": tuple(f"blocks.{index}" for index in range(size.vit["depth"]))}
    measure = [
        curvature(size.data),
        On("test", "fourier", {"kinds": ("residual_sum",), "images": n}, examples=n),
        On("test", "transfer", units, examples=n),
        On("test", "feature_variance", units, examples=n, label="variance"),
        On("test", "lesion", {"replacements": ("remove",)}, examples=2 * n),
        frequency_noise(examples=2 * n),
        On("test", "cka", {"layers": ("stages.?.?",)}, ("resnet",), examples=n),
        On("test", "cka", blocks, ("vit-gap",), examples=n),
        On("test", "calibration"),
        On("test", "attention_response", {"images": n}, ("vit*", "alternet"), examples=n, label="attention"),
    ]
    on_few = Cohort([few], part, [curvature(part)], name="few", weight_decay=size.penalty)
    return [Cohort(recipes, size.data, measure, weight_decay=size.penalty), on_few]


negative = partial(q.negative_proportion, sizes=True)
positive = partial(q.positive_eigenvalues, sizes=True)
KEPT = {"above_zero": "resnet", "note": "blocks that keep the shape"}
SECOND, SHIFTED = "from the second block on", "the last of two; it is also the one with shifted windows"
MAPS = "the variance of feature maps in ViT"
WINDOWS = "windows and stages lower the share of negative eigenvalues of ViT with pooling"
LAST = "attention at the end of a stage matters more than at its beginning (windowed transformer)"
MIDDLE = "attention in the middle of ViT matters more than at its ends"
ALIKE = "layers of ViT are more alike than those of ResNet, which has blocks"
FINDINGS = [
    negative("ViT has more negative Hessian eigenvalues than ResNet", more="vit", than="resnet"),
    negative("ViT on less data has more negative eigenvalues", more="vit-few", than="vit"),
    negative("average pooling lowers ViT's share of negative eigenvalues", more="vit", than="vit-gap"),
    negative("more heads lower ViT's share of negative eigenvalues", more="vit", than="vit-heads"),
    negative(WINDOWS, more="vit-gap", than="windowed"),
    positive("ResNet has larger positive eigenvalues than ViT", more="resnet", than="vit"),
    positive("more heads lower ViT's positive eigenvalues", more="vit", than="vit-heads"),
    # of gain and variance, the transformer with average pooling: with a class token, the patches of the last
    # block reach no output
    q.head_gain("attention heads of ViT are low-pass", below_zero="vit-gap"),
    q.mean_gain("attention branches of ViT are low-pass", "attention", below_zero="vit-gap"),
    q.gain_after("adding attention lowers high frequencies in ViT", "attention", below_zero="vit-gap"),
    q.gain_after("adding MLPs raises high frequencies in ViT", "mlp", above_zero="vit-gap"),
    q.gain_after("adding convolutions raises high frequencies in ResNet", "convolution", **KEPT),
    q.growth_after(f"adding attention lowers {MAPS}", "attention", below_zero="vit-gap", note=SECOND),
    q.growth_after(f"adding MLPs raises {MAPS}", "mlp", above_zero="vit-gap"),
    q.noise_harm("high-frequency noise harms ResNet more than ViT", more="resnet", than="vit"),
    q.last_attention(LAST, above_zero="windowed", note=SHIFTED),
    q.middle_attention(MIDDLE, above_zero="vit", note="the paper says so of deep ones"),
    q.cka(ALIKE, more="vit-gap", than="resnet", note="mean over pairs of outputs of blocks"),
    q.accuracy("AlterNet is more accurate than ResNet", more="alternet", than="resnet"),
    q.accuracy("AlterNet is more accurate than ViT", more="alternet", than="vit"),
    positive("AlterNet has smaller positive eigenvalues than ResNet", more="resnet", than="alternet"),
]
STUDY = Study(
    name="vits",
    script=__file__,
    paper="Park & Kim 2022 (ViT)",
    sizes=SIZES,
    cohorts=cohorts,
    findings=FINDINGS,
    figures=[
        Figure("batch_spectra", "density", ("resnet", "vit", "vit-few"), tag="spectra"),
        Figure("batch_spectra", "violins", tag="spectra"),
        Figure("fourier", ("high_low", "delta_log_amplitude"), ("resnet", "vit-gap", "alternet")),
        Figure("variance", "spatial_variance", ("resnet", "vit-gap", "alternet")),
        Figure("transfer", "gain_high_low", ("resnet", "vit-gap")),
        Figure("lesion", ("delta_loss_remove", "delta_accuracy_remove"), ("resnet", "vit")),
        Figure("noise", "accuracy_change", ("resnet", "vit", "alternet")),
        Figure("attention", "gain_high_low"),
        Figure("cka", "block_0_0", ("resnet",), tag="cka_resnet"),
        Figure("cka", "block_0_0", ("vit-gap",), tag="cka_vit-gap"),
    ],
    seeds=5,
)

if __name__ == "__main__":
    STUDY.main()
