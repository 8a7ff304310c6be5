"""SQL conditions that decide what gc may remove. Pure: every such decision is made here.

A condition is about one row and the rows that refer to it, and holds only within the transaction that evaluates it.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, literal, not_, or_, select

from registry.entities import LifecycleStage, LoggedModelStatus
from registry.entities.experiment import DEFAULT_EXPERIMENT_ID
from registry.store.tables import (
    Base,
    ExperimentRow,
    LoggedModelRow,
    ModelVersionRow,
    RemovalRow,
    RunModelRow,
    RunRow,
    TagRow,
    UploadRow,
)
from registry.store.transfer.run_import import ORIGIN_TAG


@dataclass(frozen=True, slots=True)
class Windows:
    """Cutoff times of the retention window and the grace period, in milliseconds since the epoch.

    gc may remove what was deleted at or before `expired`, and uploads that began at or before `abandoned` and never
    became a model.
    """

    expired: int
    abandoned: int


def is_expired(row: type[ExperimentRow] | type[RunRow] | type[LoggedModelRow], windows: Windows) -> ColumnElement[bool]:
    """Return the condition: an experiment, run or logged model was deleted, and its retention window is over."""
    return and_(row.lifecycle_stage == LifecycleStage.DELETED, row.deleted_time <= windows.expired)


def is_unreached(windows: Windows) -> ColumnElement[bool]:
    """Return the condition: nothing needs the files of a logged model, and it is not purged.

    A version needs them in any stage, until it is deleted and the retention window is over. So does a run that created
    or used the model. A sealed model that never had a run or a version is kept until it is deleted itself.
    """
    is_deleted = LoggedModelRow.lifecycle_stage == LifecycleStage.DELETED
    is_new = and_(LoggedModelRow.status == LoggedModelStatus.PENDING, LoggedModelRow.creation_time > windows.abandoned)
    return and_(
        LoggedModelRow.purged_time.is_(None),
        not_(_has_version(_is_wanted(windows))),
        or_(
            is_expired(LoggedModelRow, windows),
            and_(not_(is_deleted), not_(is_new), not_(_has_run(windows)), not_(_stands_alone(windows))),
        ),
    )


def is_collectable_run(windows: Windows) -> ColumnElement[bool]:
    """Return the condition: a run was deleted, its retention window is over, and it is not purged."""
    return and_(is_expired(RunRow, windows), RunRow.purged_time.is_(None))


def is_imported_run() -> ColumnElement[bool]:
    """Return the condition: a run's files may belong to another registry, or were adopted, so gc leaves them."""
    has_origin = _exists(RunRow, TagRow.run_id == RunRow.id, TagRow.key == ORIGIN_TAG)
    return or_(RunRow.adopted_location.is_not(None), has_origin)


def is_unreferenced_run() -> ColumnElement[bool]:
    """Return the condition: no version, not even a deleted one, and no logged model refers to a purged run."""
    return and_(
        RunRow.purged_time.is_not(None),
        not_(_exists(RunRow, ModelVersionRow.run_id == RunRow.run_id)),
        not_(_exists(RunRow, LoggedModelRow.run_id == RunRow.id)),
    )


def is_abandoned(windows: Windows) -> ColumnElement[bool]:
    """Return the condition: an upload began before the grace period and never became a model."""
    return UploadRow.started <= windows.abandoned


def is_empty_experiment(windows: Windows) -> ColumnElement[bool]:
    """Return the condition: an experiment was deleted, its retention window is over, and it is empty."""
    contents = (RunRow, LoggedModelRow, UploadRow, RemovalRow)
    return and_(
        is_expired(ExperimentRow, windows),
        *(not_(_exists(ExperimentRow, row.experiment_id == ExperimentRow.id)) for row in contents),
    )


def is_emptied_experiment(windows: Windows) -> ColumnElement[bool]:
    """Return the condition: a deleted, expired experiment has only purged runs and models that deleted versions name.

    The default experiment is never purged, because its name is reserved.
    """
    kept_run = and_(RunRow.experiment_id == ExperimentRow.id, RunRow.purged_time.is_(None))
    named_run = and_(
        RunRow.experiment_id == ExperimentRow.id, ModelVersionRow.run_id == RunRow.run_id, _is_wanted(windows)
    )
    kept_model = and_(LoggedModelRow.experiment_id == ExperimentRow.id, LoggedModelRow.purged_time.is_(None))
    return and_(
        is_expired(ExperimentRow, windows),
        ExperimentRow.purged_time.is_(None),
        ExperimentRow.id != int(DEFAULT_EXPERIMENT_ID),
        *(not_(_exists(ExperimentRow, condition)) for condition in (kept_run, named_run, kept_model)),
        *(not_(_exists(ExperimentRow, row.experiment_id == ExperimentRow.id)) for row in (UploadRow, RemovalRow)),
    )


def _is_wanted(windows: Windows) -> ColumnElement[bool]:
    return or_(ModelVersionRow.deleted_time.is_(None), ModelVersionRow.deleted_time > windows.expired)


def _has_version(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return _exists(LoggedModelRow, ModelVersionRow.logged_model_id == LoggedModelRow.id, *conditions)


def _has_run(windows: Windows) -> ColumnElement[bool]:
    is_kept = and_(RunRow.purged_time.is_(None), not_(is_expired(RunRow, windows)))
    linked = and_(RunModelRow.logged_model_id == LoggedModelRow.id, RunModelRow.run_id == RunRow.id)
    return or_(
        _exists(LoggedModelRow, RunRow.id == LoggedModelRow.run_id, is_kept),
        _exists(LoggedModelRow, linked, is_kept),
    )


def _stands_alone(windows: Windows) -> ColumnElement[bool]:
    return and_(
        LoggedModelRow.status == LoggedModelStatus.READY,
        LoggedModelRow.run_id.is_(None),
        not_(_has_version()),
        not_(
            _exists(
                LoggedModelRow,
                ExperimentRow.id == LoggedModelRow.experiment_id,
                is_expired(ExperimentRow, windows),
            )
        ),
    )


def _exists(judged: type[Base], *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return EXISTS of rows that meet conditions on the outer row `judged`."""
    # Correlate explicitly, so that other tables of the outer query are not taken for the inner ones.
    return select(literal(1)).where(*conditions).correlate(judged).exists()
