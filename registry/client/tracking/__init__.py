"""Client methods for experiments and runs: create, log, search, read histories."""
