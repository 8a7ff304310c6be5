"""Store signatures of logged models, with an event for every version of the model.

Guarantees: if a version is created while its model is signed, the signature is in its creation event or in a later one,
because both transactions lock the logged model.
"""

from sqlalchemy import Connection, select

from registry.entities.history import EventKind
from registry.exceptions import LoggedModelNotFoundError
from registry.store.clock import now_ms
from registry.store.dialects import AnyRow, upsert
from registry.store.registry.creation_event import signature_digest
from registry.store.registry.history_writer import LockedModel, RegistryStore, lock_model
from registry.store.tables import LoggedModelRow, ModelSignatureRow, ModelVersionRow, RegisteredModelRow
from registry.store.transactions import write_transaction


class SigningStore(RegistryStore):
    """Stores one signature per logged model and key."""

    @write_transaction
    def sign(self, connection: Connection, model_id: str, key_id: str, bundle: str) -> None:
        """Store a signature, replacing an earlier one by the same key.

        Raises:
            LoggedModelNotFoundError: There is no such logged model.
        """
        models: dict[str, LockedModel] = {}
        self._lock_models(connection, _versions(connection, model_id), models)
        this = LoggedModelRow.model_id == model_id
        key = connection.execute(select(LoggedModelRow.id).where(this).with_for_update()).scalar()
        if key is None:
            raise LoggedModelNotFoundError(f"Logged model with ID '{model_id}' not found.")
        versions = _versions(connection, model_id)  # again: one may have been created before the lock
        self._lock_models(connection, versions, models)
        now = now_ms()
        row = {"logged_model_id": key, "key_id": key_id, "bundle": bundle, "creation_time": now}
        upsert(connection, ModelSignatureRow, [row])
        details = {"key_id": key_id, "model_id": model_id, "signature": signature_digest(bundle, now)}
        for version in versions:
            models[version.name].record(EventKind.SIGNED, version=version.version, details=details)
        for model in models.values():
            model.save()

    def _lock_models(self, connection: Connection, versions: list[AnyRow], models: dict[str, LockedModel]) -> None:
        for name in sorted({version.name for version in versions} - set(models)):
            models[name] = LockedModel(
                connection, lock_model(connection, name), self.actor, ignore_clock=self.ignore_clock
            )


def _versions(connection: Connection, model_id: str) -> list[AnyRow]:
    """Return the versions of a logged model, deleted or not, in models that are not deleted."""
    query = (
        select(RegisteredModelRow.name, ModelVersionRow.version)
        .join(ModelVersionRow, ModelVersionRow.model_id == RegisteredModelRow.id)
        .join(LoggedModelRow, LoggedModelRow.id == ModelVersionRow.logged_model_id)
        .where(LoggedModelRow.model_id == model_id, RegisteredModelRow.deleted_time.is_(None))
        .order_by(RegisteredModelRow.name, ModelVersionRow.version)
    )
    return list(connection.execute(query))
