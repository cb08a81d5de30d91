"""Trackers: what each of the real packages says that it was told. Skipped where one is not installed."""

from __future__ import annotations

import struct

import numpy as np
import pytest

import landscape
from landscape.errors import InputError
from landscape.export.trackers import tracker_of

pytestmark = pytest.mark.filterwarnings("ignore")

CURVE = {0: 1.5, 5: -2.0, 7: 0.25}
PICTURE = np.zeros((4, 6, 3), np.uint8)


def tell(to):
    tracker = tracker_of(to)
    for step, value in CURVE.items():
        tracker.numbers({"trace/λ": value, "trace/λ.error": 0.5}, step)
    tracker.picture("trace/over", PICTURE, 7)
    tracker.end()


def test_tensorboard(tmp_path):
    """Oracle: TensorBoard's own reader of the files."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    tell(SummaryWriter(str(tmp_path)))
    found = EventAccumulator(str(tmp_path)).Reload()
    assert {e.step: e.value for e in found.Scalars("trace/λ")} == CURVE
    assert [e.value for e in found.Scalars("trace/λ.error")] == [0.5] * 3
    (image,) = found.Images("trace/over")
    assert (image.width, image.height, image.step) == (6, 4, 7)


def log_records(data):
    """The records of a log as LevelDB writes it, in blocks of 32 KiB whose first is 7 bytes short."""
    at, record = 0, b""
    while at + 7 <= len(data):
        left = 32768 - (at + 7) % 32768
        if left < 7:  # nothing fits behind
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole one, or the last part of one
            yield record
            record = b""


def test_wandb_offline(tmp_path):
    """Oracle: wandb's own records, in the file that an offline run leaves to be synced later."""
    wandb = pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    with wandb.init(mode="offline", dir=str(tmp_path), project="p") as run:
        run.log({"loss": 1.0}, step=90)  # the training is further than what is told now
        tell(run)
    wandb.teardown()  # only then is the file whole
    (file,) = tmp_path.rglob("*.wandb")
    found, pictures = {}, 0
    for data in log_records(file.read_bytes()[7:]):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        row = {(i.key or "/".join(i.nested_key)): i.value_json for i in record.history.item}
        if "trace/λ" in row:
            found[int(row["landscape/step"])] = float(row["trace/λ"])
        pictures += "image-file" in row.get("trace/over", "") or any("trace/over" in k for k in row)
    assert found == CURVE
    assert pictures == 1


def test_mlflow(tmp_path):
    """Oracle: MLflow's own client."""
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")  # which the small mlflow, enough to write to a server, lacks
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("e", artifact_location=f"{tmp_path}/files"))
    with pytest.raises(InputError, match="no active run"):
        tracker_of(mlflow)
    with mlflow.start_run() as run:
        tell(mlflow)
    client = mlflow.MlflowClient()
    found = client.get_metric_history(run.info.run_id, "trace/λ")
    assert {m.step: m.value for m in found} == CURVE
    assert [f.path for f in client.list_artifacts(run.info.run_id, "landscape/trace")] == [
        "landscape/trace/over-7.png"
    ]


def test_aim(tmp_path):
    """Oracle: Aim's own reader."""
    aim = pytest.importorskip("aim")
    run = aim.Run(repo=str(tmp_path), system_tracking_interval=None, capture_terminal_logs=False)
    tell(run)
    (metric,) = [m for m in run.metrics() if m.name == "trace/λ"]
    table = metric.dataframe()
    assert dict(zip(table["step"], table["value"], strict=True)) == CURVE
    run.close()


def test_what_is_no_tracker_is_said():
    with pytest.raises(
        InputError, match="SummaryWriter of TensorBoard, a run of wandb, mlflow or aim; got a str"
    ):
        landscape.log({}, "runs/")
