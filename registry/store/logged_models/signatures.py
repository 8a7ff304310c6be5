"""Signatures of logged models in SQL; the caller verifies them.

`registry.store.registry.signing` stores new ones, because the history records them.
"""

from collections.abc import Mapping

from sqlalchemy import Connection, select

from registry.exceptions import LoggedModelNotFoundError
from registry.store.clock import now_ms
from registry.store.dialects import upsert
from registry.store.driver_sql import end_with_next
from registry.store.tables import LoggedModelRow, ModelSignatureRow
from registry.store.transactions import Store, read_transaction


class SignatureStore(Store):
    """The signatures of logged models: one per model and key."""

    @read_transaction
    def find(self, connection: Connection, model_id: str, key_id: str) -> str | None:
        """Return the signature by a key, or None."""
        query = select(ModelSignatureRow.bundle).where(
            ModelSignatureRow.logged_model_id == _key(connection, model_id), ModelSignatureRow.key_id == key_id
        )
        return connection.execute(query).scalar_one_or_none()

    @read_transaction
    def all(self, connection: Connection, model_id: str) -> dict[str, str]:
        """Return all signatures of a model, by key id."""
        query = select(ModelSignatureRow.key_id, ModelSignatureRow.bundle).where(
            ModelSignatureRow.logged_model_id == _key(connection, model_id)
        )
        end_with_next(connection)
        return {row.key_id: row.bundle for row in connection.execute(query.order_by(ModelSignatureRow.key_id))}


def insert_signatures(connection: Connection, model_key: int, bundles: Mapping[str, str]) -> None:
    """Store signatures (key id to bundle) of the logged model with this surrogate key."""
    now = now_ms()
    rows = [
        {"logged_model_id": model_key, "key_id": key_id, "bundle": bundle, "creation_time": now}
        for key_id, bundle in bundles.items()
    ]
    upsert(connection, ModelSignatureRow, rows)


def _key(connection: Connection, model_id: str) -> int:
    key = connection.execute(select(LoggedModelRow.id).where(LoggedModelRow.model_id == model_id)).scalar()
    if key is None:
        raise LoggedModelNotFoundError(f"Logged model with ID '{model_id}' not found.")
    return int(key)
