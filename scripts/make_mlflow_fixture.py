"""Write what one version of MLflow stores: a database, a file store and the artifacts of both, as one ZIP archive.

Run it with the Python of an environment with that version, which need not have this package:

    python scripts/make_mlflow_fixture.py tests/mlflow_bridge/fixtures

The pins with which old versions install on Python 3.11 stand in tests/mlflow_bridge/fixtures/README.md. The archive is
named after the version. It holds ``database.sql`` (SQLite), ``artifacts/`` and, where MLflow still writes one,
``mlruns/``. With ``--database-url`` the database is written there instead, and only ``artifacts/`` is archived; dump
the database with its own tools. Paths of this machine are replaced by ``/mlflow-root``.
"""

import argparse
import os
import shutil
import sqlite3
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = "/mlflow-root"
MODEL = """flavors:
  python_function:
    loader_module: nowhere
run_id: {run_id}
"""


def version():
    """Return major and minor number of the installed MLflow."""
    import mlflow

    return tuple(int(part) for part in mlflow.__version__.split(".")[:2])


class Writer:
    """Logs one scenario with the client of the installed version."""

    def __init__(self, tracking_uri, artifact_root):
        import mlflow
        from mlflow.tracking import MlflowClient

        mlflow.set_tracking_uri(tracking_uri)
        if hasattr(mlflow, "set_registry_uri"):
            mlflow.set_registry_uri(tracking_uri)
        self.client = MlflowClient(tracking_uri)
        self.artifact_root = artifact_root
        self.files = Path(tempfile.mkdtemp())

    def write(self):
        """Write the whole scenario."""
        churn = self.experiment("churn")
        games = self.experiment("games: nba")
        gone = self.experiment("abandoned")
        if hasattr(self.client, "set_experiment_tag"):
            self.client.set_experiment_tag(churn, "team", "retention")
        first = self.run(churn, "first", depth=3)
        second = self.run(churn, "second", depth=5, parent=first)
        failed = self.run(churn, "failed", depth=9, status="FAILED")
        self.run(games, "running", depth=1, status=None)
        deleted = self.run(churn, "deleted", depth=2)
        self.client.delete_run(deleted)
        self.run(gone, "of a deleted experiment", depth=7)
        self.client.delete_experiment(gone)
        self.curve(first)
        if version() >= (2, 4):
            self.inputs(first)
        if version() >= (1, 4) and self.has_models():
            self.models(first, second, failed)
        if version() >= (3, 0):
            self.logged_models(churn, second)

    def has_models(self):
        """Tell whether this store has a model registry; old file stores have none."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model("probe")
            self.client.delete_registered_model("probe")
        except MlflowException:
            return False
        return True

    def experiment(self, name):
        """Create an experiment, and return its id."""
        location = None if self.artifact_root is None else (self.artifact_root / name.replace(": ", "-")).as_uri()
        return self.client.create_experiment(name, artifact_location=location)

    def run(self, experiment, name, depth, parent=None, status="FINISHED"):
        """Log a run with all kinds of data, and return its id."""
        tags = {"mlflow.runName": name, "mlflow.user": "ann", "mlflow.source.name": "train.py", "note": "größer ☃"}
        if parent:
            tags["mlflow.parentRunId"] = parent
        named = {}
        if version() >= (1, 30):
            named["run_name"] = tags.pop("mlflow.runName")
        run = self.client.create_run(experiment, start_time=1_600_000_000_000 + depth, tags=tags, **named)
        run_id = run.info.run_id
        self.client.log_param(run_id, "depth", depth)
        self.client.log_param(run_id, "model/kind", "gbtree, 'quoted' and \"more\"")
        self.client.log_metric(run_id, "auc", 0.5 + depth / 100, timestamp=1_600_000_000_100, step=0)
        self.client.log_metric(run_id, "auc", 0.7 + depth / 100, timestamp=1_600_000_000_200, step=1)
        if version() >= (1, 2):
            self.client.log_metric(run_id, "loss/valid", float("nan"), timestamp=1_600_000_000_300, step=-1)
            self.client.log_metric(run_id, "worst", float("inf"), timestamp=1_600_000_000_400, step=2)
        model = self.files / run_id / "model"
        model.mkdir(parents=True)
        (model / "MLmodel").write_text(MODEL.format(run_id=run_id))
        (model / "weights.txt").write_text(f"weights of {name}\n")
        self.client.log_artifacts(run_id, str(self.files / run_id))
        notes = self.files / "notes.txt"
        notes.write_text(f"notes of {name}\n")
        self.client.log_artifact(run_id, str(notes), "docs")
        if status is not None:
            self.client.set_terminated(run_id, status, end_time=1_600_000_100_000 + depth)
        return run_id

    def curve(self, run_id):
        """Log a metric with many points, one step twice."""
        from mlflow.entities import Metric

        points = [Metric("curve", 1 / (step + 1), 1_600_000_001_000 + step, step) for step in range(50)]
        points.append(Metric("curve", 0.25, 1_600_000_001_007, 7))
        self.client.log_batch(run_id, metrics=points, params=[], tags=[])

    def inputs(self, run_id):
        """Log a data set."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        data = Dataset("season", "abc123", "local", '{"uri": "season.csv"}', schema='{"x": 1}', profile='{"rows": 9}')
        tags = [InputTag("mlflow.data.context", "training"), InputTag("split", "all")]
        self.client.log_inputs(run_id, [DatasetInput(data, tags)])

    def models(self, first, second, failed):
        """Register versions: two in Production, one deleted, one under a name that is refused."""
        client = self.client
        client.create_registered_model("churn")
        for run_id in (first, second, failed, first, second):
            source = f"{client.get_run(run_id).info.artifact_uri}/model"
            client.create_model_version("churn", source, run_id)
            time.sleep(0.002)
        if version() >= (1, 9):
            client.update_registered_model("churn", description="Who leaves?")
            client.update_model_version("churn", "2", description="second try")
        for number, stage in (("1", "Archived"), ("2", "Production"), ("3", "Production"), ("4", "Staging")):
            if version() >= (1, 9):
                client.transition_model_version_stage("churn", number, stage)
            else:
                client.update_model_version("churn", number, stage=stage)
        client.delete_model_version("churn", "5")
        if version() >= (1, 10):
            client.set_registered_model_tag("churn", "owner", "ann")
            client.set_model_version_tag("churn", "2", "reviewed", "yes")
        if version() >= (2, 3):
            client.set_registered_model_alias("churn", "champion", "2")
        client.create_registered_model("games@nba")
        client.create_model_version("games@nba", f"{client.get_run(first).info.artifact_uri}/model", first)

    def logged_models(self, experiment, run_id):
        """Log a model of MLflow 3 that is ready, and one that failed."""
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus

        client = self.client
        model = client.create_logged_model(
            experiment,
            name="forest",
            source_run_id=run_id,
            tags={"kind": "trees"},
            params={"n": "10"},
            model_type="agent",
        )
        directory = self.files / model.model_id
        directory.mkdir()
        (directory / "MLmodel").write_text(MODEL.format(run_id=run_id))
        (directory / "weights.txt").write_text("weights of the forest\n")
        client.log_model_artifacts(model.model_id, str(directory))
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 4)])
        client.log_metric(run_id, "f1", 0.75, timestamp=1_600_000_000_500, step=4, model_id=model.model_id)
        client.create_registered_model("forest")
        client.create_model_version("forest", model.artifact_location, run_id, model_id=model.model_id)
        pending = client.create_logged_model(experiment, name="half done", source_run_id=run_id)
        client.finalize_logged_model(pending.model_id, LoggedModelStatus.FAILED)


