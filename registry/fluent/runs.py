"""Module-level functions that start, end, read and delete runs."""

import atexit
import logging
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal, Self

from registry.client import MlflowClient
from registry.client.tracking.runs import PARENT_RUN_ID
from registry.entities import LifecycleStage, Run, RunStatus, RunTag
from registry.exceptions import ActiveRunError, InvalidParameterError, InvalidStateError, RegistryError
from registry.fluent import state, system_metrics
from registry.fluent.experiments import active_experiment_id
from registry.fluent.notebook import restore_cell_variables
from registry.fluent.run_context_tags import context_tags, parent_process_run_id
from registry.validation.arguments import check_mapping

NOTE = "mlflow.note.content"
_logger = logging.getLogger("registry")


class ActiveRun(Run):
    """The active run, as a context manager that ends the run: FINISHED, or FAILED if the block raised.

    Example:
        >>> with mlflow.start_run() as run:
        ...     mlflow.log_metric("auc", 0.8)
        >>> isinstance(run, mlflow.ActiveRun), mlflow.get_run(run.info.run_id).info.status
        (True, 'FINISHED')
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        if any(run.info.run_id == self.info.run_id for run in state.active()):
            end_run("FINISHED" if kind is None else "FAILED")
        return False


def start_run(
    run_id: str | None = None,
    experiment_id: str | None = None,
    run_name: str | None = None,
    nested: bool = False,
    parent_run_id: str | None = None,
    tags: Mapping[str, Any] | None = None,
    description: str | None = None,
    log_system_metrics: bool | None = None,
) -> ActiveRun:
    """Start or resume a run and make it the active run of this thread or task.

    Without `run_id`, `nested` and `parent_run_id`, the run named by ``REGISTRY_RUN_ID`` or ``MLFLOW_RUN_ID`` is
    resumed, if one of them is set.

    Args:
        run_id: A run to resume. Default: start a new run.
        experiment_id: The experiment of a new run. Default: the active experiment.
        run_name: The run's name. Default: a random name.
        nested: Allow this run inside the active one, as its child. Default: False.
        parent_run_id: The parent of a new run. Default: the active run, if `nested`.
        tags: Tags of the run as a mapping from key to value.
        description: A text, stored as the tag ``mlflow.note.content``.
        log_system_metrics: Sample processor, memory, disk and network while the run is active (needs psutil).
            Default: ``REGISTRY_ENABLE_SYSTEM_METRICS_LOGGING``, else False.

    Returns:
        The active run; use it in a ``with`` statement to end it.

    Raises:
        ActiveRunError: A run is active and `nested` is False, or the run to resume is active already.
        RunNotFoundError: The run to resume, or the parent, does not exist.
        InvalidStateError: The run to resume, or the parent, is deleted.
        InvalidParameterError: Arguments contradict each other, or a run would be its own parent.

    Example:
        >>> with mlflow.start_run(run_name="search") as parent:
        ...     with mlflow.start_run(run_name="depth-2", nested=True) as child:
        ...         mlflow.log_metric("auc", 0.76)
        >>> mlflow.get_parent_run(child.info.run_id).info.run_name
        'search'
    """
    stack = state.active()
    if stack and not nested:
        raise ActiveRunError(
            f"Run with UUID {stack[-1].info.run_id} is already active. To start a new run, first end the current run "
            "with end_run(). To start a nested run, call start_run with nested=True."
        )
    user_tags = _with_description(tags, description)
    client = state.client()
    existing = run_id or (None if nested or parent_run_id else parent_process_run_id())
    if existing:
        _check_no_ancestor_of_itself(existing, stack, parent_run_id, user_tags)
        run = _resume(existing, experiment_id, run_name, user_tags)
    else:
        parent = _choose_parent(stack, parent_run_id)
        automatic_tags = context_tags() | ({PARENT_RUN_ID: parent} if parent else {})
        all_tags = {**automatic_tags, **user_tags}
        run = client.create_run(experiment_id or active_experiment_id(), tags=all_tags, run_name=run_name)
    active = ActiveRun(run.info, run.data, run.inputs, run.outputs)
    state.push(active, client)
    system_metrics.start(client, run, log_system_metrics)
    return active


def end_run(status: str = "FINISHED") -> None:
    """End the active run. Do nothing if there is none.

    Args:
        status: ``FINISHED`` (the default), ``FAILED``, ``KILLED``, ``SCHEDULED`` or ``RUNNING``.

    Raises:
        InvalidParameterError: The status is unknown. The run stays active.

    Example:
        >>> run = mlflow.start_run()
        >>> mlflow.end_run("KILLED")
        >>> mlflow.get_run(run.info.run_id).info.status
        'KILLED'
    """
    checked = RunStatus.to_string(status)
    active = state.active_with_client()
    if active is not None:
        run, client = active
        state.pop()
        system_metrics.stop(run.info.run_id)
        client.set_terminated(run.info.run_id, checked)


def active_run() -> ActiveRun | None:
    """Return the active run of this thread or task, or None.

    Returns:
        The run as it was when it started; call `get_run` for its current data. None if no run is active.

    Example:
        >>> with mlflow.start_run(run_name="depth-5"):
        ...     mlflow.active_run().info.run_name
        'depth-5'
        >>> mlflow.active_run() is None
        True
    """
    stack = state.active()
    run = stack[-1] if stack else None
    return run if isinstance(run, ActiveRun) else None


def last_active_run() -> Run | None:
    """Return the active run, else the one that was active last in this thread or task, or None.

    Returns:
        The active run as it was when it started, or the last one as it is now.

    Example:
        >>> with mlflow.start_run(run_name="depth-5"):
        ...     pass
        >>> mlflow.last_active_run().info.run_name
        'depth-5'
    """
    run_id = state.last_run_id()
    return active_run() or (None if run_id is None else state.client().get_run(run_id))


def get_run(run_id: str) -> Run:
    """Return a run by id, including a deleted one.

    Args:
        run_id: The run's id.

    Returns:
        The run with its params, tags, latest metrics, inputs and outputs.

    Raises:
        RunNotFoundError: No run has this id.

    Example:
        >>> mlflow.get_run(run_id).data.params
        {'algorithm': 'XGBoost', 'max_depth': '4'}
    """
    return state.client().get_run(run_id)


def get_parent_run(run_id: str) -> Run | None:
    """Return the parent of a nested run, or None.

    Args:
        run_id: The id of the nested run.

    Returns:
        The parent run, or None if the run has none.

    Raises:
        RunNotFoundError: No run has this id.

    Example:
        >>> mlflow.get_parent_run(run_id) is None
        True
    """
    return state.client().get_parent_run(run_id)


def delete_run(run_id: str) -> None:
    """Mark a run as deleted. Models that came from it still load.

    Args:
        run_id: The run's id.

    Raises:
        RunNotFoundError: No run has this id.

    Example:
        >>> mlflow.delete_run(run_id)
        >>> mlflow.get_run(run_id).info.lifecycle_stage
        'deleted'
    """
    state.client().delete_run(run_id)


def restore_run(run_id: str) -> None:
    """Restore a deleted run.

    Args:
        run_id: The run's id.

    Raises:
        RunNotFoundError: No run has this id.
        InvalidStateError: `registry gc` has removed the run's data.

    Example:
        >>> mlflow.delete_run(run_id)
        >>> mlflow.restore_run(run_id)
        >>> mlflow.get_run(run_id).info.lifecycle_stage
        'active'
    """
    state.client().restore_run(run_id)


def active_or_new_run_id() -> str:
    """Return the id of the active run; start a run if none is active. It stays active."""
    return choose_run()[1]


def choose_run(run_id: str | None = None) -> tuple[MlflowClient, str]:
    """Return the client and the id of the run to log to: the given or the active one; start one if none is active."""
    if run_id is not None:
        return state.client(), run_id
    if state.active_with_client() is None:
        start_run()
    active = state.active_with_client()
    assert active is not None, "start_run makes a run active"  # noqa: S101 - for the type checker
    return active[1], active[0].info.run_id


def _with_description(tags: Mapping[str, Any] | None, description: str | None) -> dict[str, Any]:
    checked = check_mapping(tags, "tags")
    if description is None:
        return checked
    if NOTE in checked:
        raise InvalidParameterError(f"Both 'description' and the tag '{NOTE}' are given; give one of them.")
    return {**checked, NOTE: description}


def _resume(run_id: str, experiment_id: str | None, run_name: str | None, tags: Mapping[str, Any]) -> Run:
    client = state.client()
    run = client.get_run(run_id)
    if run.info.lifecycle_stage != LifecycleStage.ACTIVE:
        raise InvalidStateError(
            f"Cannot start run with ID {run_id} because it is in the deleted state. Restore it with restore_run."
        )
    if experiment_id is not None and str(experiment_id) != run.info.experiment_id:
        raise InvalidParameterError(
            f"Cannot start run with ID {run_id}: its experiment is {run.info.experiment_id}, not {experiment_id}."
        )
    client.update_run(run_id, status="RUNNING", name=run_name)
    if tags:
        client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
    return client.get_run(run_id)


def _check_no_ancestor_of_itself(
    run_id: str, stack: tuple[Run, ...], parent_run_id: str | None, tags: Mapping[str, Any]
) -> None:
    if any(run.info.run_id == run_id for run in stack):
        raise ActiveRunError(f"Run with UUID {run_id} is already active; it cannot be nested below itself.")
    if run_id in (parent_run_id, tags.get(PARENT_RUN_ID)):
        raise InvalidParameterError(
            f"The run {run_id} cannot be its own parent. Leave run_id out to start a new run below it."
        )


def _choose_parent(stack: tuple[Run, ...], parent_run_id: str | None) -> str | None:
    top = stack[-1].info.run_id if stack else None
    if parent_run_id is None:
        return top
    if top is not None and parent_run_id != top:
        raise InvalidParameterError(
            f"parent_run_id {parent_run_id!r} is not the active run {top!r}; a nested run belongs to the active one."
        )
    if state.client().get_run(parent_run_id).info.lifecycle_stage != LifecycleStage.ACTIVE:
        raise InvalidStateError(f"The parent run {parent_run_id} is deleted; restore it with restore_run.")
    return parent_run_id


_crashed = False


def _note_crash(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None, before: Any = sys.excepthook
) -> None:
    global _crashed
    _crashed = True
    before(kind, error, trace)


def _end_at_exit() -> None:
    restore_cell_variables()
    while run := state.active()[-1:]:
        try:
            end_run("FAILED" if _crashed else "FINISHED")
        except RegistryError as error:
            # No caller is left to raise to; go on and end the outer runs.
            _logger.error("The run %s could not be ended: %s", run[0].info.run_id, error)  # noqa: TRY400 - no trace helps


# After an uncaught exception the run ends FAILED. MLflow ends it FINISHED.
sys.excepthook = _note_crash
atexit.register(_end_at_exit)
