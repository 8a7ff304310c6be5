"""Figures and pictures of runs."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from matplotlib.figure import Figure
from PIL import Image

import registry
from registry import artifacts
from registry.client.artifacts.images import as_pillow
from registry.exceptions import (
    ArtifactNotFoundError,
    InvalidNameError,
    InvalidParameterError,
    InvalidPathError,
    InvalidTypeError,
    MissingDependencyError,
)
from registry.tracking import MlflowClient


@pytest.fixture
def drawing() -> Figure:
    figure = Figure(figsize=(2, 1), dpi=50)
    figure.subplots().plot([1, 2])
    return figure


@pytest.fixture
def chart() -> go.Figure:
    return go.Figure(go.Scatter(x=[1, 2], y=[3, 4]))


def data_of(run_id: str, path: str) -> bytes:
    return Path(artifacts.download_artifacts(run_id=run_id, artifact_path=path)).read_bytes()


def names_of(client: MlflowClient, run_id: str, path: str | None = None) -> list[str]:
    return [info.path for info in client.list_artifacts(run_id, path)]


@pytest.mark.parametrize(
    ("name", "start"),
    [("f.png", b"\x89PNG"), ("f.PDF", b"%PDF"), ("f.svg", b"<?xml"), ("f.jpg", b"\xff\xd8"), ("f", b"\x89PNG")],
)
def test_a_matplotlib_figure_is_drawn_in_the_format_of_the_ending(
    client: MlflowClient, run_id: str, drawing: Figure, name: str, start: bytes
) -> None:
    client.log_figure(run_id, drawing, f"plots/{name}")
    assert data_of(run_id, f"plots/{name}").startswith(start)


def test_save_kwargs_reach_the_library(client: MlflowClient, run_id: str, drawing: Figure, chart: go.Figure) -> None:
    client.log_figure(run_id, drawing, "f.png", save_kwargs={"dpi": 100})
    assert artifacts.load_image(f"runs:/{run_id}/f.png").size == (200, 100)
    client.log_figure(run_id, chart, "f.html", save_kwargs={"include_plotlyjs": False, "full_html": False})
    assert b"<html>" not in data_of(run_id, "f.html")


def test_a_plotly_figure_is_html_without_the_library_or_json(
    client: MlflowClient, run_id: str, chart: go.Figure
) -> None:
    client.log_figure(run_id, chart, "f.html")
    client.log_figure(run_id, chart, "f.json")
    page = data_of(run_id, "f.html")
    assert b"cdn.plot.ly" in page
    assert len(page) < 100_000
    assert json.loads(data_of(run_id, "f.json"))["data"][0]["y"] == [3, 4]


def test_a_plotly_picture_needs_kaleido(
    client: MlflowClient, run_id: str, chart: go.Figure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.raises(MissingDependencyError, match="pip install kaleido"):
        client.log_figure(run_id, chart, "f.png")


def test_what_cannot_be_drawn_is_refused_and_nothing_is_stored(
    client: MlflowClient, run_id: str, drawing: Figure, chart: go.Figure
) -> None:
    for figure, name, error in (
        (object(), "f.png", InvalidTypeError),
        (chart, "f.txt", InvalidTypeError),
        (drawing, "f.txt", InvalidParameterError),
        (drawing, "../f.png", InvalidPathError),
    ):
        with pytest.raises(error):
            client.log_figure(run_id, figure, name)
    with pytest.raises(InvalidParameterError, match="could not be drawn"):
        client.log_figure(run_id, drawing, "f.png", save_kwargs={"dpi": "many"})
    assert client.list_artifacts(run_id) == []


@pytest.mark.parametrize(
    ("array", "mode", "pixel"),
    [
        (np.full((2, 3), 7, "uint8"), "L", 7),
        (np.full((2, 3), 7, "int64"), "L", 7),
        (np.full((2, 3, 1), 0.5), "L", 127),
        (np.full((2, 3), True), "L", 255),
        (np.full((2, 3, 3), 1.0, "float32"), "RGB", (255, 255, 255)),
        (np.full((2, 3, 4), 9, "uint8"), "RGBA", (9, 9, 9, 9)),
    ],
)
def test_an_array_is_a_picture(array: "np.ndarray[Any, Any]", mode: str, pixel: Any) -> None:
    image = as_pillow(array)
    assert (image.mode, image.size, image.getpixel((0, 0))) == (mode, (3, 2), pixel)


def test_an_array_is_stored_as_its_picture(client: MlflowClient, run_id: str) -> None:
    client.log_image(run_id, np.full((2, 3), 7, "uint8"), "i.png")
    image = artifacts.load_image(f"runs:/{run_id}/i.png")
    assert (image.mode, image.size, image.getpixel((0, 0))) == ("L", (3, 2), 7)


def test_pictures_of_pillow_and_ours_are_stored_by_the_ending(client: MlflowClient, run_id: str) -> None:
    picture = Image.new("RGB", (3, 2), (1, 2, 3))
    client.log_image(run_id, picture, "a.webp")
    client.log_image(run_id, registry.Image(picture), artifact_file="b.jpg")
    assert artifacts.load_image(f"runs:/{run_id}/a.webp").format == "WEBP"
    assert artifacts.load_image(f"runs:/{run_id}/b.jpg").format == "JPEG"


def test_floats_outside_0_to_1_are_scaled_with_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"from -1\.0 to 3\.0"):
        image = as_pillow(np.array([[-1.0, 3.0]]))
    assert [image.getpixel((0, 0)), image.getpixel((1, 0))] == [0, 255]
    with pytest.warns(UserWarning, match=r"from 5\.0 to 5\.0"):
        assert as_pillow(np.full((2, 2), 5.0)).getpixel((0, 0)) == 0


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (np.full((2, 2), 256), InvalidParameterError),
        (np.full((2, 2), -1), InvalidParameterError),
        (np.full((2, 2), np.nan), InvalidParameterError),
        (np.full((2, 2), np.inf), InvalidParameterError),
        (np.zeros((2, 2, 2)), InvalidParameterError),
        (np.zeros(4), InvalidParameterError),
        (np.zeros((0, 3)), InvalidParameterError),
        (np.array([["a"]]), InvalidTypeError),
        ("not a picture", InvalidTypeError),
    ],
)
def test_what_is_no_picture_is_refused(image: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        as_pillow(image)


def test_an_ending_that_is_no_image_format_or_cannot_hold_the_pixels_is_refused(
    client: MlflowClient, run_id: str
) -> None:
    for name in ("i.txt", "i", "i.pdfx"):
        with pytest.raises(InvalidParameterError, match="does not end like an image"):
            client.log_image(run_id, np.zeros((2, 2)), name)
    with pytest.raises(InvalidParameterError, match="mode 'RGBA' cannot be stored as JPEG"):
        client.log_image(run_id, np.zeros((2, 2, 4)), "i.jpg")
    assert client.list_artifacts(run_id) == []


def test_a_series_has_names_by_step_thumbnails_and_a_tag(client: MlflowClient, run_id: str) -> None:
    client.log_image(run_id, np.zeros((300, 600, 3)), key="dogs/a b", step=3, timestamp=1_700_000_000_000)
    small, whole = sorted(names_of(client, run_id, "images"), key=len, reverse=True)
    start = "images/dogs~a b+step+3+timestamp+1700000000000+"
    assert whole.startswith(start)
    assert whole.endswith(".png")
    assert small == whole.removesuffix(".png") + "+compressed.webp"
    assert artifacts.load_image(f"runs:/{run_id}/{whole}").size == (600, 300)
    assert artifacts.load_image(f"runs:/{run_id}/{small}").size == (256, 128)
    assert client.get_run(run_id).data.tags["mlflow.loggedImages"] == "True"


def test_a_picture_goes_to_a_file_or_a_series_not_both(client: MlflowClient, run_id: str) -> None:
    image = np.zeros((2, 2))
    for arguments in ({}, {"step": 1}, {"artifact_file": "a.png", "key": "a"}, {"artifact_file": "a.png", "step": 1}):
        with pytest.raises(InvalidTypeError, match="artifact_file"):
            client.log_image(run_id, image, **arguments)
    for key in ("", "a%b", "a\n", "a:b"):
        with pytest.raises(InvalidNameError):
            client.log_image(run_id, image, key=key)
    assert client.list_artifacts(run_id) == []


def test_a_file_that_is_no_picture_is_not_loaded_as_one(client: MlflowClient, run_id: str) -> None:
    client.log_text(run_id, "text", "i.png")
    with pytest.raises(InvalidParameterError, match=r"'i\.png' is not an image") as caught:
        artifacts.load_image(f"runs:/{run_id}/i.png")
    assert caught.value.error_code == "BAD_REQUEST"


def test_our_image_holds_pixels(tmp_path: Path) -> None:
    image = registry.Image([[0, 1], [2, 3], [4, 5]])
    assert image.size == (2, 3)
    assert image.to_list() == [0, 1, 2, 3, 4, 5]
    assert image.to_array().tolist() == [[0, 1], [2, 3], [4, 5]]
    assert image.resize((4, 6)).size == (4, 6)
    image.save(tmp_path / "i.png")
    assert registry.Image(str(tmp_path / "i.png")).to_list() == [0, 1, 2, 3, 4, 5]
    assert registry.Image(np.zeros((1, 1, 3))).to_list() == [(0, 0, 0)]
    with pytest.raises(ArtifactNotFoundError, match="nowhere"):
        registry.Image("nowhere.png")
    (tmp_path / "text.png").write_text("x")
    with pytest.raises(InvalidParameterError, match="is not an image"):
        registry.Image(tmp_path / "text.png")


def test_the_active_run_takes_figures_and_pictures(client: MlflowClient, drawing: Figure) -> None:
    with registry.start_run() as run:
        registry.log_figure(drawing, "f.png", save_kwargs={"dpi": 20})
        registry.log_image(np.zeros((2, 2)), "i.png")
        registry.log_image(np.zeros((2, 2)), key="k", step=1)
    assert names_of(client, run.info.run_id) == ["f.png", "i.png", "images"]
    buffer = io.BytesIO(data_of(run.info.run_id, "f.png"))
    assert Image.open(buffer).size == (40, 20)
