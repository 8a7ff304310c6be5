"""Facts about rows outside the history that the event of a new version covers.

Guarantees: the facts written into the event and those read from the tables by `verify` have the same form.
"""

import json
from collections import defaultdict
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select

from registry.entities.history import digest_of
from registry.store.compiled_statements import Compiled, named_rows
from registry.store.driver_sql import Statement
from registry.store.tables import LoggedModelRow, ModelSignatureRow, ModelVersionRow


def recorded_of(creation_time: int, run_link: str | None, flavors: str | None, signature: str | None) -> dict[str, Any]:
    """Return the recorded facts of a version and its logged model; flavors and signature are given as stored JSON.

    The signature of inputs and outputs may be long, so its digest is recorded.
    """
    return {
        "creation_time": creation_time,
        "run_link": run_link,
        "flavors": json.loads(flavors or "[]"),
        "signature": None if signature is None else digest_of(signature),
    }


def signature_digest(bundle: str, creation_time: int) -> str:
    """Return the digest by which an event covers a cryptographic signature."""
    return digest_of([bundle, creation_time])


SIGNATURES: Final = Compiled(
    select(ModelSignatureRow.__table__).where(
        ModelSignatureRow.logged_model_id
        == select(LoggedModelRow.id).where(LoggedModelRow.model_id == bindparam("public_id")).scalar_subquery()
    )
)
"""The query of a logged model's signatures."""


def signatures_of(answered: Statement) -> dict[str, str]:
    """Return the digests of the signatures that `SIGNATURES` found, by key id."""
    assert answered.answer is not None  # noqa: S101 - the caller waited for it
    return {row.key_id: signature_digest(row.bundle, row.creation_time) for row in named_rows(answered.answer)}


def signatures_of_versions(connection: Connection, model_key: int) -> defaultdict[int, dict[str, str]]:
    """Return the digests of the signatures of all versions of a model, by logged model and key id."""
    named = select(ModelVersionRow.logged_model_id).where(ModelVersionRow.model_id == model_key)
    query = select(ModelSignatureRow.__table__).where(ModelSignatureRow.logged_model_id.in_(named))
    digests: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for row in connection.execute(query):
        digests[row.logged_model_id][row.key_id] = signature_digest(row.bundle, row.creation_time)
    return digests
