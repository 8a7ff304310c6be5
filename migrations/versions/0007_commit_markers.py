"""Create the token of each writer's last transaction, to look up a COMMIT whose response was lost."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "commit_markers",
        sa.Column("writer", KEY, nullable=False),
        sa.Column("token", KEY, nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("writer", name=op.f("pk_commit_markers")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("commit_markers")
