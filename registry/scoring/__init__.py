"""Score data at scale with one sealed model: on one machine, or with Ray, Dask or Spark.

A `Predictor` goes to every worker by pickle; `score_parquet` scores whole files. Guarantees: all workers use the bytes
that the URI stood for when the predictor was made, and no worker opens the database.
"""

from registry.scoring.engines import ENGINES
from registry.scoring.parquet import ScoringReport, score_parquet
from registry.scoring.predictor import Predictor

__all__ = ["ENGINES", "Predictor", "ScoringReport", "score_parquet"]
