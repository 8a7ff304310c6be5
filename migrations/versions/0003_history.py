"""Create the append-only history, stage periods, promotion rules and approvals."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# The history is append-only for every program. On SQLite, INSERT OR REPLACE does not fire a DELETE trigger
# (recursive_triggers is off by default), so an INSERT with an existing key is refused as well.
SQLITE_TRIGGERS = {
    "history_no_update": "BEFORE UPDATE ON history BEGIN SELECT RAISE(ABORT, 'history is append-only'); END",
    "history_no_delete": "BEFORE DELETE ON history BEGIN SELECT RAISE(ABORT, 'history is append-only'); END",
    "history_no_replace": (
        "BEFORE INSERT ON history "
        "WHEN EXISTS (SELECT 1 FROM history WHERE id = NEW.id OR (model_id = NEW.model_id AND seq = NEW.seq)) "
        "BEGIN SELECT RAISE(ABORT, 'history is append-only'); END"
    ),
}
POSTGRES_FUNCTION = """
CREATE FUNCTION history_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'history is append-only' USING ERRCODE = 'insufficient_privilege';
END $$
"""
# The database records who inserts one of these rows; the program cannot claim another name.
STAMPED_TABLES = ("history", "approvals", "model_versions")
POSTGRES_STAMP = """
CREATE FUNCTION stamp_session_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.session_user := session_user;
    RETURN NEW;
END $$
"""
# A version's model never changes: the right to finalize a model does not allow replacing the files of a sealed one.
SEALED_COLUMNS = ("model_id", "experiment_id", "location", "digest", "flavors", "signature")
SQLITE_SEAL = (
    f"CREATE TRIGGER logged_models_stay_sealed BEFORE UPDATE OF {', '.join(SEALED_COLUMNS)} ON logged_models "
    f"WHEN OLD.digest IS NOT NULL AND ({' OR '.join(f'NEW.{name} IS NOT OLD.{name}' for name in SEALED_COLUMNS)}) "
    "BEGIN SELECT RAISE(ABORT, 'a sealed logged model never changes'); END"
)
POSTGRES_SEAL_FUNCTION = """
CREATE FUNCTION logged_model_is_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a sealed logged model never changes' USING ERRCODE = 'insufficient_privilege';
END $$
"""
POSTGRES_SEAL = (
    "CREATE TRIGGER logged_models_stay_sealed BEFORE UPDATE ON logged_models FOR EACH ROW WHEN (OLD.digest IS NOT NULL "
    f"AND ({' OR '.join(f'NEW.{name} IS DISTINCT FROM OLD.{name}' for name in SEALED_COLUMNS)})) "
    "EXECUTE FUNCTION logged_model_is_sealed()"
)
POSTGRES_TRIGGERS = {
    "history_no_change": "BEFORE UPDATE OR DELETE ON history FOR EACH ROW EXECUTE FUNCTION history_is_append_only()",
    "history_no_truncate": "BEFORE TRUNCATE ON history FOR EACH STATEMENT EXECUTE FUNCTION history_is_append_only()",
}


def upgrade() -> None:
    op.create_table(
        "history",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("model_id", ID, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("kind", KEY, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=True),
        sa.Column("from_value", KEY, nullable=True),
        sa.Column("to_value", KEY, nullable=True),
        sa.Column("actor", KEY, nullable=False),
        sa.Column("session_user", KEY, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.Column("details", sa.Text(), nullable=True),
        sa.Column("prev_hash", KEY, nullable=True),
        sa.Column("hash", KEY, nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["registered_models.id"], name=op.f("fk_history_model_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_history")),
        sa.UniqueConstraint("model_id", "seq", name=op.f("uq_history_model_id_seq")),
    )
    op.create_index(
        "ix_history_renamed_from",
        "history",
        ["from_value"],
        unique=False,
        sqlite_where=sa.text("kind = 'renamed'"),
        postgresql_where=sa.text("kind = 'renamed'"),
    )
    op.create_table(
        "promotion_rules",
        sa.Column("model_id", ID, autoincrement=False, nullable=False),
        sa.Column("stage", KEY, nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"], ["registered_models.id"], name=op.f("fk_promotion_rules_model_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("model_id", "stage", name=op.f("pk_promotion_rules")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "stage_periods",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("model_id", ID, nullable=False),
        sa.Column("stage", KEY, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("before", ID, nullable=True),
        sa.ForeignKeyConstraint(["before"], ["stage_periods.id"], name=op.f("fk_stage_periods_before")),
        sa.ForeignKeyConstraint(["model_id"], ["registered_models.id"], name=op.f("fk_stage_periods_model_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stage_periods")),
        sa.UniqueConstraint("model_id", "stage", "since", name=op.f("uq_stage_periods_model_id_stage_since")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_stage_periods_version", "stage_periods", ["model_id", "version", "stage"], unique=False)
    op.create_index(
        "uq_stage_periods_open",
        "stage_periods",
        ["model_id", "stage"],
        unique=True,
        sqlite_where=sa.text("until IS NULL"),
        postgresql_where=sa.text("until IS NULL"),
    )
    op.create_table(
        "approvals",
        sa.Column("model_id", ID, autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("stage", KEY, nullable=False),
        sa.Column("actor", KEY, nullable=False),
        sa.Column("session_user", KEY, server_default=sa.text("''"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("time_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id", "version"],
            ["model_versions.model_id", "model_versions.version"],
            name=op.f("fk_approvals_model_id_version"),
        ),
        sa.PrimaryKeyConstraint("model_id", "version", "stage", "actor", "session_user", name=op.f("pk_approvals")),
        sqlite_with_rowid=False,
    )
    if op.get_bind().dialect.name == "sqlite":
        triggers = SQLITE_TRIGGERS
        op.execute(SQLITE_SEAL)
    else:
        triggers = POSTGRES_TRIGGERS
        op.execute(POSTGRES_SEAL_FUNCTION)
        op.execute(POSTGRES_SEAL)
        op.execute(POSTGRES_FUNCTION)
        op.execute(POSTGRES_STAMP)
        for table in STAMPED_TABLES:
            body = f"BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION stamp_session_user()"
            op.execute(f"CREATE TRIGGER {table}_stamp_session_user {body}")
    for name, body in triggers.items():
        op.execute(f"CREATE TRIGGER {name} {body}")


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER logged_models_stay_sealed")
    else:
        op.execute("DROP TRIGGER logged_models_stay_sealed ON logged_models")
        op.execute("DROP FUNCTION logged_model_is_sealed()")
        for name in POSTGRES_TRIGGERS:
            op.execute(f"DROP TRIGGER {name} ON history")
        op.execute("DROP FUNCTION history_is_append_only()")
        for table in STAMPED_TABLES:
            op.execute(f"DROP TRIGGER {table}_stamp_session_user ON {table}")
        op.execute("DROP FUNCTION stamp_session_user()")
    op.drop_table("approvals")
    op.drop_table("stage_periods")
    op.drop_table("promotion_rules")
    op.drop_table("history")
