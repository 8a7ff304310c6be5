"""Create garbage collection's tables: bytes to remove, runs without files and points, and its latest clock reading."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "removals",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("experiment_id", ID, nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name=op.f("fk_removals_experiment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_removals")),
        sqlite_autoincrement=True,
    )
    op.add_column("runs", sa.Column("purged_time", sa.BigInteger(), nullable=True))
    op.add_column("registry_id", sa.Column("latest_ms", sa.BigInteger(), server_default=sa.text("0"), nullable=False))


def downgrade() -> None:
    op.drop_column("registry_id", "latest_ms")
    op.drop_column("runs", "purged_time")
    op.drop_table("removals")
