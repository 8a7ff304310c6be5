"""The catalogue of a database as text: tables, columns, keys, indexes with their predicates, CHECKs and triggers."""

import re

from sqlalchemy import Connection, text

from registry.store.engine import Database

_SQLITE = """
SELECT type || ' ' || name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
ORDER BY tbl_name, type DESC, name
"""
_POSTGRES = (
    """
SELECT 'column ' || c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod)
    || CASE WHEN a.attcollation NOT IN (0, 100) THEN ' collate ' || l.collname ELSE '' END
    || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
    || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum LEFT JOIN pg_collation l ON l.oid = a.attcollation
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
""",
    """
SELECT 'constraint ' || conrelid::regclass || '.' || conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f', 'p', 'u')
""",
    """
SELECT 'index ' || tablename || '.' || indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
""",
    """
SELECT 'trigger ' || tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
""",
    """
SELECT 'function ' || proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
""",
)


def snapshot(database: Database) -> str:
    """Return one line per object, sorted, with white space collapsed."""
    return database.read(_lines)


def _lines(connection: Connection) -> str:
    queries = (_SQLITE,) if connection.dialect.name == "sqlite" else _POSTGRES
    found = [(name, body) for query in queries for name, body in connection.execute(text(query))]
    return "".join(f"{name}: {_folded(body)}\n" for name, body in sorted(found))


def _folded(body: str) -> str:
    """Return a definition on one line; constraints are sorted, since SQLite reorders them when it rebuilds a table."""
    line = re.sub(r"\s+", " ", body).strip()
    if not line.startswith("CREATE TABLE"):
        return line
    columns, *constraints = re.split(r", (?=CONSTRAINT )", line[: line.rindex(")")].rstrip())
    return f"{', '.join([columns, *sorted(constraints)])} {line[line.rindex(')') :]}"
