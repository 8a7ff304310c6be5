"""``registry models score``: files scored from the command line."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from scored_games import fill, games

import registry

Run = Callable[..., object]


@pytest.fixture
def churn(own_place: Path) -> str:
    fill()
    games(20).to_parquet("games.parquet")
    return "models:/churn/Production"


def test_a_file_is_scored_and_the_line_says_with_what(cli: Run, churn: str) -> None:
    first = cli("models", "score", churn, "games.parquet", "scores.parquet", "--keep", "game", "--with-model")
    again = cli("score", "churn/Production", "games.parquet", "scores.parquet", "--keep", "game", "--with-model")

    assert first == type(first)(0, "", "20 rows in 1 file scored with churn/1.\n")
    assert again == type(first)(0, "", "20 rows in 1 file scored with churn/1; 1 had been scored before.\n")
    assert pd.read_parquet("scores.parquet").columns.tolist()[:3] == ["game", "prediction", "model_name"]


def test_json_has_the_whole_report(cli: Run, churn: str) -> None:
    Path("data").mkdir()
    for name in ("a", "b"):
        games(3).to_parquet(f"data/{name}.parquet")

    outcome = cli("models", "score", registry.resolve(churn).location, "data", "scores", "--json")

    assert outcome.json == {  # type: ignore[attr-defined]
        "model_name": None,
        "model_version": None,
        "model_digest": registry.resolve(churn).digest,
        "parts": 2,
        "skipped": 0,
        "rows": 6,
    }


def test_several_files_are_named_by_their_number(cli: Run, churn: str) -> None:
    location = registry.resolve(churn).location
    Path("data").mkdir()
    for name in ("a", "b"):
        games(3).to_parquet(f"data/{name}.parquet")

    outcome = cli("models", "score", location, "data/*.parquet", "scores")

    digest = registry.resolve(churn).digest[:12]
    assert outcome == type(outcome)(0, "", f"6 rows in 2 files scored with {digest}.\n")


def test_what_is_there_and_differs_is_an_error(cli: Run, churn: str) -> None:
    cli("models", "score", churn, "games.parquet", "scores.parquet")

    refused = cli("models", "score", "models:/churn/2", "games.parquet", "scores.parquet")
    done = cli("models", "score", "models:/churn/2", "games.parquet", "scores.parquet", "--overwrite", "--threads", "1")

    assert refused.code == 5  # type: ignore[attr-defined]
    assert "--overwrite" in refused.err  # type: ignore[attr-defined]
    assert done == type(done)(0, "", "20 rows in 1 file scored with churn/2.\n")
