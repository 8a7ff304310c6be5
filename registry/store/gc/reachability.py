"""What reaches what, as conditions of SQL. Pure; the whole judgement of what may go stands here.

Invariant: a condition is about one row and what names it now; it holds no longer than the transaction that asks.
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
    """Two moments, in milliseconds since the epoch: the ends of the retention window and of the grace period.

    What was deleted by `expired` may go, and uploads that began by `abandoned` and never became a model.
    """

    expired: int
    abandoned: int


def is_expired(row: type[ExperimentRow] | type[RunRow] | type[LoggedModelRow], windows: Windows) -> ColumnElement[bool]:
    """An experiment, run or logged model was deleted, and may not be wanted back any more."""
    return and_(row.lifecycle_stage == LifecycleStage.DELETED, row.deleted_time <= windows.expired)


def is_unreached(windows: Windows) -> ColumnElement[bool]:
    """Nothing needs the files of a logged model, and they are not purged yet.

    A version needs them, whatever its stage, until it is deleted and the window is over. So does a run that made or
    used the model. A sealed model that never had a run or a version stands for itself until it is deleted.
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
    """A run was deleted, may not be wanted back any more, and was not purged yet."""
    return and_(is_expired(RunRow, windows), RunRow.purged_time.is_(None))


def came_from_elsewhere() -> ColumnElement[bool]:
    """A run was made in another registry, whose files may lie at the same place: they are not ours to remove."""
    return _exists(RunRow, TagRow.run_id == RunRow.id, TagRow.key == ORIGIN_TAG)


def is_nameless_run() -> ColumnElement[bool]:
    """A purged run is named by no version, not even by a deleted one, and by no logged model."""
    return and_(
        RunRow.purged_time.is_not(None),
        not_(_exists(RunRow, ModelVersionRow.run_id == RunRow.run_id)),
        not_(_exists(RunRow, LoggedModelRow.run_id == RunRow.id)),
    )


def is_abandoned(windows: Windows) -> ColumnElement[bool]:
    """An upload began long ago and never became a model."""
    return UploadRow.started <= windows.abandoned


def is_empty_experiment(windows: Windows) -> ColumnElement[bool]:
    """An experiment was deleted, may not be wanted back any more, and nothing is in it."""
    within = (RunRow, LoggedModelRow, UploadRow, RemovalRow)
    return and_(
        is_expired(ExperimentRow, windows),
        *(not_(_exists(ExperimentRow, row.experiment_id == ExperimentRow.id)) for row in within),
    )


def is_emptied_experiment(windows: Windows) -> ColumnElement[bool]:
    """An experiment was deleted, may not be wanted back any more, and has only records of what deleted versions name.

    The default experiment stays: its name is never anybody else's.
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
    """Whether other rows meet conditions that tie them to the row which is judged."""
    # Said explicitly: other tables of the query that asks are not the ones that are meant here.
    return select(literal(1)).where(*conditions).correlate(judged).exists()
