"""How fast `registry` is beside MLflow's own SQL store and beside hand-written SQL: ``python -m benchmarks``.

`environments` makes the virtual environments, `postgres` a server, `fresh` and `alternating` do the measuring, `work`
says what is measured and `report` prints it. What runs inside the measured processes is in `workers`.
"""
