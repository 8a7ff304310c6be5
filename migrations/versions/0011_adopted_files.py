"""Files of imported runs that stay where they are: the place of a run's files, and their digests."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("runs", sa.Column("adopted_location", sa.Text(), nullable=True))
    op.create_table(
        "adopted_files",
        sa.Column("run_id", ID, autoincrement=False, nullable=False),
        sa.Column("path", KEY, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", KEY, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "path", name=op.f("pk_adopted_files")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_adopted_files_run_id"), ondelete="CASCADE"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("adopted_files")
    op.drop_column("runs", "adopted_location")
