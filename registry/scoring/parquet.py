"""`score_parquet`: score Parquet files with one sealed model, on an engine, and go on where a run was broken off.

Guarantees: a file of the result is there whole or not at all; a finished one is not scored again, and is only taken for
finished if the same model, options and data made it.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from registry.blobs.parallel import in_order
from registry.blobs.progress import TransferProgress
from registry.exceptions import InvalidParameterError
from registry.scoring.engines import ENGINES, run
from registry.scoring.parts import find_scored, list_parts
from registry.scoring.predictor import Predictor

_LOOKING: Final = 16


@dataclass(frozen=True, slots=True)
class ScoringReport:
    """The result of `score_parquet`.

    Attributes:
        model_name: The registered model, or None.
        model_version: The version, or None.
        model_digest: The digest of the model's files.
        parts: The number of files.
        skipped: How many of them an earlier call had finished.
        rows: The rows of all files.
    """

    model_name: str | None
    model_version: int | None
    model_digest: str
    parts: int
    skipped: int
    rows: int


def score_parquet(
    uri: str,
    source: str | Path,
    target: str | Path,
    *,
    engine: str = "local",
    workers: int | None = None,
    address: str | None = None,
    keep: Sequence[str] = (),
    with_model: bool = False,
    nthread: int | None = None,
    params: Mapping[str, Any] | None = None,
    allow_code: bool | None = None,
    require_signature: str | Path | None = None,
    skops_trusted_types: Iterable[str] | None = None,
    overwrite: bool = False,
) -> ScoringReport:
    """Score Parquet files with the model that a URI stands for now.

    Rows keep their order, so the n-th prediction belongs to the n-th row. Memory does not grow with the data. A call
    that was broken off is repeated as it is: finished files stay, and the others are scored.

    Args:
        uri: The model, as for `Predictor`.
        source: A Parquet file, a directory of such files or a glob (``**`` for any depth): local or ``s3://``.
        target: The file of the predictions, or the directory of their files: local or ``s3://``.
        engine: ``local``, ``ray``, ``dask`` or ``spark``. All workers of an engine must reach source and target.
        workers: Processes on this machine that score one file each. Default: one for ``local``, else one per processor.
        address: A cluster to use instead of this machine: a Ray or Dask address, or a Spark master.
        keep: Columns of the data to keep, before the predictions. Default: none.
        with_model: Also add the columns ``model_name``, ``model_version`` and ``model_digest``. Default: False.
        nthread: Threads of each process. Default: one if there are several processes, else as the model was saved.
        params: Params of ``predict`` that the signature names.
        allow_code: Consent to run code from the model's files. Default: ``REGISTRY_ALLOW_CODE``, else False.
        require_signature: A public key (a PEM file). Refuse a model that this key did not sign.
        skops_trusted_types: Names of types that a scikit-learn model may hold, besides those known to be safe.
        overwrite: Score again, and replace files that are there. Default: False.

    Returns:
        What was scored, and with which model.

    Raises:
        NotFoundError: There is no such model, or no data.
        PathExistsError: A file of the result exists that another model, other options or other data made.
        SchemaEnforcementError: The data do not fit the model's signature.
        InvalidModelError: The model failed; the message names the rows.
        UnavailableError: The engine failed. Finished files stay.
        MissingDependencyError: pyarrow or the engine's package is not installed.

    Example:
        >>> X.to_parquet("games.parquet")
        >>> report = registry.scoring.score_parquet("models:/churn/Production", "games.parquet", "scores.parquet")
        >>> report.model_version, report.rows
        (2, 40)
        >>> pd.read_parquet("scores.parquet").columns.tolist()
        ['prediction']
    """
    if engine not in ENGINES:
        raise InvalidParameterError(f"Unknown engine {engine!r}; use one of {', '.join(ENGINES)}.")
    for name, place in (("source", source), ("target", target)):
        if not str(place):
            raise InvalidParameterError(
                f"The {name} is empty. Give a file or a directory, local or s3://bucket/prefix."
            )
    if address is not None and engine == "local":
        raise InvalidParameterError(
            f"The address {address!r} is that of a cluster, but the engine is 'local'. Name the engine: ray, dask or "
            "spark."
        )
    if workers is not None and (type(workers) is not int or workers < 1):
        raise InvalidParameterError(f"workers is a number of processes from 1, got {workers!r}.")
    is_alone = engine == "local" and workers in (None, 1)
    predictor = Predictor(
        uri,
        keep=keep,
        with_model=with_model,
        nthread=nthread if nthread is not None or is_alone else 1,
        params=params,
        allow_code=allow_code,
        require_signature=require_signature,
        skops_trusted_types=skops_trusted_types,
    )
    parts = list_parts(str(source), str(target))
    before = (
        [None] * len(parts)
        if overwrite
        else [*in_order((partial(find_scored, part, predictor) for part in parts), width=_LOOKING)]
    )
    left = [part for part, scored in zip(parts, before, strict=True) if scored is None]
    finished = [scored for scored in before if scored is not None]
    rows = sum(scored.rows for scored in finished)
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(TransferProgress("Scoring", sum(part.size for part in parts)))
        progress.advance(sum(scored.size for scored in finished))
        results = run(engine, left, predictor, workers=workers, address=address, advance=progress.advance)
        rows += sum(scored.rows for scored in results)
    return ScoringReport(
        predictor.model_name, predictor.model_version, predictor.model_digest, len(parts), len(finished), rows
    )
