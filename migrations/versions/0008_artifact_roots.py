"""Create the artifact roots that this database owns, with the number of garbage collections in each."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "artifact_roots",
        sa.Column("root", KEY, nullable=False),
        sa.Column("database", KEY, nullable=False),
        sa.Column("server", KEY, nullable=True),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("token", KEY, nullable=False),
        sa.Column("previous_token", KEY, nullable=True),
        sa.PrimaryKeyConstraint("root", name=op.f("pk_artifact_roots")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("artifact_roots")
