"""Tables of monitors, of the checks that they made, of incidents, and of the triggers that incidents set off."""

from sqlalchemy import BigInteger, ColumnElement, ForeignKey, Index, Text, UniqueConstraint

from registry.store.tables.base import ID, NEVER_REUSED, Base, Digest, Id, Key, Micros, Millis, column, partial_index


class MonitorRow(Base):
    """A monitor: which stage of which model is checked, how often, and what an incident sets off.

    `settings` is the JSON of the check's arguments, `triggers` a JSON list of names. `next_time` is when it is due.
    A runner that has leased the due check wrote its random `lease_token`; the lease is free after `lease_until`.
    """

    __tablename__ = "monitors"
    __table_args__ = (
        Index("ix_monitors_model_id", "model_id"),
        Index("ix_monitors_next_time", "next_time"),
        NEVER_REUSED,
    )

    id: ColumnElement[Id]
    model_id: ColumnElement[int] = column(ID, ForeignKey("registered_models.id"))
    stage: ColumnElement[Key]
    every_seconds: ColumnElement[int] = column(BigInteger)
    cooldown_seconds: ColumnElement[int] = column(BigInteger)
    settings: ColumnElement[str] = column(Text)
    triggers: ColumnElement[str] = column(Text)
    actor: ColumnElement[Key]
    creation_time: ColumnElement[Millis]
    next_time: ColumnElement[Millis]
    lease_token: ColumnElement[Key | None]
    lease_until: ColumnElement[Millis | None]


class MonitorGuardRow(Base):
    """The version that a monitor guards until a time: if a check of it finds drift, the stage is rolled back.

    It is a table of its own because only a promoter may write it: a rollback changes which version holds a stage.
    """

    __tablename__ = "monitor_guards"

    monitor_id: ColumnElement[int] = column(ID, ForeignKey("monitors.id"), primary_key=True, autoincrement=False)
    version: ColumnElement[int] = column(BigInteger)
    until: ColumnElement[Millis]


class MonitorCheckRow(Base):
    """A check that was made; append-only. `due_time` is when it was due, NULL for one that no monitor asked for.

    It refers to no other row by a foreign key: it stays when its monitor is removed, and writing it takes no lock of
    the model. `run_id` is the public id of the run with the report.
    """

    __tablename__ = "monitor_checks"
    __table_args__ = (
        UniqueConstraint("monitor_id", "due_time"),
        Index("ix_monitor_checks_model_id_version", "model_id", "version", "end_time"),
        NEVER_REUSED,
    )

    id: ColumnElement[Id]
    model_id: ColumnElement[int] = column(ID)
    monitor_id: ColumnElement[int | None] = column(ID)
    due_time: ColumnElement[Millis | None]
    version: ColumnElement[int | None] = column(BigInteger)
    status: ColumnElement[Key]
    message: ColumnElement[str | None] = column(Text)
    report_digest: ColumnElement[Digest | None]
    run_id: ColumnElement[Key | None]
    actor: ColumnElement[Key]
    start_time: ColumnElement[Millis]
    end_time: ColumnElement[Millis]


class IncidentRow(Base):
    """An incident of a model. Its cause has one incident at a time that is not closed, which an index enforces.

    `figures` is JSON. `changed_us`, `changed_by` and `reason` are those of its last event.
    """

    __tablename__ = "incidents"
    __table_args__ = (
        partial_index("uq_incidents_not_closed", "status <> 'closed'", "model_id", "cause", unique=True),
        Index("ix_incidents_model_id", "model_id"),
        NEVER_REUSED,
    )

    id: ColumnElement[Id]
    model_id: ColumnElement[int] = column(ID, ForeignKey("registered_models.id"))
    cause: ColumnElement[Key]
    status: ColumnElement[Key]
    version: ColumnElement[int] = column(BigInteger)
    monitor_id: ColumnElement[int | None] = column(ID)
    check_id: ColumnElement[int] = column(ID, ForeignKey("monitor_checks.id"))
    run_id: ColumnElement[Key | None]
    report_digest: ColumnElement[Digest | None]
    figures: ColumnElement[str] = column(Text)
    opened_us: ColumnElement[Micros]
    changed_us: ColumnElement[Micros]
    changed_by: ColumnElement[Key]
    reason: ColumnElement[str | None] = column(Text)


class TriggerDeliveryRow(Base):
    """A trigger that is to be run for the incidents of a check, at least once; leased as a monitor is.

    `state` is ``pending``, ``delivered``, ``failed`` (given up) or ``skipped``; `next_time` is when it is due.
    """

    __tablename__ = "trigger_deliveries"
    __table_args__ = (
        UniqueConstraint("check_id", "trigger_name"),
        partial_index("ix_trigger_deliveries_pending", "state = 'pending'", "next_time"),
        NEVER_REUSED,
    )

    id: ColumnElement[Id]
    check_id: ColumnElement[int] = column(ID, ForeignKey("monitor_checks.id"))
    trigger_name: ColumnElement[Key]
    state: ColumnElement[Key]
    attempts: ColumnElement[int] = column(BigInteger)
    next_time: ColumnElement[Millis]
    lease_token: ColumnElement[Key | None]
    lease_until: ColumnElement[Millis | None]
    message: ColumnElement[str | None] = column(Text)
    end_time: ColumnElement[Millis | None]
