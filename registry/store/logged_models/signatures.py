"""Signatures of logged models in SQL; the caller verifies them.

`registry.store.registry.signing` stores new ones, because the history records them.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, bindparam, select

from registry.exceptions import LoggedModelNotFoundError
from registry.store.clock import now_ms
from registry.store.compiled_statements import Compiled
from registry.store.dialects import upsert
from registry.store.tables import LoggedModelRow, ModelSignatureRow
from registry.store.transactions import Store, single_query


class SignatureStore(Store):
    """The signatures of logged models: one per model and key."""

    def find(self, model_id: str, key_id: str) -> str | None:
        """Return the signature by a key, or None."""
        return self.all(model_id).get(key_id)

    @single_query
    def all(self, connection: Connection, model_id: str) -> dict[str, str]:
        """Return all signatures of a model, by key id.

        Raises:
            LoggedModelNotFoundError: There is no such model.
        """
        rows = _SIGNATURES.tuples(connection, {"public_id": model_id})
        if not rows:
            raise LoggedModelNotFoundError(f"Logged model with ID '{model_id}' not found.")
        return {key_id: bundle for key_id, bundle in rows if key_id is not None}


def insert_signatures(connection: Connection, model_key: int, bundles: Mapping[str, str]) -> None:
    """Store signatures (key id to bundle) of the logged model with this surrogate key."""
    now = now_ms()
    rows = [
        {"logged_model_id": model_key, "key_id": key_id, "bundle": bundle, "creation_time": now}
        for key_id, bundle in bundles.items()
    ]
    upsert(connection, ModelSignatureRow, rows)


# A model without signatures has one row of NULLs.
_SIGNATURES: Final = Compiled(
    select(ModelSignatureRow.key_id, ModelSignatureRow.bundle)
    .select_from(LoggedModelRow)
    .outerjoin(ModelSignatureRow, ModelSignatureRow.logged_model_id == LoggedModelRow.id)
    .where(LoggedModelRow.model_id == bindparam("public_id"))
    .order_by(ModelSignatureRow.key_id)
)
