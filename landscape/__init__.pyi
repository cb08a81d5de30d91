"""The public names of landscape, with their types. Written by ``python -m landscape.base.stub``."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import xarray as xr
from torch import Tensor

from landscape.base.analysis import Analysis as Analysis
from landscape.base.analysis import Context as Context
from landscape.base.analysis import Cost as Cost
from landscape.base.analysis import Metric as Metric
from landscape.base.analysis import Params as Params
from landscape.base.schema import Schema as Schema
from landscape.base.schema import Variable as Variable
from landscape.core.curvature.fisher import empirical_fisher as empirical_fisher
from landscape.core.curvature.fisher import fisher as fisher
from landscape.core.curvature.influence import influence as influence
from landscape.core.curvature.kfac.factors import diagonal_ggn as diagonal_ggn
from landscape.core.curvature.kfac.factors import ekfac as ekfac
from landscape.core.curvature.kfac.factors import kfac as kfac
from landscape.core.curvature.operator import ggn as ggn
from landscape.core.curvature.operator import hessian as hessian
from landscape.core.linalg.operators import SymmetricOperator as SymmetricOperator
from landscape.core.linalg.solve import logdet as logdet
from landscape.core.linalg.solve import solve as solve
from landscape.core.linalg.xtrace import xtrace as xtrace
from landscape.core.merging.merge import MergeOptions as MergeOptions
from landscape.core.merging.merge import merge as merge
from landscape.core.merging.merge import merge_states as merge_states
from landscape.core.problem.problem import Problem as Problem
from landscape.core.problem.sharding import Ranks as Ranks
from landscape.core.symmetry.alignment import align as align
from landscape.core.symmetry.symmetry import find_symmetry as find_symmetry
from landscape.core.symmetry.universe import align_all as align_all
from landscape.errors import LandscapeError as LandscapeError
from landscape.export.elsewhere import export_store as export_store
from landscape.export.elsewhere import tree as tree
from landscape.export.findings import findings as findings
from landscape.export.frame import table as table
from landscape.export.log import log as log
from landscape.plotting import plot as plot
from landscape.plotting.comparison import compare as compare
from landscape.reporting import report as report
from landscape.reporting.diff import diff as diff
from landscape.reporting.explore import explore as explore
from landscape.store import open as open
from landscape.store import save as save
from landscape.zoo import Zoo as Zoo
from landscape.zoo import scan as scan
from landscape import callbacks as callbacks

__version__: str
__all__ = [
    "Analysis",
    "Context",
    "Cost",
    "LandscapeError",
    "MergeOptions",
    "Metric",
    "Params",
    "Problem",
    "Ranks",
    "Schema",
    "SymmetricOperator",
    "Variable",
    "Zoo",
    "__version__",
    "align",
    "align_all",
    "analyses",
    "attention_response",
    "batch_spectra",
    "block_spectra",
    "calibration",
    "callbacks",
    "cka",
    "collapse",
    "compare",
    "compression",
    "connect",
    "connectivity",
    "corruptions",
    "density",
    "diagonal_ggn",
    "diff",
    "distance_awareness",
    "diversity",
    "ekfac",
    "empirical_fisher",
    "evidence",
    "examples",
    "explore",
    "export_store",
    "feature_variance",
    "find_symmetry",
    "findings",
    "fisher",
    "fourier",
    "frequency_noise",
    "generalisation",
    "ggn",
    "gradients",
    "hessian",
    "influence",
    "input_curvature",
    "input_surface",
    "intrinsic_dimension",
    "kfac",
    "kfac_error",
    "layer_barriers",
    "lesion",
    "line",
    "llc",
    "log",
    "logdet",
    "mc_dropout",
    "measures",
    "merge",
    "merge_states",
    "merging",
    "ntk",
    "open",
    "plot",
    "posterior_mass",
    "receptive_field",
    "regression_uncertainty",
    "report",
    "robustness",
    "save",
    "scan",
    "series_spectrum",
    "sharpness",
    "similarity",
    "simplex",
    "solve",
    "spawn_barriers",
    "spectrum",
    "stability",
    "structure",
    "surface",
    "table",
    "taxonomy",
    "trace",
    "transfer",
    "tree",
    "uncertainty",
    "weights",
    "xtrace",
]

def analyses() -> dict[str, Analysis]:
    """All analyses by name."""

class _AttentionResponse(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        bins: int = 14,
        prefix_tokens: int | None = None,
        grid: tuple[int, int] | None = None,
        images: int = 128,
        worst_images: int = 8,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Frequency response of attention heads.

        Args:
            bins: number of radial frequency bins up to 1/√2.
            prefix_tokens: tokens before the patch grid; none = the fewest that leave a square.
            grid: height and width of the grid that the tokens after the prefix are; none = found, if
                they come of pictures.
            images: at most so many images, a random sample: the errors show what more would bring.
            worst_images: images of the sample for which the worst gain is worked out.
        """

attention_response: _AttentionResponse

