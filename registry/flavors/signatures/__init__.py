"""Infer model signatures from data and enforce them on data."""
