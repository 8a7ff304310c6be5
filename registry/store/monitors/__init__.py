"""Monitors in SQL: what is checked and when, which runner has a due check, and what was checked."""
