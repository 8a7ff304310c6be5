"""Write what W&B and trackio store offline, as ``wandb-VERSION.zip`` and ``trackio-VERSION.zip``.

Run it with the Python of an environment that has them, which need not have this package:

    pip install wandb trackio
    python scripts/make_tracker_fixtures.py tests/mlflow_bridge/fixtures

For the oldest versions that are read: ``pip install wandb==0.16.6 trackio==0.5.3 'numpy<2' 'setuptools<81'``.
"""

import importlib.metadata
import math
import os
import sys
import tempfile
import zipfile
from pathlib import Path

LONG = "x" * 70_000
"""A text that takes three blocks of W&B's log."""


def write_wandb():
    """Log a finished run, a failed one and a long one with W&B."""
    os.environ.update(WANDB_MODE="offline", WANDB_DIR=".", WANDB_SILENT="true", WANDB_HOST="host")
    os.environ.update(WANDB_DATA_DIR=tempfile.mkdtemp(), WANDB_CACHE_DIR=tempfile.mkdtemp())
    import wandb

    names = {"program": "train.py", "host": "host", "username": "ann", "email": "ann@example.org"}
    is_old = hasattr(wandb.Settings(), "_disable_stats")
    hidden = {"_disable_meta": True} if is_old else {"x_executable": "python", "x_disable_machine_info": True}
    settings = {**names, **hidden, "console": "off", "disable_git": True}

    config = {"depth": 3, "nested": {"lr": 0.1, "layers": [1, 2]}, "flag": True, "text": "é", "nothing": None}
    with wandb.init(
        project="games",
        name="deep",
        id="deep0001",
        config=config,
        tags=["nba", "v1"],
        notes="some notes",
        group="season",
        job_type="train",
        settings=settings,
    ) as run:
        for step in range(5):
            run.log({"loss": 1 / (step + 1), "train/auc": 0.5 + step / 10, "nested": {"a": step}})
        run.log({"odd": math.nan, "far": math.inf, "good": True, "text": "hello"}, step=9)
        run.log({"page": wandb.Html("<b>bold</b>"), "bars": wandb.Histogram([1, 2, 3])}, step=10)
        run.config.update({"late": 7})
        run.summary["best"] = 0.9
        run.summary["loss"] = 0.1
        run.summary["verdict"] = "good"
    with wandb.init(project="games", name="long", id="long0001", settings=settings) as run:
        for step in range(300):
            run.log({"loss": step / 3})
        run.log({"text": LONG})
    run = wandb.init(project="nba", id="fail0001", settings=settings)
    run.log({"loss": 1.0})
    run.finish(exit_code=1)
    wandb.teardown()
    return Path("wandb")


def write_trackio():
    """Log two runs of one project and one of another with trackio."""
    directory = Path("trackio").absolute()
    os.environ.update(TRACKIO_DIR=str(directory), HF_HUB_OFFLINE="1", HF_HOME=str(directory.parent))
    import numpy
    import trackio

    config = {"depth": 3, "nested": {"lr": 0.1, "layers": [1, 2]}, "flag": True, "text": "é", "nothing": None}
    trackio.init(project="games", name="deep", config=config)
    for step in range(5):
        trackio.log({"loss": 1 / (step + 1), "train/auc": 0.5 + step / 10, "nested": {"a": step}})
    trackio.log({"odd": math.nan, "far": math.inf, "good": True, "text": "hello"}, step=9)
    trackio.log({"picture": trackio.Image(numpy.zeros((2, 2, 3), dtype=numpy.uint8))}, step=10)
    trackio.finish()
    trackio.init(project="games", name="other", config={"depth": 4})
    trackio.log({"loss": 1.0})
    trackio.finish()
    trackio.init(project="nba", name="deep")
    trackio.log({"loss": 2.0})
    trackio.finish()
    return directory


def archive(directory, target):
    """Write the files that an import reads to a ZIP archive; links become the files that they lead to."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in sorted(directory.rglob("*")):
            is_log = path.suffix in (".log", ".lock") or path.name in ("requirements.txt", "latest-run")
            if path.is_file() and not is_log and not path.parent.is_symlink():
                zipped.write(path, path.relative_to(directory))


def main():
    """Write the archives."""
    target = Path(sys.argv[1]).absolute()
    os.chdir(tempfile.mkdtemp())
    for name, write in (("wandb", write_wandb), ("trackio", write_trackio)):
        major, minor, *_ = importlib.metadata.version(name).split(".")
        archive(write(), target / f"{name}-{major}.{minor}.zip")


if __name__ == "__main__":
    main()
