"""Old import paths, kept for one release: what moved, and where to.

An import of a module that moved succeeds with a `DeprecationWarning` that names the new place. Delete this
module, and the lines in packages that call `old_names`, with the next release.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["install", "old_names"]

MOVED: dict[str, str] = {
    "analyses": "base.registry",
    "analyses.attention_response": "analyses.features.attention_response",
    "analyses.batch_spectra": "analyses.curvature.batch_spectra",
    "analyses.calibration": "analyses.behaviour.calibration",
    "analyses.cka": "analyses.similarity.cka",
    "analyses.connect": "analyses.connectivity.connect.compute analyses.connectivity.connect",
    "analyses.connectivity": "analyses.connectivity.matrix.compute analyses.connectivity.matrix",
    "analyses.corruptions": "analyses.behaviour.corruptions",
    "analyses.density": "analyses.curvature.density",
    "analyses.feature_variance": "analyses.features.feature_variance",
    "analyses.fourier": "analyses.features.fourier",
    "analyses.frequency_noise": "analyses.behaviour.frequency_noise",
    "analyses.lesion": "analyses.features.lesion",
    "analyses.line": "analyses.surfaces.line",
    "analyses.similarity": "analyses.similarity.measures",
    "analyses.simplex": "analyses.connectivity.simplex",
    "analyses.spectrum": "analyses.curvature.spectrum",
    "analyses.structure": "analyses.curvature.structure.compute analyses.curvature.structure",
    "analyses.surface": "analyses.surfaces.surface.compute analyses.surfaces.surface",
    "analyses.trace": "analyses.curvature.trace",
    "analyses.transfer": "analyses.features.transfer",
    "cli": "cli.app",
    "commands": "cli.analyses",
    "console": "cli.display",
    "core.alignment": "core.symmetry.alignment",
    "core.augment": "core.data.augment",
    "core.axes": "core.symmetry.axis_terms",
    "core.barriers": "core.connectivity.barriers",
    "core.batchnorm": "core.problem.batchnorm",
    "core.blocks": "core.curvature.blocks core.problem.parameters",
    "core.calibration": "core.behaviour.calibration",
    "core.collectors": "core.features.spectra",
    "core.corruptions": "core.behaviour.corruptions",
    "core.curvature": "core.curvature.operator",
    "core.data": "core.data.batches",
    "core.detection": "core.behaviour.ood",
    "core.dimension": "core.linalg.effective_dimension",
    "core.directions": "core.surfaces.directions core.problem.states core.linalg.reductions",
    "core.feature_matching": "core.symmetry.activation_matching",
    "core.features": "core.features.hooks core.problem.private_model",
    "core.fisher": "core.curvature.fisher",
    "core.frequency": "core.features.fourier",
    "core.functions": "core.features.function_hooks",
    "core.graphs": "core.curvature.graph_cache",
    "core.heads": "core.features.attention",
    "core.hsic": "core.similarity.cka",
    "core.intervals": "core.stats.hypothesis",
    "core.kinds": "core.features.unit_kinds",
    "core.krylov": "core.linalg.krylov",
    "core.lanczos": "core.linalg.eigenpairs",
    "core.layout": "core.features.map_layout",
    "core.lesions": "core.features.lesions",
    "core.losses": "core.problem.losses",
    "core.matching": "core.symmetry.weight_matching",
    "core.memory": "core.curvature.memory core.problem.passes.saved_bytes",
    "core.merge_tree": "core.surfaces.merge_tree",
    "core.minibatches": "core.data.minibatches",
    "core.moments": "core.stats.moments",
    "core.neb": "core.connectivity.elastic_band",
    "core.observe": "core.features.collector core.features.collect",
    "core.operators": "core.linalg.operators",
    "core.parameters": "core.problem.parameters",
    "core.passes": "core.data.subsample",
    "core.path_profile": "core.connectivity.end_states core.problem.batchnorm core.problem.states",
    "core.path_training": "core.connectivity.curve_training",
    "core.paths": "core.connectivity.curve",
    "core.perturbations": "core.behaviour.perturbations",
    "core.plane": "core.surfaces.plane",
    "core.problem": "core.problem.problem",
    "core.provenance": "core.problem.fingerprint",
    "core.pyhessian": "core.linalg.pyhessian",
    "core.quadrature": "core.linalg.quadrature",
    "core.refine": "core.surfaces.adaptive_grid",
    "core.repair": "core.connectivity.repair",
    "core.replica": "core.problem.private_model",
    "core.representations": "core.similarity.measures",
    "core.saddle_tree": "core.connectivity.single_linkage",
    "core.sampling": "core.linalg.hutchinson",
    "core.second_order": "core.curvature.double_backward",
    "core.shape": "core.surfaces.surface_shape",
    "core.sharding": "core.problem.sharding",
    "core.sharpness": "core.curvature.adaptive_sharpness",
    "core.similarity": "core.similarity.zoo_pass",
    "core.simplex": "core.connectivity.simplex",
    "core.smoothing": "core.stats.density",
    "core.soups": "core.connectivity.soups",
    "core.structure": "core.linalg.decomposition",
    "core.surface": "core.problem.evaluator core.problem.batchnorm batchnorm_policy"
    " core.problem.states core.stats.hypothesis",
    "core.symmetry": "core.symmetry.symmetry",
    "core.symmetry_groups": "core.symmetry.groups",
    "core.symmetry_rules": "core.symmetry.rules",
    "core.symmetry_trace": "core.symmetry.trace",
    "core.symmetry_views": "core.symmetry.view_rules",
    "core.tally": "core.problem.measure",
    "core.trace": "core.linalg.trace",
    "core.trajectory": "core.surfaces.principal_directions core.problem.states core.linalg.reductions",
    "core.transfer": "core.features.transfer",
    "core.tridiagonal": "core.linalg.tridiagonal",
    "core.tuning": "core.problem.execution",
    "core.units": "core.features.units",
    "core.variance": "core.features.variance",
    "core.verdicts": "core.stats.hypothesis core.stats.bootstrap",
    "core.wanted": "core.linalg.selection",
    "figure": "base.figure",
    "plot": "plotting",
    "plot.arrange": "plotting.axes_layout",
    "plot.backends": "plotting.backends.find",
    "plot.comparison": "plotting.comparison",
    "plot.draw_matplotlib": "plotting.backends.matplotlib",
    "plot.draw_null": "plotting.backends.null",
    "plot.draw_plotly": "plotting.backends.plotly",
    "plot.draw_relief": "plotting.backends.relief",
    "plot.groups": "plotting.group_summary",
    "plot.matplotlib_style": "plotting.backends.matplotlib_style",
    "plot.palette": "plotting.palette",
    "plot.plotly_fields": "plotting.backends.plotly_fields",
    "plot.plotly_layout": "plotting.backends.plotly_layout",
    "plot.scales": "plotting.scales",
    "plot.thin": "plotting.decimation",
    "plot.violins": "plotting.violin_outline",
    "plot.vtk": "export.vtk",
    "reference.alternet": "reference.models.alternet",
    "reference.attention": "reference.layers.attention",
    "reference.augment": "reference.training.augment",
    "reference.blocks": "reference.layers.convolution",
    "reference.claims": "studies.claims",
    "reference.datasets": "reference.data.torchvision",
    "reference.files": "reference.training.checkpoints",
    "reference.mixer": "reference.models.mixer",
    "reference.parallel": "reference.training.pool",
    "reference.smoothing": "reference.layers.spatial_smoothing",
    "reference.train": "reference.training.loop",
    "reference.vgg": "reference.models.vgg",
    "reference.windowed": "reference.models.swin",
    "reference.zoo": "reference.demo reference.training.recipe",
    "registry": "base.analysis base.figure analyses._shared.captions",
    "report": "reporting",
    "report.choice": "store.select",
    "report.csv_data": "reporting.csv_data",
    "report.encode": "reporting.encode",
    "report.fields": "export.surfaces",
    "report.figures": "reporting.figures",
    "report.frame": "export.frame",
    "report.groupings": "plotting.model_groupings",
    "report.notices": "reporting.notices",
    "report.page": "reporting.page",
    "report.paper": "export.figures",
    "report.provenance": "reporting.provenance",
    "report.tables": "reporting.tables",
    "report.views": "reporting.views",
    "schema": "base.schema",
    "store.consolidate": "store.zoo_file",
    "store.partial": "store.ledger",
    "store.quick": "store.fast_read",
    "tables": "analyses.taxonomy",
    "tables.base": "base.table",
    "tables.taxonomy": "analyses.taxonomy analyses.taxonomy.compute",
    "zoo.builders": "imports",
    "zoo.cluster": "zoo.executors.dask",
    "zoo.executors": "zoo.executors.base",
    "zoo.layouts.facts": "zoo.layouts.run_metadata",
    "zoo.pickle_globals": "zoo.reading.pickle_globals",
    "zoo.pickles": "zoo.reading.pickle_globals",
    "zoo.pool": "zoo.executors.pool",
    "zoo.ranks": "zoo.executors.torchrun",
    "zoo.recorded": "zoo.recorded_metrics",
    "zoo.remote": "zoo.executors.dask_worker",
    "zoo.spec": "zoo.problem_options zoo.spec",
    "zoo.task": "zoo.events zoo.spec zoo.task",
    "zoo.text": "errors",
    "zoo.workbench": "zoo.runner zoo.checkpoint",
}
"""Old module below `landscape`, or one that lost names: the modules that hold its names today."""

RENAMED: dict[str, dict[str, str]] = {
    "cli.display": {"Meter": "ProgressBar"},
    "console": {"Meter": "ProgressBar"},
    "core.barriers": {"Bootstrap": "BarrierErrors", "bootstrap": "barrier_errors"},
    "core.blocks": {"Block": "DiagonalBlock"},
    "core.calibration": {"bootstrap": "resampled_scores"},
    "core.data": {"joinable": "batches_joinable"},
    "core.dimension": {"with_node": "gauss_radau"},
    "core.features": {"tap": "watch_outputs"},
    "core.graphs": {"Graphs": "GraphCache"},
    "core.kinds": {"Kind": "UnitKind"},
    "core.krylov": {"check_finite": "check_product"},
    "core.lanczos": {"Progress": "EigenProgress"},
    "core.layout": {"Layout": "MapLayout", "Layouts": "MapLayouts"},
    "core.minibatches": {"deal": "split_into_minibatches"},
    "core.neb": {
        "NebSettings": "BandTraining",
        "inserted": "missing_pivots",
        "nudged": "nudged_forces",
        "spaced": "at_constant_speed",
    },
    "core.observe": {"observe": "collect"},
    "core.path_profile": {"PathEvaluator": "curve_evaluator", "path_policy": "policy_in_force"},
    "core.path_training": {
        "Settings": "CurveTraining",
        "check_finite": "check_loss",
        "statistics": "batchwise_batchnorm",
    },
    "core.paths": {"Path": "Curve", "PathKind": "CurveKind"},
    "core.pyhessian": {"MOST": "MAX_ITERATIONS"},
    "core.replica": {"check_finite": "check_weights"},
    "core.sampling": {"Sampler": "HutchinsonSampler"},
    "core.shape": {"sharpness": "largest_rise"},
    "core.similarity": {"Policy": "FeatureRows"},
    "core.simplex": {"SimplexSettings": "SimplexTraining"},
    "core.surface": {"BatchNormMode": "SurfacePolicy", "batchnorm_mode": "policy_in_force"},
    "core.symmetry": {"Feature": "TracedTensor"},
    "core.symmetry_groups": {"Block": "TensorBlock", "settle": "equate_members"},
    "core.tally": {"Tally": "PartialMeasure", "TallySheet": "ExampleTable", "tally": "measure"},
    "core.transfer": {"Passage": "TransferRows"},
    "core.tuning": {"Cut": "BatchLayout", "probe": "fastest_batch_layout", "recut": "with_batch_layout"},
    "core.verdicts": {"resample_counts": "draw_counts"},
    "core.wanted": {"order": "rank_requested"},
    "plot.arrange": {
        "Arrangement": "AxesLayout",
        "arrange": "axes_layout",
        "gaps": "with_gaps",
        "runs": "finite_runs",
    },
    "plot.groups": {"by_group": "summarize_by_group"},
    "plot.thin": {"thin": "decimate"},
    "plot.violins": {"Outline": "ViolinOutline", "outline": "violin_outline"},
    "reference.blocks": {"positive": "check_positive"},
    "report.choice": {"wanted": "matches"},
    "report.groupings": {"groupings": "model_groupings"},
    "store.partial": {"Ledger": "FolderLedger"},
    "store.select": {"wanted": "matches"},
    "zoo.events": {"Found": "DoneElsewhere", "Notice": "Message"},
    "zoo.executors": {"chains": "tasks_by_model"},
    "zoo.spec": {"ModelSpec": "Model", "Settings": "ProblemOptions"},
    "zoo.task": {"Member": "Model", "Found": "DoneElsewhere", "Notice": "Message"},
    "zoo.workbench": {"Workbench": "Runner"},
}
"""Old module below `landscape`, or one that is still there: what its names are called today."""

_FUNCTIONS = {"plot": "plotting", "report": "reporting", "store.consolidate": "store.zoo_file"}
"""Modules of old whose names are functions now."""


def install() -> None:
    """Let old paths be imported, from now on."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())


