"""Create the index that finds the events of one model version, however long its model's history is."""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_index("ix_history_model_id_version", "history", ["model_id", "version", "seq"])


def downgrade() -> None:
    op.drop_index("ix_history_model_id_version", table_name="history")
