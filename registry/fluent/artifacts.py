"""Module-level functions for the files of the active run.

If no run is active, the functions that log start one, and it stays active, as in MLflow.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.client.artifacts.run_artifacts import ByteStream
from registry.fluent import state
from registry.fluent.experiments import active_experiment_id
from registry.fluent.runs import active_or_new_run_id
from registry.validation.paths import check_artifact_path

if TYPE_CHECKING:
    import pandas as pd


def log_artifact(
    local_path: str | Path,
    artifact_path: str | None = None,
    run_id: str | None = None,
    *,
    follow_symlinks: bool | None = None,
) -> None:
    """Store a local file or directory under its own name among the run's artifacts.

    Args:
        local_path: The file or directory to store.
        artifact_path: The directory of the run to store it in. Default: the run's root.
        run_id: The run. Default: the active run, which is started if there is none.
        follow_symlinks: Store the files that symlinks lead to, instead of refusing them. Default:
            ``REGISTRY_FOLLOW_SYMLINKS``, else False.

    Raises:
        ArtifactNotFoundError: `local_path` does not exist.
        InvalidPathError: `artifact_path` leads out of the run's directory.
        RunNotFoundError: No run has this id.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("notes.md").write_text("# Notes")
        >>> mlflow.log_artifact("notes.md", "docs", run_id=run_id)
        >>> [file.path for file in mlflow.artifacts.list_artifacts(run_id=run_id, artifact_path="docs")]
        ['docs/notes.md']
    """
    state.client().log_artifact(
        _choose_run(run_id, artifact_path), local_path, artifact_path, follow_symlinks=follow_symlinks
    )


def log_artifacts(
    local_dir: str | Path,
    artifact_path: str | None = None,
    run_id: str | None = None,
    *,
    follow_symlinks: bool | None = None,
) -> None:
    """Store the contents of a local directory among the run's artifacts.

    Args:
        local_dir: The directory whose contents are stored.
        artifact_path: The directory of the run to store them in. Default: the run's root.
        run_id: The run. Default: the active run, which is started if there is none.
        follow_symlinks: Store the files that symlinks lead to, instead of refusing them. Default:
            ``REGISTRY_FOLLOW_SYMLINKS``, else False.

    Raises:
        ArtifactNotFoundError: `local_dir` does not exist.
        InvalidPathError: `artifact_path` leads out of the run's directory.
        RunNotFoundError: No run has this id.

    Example:
        >>> from pathlib import Path
        >>> Path("plots").mkdir()
        >>> _ = Path("plots/roc.csv").write_text("fpr,tpr")
        >>> mlflow.log_artifacts("plots", "plots", run_id=run_id)
        >>> [file.path for file in mlflow.artifacts.list_artifacts(run_id=run_id, artifact_path="plots")]
        ['plots/roc.csv']
    """
    state.client().log_artifacts(
        _choose_run(run_id, artifact_path), local_dir, artifact_path, follow_symlinks=follow_symlinks
    )


def log_text(text: str, artifact_file: str, run_id: str | None = None) -> None:
    """Store text as a UTF-8 file of the run.

    Args:
        text: The text.
        artifact_file: The file's path in the run.
        run_id: The run. Default: the active run, which is started if there is none.

    Raises:
        InvalidPathError: `artifact_file` leads out of the run's directory.
        RunNotFoundError: No run has this id.

    Example:
        >>> with mlflow.start_run() as run:
        ...     mlflow.log_text("home teams rest longer", "insights/rest.txt")
        >>> mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/insights/rest.txt")
        'home teams rest longer'
    """
    state.client().log_text(_choose_run(run_id, artifact_file), text, artifact_file)


def log_dict(dictionary: Any, artifact_file: str, run_id: str | None = None) -> None:
    """Store nested values as a YAML or JSON file of the run.

    Args:
        dictionary: The value: mappings, lists, text and numbers. NumPy's numbers and arrays become numbers and lists;
            other values become their `str`.
        artifact_file: The file's path in the run. ``.yml`` and ``.yaml`` mean YAML, any other ending JSON.
        run_id: The run. Default: the active run, which is started if there is none.

    Raises:
        InvalidParameterError: The value contains itself.
        InvalidPathError: `artifact_file` leads out of the run's directory.
        RunNotFoundError: No run has this id.

    Example:
        >>> with mlflow.start_run() as run:
        ...     mlflow.log_dict({"features": list(X.columns), "rows": np.int64(40)}, "data.yaml")
        >>> mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/data.yaml")
        {'features': ['rest_days', 'rating_gap'], 'rows': 40}
    """
    state.client().log_dict(_choose_run(run_id, artifact_file), dictionary, artifact_file)


def log_stream(stream: ByteStream, artifact_file: str, run_id: str | None = None) -> None:
    """Store the rest of a binary stream as a file of the run, without holding it in memory.

    Args:
        stream: An open binary file, or any object whose ``read(size)`` returns bytes.
        artifact_file: The file's path in the run.
        run_id: The run. Default: the active run, which is started if there is none.

    Raises:
        InvalidTypeError: The stream returns text.
        InvalidPathError: `artifact_file` leads out of the run's directory.
        RunNotFoundError: No run has this id.

    Example:
        >>> import io
        >>> mlflow.log_stream(io.BytesIO(b"id,score"), "scores.csv", run_id=run_id)
        >>> mlflow.artifacts.load_text(f"runs:/{run_id}/scores.csv")
        'id,score'
    """
    state.client().log_stream(_choose_run(run_id, artifact_file), stream, artifact_file)


def log_figure(figure: Any, artifact_file: str, *, save_kwargs: Mapping[str, Any] | None = None) -> None:
    """Store a matplotlib or plotly figure as a file of the active run.

    Args:
        figure: A ``matplotlib.figure.Figure`` or a plotly figure.
        artifact_file: The file's path in the run. Its ending is the format: any of matplotlib's, or for plotly
            ``.html`` and ``.json``, with kaleido also ``.png``, ``.jpeg``, ``.webp``, ``.svg`` and ``.pdf``.
        save_kwargs: Arguments for matplotlib's ``savefig``, or plotly's ``write_html``, ``to_json`` or ``to_image``.

    Raises:
        InvalidTypeError: The object is not a figure, or plotly does not write this format.
        InvalidParameterError: The figure cannot be drawn.
        MissingDependencyError: plotly needs kaleido for this format.

    Example:
        >>> from matplotlib.figure import Figure
        >>> figure = Figure()
        >>> _ = figure.subplots().plot([0, 1], [0.6, 0.8])
        >>> with mlflow.start_run() as run:
        ...     mlflow.log_figure(figure, "plots/auc.png", save_kwargs={"dpi": 50})
        >>> mlflow.artifacts.load_image(f"runs:/{run.info.run_id}/plots/auc.png").size
        (320, 240)
    """
    state.client().log_figure(_choose_run(None, artifact_file), figure, artifact_file, save_kwargs=save_kwargs)


def log_image(
    image: Any,
    artifact_file: str | None = None,
    key: str | None = None,
    step: int | None = None,
    timestamp: int | None = None,
    synchronous: bool | None = False,
) -> None:
    """Store an image of the active run: as one file, or as a step of a series with a thumbnail.

    Args:
        image: A NumPy array (height, width) or (height, width, 1, 3 or 4), a Pillow image, or a `registry.Image`.
            Integers are 0 to 255, floats 0 to 1.
        artifact_file: The file's path in the run. Its ending is the format.
        key: The name of a series, which is stored below ``images/``. Give either `artifact_file` or `key`.
        step: The step in the series. Default: 0.
        timestamp: Milliseconds since the epoch. Default: now.
        synchronous: Accepted for MLflow's scripts. The image is stored when the call returns.

    Raises:
        InvalidTypeError: Both or neither of `artifact_file` and `key` are given, or the value is not an image.
        InvalidNameError: The key has characters besides letters, digits, spaces and ``_ - . /``.
        MissingDependencyError: Pillow is not installed.

    Example:
        >>> with mlflow.start_run() as run:
        ...     mlflow.log_image(np.zeros((4, 6, 3), dtype="uint8"), "black.png")
        >>> mlflow.artifacts.load_image(f"runs:/{run.info.run_id}/black.png").size
        (6, 4)
    """
    state.client().log_image(_choose_run(None, artifact_file), image, artifact_file, key, step, timestamp, synchronous)


def log_table(data: "Mapping[str, Any] | pd.DataFrame", artifact_file: str, run_id: str | None = None) -> None:
    """Append rows to a table of the run; create the table if there is none.

    Args:
        data: A DataFrame, or a mapping from column to values. A mapping without lists is one row. Columns of images are
            stored as files below ``table_images/``.
        artifact_file: The table's path in the run, ending in ``.json`` or ``.parquet``.
        run_id: The run. Default: the active run, which is started if there is none.

    Raises:
        InvalidParameterError: The file is not a table, or the rows do not fit it.
        InvalidPathError: The path has one of ``" ' , : [ ] { }``.
        MissingDependencyError: ``.parquet`` needs the package pyarrow.

    Example:
        >>> mlflow.log_table({"game": ["BOS-NYK"], "home_wins": [0.64]}, "predictions.json", run_id=run_id)
        >>> mlflow.log_table({"game": ["LAL-DEN"], "home_wins": [0.41]}, "predictions.json", run_id=run_id)
        >>> mlflow.load_table("predictions.json", [run_id])
              game  home_wins
        0  BOS-NYK       0.64
        1  LAL-DEN       0.41
    """
    state.client().log_table(_choose_run(run_id, artifact_file), data, artifact_file)


def load_table(
    artifact_file: str, run_ids: Sequence[str] | None = None, extra_columns: Sequence[str] | None = None
) -> "pd.DataFrame":
    """Return a table of the active experiment's runs as one DataFrame.

    Args:
        artifact_file: The table's path in each run.
        run_ids: The runs to read. Default: all runs of the experiment that have the table.
        extra_columns: Columns to add from each row's run: ``run_id``, ``experiment_id``, ``status``, ``artifact_uri``,
            ``start_time``, ``end_time``, ``params.<key>``, ``metrics.<key>`` or ``tags.<key>``.

    Returns:
        The rows of all these tables, newest run first.

    Raises:
        ArtifactNotFoundError: No such run has the table.
        InvalidParameterError: A file is not a table, or runs have no such extra column.

    Example:
        >>> mlflow.log_table({"game": ["BOS-NYK"], "home_wins": [0.64]}, "predictions.json", run_id=run_id)
        >>> mlflow.load_table("predictions.json", extra_columns=["params.max_depth"])
              game  home_wins params.max_depth
        0  BOS-NYK       0.64                4
    """
    return state.client().load_table(active_experiment_id(), artifact_file, run_ids, extra_columns)


def flush_artifact_async_logging() -> None:
    """Do nothing: a file is stored when the call that logs it returns.

    Example:
        >>> mlflow.log_text("done", "status.txt", run_id=run_id)
        >>> mlflow.flush_artifact_async_logging()
    """


def get_artifact_uri(artifact_path: str | None = None) -> str:
    """Return the location of the active run's artifacts, or of one of them.

    Args:
        artifact_path: A path in the run. It need not exist. Default: the run's root.

    Returns:
        An absolute local path or an S3 URI.

    Raises:
        InvalidPathError: `artifact_path` leads out of the run's directory.

    Example:
        >>> with mlflow.start_run() as run:
        ...     uri = mlflow.get_artifact_uri("notes.txt")
        >>> uri.endswith(f"/{run.info.run_id}/artifacts/notes.txt")
        True
    """
    root = state.client().get_run(_choose_run(None, artifact_path)).info.artifact_uri
    return root if artifact_path is None else f"{root}/{check_artifact_path(artifact_path)}"


def _choose_run(run_id: str | None, path: str | None) -> str:
    """Return the given or the active run; check the path first, so that a bad path starts no run."""
    if path is not None and path != "":
        check_artifact_path(path)
    return run_id or active_or_new_run_id()
