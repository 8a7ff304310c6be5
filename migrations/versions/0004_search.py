"""Add the experiment to latest metric values, and index them by value within it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# Repeat what reflection does not see, so that the rebuilt SQLite table keeps it.
REBUILT = {"table_kwargs": {"sqlite_autoincrement": True}}


def upgrade() -> None:
    op.add_column("latest_metrics", sa.Column("experiment_id", ID, nullable=True))
    op.execute(
        "UPDATE latest_metrics SET experiment_id = "
        "(SELECT runs.experiment_id FROM runs WHERE runs.id = latest_metrics.run_id)"
    )
    with op.batch_alter_table("latest_metrics", **REBUILT) as batch:
        batch.alter_column("experiment_id", existing_type=ID, nullable=False)
    op.create_index("ix_latest_metrics_value", "latest_metrics", ["experiment_id", "key", "value", "run_id"])


def downgrade() -> None:
    op.drop_index("ix_latest_metrics_value", "latest_metrics")
    with op.batch_alter_table("latest_metrics", **REBUILT) as batch:
        batch.drop_column("experiment_id")
