"""SQL: tables, migrations and the operations on rows. Knows no bytes, and no settings."""
