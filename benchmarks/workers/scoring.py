"""Score Parquet files, as one program: ``scoring.py prepare|registry|bare DIRECTORY …``."""

import multiprocessing
import shutil
import sys
from pathlib import Path

FEATURES = [f"feature_{number}" for number in range(20)]
BATCH = 128 * 1024


def prepare(directory: Path, rows: int, files: int) -> None:
    """Write the data, train the model, and store it both ways."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq
    import xgboost

    import registry

    numbers = np.random.default_rng(7)
    (directory / "data").mkdir()
    for number in range(files):
        left = rows // files
        with pq.ParquetWriter(
            directory / "data" / f"{number}.parquet", pa.schema([(name, pa.float64()) for name in FEATURES])
        ) as writer:
            while left:
                size = min(BATCH, left)
                writer.write_table(pa.table({name: numbers.normal(size=size) for name in FEATURES}))
                left -= size
    frame = pd.DataFrame(numbers.normal(size=(20_000, len(FEATURES))), columns=FEATURES)
    target = (frame.iloc[:, 0] * frame.iloc[:, 1] + frame.iloc[:, 2] > 0).astype(int)
    model = xgboost.XGBClassifier(n_estimators=100, max_depth=6).fit(frame, target)
    model.save_model(directory / "model.ubj")
    signature = registry.models.infer_signature(frame, model.predict(frame))
    registry.xgboost.log_model(model, name="model", signature=signature, registered_model_name="scored")


def score(directory: Path, processes: int, threads: int) -> None:
    """Score with `score_parquet`."""
    import registry

    registry.scoring.score_parquet(
        "models:/scored/1", directory / "data", directory / "registry", workers=processes, nthread=threads or None
    )


def bare(directory: Path, processes: int, threads: int) -> None:
    """Score with xgboost and pyarrow alone."""
    (directory / "bare").mkdir()
    tasks = [(file, directory / "bare" / file.name, threads) for file in sorted((directory / "data").iterdir())]
    if processes == 1:
        for task in tasks:
            bare_file(*task)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.starmap(bare_file, tasks, chunksize=1)


def bare_file(source: Path, target: Path, threads: int) -> None:
    """Score one file."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import xgboost

    model = xgboost.XGBClassifier(n_jobs=threads or None)
    model.load_model(source.parent.parent / "model.ubj")
    if threads:
        model.get_booster().set_param({"nthread": threads})
    with (
        pq.ParquetFile(source, memory_map=True) as file,
        pq.ParquetWriter(target, pa.schema([("prediction", pa.int64())])) as writer,
    ):
        for batch in file.iter_batches(BATCH, use_threads=threads != 1):
            writer.write_table(pa.table({"prediction": model.predict(batch.to_pandas())}))


if __name__ == "__main__":
    what, place, *numbers = sys.argv[1:]
    shutil.rmtree(Path(place, what), ignore_errors=True)
    {"prepare": prepare, "registry": score, "bare": bare}[what](Path(place), *map(int, numbers))
