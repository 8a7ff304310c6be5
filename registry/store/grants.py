"""GRANT statements of the three PostgreSQL roles, column by column. Returns SQL and runs none.

Guarantees: only a promoter may write the columns and tables that decide which version is in a stage or has an alias,
which versions are deleted, and which rules a stage has.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from registry.exceptions import InvalidParameterError
from registry.store.roles import Role
from registry.store.schema import VERSION_TABLE
from registry.store.tables import Base

_ALL_ROWS: Final = "INSERT, UPDATE, DELETE"
_NOT_FOR_WRITERS: Final = frozenset({"id", "current_stage", "deleted_time"})


def _columns_for_writers(table: str) -> str:
    names = [column.name for column in Base.metadata.tables[table].columns]
    # Quoted: session_user is a word of SQL.
    return ", ".join(f'"{name}"' for name in names if name not in _NOT_FOR_WRITERS)


_WRITER: Final[Mapping[str, str]] = {
    "commit_markers": _ALL_ROWS,
    "registry_id": "UPDATE (last_event, latest_ms)",
    "artifact_roots": "INSERT",
    "experiments": "INSERT, UPDATE (name, lifecycle_stage, last_update_time, deleted_time)",
    "experiment_tags": _ALL_ROWS,
    "runs": "INSERT, UPDATE",
    "adopted_files": "INSERT",
    "params": "INSERT",
    "tags": _ALL_ROWS,
    "latest_metrics": "INSERT, UPDATE",
    "metrics": "INSERT",
    "datasets": "INSERT",
    "dataset_inputs": "INSERT",
    "dataset_input_tags": _ALL_ROWS,
    "logged_models": (
        "INSERT, UPDATE (status, status_message, digest, size_bytes, flavors, signature, last_update_time, "
        "lifecycle_stage, deleted_time)"
    ),
    "logged_model_params": _ALL_ROWS,
    "logged_model_tags": _ALL_ROWS,
    "logged_model_metrics": "INSERT",
    "evaluation_datasets": "INSERT",
    "evidence": "INSERT",
    "run_models": "INSERT, UPDATE",
    "model_files": "INSERT",
    "uploads": "INSERT, DELETE",
    "registered_models": (
        "INSERT, UPDATE (description, last_update_time, last_version, last_seq, last_event_us, head_hash)"
    ),
    "registered_model_tags": _ALL_ROWS,
    "model_versions": f"INSERT ({_columns_for_writers('model_versions')}), UPDATE (description, last_update_time)",
    "model_version_tags": _ALL_ROWS,
    "history": "INSERT",
    "foreign_history": "INSERT",
    "model_signatures": _ALL_ROWS,
    "approvals": "INSERT",
    "monitors": _ALL_ROWS,
    "monitor_checks": "INSERT",
    "incidents": "INSERT, UPDATE (status, opened_us, changed_us, changed_by, reason)",
    "trigger_deliveries": ("INSERT, UPDATE (state, attempts, next_time, lease_token, lease_until, message, end_time)"),
}
_PROMOTER: Final[Mapping[str, str]] = {
    "registered_models": "UPDATE (name, name_key, deleted_time)",
    "model_versions": "UPDATE (current_stage, deleted_time)",
    "model_aliases": _ALL_ROWS,
    "promotion_rules": _ALL_ROWS,
    "stage_periods": "INSERT, UPDATE (since, until)",
    "monitor_guards": "INSERT, DELETE",
}
_PRIVILEGES: Final[Mapping[Role, tuple[Mapping[str, str], ...]]] = {
    Role.READER: (),
    Role.WRITER: (_WRITER,),
    Role.PROMOTER: (_WRITER, _PROMOTER),
}


def grants(role: Role, to: str | None = None, *, speaks_for_others: bool = False) -> str:
    """Return SQL that gives a database user (by default ``registry_<role>``) exactly the rights of a role.

    Run it as the owner of the tables, with the registry's schema first on the search path. Run it again after an
    upgrade of the schema. The user must exist. A user that speaks for others is that of a page which signs its visitors
    in: approvals count for the actor that it names. Without it, a trust given earlier ends.

    Raises:
        InvalidParameterError: The name is not a valid user name.
    """
    user = _quoted(to or f"registry_{role}")
    return "\n".join([f"-- {role} of the registry", *_statements(role, user, speaks_for_others)]) + "\n"


def _statements(role: Role, user: str, speaks_for_others: bool) -> Iterator[str]:
    tables = ", ".join([*sorted(Base.metadata.tables), VERSION_TABLE])
    sequences = ", ".join(_sequences())
    yield "BEGIN;"
    yield f"REVOKE ALL ON TABLE {tables} FROM PUBLIC, {user};"
    yield f"REVOKE ALL ON SEQUENCE {sequences} FROM PUBLIC, {user};"
    yield f"GRANT SELECT ON TABLE {tables} TO {user};"
    if role != Role.READER:
        yield f"GRANT USAGE ON SEQUENCE {sequences} TO {user};"
    for privileges in _PRIVILEGES[role]:
        for table, granted in privileges.items():
            yield f"GRANT {granted} ON TABLE {table} TO {user};"
    # Quoted as a text: a quotation mark in it is doubled.
    literal = "'" + user[1:-1].replace('""', '"').replace("'", "''") + "'"
    yield f"DELETE FROM trusted_pages WHERE db_user = {literal};"  # noqa: S608 - printed, not run
    if speaks_for_others:
        yield f"INSERT INTO trusted_pages (db_user) VALUES ({literal});"  # noqa: S608
    yield "COMMIT;"


def _sequences() -> list[str]:
    """Return the sequences of surrogate keys, as PostgreSQL names them."""
    return [f"{name}_id_seq" for name, table in sorted(Base.metadata.tables.items()) if _has_sequence(table)]


def _has_sequence(table: object) -> bool:
    column = getattr(table, "autoincrement_column", None)
    return column is not None and column.name == "id"


def _quoted(user: str) -> str:
    if not user or len(user.encode()) > 63 or not user.isprintable():
        raise InvalidParameterError(f"{user!r:.80} cannot be the name of a PostgreSQL user: 1 to 63 printable bytes.")
    return '"' + user.replace('"', '""') + '"'
