"""Tables of experiments and runs, with their params, metrics, tags and data sets."""

from sqlalchemy import BigInteger, CheckConstraint, Double, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

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

    id: Mapped[Id]
    name: Mapped[Key]
    artifact_location: Mapped[str] = mapped_column(Text)
    lifecycle_stage: Mapped[Key]
    creation_time: Mapped[Millis]
    last_update_time: Mapped[Millis]
    deleted_time: Mapped[Millis | None]
    purged_time: Mapped[Millis | None]


class ExperimentTagRow(Base):
    """A tag of an experiment."""

    __tablename__ = "experiment_tags"
    __table_args__ = CLUSTERED

    experiment_id: Mapped[int] = owner("experiments.id")
    key: Mapped[KeyPart]
    value: Mapped[str] = mapped_column(Text)


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
    adopted_location: Mapped[str | None] = mapped_column(Text)


class AdoptedFileRow(Base):
    """A file of a run whose files were adopted where they are."""

    __tablename__ = "adopted_files"
    __table_args__ = CLUSTERED

    run_id: Mapped[int] = owner("runs.id")
    path: Mapped[KeyPart]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[Digest]


class ParamRow(Base):
    """A param of a run."""

    __tablename__ = "params"
    __table_args__ = CLUSTERED

    run_id: Mapped[int] = owner("runs.id")
    key: Mapped[KeyPart]
    value: Mapped[Key]


class TagRow(Base):
    """A tag of a run."""

    __tablename__ = "tags"
    __table_args__ = CLUSTERED

    run_id: Mapped[int] = owner("runs.id")
    key: Mapped[KeyPart]
    value: Mapped[Key]


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

    id: Mapped[Id]
    run_id: Mapped[int] = mapped_column(ID, ForeignKey("runs.id", ondelete="CASCADE"))
    experiment_id: Mapped[int] = mapped_column(ID)
    key: Mapped[Key]
    step: Mapped[int] = mapped_column(BigInteger)
    timestamp: Mapped[Millis]
    value: Mapped[float | None] = mapped_column(Double)


class MetricRow(Base):
    """A point of a metric series. There is no primary key: points may repeat, and a key would double the table's size.

    `series_id` has no foreign key: checking it for each point took PostgreSQL more than half of the time of logging.
    The statement that appends points also upserts their series, and deleting a series deletes its points. ``registry
    doctor`` reports points without a series.
    """

    __tablename__ = "metrics"
    __table_args__ = (Index("ix_metrics_series_id_step", "series_id", "step"),)
    __mapper_args__ = {"primary_key": ["series_id", "step", "timestamp", "value"]}  # noqa: RUF012 - declarative's form

    series_id: Mapped[int] = mapped_column(ID)
    step: Mapped[int] = mapped_column(BigInteger)
    timestamp: Mapped[Millis]
    value: Mapped[float | None] = mapped_column(Double)


class DatasetRow(Base):
    """A data set of an experiment, unique by name and digest."""

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
    """A use of a data set by a run; `context` is the tag ``mlflow.data.context``, empty if there is none."""

    __tablename__ = "dataset_inputs"
    __table_args__ = (UniqueConstraint("run_id", "dataset_id", "context"),)

    id: Mapped[Id]
    run_id: Mapped[int] = mapped_column(ID, ForeignKey("runs.id", ondelete="CASCADE"))
    dataset_id: Mapped[int] = mapped_column(ID, ForeignKey("datasets.id"), index=True)
    context: Mapped[Key]


class DatasetInputTagRow(Base):
    """A tag of a use of a data set."""

    __tablename__ = "dataset_input_tags"
    __table_args__ = CLUSTERED

    input_id: Mapped[int] = owner("dataset_inputs.id")
    key: Mapped[KeyPart]
    value: Mapped[str] = mapped_column(Text)
