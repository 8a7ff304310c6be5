"""Write into MLflow by its own client; runs as a program of its own, in a Python that has mlflow.

`export_process` starts it by its path and sends requests, one JSON document a line, each answered by one line. It needs
nothing but mlflow, so it also runs where this package is not installed.
"""

import contextlib
import hashlib
import json
import math
import os
import sys
import uuid
import warnings
from collections.abc import Callable, Iterator
from typing import Any

RUN_TAG = "registry.run_id"
REGISTRY_TAG = "registry.id"
STATE_TAG = "registry.export_state"
PARENT_TAG = "mlflow.parentRunId"
MODEL_ID_TAG = "registry.model_id"
MODEL_TAG = "registry.model"
VERSION_TAG = "registry.version"

_METRICS = 1000
_PAIRS = 100


class Worker:
    """Answers requests; each method that is named like a request is one."""

    def __init__(self) -> None:
        import mlflow
        from mlflow import entities

        self.mlflow = mlflow
        self.entities = entities
        self.client: Any = None
        self.artifacts: str | None = None
        self.present: dict[tuple[str, str], set[tuple[int, int, str]]] = {}
        self.new_runs: set[str] = set()

    def open(self, tracking_uri: str, registry_uri: str | None, artifacts: str | None) -> dict[str, Any]:
        """Connect to a store of MLflow; registered models may be in another one.

        `artifacts` is where a database's new experiments keep files: MLflow's default is a directory below this one.
        """
        if not hasattr(self.mlflow.MlflowClient, "log_model_artifacts"):
            return {"version": self.mlflow.__version__, "has_logged_models": False}
        if artifacts is not None:
            from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

            # It makes the tables, and the experiment Default with this place.
            SqlAlchemyStore(tracking_uri, artifacts)
        self.artifacts = artifacts
        self.mlflow.set_tracking_uri(tracking_uri)
        if registry_uri is not None:
            self.mlflow.set_registry_uri(registry_uri)
        self.client = self.mlflow.MlflowClient()
        return {"version": self.mlflow.__version__, "has_logged_models": True}

    def experiment(self, name: str, tags: dict[str, str]) -> dict[str, Any]:
        """Find or create an experiment; return its id and what earlier exports wrote into it."""
        found = self.client.get_experiment_by_name(name)
        if found is not None and found.lifecycle_stage != "active":
            return {"deleted": True}
        if found is None:
            place = None if self.artifacts is None else f"{self.artifacts}/{uuid.uuid4().hex}"
            found = self.client.get_experiment(self.client.create_experiment(name, place))
            is_new = True
        else:
            is_new = False
        experiment_id = found.experiment_id
        for key, value in tags.items():
            if found.tags.get(key) != value:
                self.client.set_experiment_tag(experiment_id, key, value)
        runs = {
            run.data.tags[RUN_TAG]: [
                run.info.run_id,
                run.data.tags.get(STATE_TAG),
                run.info.lifecycle_stage != "active",
            ]
            for run in self._pages(
                self.client.search_runs, [experiment_id], run_view_type=self.entities.ViewType.ALL, max_results=1000
            )
            if RUN_TAG in run.data.tags
        }
        models = {
            model.tags[MODEL_ID_TAG]: [model.model_id, getattr(model.status, "value", model.status)]
            for model in self._pages(self.client.search_logged_models, [experiment_id], max_results=50)
            if MODEL_ID_TAG in model.tags
        }
        location = found.artifact_location
        return {"id": experiment_id, "is_new": is_new, "location": location, "runs": runs, "models": models}

    def run(self, run_id: str | None, experiment_id: str, run: dict[str, Any]) -> str:
        """Create a run, or continue one; set its name, params, tags and data sets. Return its id."""
        tags = run["tags"]
        if run_id is None:
            created = self.client.create_run(
                experiment_id,
                start_time=run["start_time"],
                run_name=run["name"],
                tags={RUN_TAG: tags[RUN_TAG], "mlflow.user": run["user_id"]},
            )
            run_id = str(created.info.run_id)
            self.new_runs.add(run_id)
        else:
            self.client.update_run(run_id, name=run["name"])
        entities = self.entities
        for batch in _batches(list(run["params"].items()), _PAIRS):
            self.client.log_batch(run_id, params=[entities.Param(key, value) for key, value in batch])
        for batch in _batches(list(tags.items()), _PAIRS):
            self.client.log_batch(run_id, tags=[entities.RunTag(key, value) for key, value in batch])
        inputs = [
            entities.DatasetInput(
                entities.Dataset(**use["dataset"]),
                [entities.InputTag(key, value) for key, value in use["tags"].items()],
            )
            for use in run["inputs"]
        ]
        if inputs:
            self.client.log_inputs(run_id, inputs)
        return run_id

    def points(self, run_id: str, key: str, steps: list[int], timestamps: list[int], values: list[float]) -> int:
        """Add those points of a metric that the run lacks; return how many."""
        points = list(zip(steps, timestamps, values, strict=True))
        if run_id not in self.new_runs:
            if (run_id, key) not in self.present:
                self.present[run_id, key] = {identity(point) for point in self._history(run_id, key)}
            points = [point for point in points if identity(point) not in self.present[run_id, key]]
        metric = self.entities.Metric
        for batch in _batches(points, _METRICS):
            metrics = [metric(key, value, timestamp, step) for step, timestamp, value in batch]
            self.client.log_batch(run_id, metrics=metrics)
        return len(points)

    def run_files(self, run_id: str, directory: str) -> None:
        """Store the files of a directory as those of a run."""
        self.client.log_artifacts(run_id, directory)

    def logged_model(self, experiment_id: str, model: dict[str, Any], directory: str | None) -> str:
        """Create a logged model with its files: READY at the end, or FAILED if it has none. Return its id."""
        created = self.client.create_logged_model(
            experiment_id,
            name=model["name"],
            source_run_id=model["run_id"],
            tags=model["tags"],
            params=model["params"],
            model_type=model["model_type"],
        )
        if directory is not None:
            self.client.log_model_artifacts(created.model_id, directory)
        self.client.finalize_logged_model(created.model_id, "FAILED" if directory is None else "READY")
        return str(created.model_id)

    def discard_model(self, model_id: str) -> None:
        """Delete a logged model that an interrupted export left unfinished."""
        self.client.delete_logged_model(model_id)

    def model_points(self, model_id: str, points: list[dict[str, Any]]) -> None:
        """Add those metric points of a logged model that it lacks; `run_id` is the run that measured one."""
        present = {
            (one.key, one.dataset_name, identity((one.step, one.timestamp, one.value)))
            for one in self.client.get_logged_model(model_id).metrics or ()
        }
        for point in points:
            run_id = point.pop("run_id")
            this = identity((point["step"], point["timestamp"], point["value"]))
            if (point["key"], point["dataset_name"], this) not in present:
                metric = self.entities.Metric(model_id=model_id, run_id=run_id, **point)
                self.client.log_batch(run_id, metrics=[metric])

    def link(self, run_id: str, inputs: list[str], outputs: list[list[Any]]) -> None:
        """Record the logged models that a run used and made, as id and step."""
        run = self.client.get_run(run_id)
        used = {one.model_id for one in run.inputs.model_inputs}
        made = {one.model_id for one in run.outputs.model_outputs} if run.outputs else set()
        models = [self.entities.LoggedModelInput(model_id) for model_id in inputs if model_id not in used]
        if models:
            self.client.log_inputs(run_id, models=models)
        missing = [self.entities.LoggedModelOutput(one, step) for one, step in outputs if one not in made]
        if missing:
            self.client.log_outputs(run_id, missing)

    def set_parent(self, run_id: str, parent_id: str) -> None:
        """Make a run a child of another one."""
        self.client.set_tag(run_id, PARENT_TAG, parent_id)

    def finish(self, run_id: str, status: str, end_time: int | None, state: str) -> None:
        """Set the status of a run; its state says that it is complete."""
        if status in ("FINISHED", "FAILED", "KILLED"):
            self.client.set_terminated(run_id, status, end_time)
        else:
            self.client.update_run(run_id, status=status)
        self.client.set_tag(run_id, STATE_TAG, state)

    def read_run(self, run_id: str) -> dict[str, Any]:
        """Return what a run has, with a digest of each history."""
        run = self.client.get_run(run_id)
        histories = {}
        for key in run.data.metrics:
            points, digest = sorted(map(identity, self._history(run_id, key))), hashlib.sha256()
            update_digest(digest, points)
            histories[key] = [len(points), digest.hexdigest()]
        return {
            "name": run.info.run_name,
            "user_id": run.info.user_id,
            "status": run.info.status,
            "start_time": run.info.start_time,
            "end_time": run.info.end_time,
            "params": run.data.params,
            "tags": run.data.tags,
            "inputs": sorted([use.dataset.name, use.dataset.digest] for use in run.inputs.dataset_inputs),
            "histories": histories,
            "files": dict(self._files(run_id, None)),
        }

    def registered_model(self, name: str, origin: str, description: str | None, tags: dict[str, str]) -> Any:
        """Find or create a registered model; return its versions by number, None if no export wrote it."""
        try:
            found = self.client.get_registered_model(name)
        except self.mlflow.MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            self.client.create_registered_model(name, {**tags, MODEL_TAG: origin}, description)
            return {"is_new": True, "versions": {}}
        if found.tags.get(MODEL_TAG) != origin:
            return None
        if (found.description or "") != (description or ""):
            self.client.update_registered_model(name, description)
        for key, value in tags.items():
            if found.tags.get(key) != value:
                self.client.set_registered_model_tag(name, key, value)
        versions = {}
        for version in self._versions(name):
            of_export = version.tags.get(VERSION_TAG)
            if of_export is not None and of_export.rpartition("/")[2] != str(version.version):
                # It only used up its number when an export was interrupted.
                self.client.delete_model_version(name, version.version)
            else:
                versions[str(version.version)] = of_export
        return {"is_new": False, "versions": versions}

    def version(self, name: str, number: int, model_id: str, run_id: str | None, version: dict[str, Any]) -> int:
        """Create a version under its number by one call; return the number that it got.

        MLflow only counts on, so numbers that are free before it are used up first.
        """
        while True:
            created = self.client.create_model_version(
                name,
                f"models:/{model_id}",
                run_id,
                version["tags"],
                version["run_link"],
                version["description"],
                model_id=model_id,
            )
            got = int(created.version)
            if got != number:
                self.client.delete_model_version(name, created.version)
            if got >= number:
                return got

    def states(self, name: str, versions: dict[str, dict[str, Any]], aliases: dict[str, int]) -> dict[str, Any]:
        """Set stages, aliases, descriptions and tags of the versions that an export wrote; return what they are."""
        for version in self._versions(name):
            expected = versions.get(str(version.version))
            if expected is None:
                continue
            if (version.description or "") != (expected["description"] or ""):
                self.client.update_model_version(name, version.version, expected["description"])
            for key, value in expected["tags"].items():
                if version.tags.get(key) != value:
                    self.client.set_model_version_tag(name, version.version, key, value)
            if version.current_stage != expected["stage"]:
                self.client.transition_model_version_stage(name, version.version, expected["stage"])
        present = dict(self.client.get_registered_model(name).aliases)
        for alias in present.keys() - aliases.keys():
            self.client.delete_registered_model_alias(name, alias)
        for alias, number in aliases.items():
            if int(present.get(alias, 0)) != number:
                self.client.set_registered_model_alias(name, alias, str(number))
        return self.read_model(name)

    def read_model(self, name: str) -> dict[str, Any]:
        """Return what a registered model has."""
        model = self.client.get_registered_model(name)
        return {
            "description": model.description or "",
            "tags": model.tags,
            "aliases": {alias: int(number) for alias, number in model.aliases.items()},
            "versions": {
                str(version.version): {
                    "stage": version.current_stage,
                    "description": version.description or "",
                    "run_id": version.run_id or None,
                    "tags": version.tags,
                }
                for version in self._versions(name)
            },
        }

    def read_model_files(self, model_id: str) -> dict[str, int]:
        """Return the sizes of the files of a logged model, by path."""
        return dict(self._files(None, model_id))

    def _history(self, run_id: str, key: str) -> Iterator[tuple[int, int, float]]:
        for point in self.client.get_metric_history(run_id, key):
            yield point.step, point.timestamp, point.value

    def _versions(self, name: str) -> list[Any]:
        quote = '"' if "'" in name else "'"
        return list(self._pages(self.client.search_model_versions, f"name={quote}{name}{quote}", max_results=1000))

    def _files(self, run_id: str | None, model_id: str | None, path: str | None = None) -> Iterator[tuple[str, int]]:
        if run_id is not None:
            entries = self.client.list_artifacts(run_id, path)
        else:
            entries = self.client.list_logged_model_artifacts(model_id, path)
        for entry in entries:
            if entry.is_dir:
                yield from self._files(run_id, model_id, entry.path)
            else:
                yield entry.path, entry.file_size

    @staticmethod
    def _pages(search: Callable[..., Any], *arguments: Any, **options: Any) -> Iterator[Any]:
        token = None
        while True:
            page = search(*arguments, page_token=token, **options)
            yield from page
            token = page.token
            if not token:
                return


def update_digest(digest: Any, points: list[tuple[int, int, str]]) -> None:
    """Add sorted points to a digest, by which both sides compare their histories."""
    for step, timestamp, value in points:
        digest.update(f"{step} {timestamp} {value}\n".encode())


def identity(point: tuple[int, int, float]) -> tuple[int, int, str]:
    """Return what tells a point of a history from others; NaN equals NaN, and 0.0 equals -0.0, as in SQLite."""
    step, timestamp, value = point
    return step, timestamp, "nan" if math.isnan(value) else repr(float(value) + 0.0)


def _batches(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def serve() -> None:
    """Answer requests until the input ends."""
    # Whatever MLflow prints goes to stderr; only answers go to the pipe.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # The directory of this file holds modules whose names are not to be found by what MLflow imports.
    sys.path.pop(0)
    warnings.simplefilter("ignore")
    worker = Worker()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"answer": getattr(worker, request.pop("request"))(**request)}
        except Exception as error:  # noqa: BLE001 - the other process reports it
            code = getattr(error, "error_code", "")
            answer = {"error": f"{error}" or type(error).__name__, "code": str(code), "kind": type(error).__name__}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        serve()
