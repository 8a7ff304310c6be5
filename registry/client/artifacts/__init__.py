"""Client methods for the files of a run: log, list, download."""
