"""Figures and pictures of a run: MLflow's `log_figure` and `log_image`.

Owns turning figures of matplotlib and plotly into bytes, and the names of pictures by step. Neither library is imported
here: a figure of theirs comes from where it is loaded already.
"""

import importlib.util
import io
import re
import sys
import uuid
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from registry.client.artifacts.images import as_pillow, encoded, thumbnail
from registry.client.artifacts.run_artifacts import ArtifactMethods
from registry.exceptions import InvalidNameError, InvalidParameterError, InvalidTypeError, MissingDependencyError
from registry.validation.arguments import check_mapping
from registry.validation.paths import check_artifact_path
from registry.validation.values import metric_step, metric_timestamp

LOGGED_IMAGES: Final = "mlflow.loggedImages"
_KEY: Final = re.compile(r"[a-zA-Z0-9_\-./ ]+")
_PLOTLY_PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp", ".svg", ".pdf")


class FigureMethods(ArtifactMethods):
    """What a client does with figures and pictures."""

    def log_figure(
        self, run_id: str, figure: Any, artifact_file: str, *, save_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        """Store a figure of matplotlib or plotly in the format of the file's ending.

        plotly takes ``.html`` and ``.json``, and with kaleido installed ``.png``, ``.jpeg``, ``.webp``, ``.svg``,
        ``.pdf``.
        `save_kwargs` go to ``savefig``, ``write_html``, ``to_json`` or ``to_image``.

        Raises:
            InvalidTypeError: no such figure, or plotly has no format of that ending.
            InvalidParameterError: the figure cannot be drawn.
            MissingDependencyError: plotly needs kaleido for this format.
        """
        path = check_artifact_path(artifact_file)
        self._store(run_id, path, figure_bytes(figure, path, check_mapping(save_kwargs, "save_kwargs")))

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
        """Store a picture: as the file `artifact_file`, or under `key` as one of a series, with a thumbnail.

        A series is stored below ``images/``; `timestamp` is in milliseconds since the epoch, now by default.

        Raises:
            InvalidTypeError: both or neither of `artifact_file` and `key`, or no picture.
            InvalidNameError: the key has other characters than letters, digits, ``_ - . /`` and blanks.
        """
        del synchronous  # what is logged is durable when the call returns
        if artifact_file is not None:
            if not (key is None and step is None and timestamp is None):
                raise InvalidTypeError(
                    "artifact_file goes without 'key', 'step' and 'timestamp'; give one or the other."
                )
            path = check_artifact_path(artifact_file)
            self._store(run_id, path, encoded(as_pillow(image), path))
            return
        if key is None:
            raise InvalidTypeError("Give exactly one of 'artifact_file', for one file, and 'key', for a series.")
        path = _series_path(key, metric_step(step), metric_timestamp(timestamp))
        picture = as_pillow(image)
        for file, size in ((f"{path}.png", picture), (f"{path}+compressed.webp", thumbnail(picture))):
            self._store(run_id, file, encoded(size, file))
        self.backend.runs.log_batch(run_id, tags={LOGGED_IMAGES: "True"})


def figure_bytes(figure: Any, path: str, options: dict[str, Any]) -> bytes:
    """A figure in the format of the ending of `path`.

    Raises:
        InvalidTypeError, InvalidParameterError, MissingDependencyError: it cannot be drawn so.
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
        # Drawing runs code of the figure's own: nearly anything can go wrong.
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


def _series_path(key: str, step: int, timestamp: int) -> str:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise InvalidNameError(
            f"Invalid image key: {key!r}. It may only contain alphanumerics, underscores (_), dashes (-), periods (.), "
            "spaces ( ), and slashes (/)."
        )
    name = key.replace("/", "~")
    return check_artifact_path(f"images/{name}+step+{step}+timestamp+{timestamp}+{uuid.uuid4()}")
