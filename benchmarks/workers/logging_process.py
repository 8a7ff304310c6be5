"""Trainings that log one point at a time; each prints its processor time as JSON: to its first point, and in all.

With a number of processes, they are forked from this one once it has imported the library, as multiprocessing does.
"""

import json
import multiprocessing
import os
import sys
import time


def main(url: str, points: int, pause: float, processes: int = 0) -> None:
    """Log the points of one run per process, with a pause after each."""
    import registry as mlflow

    mlflow.set_tracking_uri(url)
    mlflow.set_experiment("many processes")
    if not processes:
        _train(points, pause)
        return
    mlflow.disconnect()
    context = multiprocessing.get_context("fork")
    started = [context.Process(target=_train, args=(points, pause)) for _ in range(processes)]
    for process in started:
        process.start()
    for process in started:
        process.join()


def _train(points: int, pause: float) -> None:
    import registry as mlflow

    with mlflow.start_run():
        mlflow.log_metric("loss", 1.0, step=0)
        first = time.process_time()
        for step in range(1, points):
            time.sleep(pause)
            mlflow.log_metric("loss", 1.0 / (step + 1), step=step)
        time.sleep(pause)
    line = json.dumps({"first": first, "all": time.process_time()})
    os.write(sys.stdout.fileno(), f"{line}\n".encode())  # at once: others write to the same pipe


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), *map(int, sys.argv[4:]))
