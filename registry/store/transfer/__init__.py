"""Export and import of models and runs, in SQL."""
