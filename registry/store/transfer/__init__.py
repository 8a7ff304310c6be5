"""Models and runs that leave for, or come from, another registry, in SQL."""
