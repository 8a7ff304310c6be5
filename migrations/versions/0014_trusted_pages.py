"""Create the database users whose approvals count for the actor that they name: pages that sign their visitors in."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "trusted_pages",
        sa.Column("db_user", KEY, nullable=False),
        sa.PrimaryKeyConstraint("db_user", name=op.f("pk_trusted_pages")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("trusted_pages")
