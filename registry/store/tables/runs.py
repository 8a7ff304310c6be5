"""Tables of experiments and runs, with their params, metrics, tags and data sets."""

from sqlalchemy import BigInteger, CheckConstraint, ColumnElement, Double, ForeignKey, Index, Text, UniqueConstraint

from registry.store.tables.base import (
    CLUSTERED,
    ID,
    NEVER_REUSED,
    Base,
    Digest,
    Id,
    Key,
    KeyPart,
    Millis,
    column,
    owner,
    partial_index,
)


class ExperimentRow(Base):
    """An experiment. `artifact_location` is absolute; locations of its runs and models are relative to it.

    After `purged_time` the row remains only because deleted versions refer to it, and its name is free.
    """

    __tablename__ = "experiments"
    __table_args__ = (
        CheckConstraint("lifecycle_stage IN ('active', 'deleted')", name="lifecycle_stage"),
        partial_index("uq_experiments_kept_name", "purged_time IS NULL", "name", unique=True),
        NEVER_REUSED,
    )

    id: ColumnElement[Id]
    name: ColumnElement[Key]
    artifact_location: ColumnElement[str] = column(Text)
    lifecycle_stage: ColumnElement[Key]
    creation_time: ColumnElement[Millis]
    last_update_time: ColumnElement[Millis]
    deleted_time: ColumnElement[Millis | None]
    purged_time: ColumnElement[Millis | None]


class ExperimentTagRow(Base):
    """A tag of an experiment."""

    __tablename__ = "experiment_tags"
    __table_args__ = CLUSTERED

    experiment_id: ColumnElement[int] = owner("experiments.id")
    key: ColumnElement[KeyPart]
    value: ColumnElement[str] = column(Text)


class RunRow(Base):
    """A run. `id` is the surrogate key, `run_id` the public id. After `purged_time` its files and points are gone.

    If the files of an imported run were adopted where they are, `adopted_location` is that place (absolute) and
    `adopted_files` has their digests; gc never removes them.
    """

    __tablename__ = "runs"
    __table_args__ = (
        CheckConstraint("lifecycle_stage IN ('active', 'deleted')", name="lifecycle_stage"),
        CheckConstraint("status IN ('RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED')", name="status"),
        UniqueConstraint("run_id"),
        Index("ix_runs_newest", "experiment_id", "lifecycle_stage", "start_time", "run_id"),
        NEVER_REUSED,
    )

    id: ColumnElement[Id]
    run_id: ColumnElement[Key]
    experiment_id: ColumnElement[int] = column(ID, ForeignKey("experiments.id"))
    name: ColumnElement[Key]
    user_id: ColumnElement[Key]
    status: ColumnElement[Key]
    start_time: ColumnElement[Millis]
    end_time: ColumnElement[Millis | None]
    lifecycle_stage: ColumnElement[Key]
    deleted_time: ColumnElement[Millis | None]
    purged_time: ColumnElement[Millis | None]
    adopted_location: ColumnElement[str | None] = column(Text)


class AdoptedFileRow(Base):
    """A file of a run whose files were adopted where they are."""

    __tablename__ = "adopted_files"
    __table_args__ = CLUSTERED

    run_id: ColumnElement[int] = owner("runs.id")
    path: ColumnElement[KeyPart]
    size: ColumnElement[int] = column(BigInteger)
    sha256: ColumnElement[Digest]


class ParamRow(Base):
    """A param of a run."""

    __tablename__ = "params"
    __table_args__ = CLUSTERED

    run_id: ColumnElement[int] = owner("runs.id")
    key: ColumnElement[KeyPart]
    value: ColumnElement[Key]


class TagRow(Base):
    """A tag of a run."""

    __tablename__ = "tags"
    __table_args__ = CLUSTERED

    run_id: ColumnElement[int] = owner("runs.id")
    key: ColumnElement[KeyPart]
    value: ColumnElement[Key]


class LatestMetricRow(Base):
    """A metric series of a run and its latest point: highest step, then timestamp, then value. A NULL value is NaN.

    `experiment_id` repeats that of the run, so the best runs of an experiment are found without reading other runs.
    """

    __tablename__ = "latest_metrics"
    __table_args__ = (
        UniqueConstraint("run_id", "key"),
        Index("ix_latest_metrics_value", "experiment_id", "key", "value", "run_id"),
        NEVER_REUSED,
    )

    id: ColumnElement[Id]
    run_id: ColumnElement[int] = column(ID, ForeignKey("runs.id", ondelete="CASCADE"))
    experiment_id: ColumnElement[int] = column(ID)
    key: ColumnElement[Key]
    step: ColumnElement[int] = column(BigInteger)
    timestamp: ColumnElement[Millis]
    value: ColumnElement[float | None] = column(Double)


class MetricRow(Base):
    """A point of a metric series. There is no primary key: points may repeat, and a key would double the table's size.

    `series_id` has no foreign key: checking it for each point took PostgreSQL more than half of the time of logging.
    The statement that appends points also upserts their series, and deleting a series deletes its points. ``registry
    doctor`` reports points without a series.
    """

    __tablename__ = "metrics"
    __table_args__ = (Index("ix_metrics_series_id_step", "series_id", "step"),)

    series_id: ColumnElement[int] = column(ID)
    step: ColumnElement[int] = column(BigInteger)
    timestamp: ColumnElement[Millis]
    value: ColumnElement[float | None] = column(Double)


class DatasetRow(Base):
    """A data set of an experiment, unique by name and digest."""

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("experiment_id", "name", "digest"),)

    id: ColumnElement[Id]
    experiment_id: ColumnElement[int] = column(ID, ForeignKey("experiments.id", ondelete="CASCADE"))
    name: ColumnElement[Key]
    digest: ColumnElement[Key]
    source_type: ColumnElement[str] = column(Text)
    source: ColumnElement[str] = column(Text)
    schema: ColumnElement[str | None] = column(Text)
    profile: ColumnElement[str | None] = column(Text)


class DatasetInputRow(Base):
    """A use of a data set by a run; `context` is the tag ``mlflow.data.context``, empty if there is none."""

    __tablename__ = "dataset_inputs"
    __table_args__ = (UniqueConstraint("run_id", "dataset_id", "context"),)

    id: ColumnElement[Id]
    run_id: ColumnElement[int] = column(ID, ForeignKey("runs.id", ondelete="CASCADE"))
    dataset_id: ColumnElement[int] = column(ID, ForeignKey("datasets.id"), index=True)
    context: ColumnElement[Key]


class DatasetInputTagRow(Base):
    """A tag of a use of a data set."""

    __tablename__ = "dataset_input_tags"
    __table_args__ = CLUSTERED

    input_id: ColumnElement[int] = owner("dataset_inputs.id")
    key: ColumnElement[KeyPart]
    value: ColumnElement[str] = column(Text)
