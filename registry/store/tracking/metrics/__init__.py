"""Metric points in SQL: write, bulk write, read, sample."""
