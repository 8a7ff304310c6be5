"""Conversion of the registry's entities into mlflow's, and of mlflow's into the registry's."""

from collections.abc import Iterable, Mapping
from typing import Any

from mlflow import entities as theirs
from mlflow.entities import model_registry as their_models

from registry import entities as ours
from registry.entities import model_registry as our_models
from registry.mlflow_bridge.places import MODEL_SCHEME


def tags_of(tags: Iterable[Any] | None) -> dict[str, str]:
    """Return mlflow's list of tags or params as a mapping."""
    return {tag.key: tag.value for tag in tags or ()}


def to_experiment(experiment: ours.Experiment) -> Any:
    """Return mlflow's Experiment."""
    return theirs.Experiment(
        experiment_id=experiment.experiment_id,
        name=experiment.name,
        artifact_location=experiment.artifact_location,
        lifecycle_stage=experiment.lifecycle_stage,
        tags=_pairs(theirs.ExperimentTag, experiment.tags),
        creation_time=experiment.creation_time,
        last_update_time=experiment.last_update_time,
    )


def to_run_info(info: ours.RunInfo) -> Any:
    """Return mlflow's RunInfo."""
    return theirs.RunInfo(
        run_id=info.run_id,
        experiment_id=info.experiment_id,
        user_id=info.user_id,
        status=info.status,
        start_time=info.start_time,
        end_time=info.end_time,
        lifecycle_stage=info.lifecycle_stage,
        artifact_uri=info.artifact_uri,
        run_name=info.run_name,
    )


def to_run(run: ours.Run, metrics: Iterable[ours.Metric]) -> Any:
    """Return mlflow's Run; `metrics` are the latest points of the run, which mlflow gives with step and time."""
    return theirs.Run(
        run_info=to_run_info(run.info),
        run_data=theirs.RunData(
            metrics=[to_metric(metric) for metric in metrics],
            params=_pairs(theirs.Param, run.data.params),
            tags=_pairs(theirs.RunTag, run.data.tags),
        ),
        run_inputs=theirs.RunInputs(
            dataset_inputs=[_to_dataset_input(used) for used in run.inputs.dataset_inputs],
            model_inputs=[theirs.LoggedModelInput(used.model_id) for used in run.inputs.model_inputs],
        ),
        run_outputs=theirs.RunOutputs(
            [theirs.LoggedModelOutput(made.model_id, made.step) for made in run.outputs.model_outputs]
        ),
    )


def to_metric(metric: ours.Metric) -> Any:
    """Return mlflow's Metric."""
    return theirs.Metric(
        key=metric.key,
        value=metric.value,
        timestamp=metric.timestamp,
        step=metric.step,
        model_id=metric.model_id,
        dataset_name=metric.dataset_name,
        dataset_digest=metric.dataset_digest,
        run_id=metric.run_id,
    )


def from_metric(metric: Any) -> ours.Metric:
    """Return the registry's Metric."""
    return ours.Metric(
        key=metric.key,
        value=metric.value,
        timestamp=metric.timestamp,
        step=metric.step,
        model_id=metric.model_id,
        dataset_name=metric.dataset_name,
        dataset_digest=metric.dataset_digest,
    )


def to_logged_model(model: ours.LoggedModel) -> Any:
    """Return mlflow's LoggedModel. Its files are reached through `RegistryModelRepository`, never directly."""
    return theirs.LoggedModel(
        experiment_id=model.experiment_id,
        model_id=model.model_id,
        name=model.name,
        artifact_location=model_location(model.model_id),
        creation_timestamp=model.creation_timestamp,
        last_updated_timestamp=model.last_updated_timestamp,
        model_type=model.model_type,
        source_run_id=model.source_run_id,
        status=theirs.LoggedModelStatus(str(model.status)),
        status_message=model.status_message,
        tags=dict(model.tags),
        params=dict(model.params),
        metrics=[to_metric(metric) for metric in model.metrics],
    )


def to_version(version: our_models.ModelVersion) -> Any:
    """Return mlflow's ModelVersion; its source is the sealed logged model."""
    return their_models.ModelVersion(
        name=version.name,
        version=int(version.version),  # as of mlflow's own SQL stores; its REST interface makes it text
        creation_timestamp=version.creation_timestamp,
        last_updated_timestamp=version.last_updated_timestamp,
        description=version.description,
        user_id=version.user_id,
        current_stage=version.current_stage,
        source=version.source if version.model_id is None else model_location(version.model_id),
        run_id=version.run_id,
        status=version.status,
        status_message=version.status_message,
        tags=_pairs(their_models.ModelVersionTag, version.tags),
        run_link=version.run_link,
        aliases=list(version.aliases),
        model_id=version.model_id,
    )


def to_registered_model(model: our_models.RegisteredModel) -> Any:
    """Return mlflow's RegisteredModel."""
    return their_models.RegisteredModel(
        name=model.name,
        creation_timestamp=model.creation_timestamp,
        last_updated_timestamp=model.last_updated_timestamp,
        description=model.description,
        latest_versions=[to_version(version) for version in model.latest_versions],
        tags=_pairs(their_models.RegisteredModelTag, model.tags),
        aliases=[their_models.RegisteredModelAlias(alias, int(version)) for alias, version in model.aliases.items()],
    )


def from_dataset_input(used: Any) -> ours.DatasetInput:
    """Return the registry's DatasetInput."""
    dataset = used.dataset
    return ours.DatasetInput(
        ours.Dataset(
            dataset.name, dataset.digest, dataset.source_type, dataset.source, dataset.schema, dataset.profile
        ),
        [ours.InputTag(tag.key, tag.value) for tag in used.tags or ()],
    )


def model_location(model_id: str) -> str:
    """Return the URI under which mlflow reads the files of a logged model."""
    return f"{MODEL_SCHEME}:/{model_id}"


def _to_dataset_input(used: ours.DatasetInput) -> Any:
    return theirs.DatasetInput(
        theirs.Dataset(**used.dataset.to_dictionary()), [theirs.InputTag(tag.key, tag.value) for tag in used.tags]
    )


def _pairs(kind: Any, mapping: Mapping[str, str]) -> list[Any]:
    return [kind(key, value) for key, value in mapping.items()]
