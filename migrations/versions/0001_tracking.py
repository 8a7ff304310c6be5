"""Create experiments, runs and their params, metrics and tags."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "experiments",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("artifact_location", sa.Text(), nullable=False),
        sa.Column("lifecycle_stage", KEY, nullable=False),
        sa.Column("creation_time", sa.BigInteger(), nullable=False),
        sa.Column("last_update_time", sa.BigInteger(), nullable=False),
        sa.Column("deleted_time", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("lifecycle_stage IN ('active', 'deleted')", name=op.f("ck_experiments_lifecycle_stage")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_experiments")),
        sa.UniqueConstraint("name", name=op.f("uq_experiments_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "registry_id",
        sa.Column("one_row", sa.Integer(), server_default=sa.text("1"), autoincrement=False, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("last_event", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("one_row = 1", name=op.f("ck_registry_id_one_row")),
        sa.PrimaryKeyConstraint("one_row", name=op.f("pk_registry_id")),
    )
    op.create_table(
        "datasets",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("experiment_id", ID, nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("digest", KEY, nullable=False),
        sa.Column("source_type", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("schema", sa.Text(), nullable=True),
        sa.Column("profile", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiments.id"], name=op.f("fk_datasets_experiment_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datasets")),
        sa.UniqueConstraint("experiment_id", "name", "digest", name=op.f("uq_datasets_experiment_id_name_digest")),
    )
    op.create_table(
        "experiment_tags",
        sa.Column("experiment_id", ID, autoincrement=False, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_id"], ["experiments.id"], name=op.f("fk_experiment_tags_experiment_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("experiment_id", "key", name=op.f("pk_experiment_tags")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "runs",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("run_id", KEY, nullable=False),
        sa.Column("experiment_id", ID, nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("user_id", KEY, nullable=False),
        sa.Column("status", KEY, nullable=False),
        sa.Column("start_time", sa.BigInteger(), nullable=False),
        sa.Column("end_time", sa.BigInteger(), nullable=True),
        sa.Column("lifecycle_stage", KEY, nullable=False),
        sa.Column("deleted_time", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("lifecycle_stage IN ('active', 'deleted')", name=op.f("ck_runs_lifecycle_stage")),
        sa.CheckConstraint(
            "status IN ('RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED')", name=op.f("ck_runs_status")
        ),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name=op.f("fk_runs_experiment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("run_id", name=op.f("uq_runs_run_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_runs_newest", "runs", ["experiment_id", "lifecycle_stage", "start_time", "run_id"], unique=False
    )
    op.create_table(
        "dataset_inputs",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("run_id", ID, nullable=False),
        sa.Column("dataset_id", ID, nullable=False),
        sa.Column("context", KEY, nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name=op.f("fk_dataset_inputs_dataset_id")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_dataset_inputs_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataset_inputs")),
        sa.UniqueConstraint(
            "run_id", "dataset_id", "context", name=op.f("uq_dataset_inputs_run_id_dataset_id_context")
        ),
    )
    op.create_index(op.f("ix_dataset_inputs_dataset_id"), "dataset_inputs", ["dataset_id"], unique=False)
    op.create_table(
        "latest_metrics",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("run_id", ID, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_latest_metrics_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_latest_metrics")),
        sa.UniqueConstraint("run_id", "key", name=op.f("uq_latest_metrics_run_id_key")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "params",
        sa.Column("run_id", ID, autoincrement=False, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("value", KEY, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_params_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "key", name=op.f("pk_params")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tags",
        sa.Column("run_id", ID, autoincrement=False, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("value", KEY, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_tags_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "key", name=op.f("pk_tags")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "dataset_input_tags",
        sa.Column("input_id", ID, autoincrement=False, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["input_id"], ["dataset_inputs.id"], name=op.f("fk_dataset_input_tags_input_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("input_id", "key", name=op.f("pk_dataset_input_tags")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "metrics",
        sa.Column("series_id", ID, nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
    )
    op.create_index("ix_metrics_series_id_step", "metrics", ["series_id", "step"], unique=False)
    op.execute(sa.text("INSERT INTO registry_id (id) VALUES (:id)").bindparams(id=uuid.uuid4().hex))


def downgrade() -> None:
    op.drop_table("metrics")
    op.drop_table("dataset_input_tags")
    op.drop_table("tags")
    op.drop_table("params")
    op.drop_table("latest_metrics")
    op.drop_table("dataset_inputs")
    op.drop_table("runs")
    op.drop_table("experiment_tags")
    op.drop_table("datasets")
    op.drop_table("registry_id")
    op.drop_table("experiments")
