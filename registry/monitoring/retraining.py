"""Retrain a model because of incidents: train, compare with the champion, register, and promote if the rules pass.

Each step is one transaction of the registry, so a program that is killed leaves a version that is registered, in
Staging or in Production, and nothing between. Guarantees: called again for the same incidents, it goes on with the
version that it registered instead of training another one. It never overrides a promotion rule, and never promotes into
a stage that has none.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from registry.client import MlflowClient
from registry.datasets import from_pandas
from registry.entities import Incident
from registry.entities.history import MAX_REMARK
from registry.entities.model_registry import ModelVersion
from registry.evaluation import compare_models
from registry.exceptions import (
    InvalidParameterError,
    InvalidStateError,
    InvalidTypeError,
    PromotionRefusedError,
    StageConflictError,
)
from registry.fluent import state
from registry.fluent.runs import start_run
from registry.monitoring.incidents import incident_document
from registry.monitoring.storage import ensure_experiment
from registry.monitoring.triggers import RETRAININGS, Retraining, load_callable, run_command
from registry.rules.incidents import INCIDENTS_TAG

if TYPE_CHECKING:
    import pandas as pd

PRODUCTION: Final = "Production"
STAGING: Final = "Staging"
_RETRAINING_TAG: Final = "registry.retraining"
_PARENT_TAG: Final = "registry.parent_version"
_WINDOW_TAG: Final = "registry.data_window"


@dataclass(frozen=True, slots=True)
class RetrainingTask:
    """What a training gets.

    Attributes:
        name: The registered model.
        parent_version: The version that holds Production, or None.
        incidents: The incidents that it answers, with their figures; empty if a person started it.
        window: Beginning and end of the data that the newest incident was found in (ISO 8601), or None.
        run_id: The run that is active: what the training logs belongs to it.
        client: A client of the registry.
    """

    name: str
    parent_version: int | None
    incidents: tuple[Incident, ...]
    window: tuple[str, str] | None
    run_id: str
    client: MlflowClient

    def to_payload(self) -> dict[str, Any]:
        """Return the task as a command gets it."""
        return {
            "model": self.name,
            "parent_version": self.parent_version,
            "window": self.window,
            "run_id": self.run_id,
            "incidents": [incident_document(incident) for incident in self.incidents],
        }


@dataclass(frozen=True, slots=True)
class Retrained:
    """What a training returns.

    Attributes:
        model: The URI of the model that it logged, such as the ``model_uri`` of `log_model`.
        holdout: Rows with the target that neither model was trained on; both are compared on it.
        targets: The column of `holdout` with the true values.
    """

    model: str
    holdout: "pd.DataFrame"
    targets: str


@dataclass(frozen=True, slots=True)
class RetrainingResult:
    """How a retraining ended.

    Attributes:
        version: The new version.
        stage: Its stage: ``Production`` if the rules let it through.
        message: What happened, as a sentence.
        run_id: The run of the training.
    """

    version: int
    stage: str
    message: str
    run_id: str | None


def retrain(
    name: str,
    retraining: Retraining,
    *,
    incidents: Sequence[Incident] = (),
    client: MlflowClient | None = None,
) -> RetrainingResult:
    """Train a new version of a model and promote it as far as the rules allow.

    It runs the training in a run of the experiment ``retraining/<name>``, compares the new model with the one in
    Production on the holdout, registers it, moves it to Staging, and to Production if the promotion rules pass. Tags of
    run and version name the incidents, the parent version and the data window; the reasons in the history do too.

    Args:
        name: Registered model.
        retraining: What trains, of `read_triggers`.
        incidents: The incidents that it answers.
        client: The client. Default: one for the tracking URI that is set.

    Returns:
        The version and the stage that it reached.

    Raises:
        ModelNotFoundError: There is no such model.
        InvalidTypeError: The training did not return `Retrained`.
        RegistryError: The command failed, or something could not be stored.

    Example:
        >>> def train(task):
        ...     signature = mlflow.models.infer_signature(X, model.predict(X))
        ...     logged = mlflow.xgboost.log_model(model, name="model", signature=signature)
        ...     return mlflow.monitoring.Retrained(logged.model_uri, X.assign(won=y), "won")
        >>> by_hand = mlflow.monitoring.Retraining("by-hand", callable=train, metric="f1_score")
        >>> mlflow.monitoring.retrain("churn", by_hand).message
        'version 4 waits in Staging: Production has no promotion rules, so nothing would justify it'
    """
    client = client or MlflowClient()
    champion = client.find_model_version_by_stage(name, PRODUCTION)
    existing = _find_version(client, name, retraining, incidents)
    if existing is not None:
        return _promote(client, existing, retraining, incidents)
    with _training_run(client, name, retraining, incidents, champion) as run_id:
        parent = None if champion is None else champion.version
        task = RetrainingTask(name, parent, tuple(incidents), _window_of(incidents), run_id, client)
        trained = _train(retraining, task)
        _compare(trained, retraining, champion)
        version = client.create_model_version(
            name,
            trained.model,
            run_id=run_id,
            tags=_tags(retraining, incidents, champion),
            reason=_reason(retraining, incidents, parent),
        )
    return _promote(client, version, retraining, incidents)


@contextlib.contextmanager
def _training_run(
    client: MlflowClient,
    name: str,
    retraining: Retraining,
    incidents: Sequence[Incident],
    champion: ModelVersion | None,
) -> Iterator[str]:
    """Begin the run of a training, and yield its id; a training that raises makes it a failed run."""
    if state.client().tracking_uri != client.tracking_uri:
        raise InvalidStateError(
            "A retraining logs to the tracking URI that is set, which is another one than the client's; call "
            "set_tracking_uri first."
        )
    # Nested, so that it neither minds nor resumes a run of the caller.
    with start_run(
        experiment_id=ensure_experiment(client, f"retraining/{name}"),
        run_name=retraining.name,
        nested=True,
        tags=_tags(retraining, incidents, champion),
    ) as run:
        yield run.info.run_id


def _train(retraining: Retraining, task: RetrainingTask) -> Retrained:
    trained: object
    if retraining.callable is not None:
        given = retraining.callable
        trained = (load_callable(given, RETRAININGS) if isinstance(given, str) else given)(task)
    else:
        assert retraining.command is not None  # noqa: S101 - it has one or the other
        # The program's start_run() continues this run.
        environment = {"REGISTRY_RUN_ID": task.run_id}
        printed = run_command(retraining.command, task.to_payload(), retraining.timeout_seconds, environment)
        trained = _read_answer(retraining, printed)
    if not isinstance(trained, Retrained):
        raise InvalidTypeError(f"The retraining {retraining.name!r} must return Retrained(…), got {trained!r:.100}.")
    return trained


def _read_answer(retraining: Retraining, printed: str) -> Retrained:
    """Read the last line that a command printed: JSON with the model, the holdout's Parquet file and the target."""
    import pandas as pd

    line = next((line for line in reversed(printed.splitlines()) if line.strip()), "")
    try:
        answer = json.loads(line)
        model, holdout, targets = (answer[key] for key in ("model", "holdout", "targets"))
        return Retrained(str(model), pd.read_parquet(holdout), str(targets))
    except (ValueError, LookupError, TypeError, OSError, ImportError) as error:
        raise InvalidParameterError(
            f"The retraining {retraining.name!r} must print, as its last line, JSON such as "
            f'{{"model": "models:/m-…", "holdout": "holdout.parquet", "targets": "won"}}; it printed {line!r:.200} '
            f"({type(error).__name__}: {error})."
        ) from error


