"""Client methods that store, list and download the files of runs."""