class _BatchSpectra(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        batch_size: int = 16,
        k: int = 5,
        fraction: float = 1.0,
        shuffle: bool | None = None,
        augment: Literal['none', 'shift', 'flip', 'shift+flip'] = 'none',
        batch_transform: str = '',
        batch_transform_kwargs: Mapping[str, Any] = {},
        margin: int | None = None,
        tol: float = 0.001,
        max_products: int | None = None,
        search: bool = True,
        bootstrap: int = 1000,
        seed: int = 0,
        transform: Any = None,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Mini-batch Hessian spectra.

        Args:
            batch_size: examples per mini-batch.
            k: eigenvalues of largest magnitude per mini-batch.
            fraction: share of the mini-batches, chosen by the seed; at least two.
            shuffle: whether to deal the examples to the mini-batches at random, as in training; none:
                yes, unless the data's batches differ in form, so that each is cut by itself, in its
                order; false: the data's order, which must then not be sorted by class.
            augment: random change of the images; the input `transform` takes its place.
            batch_transform: function (images, targets, generator) -> (images, targets) that changes
                each mini-batch and may change its targets, package.module:function; it takes the place
                of `augment`.
            batch_transform_kwargs: its further arguments, by name.
            margin: most pixels of a shift, as in training; none = an eighth of the side of the images.
            tol: residual at which a pair counts as converged, relative to max |λ|.
            max_products: most matrix-vector products per mini-batch; none = 500 + 20 k.
            search: whether to search for missed eigenvalues, for about 10 more products each.
            bootstrap: bootstrap resamples over mini-batches.
            seed: seed of the order, the choice, the augmentation, the starts, the bootstrap.
        """

batch_spectra: _BatchSpectra

class _BlockSpectra(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        operator: Literal['hessian', 'ggn'] = 'hessian',
        by: Literal['module', 'parameter', 'projection', 'head'] = 'module',
        blocks: Sequence[str] | str = ('*',),
        outliers: int = 3,
        probes: int = 4,
        steps: int = 20,
        tol: float = 0.01,
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Spectra of diagonal blocks.

        Args:
            operator: Hessian, or generalised Gauss-Newton matrix.
            by: what a block is: the parameters of one module; each parameter tensor; each tensor, those
                of attention cut into query, key and value; the same by head.
            blocks: globs over names of blocks.
            outliers: most eigenvalues of each block that are taken out.
            probes: random probes per block.
            steps: Lanczos steps (products) per probe.
            tol: residual allowed for an outlier, relative to the block's largest |λ|.
            seed: seed of probes and starting vectors.
        """

block_spectra: _BlockSpectra

class _Calibration(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        bins: int = 15,
        thresholds: int = 20,
        bootstrap: int = 200,
        seed: int = 0,
        ood_data: str = '',
        fit_data: str = '',
        ood: Any = None,
        fit: Any = None,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Calibration of predicted probabilities.

        Args:
            bins: number of confidence bins.
            thresholds: number of confidence thresholds, evenly from 0.
            bootstrap: bootstrap resamples over examples for the intervals.
            seed: seed of the bootstrap.
            ood_data: package.module:function that returns data of another distribution, to be told
                apart; none = no such scores, unless data are given as the input ood.
            fit_data: package.module:function that returns held-out data on which a temperature is
                fitted, so that scores with it are no flattery; none = no such scores, unless data are
                given as the input fit.
        """

calibration: _Calibration

class _Cka(Analysis):
    def __call__(
        self,
        problems: Mapping[str, Problem],
        /,
        *,
        layers: Sequence[str] | str = (),
        most_layers: int = 32,
        batch_size: int = 64,
        estimator: Literal['unbiased', 'biased'] = 'unbiased',
        kernel: Literal['linear', 'rbf'] = 'linear',
        bandwidth: float = 1.0,
        tokens: Literal['flatten', 'cls', 'patch_mean'] = 'flatten',
        spatial: Literal['flatten', 'pooled'] = 'flatten',
        prefix_tokens: int | None = None,
        pairing: Literal['inputs', 'order'] = 'inputs',
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Similarity of layers: centred kernel alignment.

        Args:
            layers: globs over module names, outputs without one row per example being left out; none =
                the outputs of blocks, or every module of a model that has none.
            most_layers: layers per model; of more, evenly spaced ones in firing order are taken, with
                both ends.
            batch_size: largest number of examples in a Gram matrix.
            estimator: HSIC₁ (does not depend on the batch size) or HSIC₀ (grows as batches shrink).
            kernel: similarity of two examples in a layer.
            bandwidth: σ of the RBF kernel as a multiple of the median distance in the batch.
            tokens: of token sequences: all entries, the first token, or the mean over the grid.
            spatial: of feature maps: all entries, or the mean over space.
            prefix_tokens: tokens before the patch grid; none = the fewest that leave a square.
            pairing: inputs: all models see the same; order: examples of one number are the same, though
                models take them in other forms, such as images of other sizes.
            seed: seed of the order in which examples form batches.
        """

cka: _Cka

class _Collapse(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        layers: Sequence[str] | str = ('*',),
        most_layers: int = 40,
        alignment_examples: int = 512,
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Neural collapse.

        Args:
            layers: globs over module names.
            most_layers: evenly spaced ones, if more layers match.
            alignment_examples: at most so many examples, a random sample, for the alignment of layers.
            seed: seed of that sample.
        """

collapse: _Collapse

class _Compression(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        shares: Sequence[float] | str = (0.3, 0.5, 0.7, 0.8, 0.9),
        prune: Sequence[Literal['global', 'layer', 'random']] | str = ('global', 'random'),
        bits: Sequence[int] | str = (8, 6, 5, 4, 3, 2),
        scales: Sequence[Literal['channel', 'tensor']] | str = ('channel',),
        curvature: bool = True,
        layers: bool = True,
        rel_se: float = 0.05,
        max_products: int = 400,
        repeats: int = 0,
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Compression.

        Args:
            shares: shares of the weights that pruning sets to zero.
            prune: which weights: the smallest of all (global), those of each layer (layer), any
                (random).
            bits: bits that weights are rounded to.
            scales: what has a scale of its own: each output channel, or each weight tensor.
            curvature: whether to predict the changes by gradient, Hessian and trace.
            layers: whether to compress each layer alone, too.
            rel_se: standard error wanted of the trace, relative to it.
            max_products: most matrix-vector products for the trace.
            repeats: passes that are timed; with 0 no time is measured, which differs from run to run.
            seed: seed of the probes of the trace, and of random pruning.
        """

compression: _Compression

class _Connect(Analysis):
    def __call__(
        self,
        problem: Problem,
        a: Tensor | Mapping[str, Tensor],
        b: Tensor | Mapping[str, Tensor],
        /,
        *,
        method: Literal['linear', 'bezier', 'polychain', 'neb'] = 'linear',
        align: Literal['weights', 'activations'] | None = None,
        steps: int = 21,
        refine: int = 3,
        batchnorm: Literal['checkpoint', 'batch', 'recalibrate', 'interpolate', 'repair'] | None = None,
        test: str | None = None,
        test_kwargs: Mapping[str, Any] = {},
        resamples: int = 1000,
        bends: int | None = None,
        epochs: int = 50,
        lr: float = 0.01,
        momentum: float = 0.9,
        batch_size: int = 64,
        weight_decay: float | None = None,
        cycles: int = 4,
        spring: float = 1.0,
        plane: int = 0,
        keep_points: bool = False,
        seed: int = 0,
        test_data: Any = None,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Paths between two models.

        Args:
            method: the straight line alone, or a trained curve beside it.
            align: whether to put b's units in the order of a's first, and by what; both are shown.
            steps: evenly spaced points on each path.
            refine: rounds of two more points beside the largest gap.
            batchnorm: BatchNorm statistics between the models: the nearer checkpoint's, the batch's,
                pooled anew over the data (recalibrate), interpolated, or recalibrated with all layers'
                outputs rescaled (repair); none = recalibrate.
            test: builder of held-out data, package.module:function.
            test_kwargs: its arguments.
            resamples: bootstrap resamples of the examples.
            bends: inner control points of the curve; none = 1, or 3 to start a band from.
            epochs: passes over the data to train the curve.
            lr: learning rate of the curve.
            momentum: momentum of the curve's training.
            batch_size: examples in a step of the curve's training.
            weight_decay: λ in the curve's training; none = that of the problem.
            cycles: of a band: pivots are inserted between them.
            spring: stiffness of a band's springs.
            plane: points per side of the plane through a, the bend and b; 0 = none.
            keep_points: whether to store the curve's control points.
            seed: seed of alignment, training and resampling.
        """

connect: _Connect

class _Connectivity(Analysis):
    def __call__(
        self,
        problems: Mapping[str, Problem],
        /,
        *,
        align: Literal['weights', 'activations'] | None = 'weights',
        steps: int = 11,
        refine: int = 2,
        batchnorm: Literal['checkpoint', 'batch', 'recalibrate', 'interpolate', 'repair'] | None = None,
        test: str | None = None,
        test_kwargs: Mapping[str, Any] = {},
        resamples: int = 1000,
        level: float = 0.05,
        seed: int = 0,
        test_data: Any = None,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Connectivity of a group.

        Args:
            align: how the second model of a pair is put in the order of the first; both are shown.
            steps: evenly spaced points on each line.
            refine: rounds of two more points beside the largest gap.
            batchnorm: BatchNorm statistics between the models: the nearer checkpoint's, the batch's,
                pooled anew over the data (recalibrate), interpolated, or recalibrated with all layers'
                outputs rescaled (repair); none = recalibrate.
            test: builder of held-out data, package.module:function.
            test_kwargs: its arguments.
            resamples: bootstrap resamples of the examples.
            level: level of the test of no barrier, over all pairs (Holm).
            seed: seed of alignment and resampling.
        """

connectivity: _Connectivity

class _Corruptions(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        kinds: Sequence[Literal['rotation', 'translation', 'gaussian_noise', 'shot_noise', 'impulse_noise', 'gaussian_blur', 'contrast', 'brightness', 'pixelate', 'rotation_wide', 'roll']] | str = ('rotation', 'translation', 'gaussian_noise', 'shot_noise', 'impulse_noise', 'gaussian_blur', 'contrast', 'brightness', 'pixelate'),
        benchmark: Literal['imagenet-c', 'cifar-c'] = 'imagenet-c',
        bins: int = 15,
        mean: Sequence[float] | str = (),
        std: Sequence[float] | str = (),
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Robustness to common corruptions.

        Args:
            kinds: kinds of corruption.
            benchmark: whose amounts: those of photographs, or those of images of 32 pixels, weaker for
                noise, blur, contrast, brightness and pixelate.
            bins: confidence bins of the calibration error.
            mean: pixel means of the normalisation to undo; none = the data's range becomes 0 to 1.
            std: pixel standard deviations of the normalisation to undo.
            seed: seed of noise and of directions.
        """

corruptions: _Corruptions

class _Density(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        engine: Literal['landscape'] = 'landscape',
        operator: Literal['hessian', 'ggn', 'fisher', 'empirical_fisher', 'kfac', 'ekfac'] = 'hessian',
        outliers: int = 40,
        probes: int = 5,
        steps: int = 40,
        kernel_width: float = 0.005,
        share_tol: float = 0.1,
        tol: float = 0.003,
        reorthogonalise: bool = True,
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Spectral density.

        Args:
            engine: our own; that of PyHessian fails on current torch.
            operator: Hessian; generalised Gauss-Newton matrix; Fisher matrix, targets drawn from the
                model; second moment of the gradients at the data's targets; or a Kronecker-factored
                approximation of the Gauss-Newton matrix, whose error `kfac_error` gives.
            outliers: most eigenvalues of largest magnitude that the first probe finds, taken out and
                added back exactly.
            probes: random probes; their spread is the error band.
            steps: Lanczos steps (products) per probe.
            kernel_width: standard deviation of the Gaussian kernel over the range of the bulk; no less
                is taken than the distance of nodes in its middle, π/2 over the steps.
            share_tol: width of the bracket of negative_share up to which it counts as converged.
            tol: residual allowed for outliers, relative to max |λ|.
            reorthogonalise: keep the vectors of all Lanczos steps, and keep them orthogonal; false, or
                if they do not fit into memory: three-term recurrences of two vectors, after one for
                outliers.
            seed: seed of the probes.
        """

density: _Density

class _DistanceAwareness(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        layer: str = '',
        pairs: int = 1000,
        radii: Sequence[float] | str = (0.01, 0.1, 1.0),
        points: int = 16,
        products: int = 200,
        other_data: Sequence[str] | str = (),
        seed: int = 0,
        other: Any = None,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Distance awareness.

        Args:
            layer: layer whose outputs are the features; none = what the last layer with weights reads.
            pairs: number of pairs of each kind; one perturbation of each example at most.
            radii: lengths of random perturbations, relative to the median distance of two examples.
            points: number of examples with singular values of the Jacobian.
            products: most products for these; as many as features are exact.
            other_data: package.module:function that returns other data, or several: their distance to
                the examples, and the doubt there; none = no such numbers, unless given as the input
                other.
            seed: seed of pairs, perturbations and draws.
        """

distance_awareness: _DistanceAwareness

class _Diversity(Analysis):
    def __call__(
        self,
        problems: Mapping[str, Problem],
        /,
        *,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Diversity of predictions.
        """

diversity: _Diversity

class _Evidence(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        prior_precision: Sequence[float] | str = (),
        k: int = 20,
        probes: int = 4,
        steps: int = 30,
        noise: float | None = None,
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Evidence.

        Args:
            prior_precision: prior precisions δ; none = 25 over six decades about that of weight decay,
                N λ.
            k: largest eigenvalues that count exactly, beyond 2,000 parameters.
            probes: random probes of the other eigenvalues.
            steps: Lanczos steps (products) per probe.
            noise: variance of Gaussian noise, for squared errors; none = mean squared residual.
            seed: seed of starting vectors and probes.
        """

evidence: _Evidence

class _Examples(Analysis):
    def __call__(
        self,
        problems: Mapping[str, Problem],
        /,
        *,
        training: bool = False,
        pictures: int = 12,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Hard examples.

        Args:
            training: whether the models, in the order given, are checkpoints of one run, so that it is
                counted when each example is learnt and how often it is forgotten.
            pictures: how many images to keep, those on which groups (or models) differ most.
        """

examples: _Examples

class _FeatureVariance(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        layers: Sequence[str] | str = ('*',),
        kinds: Sequence[Literal['convolution', 'attention', 'mlp', 'norm', 'block', 'downsampling', 'residual_sum', 'linear', 'activation']] | str = ('convolution', 'attention', 'mlp', 'norm', 'block', 'downsampling', 'residual_sum'),
        prefix_tokens: int | None = None,
        grid: tuple[int, int] | None = None,
        images: int = 128,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Variance of features.

        Args:
            layers: globs over module names.
            kinds: kinds of units to look at; none = every module.
            prefix_tokens: tokens before the patch grid; none = the fewest that leave a square.
            grid: height and width of the grid that the tokens after the prefix are; none = found, if
                they come of pictures.
            images: at most so many images, a random sample: the errors show what more would bring.
        """

feature_variance: _FeatureVariance

class _Fourier(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        layers: Sequence[str] | str = ('*',),
        kinds: Sequence[Literal['convolution', 'attention', 'mlp', 'norm', 'block', 'downsampling', 'residual_sum', 'linear', 'activation']] | str = (),
        bins: int = 14,
        prefix_tokens: int | None = None,
        grid: tuple[int, int] | None = None,
        images: int = 128,
        bootstrap: int = 200,
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Fourier analysis of feature maps.

        Args:
            layers: globs over module names; outputs without spatial axes are passed over.
            kinds: kinds of units to look at; none = every module, but no residual sums.
            bins: number of radial frequency bins up to 1/√2.
            prefix_tokens: tokens before the patch grid; none = the fewest that leave a square.
            grid: height and width of the grid that the tokens after the prefix are; none = found, if
                they come of pictures.
            images: at most so many images, a random sample: the errors show what more would bring.
            bootstrap: bootstrap resamples over images.
            seed: seed of the bootstrap.
        """

fourier: _Fourier

class _FrequencyNoise(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        frequencies: Sequence[float] | str = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        width: float = 0.1,
        sigma: float = 0.3,
        energy: Literal['noise', 'equal'] = 'noise',
        draws: int = 1,
        heat_steps: int = 7,
        heat_rms: float = 0.125,
        mean: Sequence[float] | str = (),
        std: Sequence[float] | str = (),
        clip: bool = False,
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Robustness to noise by frequency.

        Args:
            frequencies: centres of the bands, in π rad/pixel.
            width: width of a band, in π rad/pixel.
            sigma: standard deviation of the noise before a band is cut out.
            energy: noise = as cut out, so wider rings hold more; equal = every band scaled to rms
                sigma.
            draws: draws of the noise per example and band.
            heat_steps: Fourier modes along each axis of the heat map.
            heat_rms: root mean square of the single modes' noise.
            mean: pixel means of the normalisation to undo; none = the data's range becomes 0 to 1.
            std: pixel standard deviations of the normalisation to undo.
            clip: cut changed pixels to 0...1.
            seed: seed of the noise, the same for every band.
        """

frequency_noise: _FrequencyNoise

class _Generalisation(Analysis):
    def __call__(
        self,
        table: Any,
        /,
        *,
        outcome: str = '',
        settings: Sequence[str] | str = (),
        metrics: Sequence[str] | str = ('*',),
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """What goes with generalisation.

        Args:
            outcome: column to be explained, with or without its section; none = the accuracy on held-
                out examples, such as test_accuracy.
            settings: columns that say how models were trained; none = those of text, the group and tags
                of a zoo, and width, depth, batch_size, lr and the like.
            metrics: names or patterns of the columns to rank, of those that hold numbers.
        """

generalisation: _Generalisation

class _Gradients(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        k: int = 10,
        by: Literal['module', 'parameter'] = 'module',
        hessian: bool = True,
        tol: float = 0.001,
        max_products: int | None = None,
        resamples: int = 200,
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Gradients of examples.

        Args:
            k: eigenpairs of the covariance Σ and of the Hessian; 0 for moments alone.
            by: what a layer is: the parameters of one module, or each parameter tensor.
            hessian: whether to find the Hessian's leading space, too, for its overlap with that of Σ.
            tol: residual at which a pair counts as converged, relative to max |λ|.
            max_products: most products for the eigenpairs of each matrix; none = 500 + 20 k.
            resamples: samples from each fitted tail, for its p-value and error; 0 for neither.
            seed: seed of starting vectors and resamples.
        """

gradients: _Gradients

class _InputCurvature(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        k: int = 1,
        hessian: bool = True,
        images: int = 128,
        tolerance: float = 0.001,
        products: int = 100,
        probes: int = 8,
        mean: Sequence[float] | str = (),
        std: Sequence[float] | str = (),
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Curvature of the loss in input space.

        Args:
            k: number of largest eigenvalues of each matrix.
            hessian: whether to work out the Hessian beside the Fisher matrix.
            images: at most so many images, a random sample: the errors show what more would bring.
            tolerance: largest residual allowed, relative to the largest |eigenvalue| of the image.
            products: most products with each Hessian.
            probes: random vectors for the trace of a Hessian that is no Fisher matrix.
            mean: pixel means of the normalisation to undo; none = the data's range becomes 0 to 1.
            std: pixel standard deviations of the normalisation to undo.
            seed: seed of starting vectors and probes.
        """

input_curvature: _InputCurvature

class _InputSurface(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        first: Literal['fgsm', 'gradient', 'pgd', 'fisher', 'random'] = 'fgsm',
        second: Literal['random_sign', 'random', 'fgsm_of'] = 'random_sign',
        radius: float = 0.1,
        points: int = 25,
        plane: int = 11,
        norm: Literal['linf', 'l2'] = 'linf',
        clip: bool = True,
        images: int = 128,
        mean: Sequence[float] | str = (),
        std: Sequence[float] | str = (),
        seed: int = 0,
        surrogate: Any = None,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Loss surface in input space.

        Args:
            first: direction of the line, and first of the plane, for each image its own.
            second: second direction of the plane: random signs, a Gaussian's, or the step of the fast
                gradient sign method of another model, the input surrogate (library use).
            radius: norm of the longest step, pixels from 0 to 1.
            points: points of the line, from the image to the radius.
            plane: points along each axis of the plane.
            norm: in which both directions have norm 1.
            clip: cut changed pixels to 0 to 1.
            images: at most so many images, a random sample: the errors show what more would bring.
            mean: pixel means of the normalisation to undo; none = the data's range becomes 0 to 1.
            std: pixel standard deviations of the normalisation to undo.
            seed: seed of random directions and points.
        """

input_surface: _InputSurface

class _IntrinsicDimension(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        layers: Sequence[str] | str = (),
        most_layers: int = 16,
        sample: int = 256,
        tau: float = 0.025,
        prefix_tokens: int | None = None,
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Dimension of features.

        Args:
            layers: globs over module names; none = the outputs of blocks, or every module of a model
                that has none; activations, such as '*.act*', for saturated units.
            most_layers: of more, evenly spaced ones in firing order are taken, with both ends.
            sample: largest number of examples.
            tau: share of the mean modulus below which a unit is dormant.
            prefix_tokens: tokens before the patch grid; none = the fewest that leave a square.
            seed: seed of the sample.
        """

intrinsic_dimension: _IntrinsicDimension

class _KfacError(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        approximations: Sequence[Literal['kfac', 'ekfac', 'diagonal']] | str = ('kfac', 'ekfac', 'diagonal'),
        setting: Literal['expand', 'reduce'] = 'expand',
        roots: Literal['exact', 'mc'] = 'exact',
        samples: int = 1,
        sketch: int = 8,
        probes: int = 16,
        tol: float = 0.001,
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Error of KFAC.

        Args:
            approximations: which approximations are judged.
            setting: what positions that share a weight are: examples of their own, or parts of one.
            roots: one backward pass for each output, or random ones.
            samples: random backward passes, of roots='mc'.
            sketch: directions in which norms are exact, two products each.
            probes: random probes of the rest, one product each.
            tol: residual of the largest eigenvalues, relative to them.
            seed: seed of probes, starting vectors and random passes.
        """

kfac_error: _KfacError

class _LayerBarriers(Analysis):
    def __call__(
        self,
        problem: Problem,
        a: Tensor | Mapping[str, Tensor],
        b: Tensor | Mapping[str, Tensor],
        /,
        *,
        ways: Sequence[Literal['one', 'up to']] | str = ('one', 'up to'),
        steps: int = 7,
        refine: int = 1,
        align: Literal['weights', 'activations'] | None = None,
        batchnorm: Literal['checkpoint', 'batch', 'recalibrate', 'interpolate', 'repair'] | None = None,
        resamples: int = 500,
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Barriers by layer.

        Args:
            ways: what goes to the second model: one layer, or all up to it.
            steps: evenly spaced points on each path, with both ends.
            refine: rounds of two more points beside the largest gap.
            align: put the second model's units in the order of the first's before.
            batchnorm: BatchNorm statistics between the models: the nearer checkpoint's, the batch's,
                pooled anew over the data (recalibrate), interpolated, or recalibrated with all layers'
                outputs rescaled (repair); none = recalibrate.
            resamples: bootstrap resamples of the examples.
            seed: seed of the bootstrap and of the alignment.
        """

layer_barriers: _LayerBarriers

class _Lesion(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        layers: Sequence[str] | str = ('*',),
        kinds: Sequence[Literal['convolution', 'attention', 'mlp', 'norm', 'block', 'downsampling', 'residual_sum', 'linear', 'activation']] | str = ('block', 'attention', 'mlp', 'convolution'),
        heads: bool = False,
        replacements: Sequence[Literal['remove', 'identity', 'mean', 'dc', 'lowpass']] | str = ('remove', 'dc'),
        cutoff: float = 0.25,
        prefix_tokens: int | None = None,
        grid: tuple[int, int] | None = None,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Lesions.

        Args:
            layers: globs over module names.
            kinds: kinds of units; none = every module.
            heads: whether to remove single attention heads too, one by one.
            replacements: what takes a unit's place: remove (blocks and norm layers pass their input on,
                others give zero), identity, mean (over the data), dc (mean over space), lowpass.
            cutoff: radial frequency that lowpass keeps, in cycles/pixel.
            prefix_tokens: tokens before the patch grid; none = the fewest that leave a square.
            grid: height and width of the grid that the tokens after the prefix are; none = found, if
                they come of pictures.
        """

lesion: _Lesion

class _Line(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        direction: Literal['random', 'gradient', 'eigenvectors', 'models'] = 'random',
        count: int = 1,
        normalization: Literal['filter', 'layer', 'parameter', 'none'] = 'filter',
        ignore: Sequence[str] | str = ('bias', 'norm', 'position'),
        low: float = -1.0,
        high: float = 1.0,
        steps: int = 21,
        batchnorm: Literal['checkpoint', 'batch', 'recalibrate'] | None = None,
        seed: int = 0,
        metrics: Sequence[str] | str = (),
        vector: Any = None,
        models: Any = None,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Loss along a direction.

        Args:
            direction: Gaussian draws, the gradient at the checkpoint, top Hessian eigenvectors, or from
                one model to another; the inputs `vector` and `models` take their place, and in a
                manifest each two checkpoints of a group are the `models`.
            count: number of directions, for a mean and a spread.
            normalization: how draws and gradient are scaled to the weights (Li et al. 2018).
            ignore: parameters that do not move along random directions and gradients: bias, those of
                norm layers, position (embeddings of positions and class tokens), and globs over names.
            low: lowest step along the direction.
            high: highest step along the direction.
            steps: number of points.
            batchnorm: BatchNorm statistics at each point: the checkpoint's, the batch's, or pooled anew
                over the data (recalibrate); none = checkpoint near one model, recalibrate between
                models.
            seed: seed of the directions.
            metrics: metrics of your own to measure at each point too: functions (output, target) -> one
                number per example, each package.module:function.
        """

line: _Line

class _Llc(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        step: float | None = None,
        localization: float = 100.0,
        inverse_temperature: float | None = None,
        chains: int = 4,
        burn_in: int = 300,
        samples: int = 300,
        batch_size: int = 32,
        step_factors: Sequence[float] | str = (0.5, 1.0, 2.0),
        localization_factors: Sequence[float] | str = (0.1, 1.0, 10.0),
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Local learning coefficient.

        Args:
            step: size ε of the steps; none: 0.4/(nβλ_max + γ), λ_max of the Hessian.
            localization: precision γ that holds chains near the checkpoint.
            inverse_temperature: nβ, by which the mean loss is multiplied; none: n/ln n.
            chains: chains, each from the checkpoint on.
            burn_in: steps of each chain that are left out.
            samples: steps of each chain after them, each a draw.
            batch_size: examples of each step.
            step_factors: multiples of ε that λ̂ is computed at too.
            localization_factors: multiples of γ that λ̂ is computed at too.
            seed: seed of batches and noise.
        """

llc: _Llc

class _McDropout(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        counts: Sequence[int] | str = (1, 2, 5, 10, 20, 50),
        features: str = '',
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Monte Carlo dropout.

        Args:
            counts: numbers of dropout masks averaged.
            features: module whose output's variance over masks is measured; empty: the whole model.
            seed: seed of the masks.
        """

mc_dropout: _McDropout

class _Measures(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        share: float = 0.1,
        rise: float = 0.1,
        draws: int = 8,
        noise: Sequence[Literal['flat', 'relative']] | str = ('flat', 'relative'),
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Measures of generalisation.

        Args:
            share: quantile of the margins, as a share of examples.
            rise: rise of the training error that σ is sought for.
            draws: draws of the noise; 2 or more, for an error.
            noise: kinds of noise on the weights; none for no σ.
            seed: seed of the noise.
        """

measures: _Measures

class _Merging(Analysis):
    def __call__(
        self,
        problems: Mapping[str, Problem],
        /,
        *,
        methods: Sequence[Literal['mean', 'fisher', 'regmean', 'task_arithmetic', 'ties', 'slerp']] | str = (),
        align: Literal['weights', 'activations', 'universe'] | None = 'universe',
        batchnorm: Literal['recalibrate', 'average'] = 'recalibrate',
        base_state: str = '',
        base_state_kwargs: Mapping[str, Any] = {},
        scale: float | None = None,
        keep: float = 0.2,
        shrink: float = 0.9,
        slerp_angle: Literal['whole', 'tensor'] = 'whole',
        fisher: Literal['exact', 'mc', 'empirical'] = 'mc',
        samples: int = 1,
        test: str | None = None,
        test_kwargs: Mapping[str, Any] = {},
        seed: int = 0,
        base: Any = None,
        test_data: Any = None,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Merged models.

        Args:
            methods: how models are merged; none = all that apply: task_arithmetic and ties with a base,
                slerp of two models.
            align: how units are put in one order for a second set of merges: each model's in that of
                the first, or all at once; none = as trained alone.
            batchnorm: BatchNorm statistics: pooled anew over the data, or the mean of the models'.
            base_state: package.module:function of the weights from which all models were trained, by
                name.
            base_state_kwargs: its keyword arguments.
            scale: multiple of the learnt in task_arithmetic and ties; none = 0.4 and 1.
            keep: share of each task vector that ties keeps.
            shrink: factor of what is off the diagonal of regmean's input matrices.
            slerp_angle: between what slerp takes the angle: all weights, or each tensor's.
            fisher: how the Fisher matrix is found: a backward pass for each output, for drawn answers,
                or at the data's own.
            samples: draws of each example, of fisher = mc.
            test: builder of held-out data, package.module:function.
            test_kwargs: its arguments.
            seed: seed of alignment and draws.
        """

merging: _Merging

class _Ntk(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        k: int = 20,
        tol: float = 0.001,
        max_products: int | None = None,
        search: bool = True,
        probes: int = 4,
        steps: int = 20,
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Tangent kernel.

        Args:
            k: leading eigenpairs.
            tol: residual at which a pair counts as converged, relative to max |λ|.
            max_products: most products for the eigenpairs; none = 500 + 20 k.
            search: whether to search for missed copies of eigenvalues, for about 10 more products.
            probes: random probes of the rest of the spectrum.
            steps: Lanczos steps (products) per probe.
            seed: seed of starting vectors and probes.
        """

ntk: _Ntk

class _PosteriorMass(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        by: Sequence[Literal['variance', 'magnitude', 'random', 'gradient', 'curvature', 'predictive']] | str = ('variance', 'magnitude', 'random', 'gradient', 'curvature', 'predictive'),
        shares: Sequence[float] | str = (0.01, 0.03, 0.1, 0.3, 1.0),
        prior_precision: float | Literal['evidence'] | None = None,
        noise: float | None = None,
        other_data: str = '',
        other_kwargs: Mapping[str, Any] = {},
        bins: int = 15,
        seed: int = 0,
        other: Any = None,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Posterior mass of subsets.

        Args:
            by: what weights are ranked by, the highest first.
            shares: shares of the weights that are kept.
            prior_precision: δ; evidence: that of most evidence; none = of weight decay, N λ, else
                evidence.
            noise: variance of Gaussian noise, for squared errors; none = mean squared residual.
            other_data: builder of further inputs and labels, or of several by name,
                package.module:function.
            other_kwargs: its arguments.
            bins: bins of the calibration error.
            seed: seed of the random ranking.
        """

posterior_mass: _PosteriorMass

class _ReceptiveField(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        layers: Sequence[str] | str = ('*',),
        kinds: Sequence[Literal['convolution', 'attention', 'mlp', 'norm', 'block', 'downsampling', 'residual_sum', 'linear', 'activation']] | str = ('convolution', 'attention', 'mlp', 'block', 'downsampling'),
        most_layers: int = 12,
        images: int = 64,
        shares: Sequence[float] | str = (0.2, 0.5, 0.99),
        prefix_tokens: int | None = None,
        grid: tuple[int, int] | None = None,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Effective receptive fields.

        Args:
            layers: globs over module names.
            kinds: kinds of units to look at; none = every module.
            most_layers: evenly spaced ones, if more layers match.
            images: at most so many images, a random sample: the errors show what more would bring.
            shares: shares of the field of which the sides are told.
            prefix_tokens: tokens before the patch grid; none = the fewest that leave a square.
            grid: height and width of the grid that the tokens after the prefix are; none = found, if
                they come of pictures.
        """

receptive_field: _ReceptiveField

class _RegressionUncertainty(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        levels: Sequence[float] | str = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95),
        bins: int = 10,
        samples: int = 0,
        target_std: float = 1.0,
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Uncertainty of a regression.

        Args:
            levels: shares that central intervals are to hold, rising.
            bins: number of bins of predicted ranks, and of spread.
            samples: draws of a predictive; 0 = its own number.
            target_std: what targets were divided by; results are in the unit from before.
            seed: seed of draws.
        """

regression_uncertainty: _RegressionUncertainty

class _Robustness(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        norm: Literal['linf', 'l2'] = 'linf',
        radii: Sequence[float] | str = (),
        attacks: Sequence[Literal['fgsm', 'pgd', 'random']] | str = ('fgsm', 'pgd', 'random'),
        steps: int = 20,
        restarts: int = 1,
        objective: Literal['cross_entropy', 'margin'] = 'margin',
        targets: int = 3,
        distance: bool = True,
        images: int = 256,
        mean: Sequence[float] | str = (),
        std: Sequence[float] | str = (),
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Robustness to adversarial perturbations.

        Args:
            norm: in which perturbations are small.
            radii: norms of the perturbations, pixels from 0 to 1; none = 1, 2, 4 ... 64 of 255 for
                linf, 0.05, 0.1 ... 1.6 for l2.
            attacks: attacks; random is the control.
            steps: steps of pgd.
            restarts: starts of pgd: the image, then random ones.
            objective: what pgd makes large: the loss, or another logit minus that of the label.
            targets: with margin, how many of the nearest classes pgd tries.
            distance: whether to look for the least perturbation, by DeepFool and on the way to pgd's.
            images: at most so many images, a random sample.
            mean: pixel means of the normalisation to undo; none = the data's range becomes 0 to 1.
            std: pixel standard deviations of the normalisation to undo.
            seed: seed of random starts and directions.
        """

robustness: _Robustness

class _SeriesSpectrum(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        layers: Sequence[str] | str = ('*',),
        kinds: Sequence[Literal['convolution', 'attention', 'mlp', 'norm', 'block', 'downsampling', 'residual_sum', 'linear', 'activation']] | str = (),
        bins: int = 16,
        channels_last: bool = False,
        images: int = 128,
        bootstrap: int = 200,
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Spectra of series along time.

        Args:
            layers: globs over module names; what is no series is passed over.
            kinds: kinds of units to look at; none = every module.
            bins: bins of frequency from 0 to 0.5 cycles/sample.
            channels_last: whether inputs are (B, T, C), not (B, C, T).
            images: at most so many images, a random sample: the errors show what more would bring.
            bootstrap: bootstrap resamples over images.
            seed: seed of the bootstrap.
        """

series_spectrum: _SeriesSpectrum

class _Sharpness(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        ball: Literal['l2', 'linf'] = 'l2',
        scale: Literal['parameter', 'filter', 'none'] = 'parameter',
        eta: float = 0.0,
        radii: Sequence[float] | str = (),
        subset: int | None = None,
        subsets: int = 8,
        ascent_steps: int = 5,
        restarts: int = 0,
        sigmas: Sequence[float] | str = (0.01, 0.02, 0.05, 0.1, 0.2),
        samples: int = 16,
        max_products: int = 400,
        rel_se: float = 0.05,
        normalise_logits: bool = False,
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Sharpness.

        Args:
            ball: norm p of ‖T⁻¹ε‖ ≤ ρ: 2 or ∞.
            scale: T: |θ|, the norm of the filter that a parameter is in, or 1.
            eta: added to |θ| and to norms of filters in T.
            radii: radii ρ; none: 0.05 to 1, or for linf a hundredth of that.
            subset: examples m of each subset that has a worst point of its own; none: all of them.
            subsets: how many such subsets at most, disjoint and at random.
            ascent_steps: gradient steps to the worst point of each radius.
            restarts: random starts beside the one along the gradient.
            sigmas: sizes σ of the noise σTε of the average case.
            samples: pairs ±ε of the average case.
            max_products: most matrix-vector products for tr(THT).
            rel_se: standard error wanted of tr(THT), relative to it.
            normalise_logits: divide the logits of each example by their spread, whose scale decides
                sharpness.
            seed: seed of subsets, starts, noise and probes.
        """

sharpness: _Sharpness

class _Similarity(Analysis):
    def __call__(
        self,
        problems: Mapping[str, Problem],
        /,
        *,
        layers: Sequence[str] | str = (),
        most_layers: int = 8,
        sample: int = 256,
        neighbours: int = 10,
        variance: float = 0.99,
        tokens: Literal['flatten', 'cls', 'patch_mean'] = 'flatten',
        spatial: Literal['flatten', 'pooled'] = 'flatten',
        prefix_tokens: int | None = None,
        pairing: Literal['inputs', 'order'] = 'inputs',
        subsamples: int = 10,
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Similarity by other measures.

        Args:
            layers: globs over module names, outputs without one row per example being left out; none =
                the outputs of blocks, or every module of a model that has none.
            most_layers: layers per model; of more, evenly spaced ones in firing order are taken, with
                both ends.
            sample: largest number of examples, shared by all.
            neighbours: nearest neighbours of each example (at most a half).
            variance: share of variance that SVCCA and PWCCA keep.
            tokens: of token sequences: all entries, the first token, or the mean over the grid.
            spatial: of feature maps: all entries, or the mean over space.
            prefix_tokens: tokens before the patch grid; none = the fewest that leave a square.
            pairing: inputs: all models see the same; order: examples of one number are the same, though
                models take them in other forms, such as images of other sizes.
            subsamples: subsamples of the examples, without repeats, from which errors between layers
                are found; 0 or 1 = no errors.
            seed: seed of the sample.
        """

similarity: _Similarity

class _Simplex(Analysis):
    def __call__(
        self,
        problems: Mapping[str, Problem],
        /,
        *,
        points: int = 2,
        epochs: int = 20,
        lr: float = 0.01,
        momentum: float = 0.9,
        batch_size: int = 64,
        draws: int = 5,
        volume: float = 1e-10,
        weight_decay: float | None = None,
        samples: int = 25,
        align: Literal['weights', 'activations'] | None = None,
        test: str | None = None,
        test_kwargs: Mapping[str, Any] = {},
        seed: int = 0,
        test_data: Any = None,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Simplices between models.

        Args:
            points: connecting points to train, one after another.
            epochs: passes over the data to train each point.
            lr: learning rate.
            momentum: momentum.
            batch_size: examples in a step.
            draws: random points of the complex in a step.
            volume: weight of minus the logarithm of the volume.
            weight_decay: λ in training; none = that of the problem.
            samples: random points at which each region is measured.
            align: whether to put the units of all models in the order of the first, and by what.
            test: builder of held-out data, package.module:function.
            test_kwargs: its arguments.
            seed: seed of alignment, training and random points.
        """

simplex: _Simplex

class _SpawnBarriers(Analysis):
    def __call__(
        self,
        problems: Mapping[str, Problem],
        /,
        *,
        pattern: str = '^(.*)spawn(\\d+)',
        step_unit: str = 'epoch',
        steps: int = 7,
        refine: int = 2,
        batchnorm: Literal['checkpoint', 'batch', 'recalibrate', 'interpolate', 'repair'] | None = None,
        test: str | None = None,
        test_kwargs: Mapping[str, Any] = {},
        resamples: int = 500,
        seed: int = 0,
        test_data: Any = None,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Barriers of children by spawn step.

        Args:
            pattern: regular expression for names of children: its first group names the parent, its
                last group the step or epoch at which they parted.
            step_unit: what the number in the names counts.
            steps: evenly spaced points on each line, with both ends.
            refine: rounds of two more points beside the largest gap.
            batchnorm: BatchNorm statistics between the models: the nearer checkpoint's, the batch's,
                pooled anew over the data (recalibrate), interpolated, or recalibrated with all layers'
                outputs rescaled (repair); none = recalibrate.
            test: builder of held-out data, package.module:function.
            test_kwargs: its arguments.
            resamples: bootstrap resamples of the examples.
            seed: seed of the bootstrap.
        """

spawn_barriers: _SpawnBarriers

class _Spectrum(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        k: int = 10,
        engine: Literal['landscape', 'pyhessian'] = 'landscape',
        which: Literal['LM', 'LA', 'SA', 'BE'] = 'LM',
        operator: Literal['hessian', 'ggn', 'fisher', 'empirical_fisher', 'kfac', 'ekfac'] = 'hessian',
        tol: float = 0.001,
        max_products: int | None = None,
        search: bool = True,
        vectors: bool = False,
        resamples: int = 200,
        seed: int = 0,
        start: Any = None,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Hessian spectrum.

        Args:
            k: number of eigenpairs.
            engine: landscape: Lanczos; pyhessian: power iteration as in PyHessian 0.1, to reproduce
                papers.
            which: LM largest magnitude, LA largest, SA smallest, BE both ends.
            operator: Hessian; generalised Gauss-Newton matrix; Fisher matrix, targets drawn from the
                model; second moment of the gradients at the data's targets; or a Kronecker-factored
                approximation of the Gauss-Newton matrix, whose error `kfac_error` gives.
            tol: residual at which a pair counts as converged, relative to max |λ|; for pyhessian also
                the change of λ that ends its iteration.
            max_products: most matrix-vector products; none = 500 + 20 k, or 100 k for pyhessian.
            search: whether to search for missed copies of eigenvalues, for about 10 more products;
                without, or with pyhessian, which never searches, copies may be missing and `complete`
                is false.
            vectors: whether to keep the eigenvectors.
            resamples: samples from each fitted tail, for its p-value and error; 0 for neither.
            seed: seed of the starting vectors and of the resamples.
        """

spectrum: _Spectrum

class _Stability(Analysis):
    def __call__(
        self,
        problems: Mapping[str, Problem],
        /,
        *,
        learning_rate: float | None = None,
        momentum: float | None = None,
        tol: float = 0.0001,
        max_products: int | None = None,
        sharpening: bool = True,
        seed: int = 0,
        training: Any = None,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Edge of stability.

        Args:
            learning_rate: η of every checkpoint; none: what the checkpoint's scheduler or optimiser
                says.
            momentum: β, or Adam's β₁; none: what the checkpoint's optimiser says.
            tol: residual at which a pair counts as converged, relative to max |λ|.
            max_products: most products for the eigenvalues of each matrix; none = 540.
            sharpening: whether to compute the rate of progressive sharpening too.
            seed: seed of starting vectors.
        """

stability: _Stability

class _Structure(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        k: int = 20,
        tol: float = 0.0001,
        max_products: int | None = None,
        by: Literal['module', 'parameter'] = 'module',
        samples: int = 16,
        alphas: Sequence[float] | str = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
        probes: int = 4,
        steps: int = 30,
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Structure of the Hessian.

        Args:
            k: eigenpairs of largest magnitude.
            tol: residual at which a pair counts as converged, relative to max |λ|.
            max_products: most products for the eigenpairs of each matrix; none = 500 + 20 k.
            by: what a layer is: the parameters of one module, or each parameter tensor.
            samples: random signs for traces and Frobenius norms.
            alphas: values of α in the effective dimension Σ λ/(λ+α).
            probes: random probes of the effective dimension.
            steps: Lanczos steps (products) per probe.
            seed: seed of starting vectors and probes.
        """

structure: _Structure

class _Surface(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        directions: Literal['filter', 'layer', 'parameter', 'raw', 'eigenvectors', 'models', 'trajectory', 'given'] = 'filter',
        centring: Literal['mean', 'last'] = 'mean',
        ignore: Sequence[str] | str = ('bias', 'norm', 'position'),
        which: Literal['LA', 'SA', 'LM', 'BE'] = 'LA',
        steps: int | tuple[int, int] = (51, 51),
        x_range: tuple[float, float] | None = None,
        y_range: tuple[float, float] | None = None,
        evaluations: int | None = 441,
        refine_by: Literal['loss', 'log_loss'] = 'loss',
        batchnorm: Literal['checkpoint', 'batch', 'recalibrate'] | None = None,
        per_class: bool = False,
        gradient_norm: bool = False,
        hessian: bool = False,
        keep_directions: bool = False,
        tune: bool = False,
        precision: Literal['full', 'bfloat16'] = 'full',
        radius: float | None = None,
        threshold: float = 0.1,
        seed: int = 0,
        metrics: Sequence[str] | str = (),
        vectors: Any = None,
        models: Any = None,
        trajectory: Any = None,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Loss surface.

        Args:
            directions: random, normalised by filter, layer or parameter, or raw; Hessian eigenvectors;
                or those of the input `models`, `trajectory` or `vectors` (given); in a manifest a
                group's checkpoints are the `models` or the `trajectory`.
            centring: what the checkpoints of a trajectory are taken about: their mean, or the last (Li
                et al. 2018, section 7).
            ignore: parameters that do not move along random directions and gradients: bias, those of
                norm layers, position (embeddings of positions and class tokens), and globs over names.
            which: which eigenvectors: LA top two, SA lowest two, LM largest in size, BE one of each
                end.
            steps: number of points along x and y, or one number for both.
            x_range: lowest and highest step along x; none = -1 to 1, or around the checkpoints shown.
            y_range: likewise along y.
            evaluations: most points to evaluate, where a spline through the others errs most; none =
                all points.
            refine_by: what is to be resolved if not all points are evaluated; log_loss suits pictures
                whose colours span decades.
            batchnorm: BatchNorm statistics at each point: the checkpoint's, the batch's, or pooled anew
                over the data (recalibrate); none = checkpoint near one model, recalibrate between
                models.
            per_class: whether to measure the accuracy of each class.
            gradient_norm: whether to measure the gradient norm, at four times the cost.
            hessian: whether to compute the exact curvature at the checkpoint too.
            keep_directions: whether to store the directions themselves.
            tune: whether to time micro-batches and memory layouts first and use the fastest; equal up
                to rounding.
            precision: forward passes as the model is, or in bfloat16 with the error recorded.
            radius: steps around the centre for the sharpness; none = a quarter of the way to the edge.
            threshold: rise of the loss that ends the flat region.
            seed: seed of the directions.
            metrics: metrics of your own to measure at each point too: functions (output, target) -> one
                number per example, each package.module:function.
        """

surface: _Surface

class _Taxonomy(Analysis):
    def __call__(
        self,
        table: Any,
        /,
        *,
        sharp: float | None = None,
        connected: float | None = None,
        similar: float | None = None,
        columns: Mapping[str, str] = {},
        resamples: int = 1000,
        confidence: float = 0.95,
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Taxonomy of a load-temperature grid.

        Args:
            sharp: ln λ_max above which a cell is sharp; none = found from the data.
            connected: mode connectivity, in points of training error, from which a cell is connected;
                none = found from the data, at most -1.
            similar: CKA from which a flat and connected cell is similar; none = found from the data.
            columns: names of the table's columns where they differ from ours, such as load = 'width'.
            resamples: bootstrap resamples of the cells.
            confidence: level of the intervals.
            seed: seed of the bootstrap.
        """

taxonomy: _Taxonomy

class _Trace(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        operator: Literal['hessian', 'ggn', 'fisher', 'empirical_fisher', 'kfac', 'ekfac'] = 'hessian',
        method: Literal['hutch++', 'hutchinson', 'xtrace'] = 'hutch++',
        engine: Literal['landscape', 'pyhessian'] = 'landscape',
        rel_se: float = 0.02,
        max_products: int = 1000,
        diagonal: bool = False,
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Trace.

        Args:
            operator: Hessian; generalised Gauss-Newton matrix; Fisher matrix, targets drawn from the
                model; second moment of the gradients at the data's targets; or a Kronecker-factored
                approximation of the Gauss-Newton matrix, whose error `kfac_error` gives.
            method: hutch++ takes the large eigenvalues exactly; hutchinson samples all; xtrace (Epperly
                et al. 2024) uses every probe for both, and takes the fewest products where eigenvalues
                fall fast. It keeps 48 vectors as long as the parameters at least; where these do not
                fit into memory, hutch++ takes its place.
            engine: pyhessian: Hutchinson's estimator with the stopping rule of PyHessian 0.1, to
                reproduce papers; method is then left out of account.
            rel_se: standard error wanted, relative to the trace.
            max_products: most matrix-vector products.
            diagonal: whether to keep the diagonal.
            seed: seed of the probes.
        """

trace: _Trace

class _Transfer(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        layers: Sequence[str] | str = ('*',),
        kinds: Sequence[Literal['convolution', 'attention', 'mlp', 'norm', 'block', 'downsampling', 'residual_sum', 'linear', 'activation']] | str = ('convolution', 'attention', 'mlp', 'norm', 'block', 'downsampling', 'residual_sum'),
        bins: int = 14,
        prefix_tokens: int | None = None,
        grid: tuple[int, int] | None = None,
        coherence_channels: int = 8,
        flat_slope: float = 0.05,
        level: float = 0.05,
        images: int = 128,
        bootstrap: int = 200,
        seed: int = 0,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Transfer functions of units.

        Args:
            layers: globs over module names.
            kinds: kinds of units to look at; none = every module.
            bins: number of radial frequency bins up to 1/√2.
            prefix_tokens: tokens before the patch grid; none = the fewest that leave a square.
            grid: height and width of the grid that the tokens after the prefix are; none = found, if
                they come of pictures.
            coherence_channels: at most so many channels, evenly spaced, enter the coherence.
            flat_slope: slopes of ln T of no more than this, in pixels/cycle, count as flat.
            level: level of significance after correction for all layers.
            images: at most so many images, a random sample: the errors show what more would bring.
            bootstrap: bootstrap resamples over images.
            seed: seed of the bootstrap.
        """

transfer: _Transfer

class _Uncertainty(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        shifts: Sequence[Literal['rotation', 'translation', 'gaussian_noise', 'shot_noise', 'impulse_noise', 'gaussian_blur', 'contrast', 'brightness', 'pixelate', 'rotation_wide', 'roll']] | str = ('rotation', 'translation', 'gaussian_noise', 'gaussian_blur', 'impulse_noise'),
        intensities: Sequence[float] | str = (),
        clip: bool = True,
        samples: int = 0,
        bins: int = 15,
        coverage: int = 20,
        bootstrap: int = 200,
        ood_data: Sequence[str] | str = (),
        mean: Sequence[float] | str = (),
        std: Sequence[float] | str = (),
        seed: int = 0,
        ood: Any = None,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Uncertainty under shift.

        Args:
            shifts: kinds of change that grow.
            intensities: amounts of change in the unit of each kind, rising; none = severities 1 to 5 of
                corruptions. The unchanged images always come first.
            clip: cut changed pixels to 0 to 1; off, noise on black pixels stays noise.
            samples: draws of a predictive; 0 = its own number.
            bins: number of confidence bins.
            coverage: number of shares of examples answered, evenly up to 1.
            bootstrap: bootstrap resamples for the standard errors of calibration.
            ood_data: package.module:function that returns data of another distribution, or several;
                none = no such scores, unless data are given as the input ood.
            mean: pixel means of the normalisation to undo; none = the data's range becomes 0 to 1.
            std: pixel standard deviations of the normalisation to undo.
            seed: seed of changes, draws and the bootstrap.
        """

uncertainty: _Uncertainty

class _Weights(Analysis):
    def __call__(
        self,
        problem: Problem,
        /,
        *,
        layers: Sequence[str] | str = ('*',),
        resamples: int = 200,
        map_norms: bool = False,
        initial_state: str = '',
        initial_state_kwargs: Mapping[str, Any] = {},
        seed: int = 0,
        initial: Any = None,
        progress: bool | Callable[[float], None] = False,
    ) -> xr.Dataset:
        """Weights of the layers.

        Args:
            layers: globs over names of layers.
            resamples: samples from each fitted tail, for its p-value and error; 0 for neither.
            map_norms: also the norms of convolutions as maps of whole pictures; asks for one batch.
            initial_state: package.module:function of the weights at initialisation, by name: distances
                from there.
            initial_state_kwargs: its keyword arguments.
            seed: seed of the resamples.
        """

weights: _Weights
