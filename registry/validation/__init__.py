"""Rules for names, paths and values that callers pass in."""