def dump(path):
    """Return an SQLite database as SQL."""
    connection = sqlite3.connect(path)
    try:
        return "\n".join(connection.iterdump()) + "\n"
    finally:
        connection.close()


def main():
    """Write the archive."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target", type=Path, help="directory of the archive")
    parser.add_argument("--database-url", help="write the database here instead of SQLite")
    options = parser.parse_args()
    options.target.mkdir(parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix="mlflow-fixture-")).resolve()
    os.chdir(str(root))
    Writer(options.database_url or f"sqlite:///{root}/database.db", root / "artifacts").write()
    if options.database_url is None:
        (root / "database.sql").write_text(dump(root / "database.db"), encoding="utf-8")
        (root / "database.db").unlink()
        if version() < (3, 13):
            Writer((root / "mlruns").as_uri(), None).write()
    name = ".".join(map(str, version()))
    suffix = "" if options.database_url is None else "-" + options.database_url.split(":")[0].split("+")[0]
    archive = options.target / f"{name}{suffix}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as written:
        for path in sorted(root.rglob("*")):
            if path.is_file():
                data = path.read_bytes().replace(str(root).encode(), ROOT.encode())
                written.writestr(zipfile.ZipInfo(str(path.relative_to(root))), data, zipfile.ZIP_DEFLATED)
    shutil.rmtree(root)
    sys.stdout.write(f"{archive}: {archive.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
