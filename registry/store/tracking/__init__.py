"""Experiments and runs in SQL."""
