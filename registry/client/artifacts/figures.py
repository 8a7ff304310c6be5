"""Client methods that store figures and images.

matplotlib and plotly are never imported here: a figure of theirs shows that its library is loaded already.
"""

import importlib.util
import io
import re
import sys
import uuid
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from registry.client.artifacts.images import as_pillow, encode_image, thumbnail
from registry.client.artifacts.run_artifacts import ArtifactMethods
from registry.exceptions import InvalidNameError, InvalidParameterError, InvalidTypeError, MissingDependencyError
from registry.validation.arguments import check_mapping
from registry.validation.paths import check_artifact_path
from registry.validation.values import metric_step, metric_timestamp

LOGGED_IMAGES: Final = "mlflow.loggedImages"
_KEY: Final = re.compile(r"[a-zA-Z0-9_\-./ ]+")
_PLOTLY_PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp", ".svg", ".pdf")


class FigureMethods(ArtifactMethods):
    """Client methods for figures and images."""

    def log_figure(
        self, run_id: str, figure: Any, artifact_file: str, *, save_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        """Store a matplotlib or plotly figure as a file of a run.

        Args:
            run_id: The run's id.
            figure: A ``matplotlib.figure.Figure`` or a plotly figure.
            artifact_file: The file's path in the run. Its ending is the format: any of matplotlib's, or for plotly
                ``.html`` and ``.json``, with kaleido also ``.png``, ``.jpeg``, ``.webp``, ``.svg`` and ``.pdf``.
            save_kwargs: Arguments for matplotlib's ``savefig``, or plotly's ``write_html``, ``to_json`` or
                ``to_image``.

        Raises:
            InvalidTypeError: The object is not a figure, or plotly does not write this format.
            InvalidParameterError: The figure cannot be drawn.
            MissingDependencyError: plotly needs kaleido for this format.
            RunNotFoundError: No run has this id.

        Example:
            >>> from matplotlib.figure import Figure
            >>> figure = Figure()
            >>> _ = figure.subplots().plot([0, 1], [0.6, 0.8])
            >>> client.log_figure(run_id, figure, "plots/auc.svg")
            >>> [file.path for file in client.list_artifacts(run_id, "plots")]
            ['plots/auc.svg']
        """
        path = check_artifact_path(artifact_file)
        self._store(run_id, path, draw_figure(figure, path, check_mapping(save_kwargs, "save_kwargs")))

    def log_image(
        self,
        run_id: str,
        image: Any,
        artifact_file: str | None = None,
        key: str | None = None,
        step: int | None = None,
        timestamp: int | None = None,
        synchronous: bool | None = None,
    ) -> None:
        """Store an image of a run: as one file, or as a step of a series with a thumbnail.

        Args:
            run_id: The run's id.
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
            RunNotFoundError: No run has this id.

        Example:
            >>> client.log_image(run_id, np.zeros((4, 6, 3), dtype="uint8"), key="heatmap", step=1)
            >>> len(client.list_artifacts(run_id, "images"))  # the image and its thumbnail
            2
        """
        del synchronous  # an image is durable when the call returns
        if artifact_file is not None:
            if not (key is None and step is None and timestamp is None):
                raise InvalidTypeError(
                    "artifact_file goes without 'key', 'step' and 'timestamp'; give one or the other."
                )
            path = check_artifact_path(artifact_file)
            self._store(run_id, path, encode_image(as_pillow(image), path))
            return
        if key is None:
            raise InvalidTypeError("Give exactly one of 'artifact_file', for one file, and 'key', for a series.")
        path = _new_series_path(key, metric_step(step), metric_timestamp(timestamp))
        picture = as_pillow(image)
        for file, size in ((f"{path}.png", picture), (f"{path}+compressed.webp", thumbnail(picture))):
            self._store(run_id, file, encode_image(size, file))
        self.backend.runs.log_batch(run_id, tags={LOGGED_IMAGES: "True"})


def draw_figure(figure: Any, path: str, options: dict[str, Any]) -> bytes:
    """Draw a figure in the format that the ending of `path` names.

    Raises:
        InvalidTypeError: The object is not a figure, or plotly does not write this format.
        InvalidParameterError: Drawing failed.
        MissingDependencyError: plotly needs kaleido for this format.
    """
    suffix = PurePosixPath(path).suffix.lower()
    if _is_a(figure, "matplotlib.figure", "Figure"):
        draw = _draw_matplotlib
    elif _is_a(figure, "plotly.basedatatypes", "BaseFigure"):
        draw = _plotly_drawer(suffix)
    else:
        raise InvalidTypeError(
            f"Unsupported figure object type: {type(figure)}. Figures are matplotlib's and plotly's."
        )
    try:
        return draw(figure, suffix, options)
    except Exception as error:
        # A figure draws itself with its own code, which may raise anything.
        raise InvalidParameterError(f"The figure could not be drawn as {path!r}: {error}") from error


def _is_a(figure: Any, module: str, name: str) -> bool:
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(figure, getattr(loaded, name))


def _draw_matplotlib(figure: Any, suffix: str, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, **({"format": suffix.removeprefix(".")} if suffix else {}) | options)
    return buffer.getvalue()


def _plotly_drawer(suffix: str) -> Any:
    if suffix == ".html":
        return _draw_html
    if suffix == ".json":
        return lambda figure, _suffix, options: figure.to_json(**options).encode()
    if suffix not in _PLOTLY_PICTURES:
        raise InvalidTypeError(f"Unsupported file extension for plotly figure: {suffix!r}. Use '.html' or '.json'.")
    if importlib.util.find_spec("kaleido") is None:
        raise MissingDependencyError(
            f"plotly needs the package 'kaleido' to draw {suffix!r}. Install it with pip install kaleido, or store the "
            "figure as '.html' or '.json'."
        )
    return lambda figure, suffix, options: figure.to_image(**{"format": suffix.removeprefix("."), **options})


def _draw_html(figure: Any, suffix: str, options: dict[str, Any]) -> bytes:
    del suffix
    buffer = io.StringIO()
    figure.write_html(buffer, **{"include_plotlyjs": "cdn", "auto_open": False, **options})
    return buffer.getvalue().encode()


def _new_series_path(key: str, step: int, timestamp: int) -> str:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise InvalidNameError(
            f"Invalid image key: {key!r}. It may only contain alphanumerics, underscores (_), dashes (-), periods (.), "
            "spaces ( ), and slashes (/)."
        )
    name = key.replace("/", "~")
    return check_artifact_path(f"images/{name}+step+{step}+timestamp+{timestamp}+{uuid.uuid4()}")
