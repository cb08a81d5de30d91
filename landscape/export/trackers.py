"""Trackers of experiments, each told numbers and pictures in its own words; none is imported unless given."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from landscape.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Tracker", "tracker_of"]


class Tracker(Protocol):
    """What takes numbers and pictures."""

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Take numbers by name."""

    def picture(self, name: str, pixels: NDArray[np.uint8], step: int) -> None:
        """Take a picture (height, width, 3)."""

    def end(self) -> None:
        """Nothing more comes."""


class _TensorBoard:
    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, name: str, pixels: NDArray[np.uint8], step: int) -> None:
        self._writer.add_image(name, pixels, step, dataformats="HWC")

    def end(self) -> None:
        self._writer.flush()


class _WandB:
    """Steps of its own: those of a run only ever grow, and the training's have gone on meanwhile."""

    STEP = "landscape/step"

    def __init__(self, run: Any) -> None:
        self._run, self._known = run, set[str]()
        run.define_metric(self.STEP, hidden=True)

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        for name in values.keys() - self._known:
            self._run.define_metric(name, step_metric=self.STEP)
        self._known |= values.keys()
        self._run.log({**values, self.STEP: step})

    def picture(self, name: str, pixels: NDArray[np.uint8], step: int) -> None:
        image = importlib.import_module("wandb").Image(pixels)
        self._run.log({name: image, self.STEP: step})

    def end(self) -> None:
        """It writes as it is told."""


class _MLflow:
    def __init__(self, client: Any, run_id: str) -> None:
        self._client, self._run = client, run_id

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._client.log_metric(self._run, name, value, step=step)

    def picture(self, name: str, pixels: NDArray[np.uint8], step: int) -> None:
        self._client.log_image(self._run, pixels, artifact_file=f"landscape/{name}-{step}.png")

    def end(self) -> None:
        """It writes as it is told."""


class _Aim:
    def __init__(self, run: Any) -> None:
        self._run = run

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._run.track(value, name=name, step=step)

    def picture(self, name: str, pixels: NDArray[np.uint8], step: int) -> None:
        aim, images = importlib.import_module("aim"), importlib.import_module("PIL.Image")
        self._run.track(aim.Image(images.fromarray(pixels)), name=name, step=step)

    def end(self) -> None:
        """It writes as it is told."""


def tracker_of(to: Any) -> Tracker:
    """The tracker that a user gave.

    Raises:
        InputError: If it is none of those that are known, or MLflow has no active run.
    """
    home = (to.__name__ if isinstance(to, ModuleType) else type(to).__module__).partition(".")[0]
    if home in ("lightning", "pytorch_lightning") and hasattr(to, "experiment"):
        if hasattr(to, "run_id"):  # Lightning's logger of MLflow, whose experiment is a client
            return _MLflow(to.experiment, to.run_id)
        return tracker_of(to.experiment)
    if hasattr(to, "add_scalar") and hasattr(to, "add_image"):  # torch's writer, tensorboardX's
        return _TensorBoard(to)
    if home == "mlflow":
        mlflow = importlib.import_module("mlflow")
        run = mlflow.active_run() if isinstance(to, ModuleType) else to
        if run is None:
            raise InputError(
                "mlflow has no active run: log within `with mlflow.start_run():`, or give a run."
            )
        return _MLflow(mlflow.MlflowClient(), run.info.run_id)
    if home == "wandb" and hasattr(to, "define_metric") and hasattr(to, "log"):
        if isinstance(to, ModuleType):
            if to.run is None:
                raise InputError("wandb has no active run: give what wandb.init(...) returns.")
            to = to.run
        return _WandB(to)
    if home == "aim" and hasattr(to, "track"):
        return _Aim(to)
    raise InputError(
        "landscape.log writes to a SummaryWriter of TensorBoard, a run of wandb, mlflow or aim;"
        f" got a {type(to).__name__}."
    )
