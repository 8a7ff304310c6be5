"""Create the imported histories of models and the signatures of logged models."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# Append-only like `history`, by the same triggers (see 0003).
REFUSAL = "BEGIN SELECT RAISE(ABORT, 'history is append-only'); END"
SQLITE_TRIGGERS = {
    "foreign_history_no_update": f"BEFORE UPDATE ON foreign_history {REFUSAL}",
    "foreign_history_no_delete": f"BEFORE DELETE ON foreign_history {REFUSAL}",
    "foreign_history_no_replace": (
        "BEFORE INSERT ON foreign_history "
        "WHEN EXISTS (SELECT 1 FROM foreign_history "
        "WHERE model_id = NEW.model_id AND segment = NEW.segment AND seq = NEW.seq) "
        "BEGIN SELECT RAISE(ABORT, 'history is append-only'); END"
    ),
}
POSTGRES_TRIGGERS = {
    "foreign_history_no_change": (
        "BEFORE UPDATE OR DELETE ON foreign_history FOR EACH ROW EXECUTE FUNCTION history_is_append_only()"
    ),
    "foreign_history_no_truncate": (
        "BEFORE TRUNCATE ON foreign_history FOR EACH STATEMENT EXECUTE FUNCTION history_is_append_only()"
    ),
}


def upgrade() -> None:
    op.create_table(
        "foreign_history",
        sa.Column("model_id", ID, autoincrement=False, nullable=False),
        sa.Column("segment", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["registered_models.id"], name=op.f("fk_foreign_history_model_id")),
        sa.PrimaryKeyConstraint("model_id", "segment", "seq", name=op.f("pk_foreign_history")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "model_signatures",
        sa.Column("logged_model_id", ID, autoincrement=False, nullable=False),
        sa.Column("key_id", KEY, nullable=False),
        sa.Column("bundle", sa.Text(), nullable=False),
        sa.Column("creation_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["logged_model_id"],
            ["logged_models.id"],
            name=op.f("fk_model_signatures_logged_model_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("logged_model_id", "key_id", name=op.f("pk_model_signatures")),
        sqlite_with_rowid=False,
    )
    triggers = SQLITE_TRIGGERS if op.get_bind().dialect.name == "sqlite" else POSTGRES_TRIGGERS
    for name, body in triggers.items():
        op.execute(f"CREATE TRIGGER {name} {body}")


def downgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        for name in POSTGRES_TRIGGERS:
            op.execute(f"DROP TRIGGER {name} ON foreign_history")
    op.drop_table("model_signatures")
    op.drop_table("foreign_history")
