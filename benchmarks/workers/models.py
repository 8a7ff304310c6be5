"""Works on models through MLflow's names: the same calls for `registry` and mlflow."""

import importlib
import os
import uuid
from typing import Any

from timing import timed


class Models:
    """Versions, stages and loading in one system."""

    def __init__(self, system: str) -> None:
        self.system = system
        self.mlflow: Any = importlib.import_module(system)
        self._logged: dict[str, Any] = {}

    def create_version(self, count: int) -> float:
        """Create a version of a logged model per call."""
        client, name = self.mlflow.MlflowClient(), self._model()
        logged = self._logged_model()
        return timed(count, lambda _: client.create_model_version(name, logged.model_uri, logged.run_id))

    def transition(self, count: int) -> float:
        """Let two versions take Production from each other."""
        client, name = self.mlflow.MlflowClient(), self._model()
        versions = [client.create_model_version(name, self._logged_model().model_uri).version for _ in range(2)]
        return timed(
            count,
            lambda n: client.transition_model_version_stage(
                name, versions[n % 2], "Production", archive_existing_versions=True
            ),
        )

    def register_model(self, count: int) -> float:
        """Register the next version, by the URI of a run."""
        name, uri = self._model(), f"runs:/{self._logged_model().run_id}/model"
        return timed(count, lambda _: self.mlflow.register_model(uri, name))

    def versions(self, count: int) -> str:
        """Make a model with `count` versions, the last one in Production; return its name."""
        client, name = self.mlflow.MlflowClient(), self._model()
        for _ in range(count):
            version = client.create_model_version(name, self._logged_model().model_uri).version
        client.transition_model_version_stage(name, version, "Production")
        return name

    def resolve(self, count: int, name: str) -> float:
        """Resolve ``models:/name/Production`` to the location of its files."""
        uri = f"models:/{name}/Production"
        if self.system == "registry":
            resolve, parse = _resolving()
            backend = self.mlflow.MlflowClient().backend
            return timed(count, lambda _: resolve(backend, parse(uri)))
        found = importlib.import_module("mlflow.store.artifact.models_artifact_repo").ModelsArtifactRepository
        return timed(count, lambda _: found.get_underlying_uri(uri))

    def load_from_s3(self, count: int) -> float:
        """Load a model in Production whose files are in S3, after loading it once."""
        if "s3" not in self._logged:
            self._logged["s3"] = self._serve()
        uri = f"models:/{self._logged['s3']}/Production"
        return timed(count, lambda _: self.mlflow.pyfunc.load_model(uri))

    def log_to_s3(self, count: int) -> float:
        """Log a run with a model whose files go to S3."""
        if "experiment" not in self._logged:
            self._logged["experiment"] = self._experiment_on_s3()
        return timed(count, lambda _: self._log(self._logged["experiment"]))

    def load_first(self, count: int) -> float:
        """Load models from S3 that this machine has not loaded before."""
        if "experiment" not in self._logged:
            self._logged["experiment"] = self._experiment_on_s3()
        uris = [self._log(self._logged["experiment"]).model_uri for _ in range(count)]
        return timed(count, lambda number: self.mlflow.pyfunc.load_model(uris[number]))

    def predict(self, count: int) -> float:
        """Predict 1,000 rows of 20 columns with a model that has a signature."""
        if "loaded" not in self._logged:
            self._logged["loaded"] = self.mlflow.pyfunc.load_model(self._logged_model().model_uri)
        model, table = self._logged["loaded"], training()[0]
        return timed(count, lambda _: model.predict(table))

    def warm(self) -> bool:
        """Log a model, to warm up."""
        return self._logged_model() is not None

    def _logged_model(self) -> Any:
        if "model" not in self._logged:
            self._logged["model"] = self._log(None)
        return self._logged["model"]

    def _log(self, experiment: str | None) -> Any:
        table, model = training()
        flavor = importlib.import_module(f"{self.system}.xgboost")
        signature = importlib.import_module(f"{self.system}.models").infer_signature(table, model.predict(table))
        with self.mlflow.start_run(experiment_id=experiment):
            return flavor.log_model(model, name="model", signature=signature)

    def _model(self) -> str:
        name = f"model-{uuid.uuid4().hex}"
        self.mlflow.MlflowClient().create_registered_model(name)
        return name

    def _experiment_on_s3(self) -> str:
        import boto3

        bucket = f"{self.system}-{uuid.uuid4().hex}"
        boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"]).create_bucket(Bucket=bucket)
        return str(self.mlflow.create_experiment(bucket, artifact_location=f"s3://{bucket}/experiment"))

    def _serve(self) -> str:
        experiment = self._experiment_on_s3()
        client, name = self.mlflow.MlflowClient(), self._model()
        version = client.create_model_version(name, self._log(experiment).model_uri).version
        client.transition_model_version_stage(name, version, "Production")
        self.mlflow.pyfunc.load_model(f"models:/{name}/Production")
        return name


def _resolving() -> tuple[Any, Any]:
    from registry.client.models.loading import resolve
    from registry.uris import parse

    return resolve, parse


def training() -> tuple[Any, Any]:
    """Return rows with 20 columns, and a small model trained on them."""
    import numpy
    import pandas
    import xgboost

    random = numpy.random.default_rng(0)
    table = pandas.DataFrame(random.normal(size=(1000, 20)), columns=[f"f{number}" for number in range(20)])
    model = xgboost.XGBRegressor(n_estimators=20, max_depth=3, n_jobs=1)
    return table, model.fit(table, table["f0"] * 2 + table["f1"])
