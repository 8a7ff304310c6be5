"""``registry runs compare``: runs and versions side by side."""

from collections.abc import Callable
from typing import Any

import pytest

import registry


@pytest.fixture
def other(filled: Any) -> str:
    client = registry.MlflowClient()
    run_id = client.create_run("1", run_name="second try").info.run_id
    client.log_param(run_id, "depth", 5)
    client.log_metric(run_id, "auc", 0.75)
    return str(run_id)


def test_runs_are_compared_in_a_table(cli: Callable, filled: Any, other: str) -> None:
    assert cli("runs", "compare", filled.run_id, other, "--header").rows == [
        ["field", "first try", "second try", "difference", "best"],
        ["params.depth", "3", "5", "", ""],
        ["metrics.auc", "0.875", "0.75", "0.125", "first try"],
        ["metrics.loss", "", "", "", ""],
    ]


def test_a_comparison_is_json_when_asked_for(cli: Callable, filled: Any, other: str) -> None:
    rows = cli("runs", "compare", filled.run_id, other, "--lower-is-better", "auc", "--json").json

    assert rows[1] == {
        "field": "metrics.auc",
        "first try": 0.875,
        "second try": 0.75,
        "difference": 0.125,
        "better": "lower",
        "best": "second try",
    }


def test_what_is_missing_is_an_error_in_one_line(cli: Callable, filled: Any) -> None:
    missing = cli("runs", "compare", filled.run_id, "f" * 32)

    assert (missing.code, missing.out) == (4, "")
    assert missing.err == f"registry: Run with id={'f' * 32} not found\n"
