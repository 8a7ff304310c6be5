"""Tables of monitors, of the checks that they made, of incidents, and of the triggers that incidents set off."""

from sqlalchemy import BigInteger, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from registry.store.tables.base import ID, NEVER_REUSED, Base, Digest, Id, Key, Micros, Millis, partial_index


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

    id: Mapped[Id]
    model_id: Mapped[int] = mapped_column(ID, ForeignKey("registered_models.id"))
    stage: Mapped[Key]
    every_seconds: Mapped[int] = mapped_column(BigInteger)
    cooldown_seconds: Mapped[int] = mapped_column(BigInteger)
    settings: Mapped[str] = mapped_column(Text)
    triggers: Mapped[str] = mapped_column(Text)
    actor: Mapped[Key]
    creation_time: Mapped[Millis]
    next_time: Mapped[Millis]
    lease_token: Mapped[Key | None]
    lease_until: Mapped[Millis | None]


class MonitorGuardRow(Base):
    """The version that a monitor guards until a time: if a check of it finds drift, the stage is rolled back.

    It is a table of its own because only a promoter may write it: a rollback changes which version holds a stage.
    """

    __tablename__ = "monitor_guards"

    monitor_id: Mapped[int] = mapped_column(ID, ForeignKey("monitors.id"), primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(BigInteger)
    until: Mapped[Millis]


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

    id: Mapped[Id]
    model_id: Mapped[int] = mapped_column(ID)
    monitor_id: Mapped[int | None] = mapped_column(ID)
    due_time: Mapped[Millis | None]
    version: Mapped[int | None] = mapped_column(BigInteger)
    status: Mapped[Key]
    message: Mapped[str | None] = mapped_column(Text)
    report_digest: Mapped[Digest | None]
    run_id: Mapped[Key | None]
    actor: Mapped[Key]
    start_time: Mapped[Millis]
    end_time: Mapped[Millis]


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

    id: Mapped[Id]
    model_id: Mapped[int] = mapped_column(ID, ForeignKey("registered_models.id"))
    cause: Mapped[Key]
    status: Mapped[Key]
    version: Mapped[int] = mapped_column(BigInteger)
    monitor_id: Mapped[int | None] = mapped_column(ID)
    check_id: Mapped[int] = mapped_column(ID, ForeignKey("monitor_checks.id"))
    run_id: Mapped[Key | None]
    report_digest: Mapped[Digest | None]
    figures: Mapped[str] = mapped_column(Text)
    opened_us: Mapped[Micros]
    changed_us: Mapped[Micros]
    changed_by: Mapped[Key]
    reason: Mapped[str | None] = mapped_column(Text)


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

    id: Mapped[Id]
    check_id: Mapped[int] = mapped_column(ID, ForeignKey("monitor_checks.id"))
    trigger_name: Mapped[Key]
    state: Mapped[Key]
    attempts: Mapped[int] = mapped_column(BigInteger)
    next_time: Mapped[Millis]
    lease_token: Mapped[Key | None]
    lease_until: Mapped[Millis | None]
    message: Mapped[str | None] = mapped_column(Text)
    end_time: Mapped[Millis | None]
