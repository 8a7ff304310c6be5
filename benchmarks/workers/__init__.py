"""Code that runs inside the measured processes: separate scripts that import nothing of `benchmarks`."""
