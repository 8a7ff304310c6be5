"""Read a running MLflow server through its REST API.

Guarantees: only requests that read are made.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from registry.entities.portable_model import PortableInput, PortableMetric, PortableRun
from registry.exceptions import ArtifactNotFoundError
from registry.mlflow_bridge.files import FilePlaces
from registry.mlflow_bridge.server_files import LoggedModelFiles, RunFiles, Server
from registry.mlflow_bridge.source import (
    EXPERIMENT_TAG,
    MLFLOW,
    Files,
    SourceExperiment,
    SourceLoggedModel,
    SourceModel,
    SourceModelMetric,
    SourceRun,
    SourceVersion,
    model_id_in,
)
from registry.settings import redacted_uri
from registry.store.transfer.outside_runs import Series

_API: Final = "/api/2.0/mlflow"
_PAGE: Final = 100
_POINTS: Final = 25_000
_REMOTE: Final = ("s3:", "s3a:")


class ServerSource:
    """An MLflow server."""

    system = MLFLOW
    origin_tag = EXPERIMENT_TAG

    def __init__(self, uri: str, places: FilePlaces) -> None:
        self._uri = uri
        self._server = Server(uri)
        self._places = places
        self._keys: dict[str, list[str]] = {}
        self._artifact_uris: dict[str, str] = {}

    @property
    def uri(self) -> str:
        """Return the URL of the server, without its password."""
        return redacted_uri(self._uri)

    def left_out(self) -> list[str]:
        """Return an empty list: all of it is read."""
        return []

    def remarks(self) -> list[str]:
        """Return an empty list: all is kept as it is."""
        return []

    def close(self) -> None:
        """Do nothing: each request has its own connection."""

    def experiments(self) -> list[SourceExperiment]:
        """Return all experiments, deleted ones too."""
        try:
            found = list(self._pages("experiments/search", "experiments", {"view_type": "ALL", "max_results": 1_000}))
        except ArtifactNotFoundError:
            # Before MLflow 1.28.
            found = self._server.get(f"{_API}/experiments/list", {"view_type": "ALL"}).get("experiments", [])
        return [
            SourceExperiment(
                str(item["experiment_id"]),
                item["name"],
                item.get("artifact_location") or "",
                item.get("lifecycle_stage") == "deleted",
                _pairs(item.get("tags")),
            )
            for item in found
        ]

    def run_count(self) -> int:
        """Return 0: the server does not say how many runs it has."""
        return 0

    def runs(self, experiment: SourceExperiment, *, deleted: bool) -> Iterator[list[SourceRun]]:
        """Yield the runs of an experiment in batches."""
        view = "ALL" if deleted else "ACTIVE_ONLY"
        values = {"experiment_ids": [experiment.experiment_id], "run_view_type": view, "max_results": _PAGE}
        batch: list[SourceRun] = []
        for item in self._pages("runs/search", "runs", values):
            run = _run(item, experiment.name)
            self._keys[run.run.run_id] = [metric["key"] for metric in item.get("data", {}).get("metrics", [])]
            self._artifact_uris[run.run.run_id] = run.artifact_uri
            batch.append(run)
            if len(batch) == _PAGE:
                yield batch
                batch = []
        if batch:
            yield batch

    def series(self, run_ids: Sequence[str]) -> Iterator[tuple[str, list[Series]]]:
        """Yield the metric histories of runs: one request per metric."""
        for run_id in run_ids:
            yield run_id, [self._history(run_id, key) for key in sorted(self._keys.pop(run_id, []))]

    def _history(self, run_id: str, key: str) -> Series:
        steps, timestamps, values = array("q"), array("q"), array("d")
        query: dict[str, Any] = {"run_id": run_id, "run_uuid": run_id, "metric_key": key, "max_results": _POINTS}
        while True:
            answer = self._server.get(f"{_API}/metrics/get-history", query)
            for point in answer.get("metrics", []):
                steps.append(int(point.get("step") or 0))
                timestamps.append(int(point["timestamp"]))
                values.append(float(point.get("value", 0.0)))
            if not answer.get("next_page_token"):
                return Series(key, steps, timestamps, values)
            query["page_token"] = answer["next_page_token"]

    def logged_models(self, experiment: SourceExperiment, *, deleted: bool) -> Iterator[SourceLoggedModel]:
        """Yield the logged models of an experiment; none before MLflow 3. A server shows no deleted ones."""
        del deleted
        values = {"experiment_ids": [experiment.experiment_id], "max_results": 50}
        try:
            for item in self._pages("logged-models/search", "models", values):
                yield _logged_model(item, experiment.experiment_id)
        except ArtifactNotFoundError:
            return  # before MLflow 3

    def registered_models(self) -> Iterator[SourceModel]:
        """Yield the registered models; none before MLflow 1.4."""
        try:
            found = list(self._pages("registered-models/search", "registered_models", {"max_results": 100}, get=True))
        except ArtifactNotFoundError:
            return
        for item in sorted(found, key=lambda item: str(item["name"])):
            quoted = item["name"].replace("'", "''") if "'" not in item["name"] else item["name"]
            mark = '"' if "'" in item["name"] else "'"
            query = {"filter": f"name={mark}{quoted}{mark}", "max_results": 200}
            versions = self._pages("model-versions/search", "model_versions", query, get=True)
            yield SourceModel(
                name=item["name"],
                versions=sorted((self._version(version) for version in versions), key=lambda version: version.version),
                description=item.get("description") or None,
                creation_time=_number(item.get("creation_timestamp")),
                tags=_pairs(item.get("tags")),
                aliases={entry["alias"]: int(entry["version"]) for entry in item.get("aliases", [])},
            )

    def run_files(self, run: SourceRun) -> Files:
        """Return the files of a run: directly from S3, else through the server."""
        if run.artifact_uri.startswith(_REMOTE):
            return self._places.open(run.artifact_uri)
        return Files(RunFiles(self._server, run.run.run_id))

    def files(self, location: str, *, run_id: str | None = None, model_id: str | None = None) -> Files:
        """Return the files at a location: directly from S3, else through the server."""
        if location.startswith(_REMOTE):
            return self._places.open(location)
        if model_id is not None:
            root = location.partition(f"/{model_id}/artifacts")
            if root[1]:
                return Files(LoggedModelFiles(self._server, model_id), root[2].strip("/"))
        if run_id is not None:
            artifact_uri = self._artifact_uris.get(run_id) or self._run_location(run_id)
            if location.startswith(f"{artifact_uri}/"):
                return Files(RunFiles(self._server, run_id), location[len(artifact_uri) + 1 :])
        return self._places.open(location)

    def _run_location(self, run_id: str) -> str:
        answer = self._server.get(f"{_API}/runs/get", {"run_id": run_id, "run_uuid": run_id})
        return str(answer.get("run", {}).get("info", {}).get("artifact_uri", ""))

    def _version(self, item: Mapping[str, Any]) -> SourceVersion:
        source = item.get("source") or ""
        location = source
        if not source.startswith(_REMOTE):
            query = {"name": item["name"], "version": item["version"]}
            answer = self._server.get(f"{_API}/model-versions/get-download-uri", query)
            location = answer.get("artifact_uri") or source
        return SourceVersion(
            version=int(item["version"]),
            source=source,
            location=location,
            stage=item.get("current_stage") or "None",
            run_id=item.get("run_id") or None,
            run_link=item.get("run_link") or None,
            model_id=item.get("model_id") or model_id_in(location),
            user_id=item.get("user_id") or None,
            status=item.get("status"),
            description=item.get("description") or None,
            creation_time=_number(item.get("creation_timestamp")),
            tags=_pairs(item.get("tags")),
        )

    def _pages(
        self, method: str, items: str, values: Mapping[str, Any], *, get: bool = False
    ) -> Iterator[dict[str, Any]]:
        query = dict(values)
        request = self._server.get if get else self._server.post
        while True:
            answer = request(f"{_API}/{method}", query)
            yield from answer.get(items, [])
            if not answer.get("next_page_token"):
                return
            query["page_token"] = answer["next_page_token"]


def server_source(uri: str, moved: Sequence[tuple[str, str]]) -> ServerSource:
    """Open a server; places of its own are read through it."""
    return ServerSource(uri, FilePlaces(Path.cwd(), moved, uri))


def _run(item: Mapping[str, Any], experiment: str) -> SourceRun:
    info, data = item["info"], item.get("data", {})
    tags = _pairs(data.get("tags"))
    run_id = info.get("run_id") or info["run_uuid"]
    inputs, outputs = item.get("inputs", {}), item.get("outputs", {})
    run = PortableRun(
        run_id=run_id,
        experiment=experiment,
        name=tags.get("mlflow.runName") or info.get("run_name") or info.get("name") or run_id[:8],
        user_id=info.get("user_id") or tags.get("mlflow.user") or "",
        status=info.get("status") or "RUNNING",
        start_time=_number(info.get("start_time")) or 0,
        end_time=_number(info.get("end_time")),
        params=_pairs(data.get("params")),
        tags=tags,
        inputs=[_input(use) for use in inputs.get("dataset_inputs", [])],
    )
    return SourceRun(
        run,
        info.get("artifact_uri") or "",
        info.get("lifecycle_stage") == "deleted",
        [(model["model_id"], int(model.get("step") or 0)) for model in inputs.get("model_inputs", [])],
        [(model["model_id"], int(model.get("step") or 0)) for model in outputs.get("model_outputs", [])],
    )


def _input(use: Mapping[str, Any]) -> PortableInput:
    data = use["dataset"]
    return PortableInput(
        data["name"],
        data["digest"],
        data.get("source_type") or "",
        data.get("source") or "",
        data.get("schema"),
        data.get("profile"),
        _pairs(use.get("tags")),
    )


def _logged_model(item: Mapping[str, Any], experiment_id: str) -> SourceLoggedModel:
    info, data = item["info"], item.get("data", {})
    return SourceLoggedModel(
        model_id=info["model_id"],
        experiment_id=experiment_id,
        name=info.get("name") or info["model_id"],
        artifact_location=info.get("artifact_uri") or "",
        status=str(info.get("status") or "FAILED").removeprefix("LOGGED_MODEL_").removesuffix("_STATUS").upper(),
        run_id=info.get("source_run_id") or None,
        model_type=info.get("model_type") or None,
        status_message=info.get("status_message") or None,
        creation_time=_number(info.get("creation_timestamp_ms")),
        params=_pairs(data.get("params")),
        tags=_pairs(info.get("tags")),
        metrics=[
            SourceModelMetric(
                PortableMetric(
                    metric["key"],
                    int(metric.get("step") or 0),
                    int(metric["timestamp"]),
                    repr(float(metric.get("value", 0.0))),
                    metric.get("dataset_name") or None,
                    metric.get("dataset_digest") or None,
                ),
                metric.get("run_id") or None,
            )
            for metric in data.get("metrics", [])
        ],
    )


def _pairs(items: Any) -> dict[str, str]:
    return {item["key"]: item.get("value") or "" for item in items or []}


def _number(value: Any) -> int | None:
    return None if value is None else int(value)
