"""Create logged models, registered models and their versions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "registered_models",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("uid", KEY, nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("name_key", KEY, nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("creation_time", sa.BigInteger(), nullable=False),
        sa.Column("last_update_time", sa.BigInteger(), nullable=False),
        sa.Column("deleted_time", sa.BigInteger(), nullable=True),
        sa.Column("last_version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_event_us", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("head_hash", KEY, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registered_models")),
        sa.UniqueConstraint("uid", name=op.f("uq_registered_models_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_registered_models_name", "registered_models", ["name"], unique=False)
    op.create_index(
        "uq_registered_models_living_name",
        "registered_models",
        ["name_key"],
        unique=True,
        sqlite_where=sa.text("deleted_time IS NULL"),
        postgresql_where=sa.text("deleted_time IS NULL"),
    )
    op.create_table(
        "registered_model_tags",
        sa.Column("model_id", ID, autoincrement=False, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("value", KEY, nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"], ["registered_models.id"], name=op.f("fk_registered_model_tags_model_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("model_id", "key", name=op.f("pk_registered_model_tags")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "uploads",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("model_id", KEY, nullable=False),
        sa.Column("experiment_id", ID, nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name=op.f("fk_uploads_experiment_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
        sa.UniqueConstraint("model_id", name=op.f("uq_uploads_model_id")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "logged_models",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("model_id", KEY, nullable=False),
        sa.Column("experiment_id", ID, nullable=False),
        sa.Column("run_id", ID, nullable=True),
        sa.Column("name", KEY, nullable=False),
        sa.Column("model_type", sa.Text(), nullable=True),
        sa.Column("status", KEY, nullable=False),
        sa.Column("status_message", sa.Text(), nullable=True),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("digest", KEY, nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("flavors", sa.Text(), nullable=True),
        sa.Column("signature", sa.Text(), nullable=True),
        sa.Column("creation_time", sa.BigInteger(), nullable=False),
        sa.Column("last_update_time", sa.BigInteger(), nullable=False),
        sa.Column("lifecycle_stage", KEY, nullable=False),
        sa.Column("deleted_time", sa.BigInteger(), nullable=True),
        sa.Column("purged_time", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("lifecycle_stage IN ('active', 'deleted')", name=op.f("ck_logged_models_lifecycle_stage")),
        sa.CheckConstraint("status <> 'READY' OR digest IS NOT NULL", name=op.f("ck_logged_models_ready_is_sealed")),
        sa.CheckConstraint("status IN ('PENDING', 'READY', 'FAILED')", name=op.f("ck_logged_models_status")),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], name=op.f("fk_logged_models_experiment_id")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_logged_models_run_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_logged_models")),
        sa.UniqueConstraint("model_id", name=op.f("uq_logged_models_model_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_logged_models_newest",
        "logged_models",
        ["experiment_id", "lifecycle_stage", "creation_time", "model_id"],
        unique=False,
    )
    op.create_index(op.f("ix_logged_models_run_id"), "logged_models", ["run_id"], unique=False)
    op.create_table(
        "logged_model_metrics",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("logged_model_id", ID, nullable=False),
        sa.Column("run_id", ID, nullable=True),
        sa.Column("key", KEY, nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("dataset_name", KEY, nullable=True),
        sa.Column("dataset_digest", KEY, nullable=True),
        sa.ForeignKeyConstraint(
            ["logged_model_id"],
            ["logged_models.id"],
            name=op.f("fk_logged_model_metrics_logged_model_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.id"], name=op.f("fk_logged_model_metrics_run_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_logged_model_metrics")),
    )
    op.create_index(
        "ix_logged_model_metrics_logged_model_id_key", "logged_model_metrics", ["logged_model_id", "key"], unique=False
    )
    op.create_index(op.f("ix_logged_model_metrics_run_id"), "logged_model_metrics", ["run_id"], unique=False)
    op.create_table(
        "logged_model_params",
        sa.Column("logged_model_id", ID, autoincrement=False, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("value", KEY, nullable=False),
        sa.ForeignKeyConstraint(
            ["logged_model_id"],
            ["logged_models.id"],
            name=op.f("fk_logged_model_params_logged_model_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("logged_model_id", "key", name=op.f("pk_logged_model_params")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "logged_model_tags",
        sa.Column("logged_model_id", ID, autoincrement=False, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("value", KEY, nullable=False),
        sa.ForeignKeyConstraint(
            ["logged_model_id"],
            ["logged_models.id"],
            name=op.f("fk_logged_model_tags_logged_model_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("logged_model_id", "key", name=op.f("pk_logged_model_tags")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "model_files",
        sa.Column("logged_model_id", ID, autoincrement=False, nullable=False),
        sa.Column("path", KEY, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", KEY, nullable=False),
        sa.ForeignKeyConstraint(
            ["logged_model_id"], ["logged_models.id"], name=op.f("fk_model_files_logged_model_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("logged_model_id", "path", name=op.f("pk_model_files")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "model_versions",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("model_id", ID, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("logged_model_id", ID, nullable=False),
        sa.Column("current_stage", KEY, server_default=sa.text("'None'"), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("run_id", KEY, nullable=True),
        sa.Column("run_link", sa.Text(), nullable=True),
        sa.Column("origin", KEY, nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("user_id", KEY, nullable=True),
        sa.Column("session_user", KEY, nullable=True),
        sa.Column("creation_time", sa.BigInteger(), nullable=False),
        sa.Column("last_update_time", sa.BigInteger(), nullable=False),
        sa.Column("deleted_time", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "current_stage IN ('None', 'Staging', 'Production', 'Archived')",
            name=op.f("ck_model_versions_current_stage"),
        ),
        sa.CheckConstraint(
            "deleted_time IS NULL OR current_stage = 'None'", name=op.f("ck_model_versions_deleted_has_no_stage")
        ),
        sa.CheckConstraint("version > 0", name=op.f("ck_model_versions_version")),
        sa.ForeignKeyConstraint(
            ["logged_model_id"], ["logged_models.id"], name=op.f("fk_model_versions_logged_model_id")
        ),
        sa.ForeignKeyConstraint(["model_id"], ["registered_models.id"], name=op.f("fk_model_versions_model_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_versions")),
        sa.UniqueConstraint("model_id", "version", name=op.f("uq_model_versions_model_id_version")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_model_versions_logged_model_id"), "model_versions", ["logged_model_id"], unique=False)
    op.create_index(op.f("ix_model_versions_run_id"), "model_versions", ["run_id"], unique=False)
    op.create_index(
        "uq_model_versions_living_origin",
        "model_versions",
        ["model_id", "origin"],
        unique=True,
        sqlite_where=sa.text("deleted_time IS NULL"),
        postgresql_where=sa.text("deleted_time IS NULL"),
    )
    op.create_index(
        "uq_model_versions_one_production",
        "model_versions",
        ["model_id"],
        unique=True,
        sqlite_where=sa.text("current_stage = 'Production'"),
        postgresql_where=sa.text("current_stage = 'Production'"),
    )
    op.create_index(
        "uq_model_versions_one_staging",
        "model_versions",
        ["model_id"],
        unique=True,
        sqlite_where=sa.text("current_stage = 'Staging'"),
        postgresql_where=sa.text("current_stage = 'Staging'"),
    )
    op.create_table(
        "run_models",
        sa.Column("run_id", ID, autoincrement=False, nullable=False),
        sa.Column("direction", KEY, nullable=False),
        sa.Column("logged_model_id", ID, autoincrement=False, nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("direction IN ('input', 'output')", name=op.f("ck_run_models_direction")),
        sa.ForeignKeyConstraint(
            ["logged_model_id"], ["logged_models.id"], name=op.f("fk_run_models_logged_model_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_models_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "direction", "logged_model_id", name=op.f("pk_run_models")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_run_models_logged_model_id"), "run_models", ["logged_model_id"], unique=False)
    op.create_table(
        "model_aliases",
        sa.Column("model_id", ID, autoincrement=False, nullable=False),
        sa.Column("alias", KEY, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id", "version"],
            ["model_versions.model_id", "model_versions.version"],
            name=op.f("fk_model_aliases_model_id_version"),
        ),
        sa.PrimaryKeyConstraint("model_id", "alias", name=op.f("pk_model_aliases")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_model_aliases_model_id_version", "model_aliases", ["model_id", "version"], unique=False)
    op.create_table(
        "model_version_tags",
        sa.Column("version_id", ID, autoincrement=False, nullable=False),
        sa.Column("key", KEY, nullable=False),
        sa.Column("value", KEY, nullable=False),
        sa.ForeignKeyConstraint(
            ["version_id"], ["model_versions.id"], name=op.f("fk_model_version_tags_version_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("version_id", "key", name=op.f("pk_model_version_tags")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("model_version_tags")
    op.drop_table("model_aliases")
    op.drop_table("run_models")
    op.drop_table("model_versions")
    op.drop_table("model_files")
    op.drop_table("logged_model_tags")
    op.drop_table("logged_model_params")
    op.drop_table("logged_model_metrics")
    op.drop_table("logged_models")
    op.drop_table("uploads")
    op.drop_table("registered_model_tags")
    op.drop_table("registered_models")
