"""mlflow's tracking store on a registry's database (``mlflow.tracking_store`` entry point).

Guarantees: what mlflow's clients, its autologging and its page write is what the registry's own client would write.
Tracing, evaluation data sets, scorers and mlflow's gateway have no place in a registry: their lists are empty, and
anything else that concerns them is mlflow's own error NOT_IMPLEMENTED.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from mlflow import entities as theirs
from mlflow.entities.dataset_summary import _DatasetSummary
from mlflow.entities.metric import MetricWithRunId
from mlflow.exceptions import MlflowException
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.tracking.abstract_store import AbstractStore

from registry import entities as ours
from registry.mlflow_bridge import entities as convert
from registry.mlflow_bridge.places import open_client, refusal, translate_class, without_items

_LEAST_SAMPLE: Final = 15
_CONTEXT: Final = "mlflow.data.context"
_MAX_RUNS_WITH_DATASETS: Final = 1_000

# mlflow's own implementations of these call the methods below.
_INHERITED: Final = frozenset(
    "log_metric log_param log_batch_async log_metric_async log_param_async set_tag_async flush_async_logging "
    "shut_down_async_logging end_async_logging search_runs get_metric_history_bulk_interval_from_steps".split()
)


@translate_class
class RegistryTrackingStore(AbstractStore):  # type: ignore[misc]  # mlflow has no types
    """Experiments, runs and logged models of one registry."""

    def __init__(self, store_uri: str, artifact_uri: str | None = None) -> None:
        super().__init__()
        self.store_uri = store_uri
        self._client = open_client(store_uri)
        # Where nothing was chosen, mlflow gives a default of its own; a registry knows where its artifacts are.
        self.artifact_root_uri = self._client.backend.place.artifact_root
        del artifact_uri

    # Experiments

    def search_experiments(
        self,
        view_type: Any = theirs.ViewType.ACTIVE_ONLY,
        max_results: int = 1_000,
        filter_string: str | None = None,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> Any:
        """Return one page of experiments."""
        page = self._client.search_experiments(view_type, max_results, filter_string, order_by, page_token)
        return PagedList([convert.to_experiment(experiment) for experiment in page], page.token)

    def create_experiment(self, name: str, artifact_location: str | None = None, tags: Any = None) -> str:
        """Create an experiment and return its id."""
        return self._client.create_experiment(name, artifact_location or None, convert.tags_of(tags))

    def get_experiment(self, experiment_id: str) -> Any:
        """Return an experiment by id."""
        return convert.to_experiment(self._client.get_experiment(experiment_id))

    def get_experiment_by_name(self, experiment_name: str) -> Any:
        """Return an experiment by name, or None."""
        experiment = self._client.get_experiment_by_name(experiment_name)
        return None if experiment is None else convert.to_experiment(experiment)

    def delete_experiment(self, experiment_id: str) -> None:
        """Mark an experiment as deleted."""
        self._client.delete_experiment(experiment_id)

    def restore_experiment(self, experiment_id: str) -> None:
        """Restore a deleted experiment."""
        self._client.restore_experiment(experiment_id)

    def rename_experiment(self, experiment_id: str, new_name: str) -> None:
        """Rename an experiment."""
        self._client.rename_experiment(experiment_id, new_name)

    def set_experiment_tag(self, experiment_id: str, tag: Any) -> None:
        """Set a tag of an experiment."""
        self._client.set_experiment_tag(experiment_id, tag.key, tag.value)

    def delete_experiment_tag(self, experiment_id: str, key: str) -> None:
        """Delete a tag of an experiment."""
        self._client.delete_experiment_tag(experiment_id, key)

    # Runs

    def create_run(self, experiment_id: str, user_id: str, start_time: int, tags: Any, run_name: str | None) -> Any:
        """Create a run."""
        given = convert.tags_of(tags)
        if user_id:
            given.setdefault("mlflow.user", user_id)
        run = self._client.create_run(experiment_id, start_time, given, run_name or None)
        return convert.to_run(run, [])

    def get_run(self, run_id: str) -> Any:
        """Return a run by id."""
        return self._with_points([self._client.get_run(run_id)])[0]

    def update_run_info(self, run_id: str, run_status: int | None, end_time: int | None, run_name: str | None) -> Any:
        """Change status, end time or name of a run."""
        status = None if run_status is None else theirs.RunStatus.to_string(run_status)
        if status is not None and end_time is not None:
            self._client.set_terminated(run_id, status, end_time)
            status = None
        if status is not None or run_name:
            self._client.update_run(run_id, status, run_name or None)
        return convert.to_run_info(self._client.get_run(run_id).info)

    def delete_run(self, run_id: str) -> None:
        """Mark a run as deleted."""
        self._client.delete_run(run_id)

    def restore_run(self, run_id: str) -> None:
        """Restore a deleted run."""
        self._client.restore_run(run_id)

    def _search_runs(
        self,
        experiment_ids: Sequence[str],
        filter_string: str | None,
        run_view_type: Any,
        max_results: int,
        order_by: Sequence[str] | None,
        page_token: str | None,
    ) -> tuple[list[Any], str | None]:
        page = self._client.search_runs(
            experiment_ids, filter_string or "", run_view_type, max_results, order_by, page_token
        )
        return self._with_points(page), page.token

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        """Log metrics, params and tags in one transaction; then link points that the run had with their models."""
        points = list(dict.fromkeys(convert.from_metric(metric) for metric in metrics))
        # When it has logged a model, mlflow logs the run's points again to link them with the model.
        logged_before = self._client.backend.series.stored(run_id, [point for point in points if point.model_id])
        self._client.log_batch(
            run_id,
            [point for point in points if point not in logged_before],
            [ours.Param(param.key, param.value) for param in params],
            [ours.RunTag(tag.key, tag.value) for tag in tags],
            synchronous=True,
        )
        if logged_before:
            self._client.backend.logged_models.add_points(run_id, logged_before)

    def set_tag(self, run_id: str, tag: Any) -> None:
        """Set a tag of a run."""
        self.log_batch(run_id, tags=[tag])

    def delete_tag(self, run_id: str, key: str) -> None:
        """Delete a tag of a run."""
        self._client.delete_tag(run_id, key)

    def log_inputs(self, run_id: str, datasets: Any = None, models: Any = None) -> None:
        """Record the data sets and logged models that a run used."""
        self._client.log_inputs(
            run_id,
            [convert.from_dataset_input(used) for used in datasets or ()],
            [ours.LoggedModelInput(used.model_id) for used in models or ()],
        )

    def log_outputs(self, run_id: str, models: Any) -> None:
        """Record the logged models that a run made."""
        self._client.log_outputs(run_id, [ours.LoggedModelOutput(made.model_id, made.step) for made in models])

    def _search_datasets(self, experiment_ids: Sequence[str]) -> list[Any]:
        """Return name, digest and purpose of the data sets of experiments, for the filter of mlflow's page."""
        runs = self._client.search_runs(experiment_ids, max_results=_MAX_RUNS_WITH_DATASETS)
        summaries = dict.fromkeys(
            (run.info.experiment_id, used.dataset.name, used.dataset.digest, convert.tags_of(used.tags).get(_CONTEXT))
            for run in runs
            for used in run.inputs.dataset_inputs
        )
        return [_DatasetSummary(*summary) for summary in summaries]

    def record_logged_model(self, run_id: str, mlflow_model: Any) -> None:
        """Do nothing: a registry reads what a model is from its MLmodel file."""

    # Metrics

    def get_metric_history(
        self, run_id: str, metric_key: str, max_results: int | None = None, page_token: str | None = None
    ) -> Any:
        """Return all points of a metric; there is one page, as in mlflow's SQL store."""
        if page_token is not None:
            raise MlflowException.invalid_parameter_value("A metric's history has one page; leave out page_token.")
        points = self._client.get_metric_history(run_id, metric_key)
        return PagedList([convert.to_metric(point) for point in points[:max_results]], None)

    def get_metric_history_bulk_interval(
        self, run_ids: Sequence[str], metric_key: str, max_results: int, start_step: int | None, end_step: int | None
    ) -> list[Any]:
        """Return points of a metric of runs; the database samples long series, and keeps their extremes."""
        if start_step is not None or end_step is not None:
            return super().get_metric_history_bulk_interval(  # type: ignore[no-any-return]
                run_ids, metric_key, max_results, start_step, end_step
            )
        series = self._client.backend.series.read(list(run_ids), [metric_key], max(max_results, _LEAST_SAMPLE))
        return [
            MetricWithRunId(theirs.Metric(metric_key, value, timestamp, step), each.run_id)
            for each in series
            for step, timestamp, value in zip(each.steps, each.timestamps, each.values, strict=True)
        ]

    # Logged models

    def create_logged_model(
        self,
        experiment_id: str,
        name: str | None = None,
        source_run_id: str | None = None,
        tags: Any = None,
        params: Any = None,
        model_type: str | None = None,
    ) -> Any:
        """Create a pending logged model."""
        model = self._client.create_logged_model(
            experiment_id, name, source_run_id, convert.tags_of(tags), convert.tags_of(params), model_type
        )
        return convert.to_logged_model(model)

    def finalize_logged_model(self, model_id: str, status: Any) -> Any:
        """Seal the files of a pending model, or give it up."""
        return convert.to_logged_model(
            self._client.finalize_logged_model(model_id, theirs.LoggedModelStatus(status).value)
        )

    def get_logged_model(self, model_id: str, allow_deleted: bool = False) -> Any:
        """Return a logged model by id."""
        del allow_deleted  # a registry keeps the row of a deleted model for its versions only
        return convert.to_logged_model(self._client.get_logged_model(model_id))

    def delete_logged_model(self, model_id: str) -> None:
        """Delete a logged model; its versions still load."""
        self._client.delete_logged_model(model_id)

    def set_logged_model_tags(self, model_id: str, tags: Any) -> None:
        """Set tags of a logged model."""
        self._client.set_logged_model_tags(model_id, convert.tags_of(tags))

    def set_model_versions_tags(self, name: str, version: str, model_id: str) -> None:
        """Do nothing: a registry derives the versions of a logged model from its own rows."""

    def delete_logged_model_tag(self, model_id: str, key: str) -> None:
        """Delete a tag of a logged model."""
        self._client.delete_logged_model_tag(model_id, key)

    def log_logged_model_params(self, model_id: str, params: Any) -> None:
        """Add params to a logged model."""
        self._client.log_model_params(model_id, convert.tags_of(params))

    def search_logged_models(
        self,
        experiment_ids: Sequence[str],
        filter_string: str | None = None,
        datasets: Any = None,
        max_results: int | None = None,
        order_by: Any = None,
        page_token: str | None = None,
    ) -> Any:
        """Return one page of logged models."""
        page = self._client.search_logged_models(
            experiment_ids, filter_string, datasets, max_results, order_by, page_token
        )
        return PagedList([convert.to_logged_model(model) for model in page], page.token)

    def _with_points(self, runs: Iterable[ours.Run]) -> list[Any]:
        runs = list(runs)
        points = self._client.backend.series.latest([run.info.run_id for run in runs])
        return [convert.to_run(run, points[run.info.run_id]) for run in runs]


_REASON: Final = (
    "it keeps runs, logged models and registered models. Use a tracking store of mlflow's own for traces, prompts and "
    "evaluation data."
)


def _without_items_and_token(_self: Any, *_args: Any, **_kwargs: Any) -> Any:
    return [], None


# mlflow declares some hundred methods for traces, evaluation data and its gateway, and more with each release.
for _name in dir(AbstractStore):
    _is_method = not _name.startswith("_") and callable(getattr(AbstractStore, _name))
    if not _is_method or _name in vars(RegistryTrackingStore) or _name in _INHERITED:
        continue
    if _name == "search_traces":
        setattr(RegistryTrackingStore, _name, _without_items_and_token)
    elif _name.startswith(("list_", "search_")) or _name in ("get_active_online_scorers", "query_trace_metrics"):
        setattr(RegistryTrackingStore, _name, without_items)
    else:
        setattr(RegistryTrackingStore, _name, refusal(_name, _REASON))
