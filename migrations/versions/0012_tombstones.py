"""Create the ids of runs and logged models that gc removed, so that a later copy does not bring them back."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "tombstones",
        sa.Column("public_id", KEY, nullable=False),
        sa.Column("removed_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("public_id", name=op.f("pk_tombstones")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("tombstones")
