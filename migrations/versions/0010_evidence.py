"""Store the data set of an evaluation with each metric, and evidence on models that promotion rules look at."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "evaluation_datasets",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("digest", KEY, nullable=False),
        sa.Column("sha256", KEY, nullable=False),
        sa.Column("schema", sa.Text(), nullable=True),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation_datasets")),
        sa.UniqueConstraint("sha256", "name", "digest", name=op.f("uq_evaluation_datasets_sha256_name_digest")),
    )
    op.create_table(
        "evidence",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("logged_model_id", ID, nullable=False),
        sa.Column("kind", KEY, nullable=False),
        sa.Column("dataset_id", ID, nullable=True),
        sa.Column("run_id", ID, nullable=True),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("actor", KEY, nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["logged_model_id"],
            ["logged_models.id"],
            name=op.f("fk_evidence_logged_model_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["dataset_id"], ["evaluation_datasets.id"], name=op.f("fk_evidence_dataset_id")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_evidence_run_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evidence")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_evidence_logged_model_id_kind", "evidence", ["logged_model_id", "kind"])
    op.create_index(op.f("ix_evidence_run_id"), "evidence", ["run_id"])
    with op.batch_alter_table("logged_model_metrics") as batch:
        batch.add_column(sa.Column("evaluation_dataset_id", ID, nullable=True))
        batch.create_foreign_key(
            op.f("fk_logged_model_metrics_evaluation_dataset_id"),
            "evaluation_datasets",
            ["evaluation_dataset_id"],
            ["id"],
        )


def downgrade() -> None:
    with op.batch_alter_table("logged_model_metrics") as batch:
        batch.drop_constraint(op.f("fk_logged_model_metrics_evaluation_dataset_id"), type_="foreignkey")
        batch.drop_column("evaluation_dataset_id")
    op.drop_table("evidence")
    op.drop_table("evaluation_datasets")