def old_names(module: str) -> Callable[[str], Any]:
    """The ``__getattr__`` of a module that finds what it held under a name of old.

    Args:
        module: Its ``__name__``: of a package whose name was that of a module, or with names in `RENAMED`.
    """
    short = module.removeprefix("landscape.")
    homes = MOVED.get(short, short).split()
    renamed = RENAMED.get(short, {})

    def find(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        now = renamed.get(name, name)
        for home in homes:
            new = importlib.import_module(f"landscape.{home}")
            if now in vars(new):
                _warn(f"{module}.{name}", f"{new.__name__}.{now}")
                return vars(new)[now]
        raise AttributeError(f"module '{module}' has no attribute '{name}'")

    return find


def _warn(old: str, new: str) -> None:
    # 3: past this function and the one that calls it, to the line that imports; frames of the import system
    # do not count
    warnings.warn(f"{old} is now {new}; the old path goes with the next release.", DeprecationWarning, 3)


class _Finder:  # not of `importlib.abc`, whose import takes longer than that of `landscape`
    """Finds modules of old, last of all."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        name = fullname.removeprefix("landscape.")
        if name == fullname or name not in MOVED:
            return None
        package = any(old.startswith(f"{name}.") for old in MOVED)
        return ModuleSpec(fullname, self, is_package=package)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> Any:
        name = spec.name.removeprefix("landscape.")
        if name not in _FUNCTIONS:
            return None
        # The import system sets `landscape.plot` to whatever stands for the module: so the function does.
        home = importlib.import_module(f"landscape.{_FUNCTIONS[name]}")
        function = vars(home)[name.rpartition(".")[2]]
        for public in home.__all__:
            setattr(function, public, vars(home)[public])
        _warn(spec.name, home.__name__)
        return function

    def exec_module(self, module: ModuleType) -> None:
        name = module.__spec__.name if module.__spec__ else ""
        if name.removeprefix("landscape.") not in _FUNCTIONS:
            module.__getattr__ = old_names(name)  # type: ignore[method-assign]
