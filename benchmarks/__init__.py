"""Measure `registry` beside MLflow's own SQL store and beside hand-written SQL: ``python -m benchmarks``.

`environments` makes the virtual environments, `postgres` starts a server, `fresh` and `measuring` measure, `work` lists
what is measured and `report` prints it. `workers` holds the code that runs inside the measured processes.
"""