def _compare(trained: Retrained, retraining: Retraining, champion: ModelVersion | None) -> None:
    """Compare the new model with the champion, if there is one; this stores the evidence for promotion rules."""
    if champion is None:
        return
    dataset = from_pandas(trained.holdout, targets=trained.targets, name=retraining.dataset)
    compare_models(
        [trained.model, f"models:/{champion.name}/{champion.version}"],
        dataset,
        metric=retraining.metric,
        confidence=retraining.confidence,
    )


def _promote(
    client: MlflowClient, version: ModelVersion, retraining: Retraining, incidents: Sequence[Incident]
) -> RetrainingResult:
    """Move a new version to Staging, then to Production, as far as it is allowed to."""
    name, number = version.name, version.version
    parent = version.tags.get(_PARENT_TAG)
    reason = _reason(retraining, incidents, parent)

    def ended(stage: str, message: str) -> RetrainingResult:
        return RetrainingResult(number, stage, f"version {number} {message}", version.run_id)

    if version.current_stage not in ("None", STAGING):
        return ended(version.current_stage, f"is in {version.current_stage}")
    try:
        client.transition_model_version_stage(name, number, STAGING, reason=reason)
    except PromotionRefusedError as error:
        return ended("None", f"is registered; {error}")
    if not client.get_promotion_rules(name, PRODUCTION):
        return ended(STAGING, f"waits in {STAGING}: {PRODUCTION} has no promotion rules, so nothing would justify it")
    try:
        # Somebody may have promoted another version since the training began: theirs stays.
        expected = None if parent is None else int(parent)
        client.transition_model_version_stage(name, number, PRODUCTION, reason=reason, expected_current=expected)
    except (PromotionRefusedError, StageConflictError) as error:
        return ended(STAGING, f"waits in {STAGING}: {error}")
    return ended(PRODUCTION, f"is in {PRODUCTION}")


