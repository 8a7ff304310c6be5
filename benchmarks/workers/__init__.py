"""What runs inside the measured processes: scripts of their own, with nothing of `benchmarks` imported."""
