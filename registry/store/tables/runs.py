"""Tables of experiments and runs, with their params, metrics, tags and data sets."""

from sqlalchemy import BigInteger, CheckConstraint, Double, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from registry.store.tables.base import CLUSTERED, ID, NEVER_REUSED, Base, Id, Key, KeyPart, Millis, owner, partial


class ExperimentRow(Base):
    """`artifact_location` is absolute; everything below it is stored relative to it.

    After `purged_time` the row is a record, for what deleted versions name, and its name is free.
    """

    __tablename__ = "experiments"
    __table_args__ = (
        CheckConstraint("lifecycle_stage IN ('active', 'deleted')", name="lifecycle_stage"),
        partial("uq_experiments_kept_name", "purged_time IS NULL", "name", unique=True),
        NEVER_REUSED,
    )

    id: Mapped[Id]
    name: Mapped[Key]
    artifact_location: Mapped[str] = mapped_column(Text)
    lifecycle_stage: Mapped[Key]
    creation_time: Mapped[Millis]
    last_update_time: Mapped[Millis]
    deleted_time: Mapped[Millis | None]
    purged_time: Mapped[Millis | None]


class ExperimentTagRow(Base):
    """A label of an experiment."""

    __tablename__ = "experiment_tags"
    __table_args__ = CLUSTERED

    experiment_id: Mapped[int] = owner("experiments.id")
    key: Mapped[KeyPart]
    value: Mapped[str] = mapped_column(Text)


class RunRow(Base):
    """`id` is ours, `run_id` is public. After `purged_time` its files and points are gone and the row is a record."""

    __tablename__ = "runs"
    __table_args__ = (
        CheckConstraint("lifecycle_stage IN ('active', 'deleted')", name="lifecycle_stage"),
        CheckConstraint("status IN ('RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED')", name="status"),
        UniqueConstraint("run_id"),
        Index("ix_runs_newest", "experiment_id", "lifecycle_stage", "start_time", "run_id"),
        NEVER_REUSED,
    )

    id: Mapped[Id]
    run_id: Mapped[Key]
    experiment_id: Mapped[int] = mapped_column(ID, ForeignKey("experiments.id"))
    name: Mapped[Key]
    user_id: Mapped[Key]
    status: Mapped[Key]
    start_time: Mapped[Millis]
    end_time: Mapped[Millis | None]
    lifecycle_stage: Mapped[Key]
    deleted_time: Mapped[Millis | None]
    purged_time: Mapped[Millis | None]


class ParamRow(Base):
    """A setting of a run."""

    __tablename__ = "params"
    __table_args__ = CLUSTERED

    run_id: Mapped[int] = owner("runs.id")
    key: Mapped[KeyPart]
    value: Mapped[Key]


class TagRow(Base):
    """A label of a run."""

    __tablename__ = "tags"
    __table_args__ = CLUSTERED

    run_id: Mapped[int] = owner("runs.id")
    key: Mapped[KeyPart]
    value: Mapped[Key]


class LatestMetricRow(Base):
    """A series of a run and its latest point: highest step, then timestamp, then value. A value of NULL is NaN.

    `experiment_id` is the run's, repeated so that the best runs of one experiment are found without reading the others.
    """

    __tablename__ = "latest_metrics"
    __table_args__ = (
        UniqueConstraint("run_id", "key"),
        Index("ix_latest_metrics_value", "experiment_id", "key", "value", "run_id"),
        NEVER_REUSED,
    )

    id: Mapped[Id]
    run_id: Mapped[int] = mapped_column(ID, ForeignKey("runs.id", ondelete="CASCADE"))
    experiment_id: Mapped[int] = mapped_column(ID)
    key: Mapped[Key]
    step: Mapped[int] = mapped_column(BigInteger)
    timestamp: Mapped[Millis]
    value: Mapped[float | None] = mapped_column(Double)


class MetricRow(Base):
    """A point of a series. There is no key: equal points may repeat, and a key would double the table.

    Nor does a foreign key stand guard over `series_id`: looking the series up again for every point took PostgreSQL
    more than half of the time of logging. A statement that appends points makes or advances their series itself, and
    what removes a series removes its points; ``registry doctor`` looks for others.
    """

    __tablename__ = "metrics"
    __table_args__ = (Index("ix_metrics_series_id_step", "series_id", "step"),)
    __mapper_args__ = {"primary_key": ["series_id", "step", "timestamp", "value"]}  # noqa: RUF012 - declarative's form

    series_id: Mapped[int] = mapped_column(ID)
    step: Mapped[int] = mapped_column(BigInteger)
    timestamp: Mapped[Millis]
    value: Mapped[float | None] = mapped_column(Double)


class DatasetRow(Base):
    """A data set of an experiment, by name and digest."""

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("experiment_id", "name", "digest"),)

    id: Mapped[Id]
    experiment_id: Mapped[int] = mapped_column(ID, ForeignKey("experiments.id", ondelete="CASCADE"))
    name: Mapped[Key]
    digest: Mapped[Key]
    source_type: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    schema: Mapped[str | None] = mapped_column(Text)
    profile: Mapped[str | None] = mapped_column(Text)


class DatasetInputRow(Base):
    """One use of a data set by a run; `context` is the tag ``mlflow.data.context``, empty if none was given."""

    __tablename__ = "dataset_inputs"
    __table_args__ = (UniqueConstraint("run_id", "dataset_id", "context"),)

    id: Mapped[Id]
    run_id: Mapped[int] = mapped_column(ID, ForeignKey("runs.id", ondelete="CASCADE"))
    dataset_id: Mapped[int] = mapped_column(ID, ForeignKey("datasets.id"), index=True)
    context: Mapped[Key]


class DatasetInputTagRow(Base):
    """A label of one use of a data set."""

    __tablename__ = "dataset_input_tags"
    __table_args__ = CLUSTERED

    input_id: Mapped[int] = owner("dataset_inputs.id")
    key: Mapped[KeyPart]
    value: Mapped[str] = mapped_column(Text)
