"""Logged models and their signatures in SQL."""
