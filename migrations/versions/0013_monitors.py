"""Monitors with their leases, the checks that they make, incidents, and the triggers that incidents set off."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "monitors",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("model_id", ID, nullable=False),
        sa.Column("stage", KEY, nullable=False),
        sa.Column("every_seconds", sa.BigInteger(), nullable=False),
        sa.Column("cooldown_seconds", sa.BigInteger(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("triggers", sa.Text(), nullable=False),
        sa.Column("actor", KEY, nullable=False),
        sa.Column("creation_time", sa.BigInteger(), nullable=False),
        sa.Column("next_time", sa.BigInteger(), nullable=False),
        sa.Column("lease_token", KEY, nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["model_id"], ["registered_models.id"], name=op.f("fk_monitors_model_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_monitors")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_monitors_model_id", "monitors", ["model_id"])
    op.create_index("ix_monitors_next_time", "monitors", ["next_time"])
    op.create_table(
        "monitor_guards",
        sa.Column("monitor_id", ID, autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["monitor_id"], ["monitors.id"], name=op.f("fk_monitor_guards_monitor_id")),
        sa.PrimaryKeyConstraint("monitor_id", name=op.f("pk_monitor_guards")),
    )
    op.create_table(
        "monitor_checks",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("model_id", ID, nullable=False),
        sa.Column("monitor_id", ID, nullable=True),
        sa.Column("due_time", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=True),
        sa.Column("status", KEY, nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("report_digest", KEY, nullable=True),
        sa.Column("run_id", KEY, nullable=True),
        sa.Column("actor", KEY, nullable=False),
        sa.Column("start_time", sa.BigInteger(), nullable=False),
        sa.Column("end_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_monitor_checks")),
        sa.UniqueConstraint("monitor_id", "due_time", name=op.f("uq_monitor_checks_monitor_id_due_time")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_monitor_checks_model_id_version", "monitor_checks", ["model_id", "version", "end_time"])
    op.create_table(
        "incidents",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("model_id", ID, nullable=False),
        sa.Column("cause", KEY, nullable=False),
        sa.Column("status", KEY, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("monitor_id", ID, nullable=True),
        sa.Column("check_id", ID, nullable=False),
        sa.Column("run_id", KEY, nullable=True),
        sa.Column("report_digest", KEY, nullable=True),
        sa.Column("figures", sa.Text(), nullable=False),
        sa.Column("opened_us", sa.BigInteger(), nullable=False),
        sa.Column("changed_us", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", KEY, nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["model_id"], ["registered_models.id"], name=op.f("fk_incidents_model_id")),
        sa.ForeignKeyConstraint(["check_id"], ["monitor_checks.id"], name=op.f("fk_incidents_check_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_incidents_model_id", "incidents", ["model_id"])
    not_closed = sa.text("status <> 'closed'")
    op.create_index(
        "uq_incidents_not_closed",
        "incidents",
        ["model_id", "cause"],
        unique=True,
        sqlite_where=not_closed,
        postgresql_where=not_closed,
    )
    op.create_table(
        "trigger_deliveries",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("check_id", ID, nullable=False),
        sa.Column("trigger_name", KEY, nullable=False),
        sa.Column("state", KEY, nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("next_time", sa.BigInteger(), nullable=False),
        sa.Column("lease_token", KEY, nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("end_time", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["check_id"], ["monitor_checks.id"], name=op.f("fk_trigger_deliveries_check_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trigger_deliveries")),
        sa.UniqueConstraint("check_id", "trigger_name", name=op.f("uq_trigger_deliveries_check_id_trigger_name")),
        sqlite_autoincrement=True,
    )
    pending = sa.text("state = 'pending'")
    op.create_index(
        "ix_trigger_deliveries_pending",
        "trigger_deliveries",
        ["next_time"],
        sqlite_where=pending,
        postgresql_where=pending,
    )


def downgrade() -> None:
    for name in ("trigger_deliveries", "incidents", "monitor_checks", "monitor_guards", "monitors"):
        op.drop_table(name)
