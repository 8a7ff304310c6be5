"""A training that logs one point at a time; prints its processor time as JSON: to its first point, and in all."""

import json
import sys
import time


def main(url: str, points: int, pause: float) -> None:
    """Log the points of one run, with a pause after each."""
    import registry as mlflow

    mlflow.set_tracking_uri(url)
    mlflow.set_experiment("many processes")
    with mlflow.start_run():
        mlflow.log_metric("loss", 1.0, step=0)
        first = time.process_time()
        for step in range(1, points):
            time.sleep(pause)
            mlflow.log_metric("loss", 1.0 / (step + 1), step=step)
        time.sleep(pause)
    print(json.dumps({"first": first, "all": time.process_time()}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
