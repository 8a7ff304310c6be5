"""Tables of data sets that models were evaluated on, and of evidence that promotion rules look at."""

from sqlalchemy import BigInteger, ColumnElement, ForeignKey, Index, Text, UniqueConstraint

from registry.store.tables.base import ID, NEVER_REUSED, Base, Digest, Id, Key, Millis, column


class EvaluationDatasetRow(Base):
    """A data set of evaluations. Unlike `datasets` it belongs to no experiment, and its digest covers every row.

    `digest` is MLflow's short one, `sha256` that of the content (see `datasets.content_digest`).
    """

    __tablename__ = "evaluation_datasets"
    __table_args__ = (UniqueConstraint("sha256", "name", "digest"),)

    id: ColumnElement[Id]
    name: ColumnElement[Key]
    digest: ColumnElement[Key]
    sha256: ColumnElement[Digest]
    schema: ColumnElement[str | None] = column(Text)
    row_count: ColumnElement[int] = column(BigInteger)


class EvidenceRow(Base):
    """Evidence on a logged model other than its metrics; append-only. `content` is JSON, `kind` says of what form."""

    __tablename__ = "evidence"
    __table_args__ = (Index("ix_evidence_logged_model_id_kind", "logged_model_id", "kind"), NEVER_REUSED)

    id: ColumnElement[Id]
    logged_model_id: ColumnElement[int] = column(ID, ForeignKey("logged_models.id", ondelete="CASCADE"))
    kind: ColumnElement[Key]
    dataset_id: ColumnElement[int | None] = column(ID, ForeignKey("evaluation_datasets.id"))
    run_id: ColumnElement[int | None] = column(ID, ForeignKey("runs.id", ondelete="SET NULL"), index=True)
    content: ColumnElement[str] = column(Text)
    actor: ColumnElement[Key]
    timestamp: ColumnElement[Millis]
