"""Run the parts of a scoring job on this machine, or on Ray, Dask or Spark.

Each part is one task. Guarantees: an error of ours in a worker is raised here as it is, and a failing engine as
`UnavailableError`; what this module started (processes, a local cluster, a session) is stopped in the end.
"""

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from registry.blobs.progress import unwatched
from registry.exceptions import RegistryError, UnavailableError
from registry.flavors.optional_imports import optional_import
from registry.scoring.parts import Part, ScoredPart, score_part
from registry.scoring.predictor import Predictor

Outcome = ScoredPart | RegistryError


def run(
    engine: str,
    parts: Sequence[Part],
    predictor: Predictor,
    *,
    workers: int | None,
    address: str | None,
    advance: Callable[[int], None],
) -> Iterator[ScoredPart]:
    """Score parts and yield each when it is done, in any order.

    Raises:
        RegistryError: A part failed. Those that are done stay.
        UnavailableError: The engine failed.
    """
    if not parts:
        return
    if engine == "local" and workers in (None, 1):
        for part in parts:
            yield score_part(part, predictor, advance)
        return
    count = workers or (1 if engine == "local" else len(os.sched_getaffinity(0)))
    with contextlib.closing(_RUNNERS[engine](parts, predictor, count, address)) as outcomes:
        for outcome in _with_engine_errors(engine, outcomes):
            if isinstance(outcome, RegistryError):
                raise outcome
            advance(outcome.size)
            yield outcome


def attempt(part: Part, predictor: Predictor) -> Outcome:
    """Score a part in a worker; return an error of ours instead of raising it, as engines would wrap it."""
    try:
        return score_part(part, predictor, unwatched)
    except RegistryError as error:
        return error


def _with_engine_errors(engine: str, outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    try:
        yield from outcomes
    except RegistryError:
        raise
    except Exception as error:
        text = (str(error).strip().splitlines() or [""])[0][:500]
        raise UnavailableError(
            f"The engine {engine} failed: {type(error).__name__}: {text}. Finished files stay: repeat the call."
        ) from error


def _local(parts: Sequence[Part], predictor: Predictor, workers: int, _address: str | None) -> Iterator[Outcome]:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed

    # Not by fork: threads of OpenMP do not survive it.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(parts)), mp_context=spawn, initializer=_end_with_parent) as pool:
        futures = [pool.submit(attempt, part, predictor) for part in parts]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """End this worker when its parent was killed; else it would wait forever for more work."""
    import multiprocessing

    def wait() -> None:
        if parent := multiprocessing.parent_process():
            parent.join()
        os._exit(1)

    threading.Thread(target=wait, name="registry-parent", daemon=True).start()


def _ray(parts: Sequence[Part], predictor: Predictor, workers: int, address: str | None) -> Iterator[Outcome]:
    ray = optional_import("ray", "ray")
    is_ours = not ray.is_initialized()
    if is_ours:
        alone = {"include_dashboard": False, "num_cpus": workers} if address is None else {}
        ray.init(address=address, log_to_driver=False, logging_level="error", **alone)
    try:
        task = ray.remote(attempt).options(num_cpus=predictor.nthread or 1)
        shared = ray.put(predictor)
        running = [task.remote(part, shared) for part in parts]
        while running:
            done, running = ray.wait(running)
            yield from ray.get(done)
    finally:
        if is_ours:
            ray.shutdown()


def _dask(parts: Sequence[Part], predictor: Predictor, workers: int, address: str | None) -> Iterator[Outcome]:
    distributed = optional_import("distributed", "dask")
    with contextlib.ExitStack() as stack:
        client = _dask_client(distributed, workers, address, stack)
        futures = client.map(attempt, parts, predictor=predictor, pure=False)
        stack.callback(client.cancel, futures)
        # With the client's loop, because without it as_completed asks for a default client, which ours is not.
        for _, outcome in distributed.as_completed(futures, loop=client.loop, with_results=True):
            yield outcome


def _dask_client(distributed: Any, workers: int, address: str | None, stack: contextlib.ExitStack) -> Any:
    """Return the client of a block around the call, of an address, or of a new cluster on this machine."""
    if address is None:
        with contextlib.suppress(ValueError):
            return distributed.get_client()
        address = stack.enter_context(
            distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.ERROR,
            )
        )
    return stack.enter_context(distributed.Client(address, set_as_default=False))


def _spark(parts: Sequence[Part], predictor: Predictor, workers: int, address: str | None) -> Iterator[Outcome]:
    sql = optional_import("pyspark.sql", "spark")
    existing = sql.SparkSession.getActiveSession()
    session = existing or _spark_session(sql, workers, address)
    try:
        context = session.sparkContext
        shared = context.broadcast(predictor)
        tasks = context.parallelize(parts, len(parts)).map(lambda part: attempt(part, shared.value))
        yield from tasks.collect()
    finally:
        if existing is None:
            session.stop()


def _spark_session(sql: Any, workers: int, address: str | None) -> Any:
    """Return a session of an address, of spark-submit, or on this machine, listening on loopback alone."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = sql.SparkSession.builder.appName("registry models score")
    if address is not None:
        return builder.master(address).getOrCreate()
    if not optional_import("pyspark", "spark").SparkConf().contains("spark.master"):
        builder = builder.master(f"local[{workers}]").config("spark.ui.enabled", "false")
        for name in ("spark.driver.host", "spark.driver.bindAddress"):
            builder = builder.config(name, "127.0.0.1")
    return builder.getOrCreate()


_RUNNERS: Final[dict[str, Callable[[Sequence[Part], Predictor, int, str | None], Any]]] = {
    "local": _local,
    "ray": _ray,
    "dask": _dask,
    "spark": _spark,
}
ENGINES: Final = tuple(_RUNNERS)
"""The names of the engines."""
