"""Mark experiments whose contents gc removed: the row stays for versions that refer to it, and its name is free."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

# Repeat what reflection does not see, so that the rebuilt SQLite table keeps it: AUTOINCREMENT.
REBUILT = {"table_kwargs": {"sqlite_autoincrement": True}}


def upgrade() -> None:
    with op.batch_alter_table("experiments", **REBUILT) as batch:
        batch.add_column(sa.Column("purged_time", sa.BigInteger(), nullable=True))
        batch.drop_constraint(op.f("uq_experiments_name"), type_="unique")
    kept = sa.text("purged_time IS NULL")
    op.create_index(
        "uq_experiments_kept_name", "experiments", ["name"], unique=True, sqlite_where=kept, postgresql_where=kept
    )


def downgrade() -> None:
    op.execute("UPDATE experiments SET name = name || ' (removed, ' || id || ')' WHERE purged_time IS NOT NULL")
    op.drop_index("uq_experiments_kept_name", "experiments")
    with op.batch_alter_table("experiments", **REBUILT) as batch:
        batch.create_unique_constraint(op.f("uq_experiments_name"), ["name"])
        batch.drop_column("purged_time")