def _find_version(
    client: MlflowClient, name: str, retraining: Retraining, incidents: Sequence[Incident]
) -> ModelVersion | None:
    """Return the version that this retraining already registered for these incidents, or None."""
    if not incidents:
        return None
    numbers, chosen = _numbers(incidents), retraining.name.replace("'", "''")
    escaped = name.replace("'", "''")
    found = client.search_model_versions(
        f"name = '{escaped}' AND tags.`{INCIDENTS_TAG}` = '{numbers}' AND tags.`{_RETRAINING_TAG}` = '{chosen}'"
    )
    return max(found, key=lambda version: version.version, default=None)


def _numbers(incidents: Sequence[Incident]) -> str:
    return ",".join(str(incident.id) for incident in incidents)


def _window_of(incidents: Sequence[Incident]) -> tuple[str, str] | None:
    """Return the window of the newest incident whose figures say it."""
    for incident in reversed(incidents):
        window = incident.figures.get("window") if isinstance(incident.figures, Mapping) else None
        if isinstance(window, list) and len(window) == 2:
            return str(window[0]), str(window[1])
    return None


def _tags(retraining: Retraining, incidents: Sequence[Incident], champion: ModelVersion | None) -> dict[str, str]:
    window = _window_of(incidents)
    tags = {
        _RETRAINING_TAG: retraining.name,
        INCIDENTS_TAG: _numbers(incidents) or None,
        _PARENT_TAG: None if champion is None else str(champion.version),
        _WINDOW_TAG: None if window is None else "/".join(window),
    }
    return {key: value for key, value in tags.items() if value is not None}


def _reason(retraining: Retraining, incidents: Sequence[Incident], parent: object) -> str:
    because = ""
    if incidents:
        rest = f" and {len(incidents) - 1} more" if len(incidents) > 1 else ""
        numbers = ", ".join(str(incident.id) for incident in incidents)
        because = f" for incident{'s' if rest else ''} {numbers} ({incidents[0].cause}{rest})"
    after = "" if parent is None else f", after version {parent}"
    return f"retraining {retraining.name!r}{because}{after}"[:MAX_REMARK]
