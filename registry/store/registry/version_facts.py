"""What the event of a new version says of rows that its history would not speak of otherwise.

Invariant: what is written into the event and what is read from the tables later have one form.
"""

import json
from collections import defaultdict
from typing import Any

from sqlalchemy import Connection, select

from registry.entities.history import digest_of
from registry.store.tables import ModelSignatureRow, ModelVersionRow


def recorded_of(creation_time: int, run_link: str | None, flavors: str | None, signature: str | None) -> dict[str, Any]:
    """What is recorded of a version and its logged model, whose flavors and signature are given as they are stored.

    The signature of inputs and outputs is covered by its digest, as it may be long.
    """
    return {
        "creation_time": creation_time,
        "run_link": run_link,
        "flavors": json.loads(flavors or "[]"),
        "signature": None if signature is None else digest_of(signature),
    }


def signature_digest(bundle: str, creation_time: int) -> str:
    """How an event covers somebody's signature of a model."""
    return digest_of([bundle, creation_time])


def signatures_of(connection: Connection, logged_model_key: int) -> dict[str, str]:
    """The digests of a logged model's signatures, by the id of the key."""
    query = select(ModelSignatureRow.__table__).where(ModelSignatureRow.logged_model_id == logged_model_key)
    return {row.key_id: signature_digest(row.bundle, row.creation_time) for row in connection.execute(query)}


def signatures_of_versions(connection: Connection, model_key: int) -> defaultdict[int, dict[str, str]]:
    """The digests of the signatures of all versions of a model, by the key of the logged model."""
    named = select(ModelVersionRow.logged_model_id).where(ModelVersionRow.model_id == model_key)
    query = select(ModelSignatureRow.__table__).where(ModelSignatureRow.logged_model_id.in_(named))
    found: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for row in connection.execute(query):
        found[row.logged_model_id][row.key_id] = signature_digest(row.bundle, row.creation_time)
    return found
