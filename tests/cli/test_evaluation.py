"""``registry models evaluate`` and ``models compare``: a file of data, and evidence for rules."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from evaluated_models import games, log
from sklearn.dummy import DummyClassifier

import registry
from registry import BetterThanHolder, MlflowClient
from registry.package_name import install_command


@pytest.fixture
def logged(own_place: Path) -> list[str]:
    """Two versions, the second of a model that says the same always; and their data in three files."""
    frame = games("binary")
    uris = [log("binary"), log("binary", DummyClassifier().fit(frame[["a", "b"]], frame["y"]))]
    rest = frame.tail(60)
    rest.to_csv("holdout.csv", index=False)
    rest.to_parquet("holdout.parquet")
    rest.to_json("holdout.jsonl", orient="records", lines=True)
    games("number").to_csv("numbers.csv", index=False)
    return uris


def test_a_model_is_measured_and_the_figures_are_its_own(cli: Callable[..., Any], logged: list[str]) -> None:
    found = cli("models", "evaluate", "nba/1", "holdout.csv", "--targets", "y", "--json").json
    assert (found["model_type"], found["dataset"]["name"], found["dataset"]["rows"]) == ("classifier", "holdout", 60)
    assert MlflowClient().get_run(found["run_id"]).data.metrics == pytest.approx(found["metrics"])
    assert sorted(found["artifacts"])[0] == "calibration_curve_plot"
    records = MlflowClient().get_evidence(found["model_id"], "metric")
    assert {record.dataset and record.dataset.sha256 for record in records} == {found["dataset"]["sha256"]}


def test_parquet_without_pyarrow_says_what_to_install(
    cli: Callable[..., Any], logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "fastparquet", None)
    refused = cli("models", "evaluate", "nba/1", "holdout.parquet", "--targets", "y")
    assert (refused.code, refused.err) == (1, f"registry: Parquet needs pyarrow: {install_command('arrow')}.\n")


def test_the_numbers_of_csv_have_the_types_of_the_signature(cli: Callable[..., Any], own_place: Path) -> None:
    frame = games("binary").astype({"a": "float32"})
    frame["b"] = frame["b"].round().astype("int64")
    model = DummyClassifier().fit(frame[["a", "b"]], frame["y"])
    with pytest.warns(UserWarning, match="Integer columns"):
        signature = registry.models.infer_signature(frame[["a", "b"]], model.predict(frame[["a", "b"]]))
    registry.sklearn.log_model(model, name="model", signature=signature, registered_model_name="nba")
    rest = frame.tail(60)
    rest.to_parquet("holdout.parquet")
    rest.astype({"b": "float64"}).to_csv("holdout.csv", index=False)

    kinds = [
        cli("models", "evaluate", "nba/1", f"holdout.{ending}", "--targets", "y", "--json").json["dataset"]["sha256"]
        for ending in ("csv", "parquet")
    ]
    assert kinds[0] == kinds[1]
    compared = cli("models", "compare", "nba/1", "nba/1", "holdout.csv", "--targets", "y", "--metric", "f1", "--json")
    assert compared.json["dataset"]["sha256"] == kinds[0]


def test_the_kind_of_file_does_not_matter_to_the_digest(cli: Callable[..., Any], logged: list[str]) -> None:
    found = [
        cli("models", "evaluate", "nba/1", f"holdout.{ending}", "--targets", "y", "--json").json["dataset"]
        for ending in ("csv", "parquet", "jsonl")
    ]
    assert found[0]["sha256"] == found[1]["sha256"]  # MLflow's digest also covers the index, which Parquet keeps
    assert found[2]["rows"] == 60  # JSON keeps fewer digits


def test_a_table_has_a_row_per_metric_and_a_note_says_what_of(cli: Callable[..., Any], logged: list[str]) -> None:
    done = cli("evaluate", "nba/1", "holdout.csv", "--targets", "y", "--name", "h 26", "--header")
    assert done.rows[:2] == [["metric", "value"], ["score", done.rows[1][1]]]
    assert "60 rows of 'h 26', sha256:" in done.err
    run_id = cli("models", "evaluate", "nba/1", "holdout.csv", "--targets", "y", "-q").out.strip()
    assert registry.get_run(run_id).info.status == "FINISHED"


def test_decimals_make_a_regressor_and_the_run_goes_where_it_is_told(
    cli: Callable[..., Any], logged: list[str]
) -> None:
    registry.create_experiment("checks")
    uri = log("number")
    arguments = ["models", "evaluate", uri, "numbers.csv", "--targets", "y", "-e", "checks", "--json"]
    found = cli(*arguments).json
    assert found["model_type"] == "regressor"
    assert (
        registry.get_run(found["run_id"]).info.experiment_id == registry.get_experiment_by_name("checks").experiment_id
    )


def test_shap_is_drawn_on_request(cli: Callable[..., Any], logged: list[str]) -> None:
    found = cli("models", "evaluate", "nba/1", "holdout.csv", "--targets", "y", "--explain", "--json").json
    assert "shap_summary_plot" in found["artifacts"]


def test_the_command_that_a_refusal_names_makes_the_evidence(cli: Callable[..., Any], logged: list[str]) -> None:
    client = MlflowClient()
    client.transition_model_version_stage("nba", 2, "Production")
    client.set_promotion_rules("nba", "Production", [BetterThanHolder("f1_score", "holdout")])
    refused = cli("versions", "promote", "nba/1", "Production")
    assert refused.code == 3
    command = refused.err.partition("make one: ")[2].partition(". ")[0]
    words = command.replace("DATA", "holdout.csv").replace("TARGET", "y").split()[1:]
    assert words[:4] == ["models", "compare", "models:/nba/1", "models:/nba/2"]

    found = cli(*words, "--json").json

    assert (found["is_better"], found["challenger"]["uri"], found["evidence_id"]) == (True, "models:/nba/1", 1)
    assert cli("versions", "promote", "nba/1", "Production").code == 0


def test_a_comparison_says_how_sure_it_is(cli: Callable[..., Any], logged: list[str]) -> None:
    arguments = ["compare-models", "nba/2", "nba/1", "holdout.csv", "--targets", "y", "--metric", "auc", "--seed", "3"]
    shown = dict(row for row in cli(*arguments, "--resamples", "1000").rows)
    assert (shown["verdict"], shown["draws"]) == ("not better beyond chance", "1000, seed 3")
    assert shown["metric"] == "roc_auc, higher is better"


def test_data_from_stdin_is_csv(
    cli: Callable[..., Any], logged: list[str], monkeypatch: pytest.MonkeyPatch, own_place: Path
) -> None:
    with (own_place / "holdout.csv").open() as file:
        monkeypatch.setattr("sys.stdin", file)
        found = cli("models", "evaluate", "nba/1", "-", "--targets", "y", "--json").json
    assert found["dataset"]["name"] == "stdin"


@pytest.mark.parametrize(
    ("file", "code", "words"),
    [
        ("nothing.csv", 4, "There is no file 'nothing.csv'"),
        ("holdout.xlsx", 1, "ends with .csv, .parquet, .json, .jsonl"),
        ("broken.parquet", 1, "cannot be read"),
        ("mixed.json", 1, "cannot be read"),
        ("empty.csv", 1, "cannot be read"),
        ("surplus.csv", 1, "Expected 2 fields in line 2, saw 3"),
    ],
)
def test_data_that_cannot_be_read_is_one_line(
    cli: Callable[..., Any], logged: list[str], own_place: Path, file: str, code: int, words: str
) -> None:
    (own_place / "broken.parquet").write_bytes(b"PAR1 no")
    (own_place / "empty.csv").write_bytes(b"")
    (own_place / "mixed.json").write_text('[{"y": 1}, 5]')
    (own_place / "surplus.csv").write_text("x,y\n0.5,0,1\n")
    done = cli("models", "evaluate", "nba/1", file, "--targets", "y")
    assert done.code in (code, 2)
    assert words in done.err
