"""The database: tables, schema and the statements on rows. Knows nothing about files and settings."""
