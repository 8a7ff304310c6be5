"""Tables of data sets that models were evaluated on, and of evidence that promotion rules look at."""

from sqlalchemy import BigInteger, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from registry.store.tables.base import ID, NEVER_REUSED, Base, Digest, Id, Key, Millis


class EvaluationDatasetRow(Base):
    """A data set of evaluations. Unlike `datasets` it belongs to no experiment, and its digest covers every row.

    `digest` is MLflow's short one, `sha256` that of the content (see `datasets.content_digest`).
    """

    __tablename__ = "evaluation_datasets"
    __table_args__ = (UniqueConstraint("sha256", "name", "digest"),)

    id: Mapped[Id]
    name: Mapped[Key]
    digest: Mapped[Key]
    sha256: Mapped[Digest]
    schema: Mapped[str | None] = mapped_column(Text)
    row_count: Mapped[int] = mapped_column(BigInteger)


class EvidenceRow(Base):
    """Evidence on a logged model other than its metrics; append-only. `content` is JSON, `kind` says of what form."""

    __tablename__ = "evidence"
    __table_args__ = (Index("ix_evidence_logged_model_id_kind", "logged_model_id", "kind"), NEVER_REUSED)

    id: Mapped[Id]
    logged_model_id: Mapped[int] = mapped_column(ID, ForeignKey("logged_models.id", ondelete="CASCADE"))
    kind: Mapped[Key]
    dataset_id: Mapped[int | None] = mapped_column(ID, ForeignKey("evaluation_datasets.id"))
    run_id: Mapped[int | None] = mapped_column(ID, ForeignKey("runs.id", ondelete="SET NULL"), index=True)
    content: Mapped[str] = mapped_column(Text)
    actor: Mapped[Key]
    timestamp: Mapped[Millis]
