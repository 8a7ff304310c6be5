"""Runs and versions side by side: what differs, which is best, and a picture of it."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from searched_runs import NAN, log_run

import registry
from registry import MlflowClient
from registry.exceptions import (
    InvalidParameterError,
    InvalidTypeError,
    InvalidUriError,
    MissingDependencyError,
    RunNotFoundError,
    VersionNotFoundError,
)


@pytest.fixture
def client(sqlite_url: str) -> MlflowClient:
    return MlflowClient(sqlite_url)


@pytest.fixture
def runs(client: MlflowClient) -> list[str]:
    made = {
        "small": ({"f1": 0.8, "val_loss": 0.5, "same": 1.0, "odd": NAN}, {"depth": "3", "eta": "0.1", "seed": "1"}),
        "large": ({"f1": 0.9, "val_loss": 0.75, "same": 1.0, "odd": 2.0}, {"depth": "6", "eta": "0.1"}),
        "other": ({"f1": 0.9, "val_loss": 0.25, "same": 1.0}, {"depth": "6", "eta": "0.1", "seed": "1"}),
    }
    return [
        log_run(client, name, start=number, metrics=metrics, params=params)
        for number, (name, (metrics, params)) in enumerate(made.items())
    ]


def cells(table: Any) -> dict[str, list[Any]]:
    """Each row, with None for NaN and missing."""
    plain = table.astype(object).where(table.notna(), None)
    return {str(name): row for name, row in zip(plain.index, plain.values.tolist(), strict=True)}


def test_params_that_differ_and_all_metrics_have_a_row_each(client: MlflowClient, runs: list[str]) -> None:
    table = client.compare(runs)

    assert isinstance(table, pd.DataFrame)
    assert list(table.columns) == ["small", "large", "other", "difference", "better", "best"]
    assert cells(table) == {
        "params.depth": ["3", "6", "6", None, None, None],
        "params.seed": ["1", None, "1", None, None, None],
        "metrics.f1": [0.8, 0.9, 0.9, pytest.approx(0.1), "higher", "large, other"],
        "metrics.odd": [None, 2.0, None, None, "higher", None],
        "metrics.same": [1.0, 1.0, 1.0, 0.0, "higher", None],
        "metrics.val_loss": [0.5, 0.75, 0.25, 0.5, "lower", "other"],
    }
    assert math.isnan(table.loc["metrics.odd", "small"])  # type: ignore[arg-type]
    assert table["difference"].dtype == "float64"
    assert type(table.head(1)) is pd.DataFrame


def test_which_metrics_are_better_when_lower_can_be_said(client: MlflowClient, runs: list[str]) -> None:
    table = client.compare(runs, lower_is_better=["f1"])

    assert table["better"].dropna().to_dict() == {
        "metrics.f1": "lower",
        "metrics.odd": "higher",
        "metrics.same": "higher",
        "metrics.val_loss": "higher",
    }
    assert table["best"].dropna().to_dict() == {"metrics.f1": "small", "metrics.val_loss": "large"}


@pytest.mark.parametrize(
    ("key", "better"),
    [
        ("validation_0-logloss", "lower"),
        ("RMSE", "lower"),
        ("mean_squared_error", "lower"),
        ("fit_seconds", "lower"),
        ("roc_auc", "higher"),
        ("glossary", "higher"),
        ("terror_rate", "higher"),
    ],
)
def test_a_name_that_speaks_of_loss_error_or_time_is_better_lower(client: MlflowClient, key: str, better: str) -> None:
    run = log_run(client, "run", start=1, metrics={key: 1.0})

    assert client.compare([run])["better"].tolist() == [better]


def test_runs_are_read_anew_and_columns_have_names_of_their_own(client: MlflowClient) -> None:
    first, second = client.create_run("0", run_name="same"), client.create_run("0", run_name="same")
    third = client.create_run("0", run_name="best")
    client.log_metric(first.info.run_id, "m", 1.0)

    table = client.compare([first, second.info.run_id, first, third])

    ids = [run.info.run_id for run in (first, second, third)]
    assert list(table.columns)[:-3] == ids
    assert cells(table) == {"metrics.m": [1.0, None, None, None, "higher", None]}


def test_a_version_stands_for_its_run(client: MlflowClient, runs: list[str], tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_bytes(b"1")
    client.create_registered_model("churn")
    for run in (runs[0], runs[1], None):
        client.create_model_version("churn", str(tmp_path / "model"), run_id=run)
    client.transition_model_version_stage("churn", 1, "Production")
    client.set_registered_model_alias("churn", "next", 2)

    table = client.compare(
        ["models:/churn/Production", client.get_model_version("churn", 2), "models:/churn@next", runs[2]]
    )

    assert list(table.columns)[:-3] == ["churn/1", "churn/2", "other"]
    assert table.loc["metrics.val_loss", "best"] == "other"
    with pytest.raises(InvalidParameterError, match="Version 3 of 'churn' came from no run"):
        client.compare(["models:/churn/3"])
    with pytest.raises(VersionNotFoundError):
        client.compare(["models:/churn/9"])
    with pytest.raises(InvalidUriError, match="no version of a registered model"):
        client.compare([f"models:/{client.get_model_version('churn', 1).model_id}"])


def test_what_cannot_be_compared_is_refused(client: MlflowClient) -> None:
    with pytest.raises(InvalidParameterError, match="There is nothing to compare"):
        client.compare([])
    with pytest.raises(RunNotFoundError):
        client.compare(["f" * 32])
    for wrong in ("f" * 32, 5):
        with pytest.raises(InvalidTypeError, match="compare takes a list"):
            client.compare(wrong)  # type: ignore[arg-type]
    for one in (5, None, "a/b"):
        with pytest.raises(InvalidParameterError):
            client.compare([one])  # type: ignore[list-item]


def test_a_plot_has_a_panel_per_metric_with_the_best_in_colour(client: MlflowClient, runs: list[str]) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is an extra of its own")
    figure = client.compare(runs).plot()

    assert [panel.get_title() for panel in figure.axes] == [
        "f1 (higher is better)",
        "odd (higher is better)",
        "same (higher is better)",
        "val_loss (lower is better)",
    ]
    lengths = [[bar.get_width() for bar in panel.patches] for panel in figure.axes]
    assert lengths[0] == [0.8, 0.9, 0.9]
    assert [math.isnan(length) for length in lengths[1]] == [True, False, True]
    coloured = [[bar.get_facecolor()[2] != bar.get_facecolor()[0] for bar in panel.patches] for panel in figure.axes]
    assert coloured == [[False, True, True], [False] * 3, [False] * 3, [False, False, True]]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["small", "large", "other"]


def test_a_plot_may_be_of_some_metrics_and_can_be_logged(runs: list[str], sqlite_url: str) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is an extra of its own")
    registry.set_tracking_uri(sqlite_url)
    table = registry.compare(runs)

    with registry.start_run() as run:
        registry.log_figure(table.plot(["val_loss"]), "comparison.png")

    assert [file.path for file in registry.MlflowClient().list_artifacts(run.info.run_id)] == ["comparison.png"]
    with pytest.raises(InvalidParameterError, match=r"no number of 'metrics.none' to draw; there are metrics.f1, "):
        table.plot(["none"])


def test_without_numbers_or_matplotlib_a_plot_says_so(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    table = client.compare([log_run(client, "run", start=1, metrics={"m": NAN, "n": math.inf})])

    with pytest.raises(InvalidParameterError, match="No metric of this comparison has a number"):
        table.plot()
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError, match="plots"):
        table.plot()
