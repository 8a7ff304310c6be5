"""Every command that reads works on SQLite and on PostgreSQL, and so do the changes that a pipeline makes."""

from collections.abc import Callable
from pathlib import Path

import pytest

import registry


@pytest.fixture
def place(cli: Callable, database_url: str, own_place: Path) -> str:
    """A registry with a run and two versions of ``churn``; return its tracking URI."""
    client = registry.MlflowClient(database_url)
    run_id = client.create_run(client.create_experiment("nba"), run_name="first").info.run_id
    client.log_metric(run_id, "auc", 0.9)
    (own_place / "source").mkdir()
    (own_place / "source" / "MLmodel").write_text("flavors: {}\n")
    for _ in range(2):
        client.register_model(str(own_place / "source"), "churn")
    client.set_promotion_rules("churn", "Production", [registry.Approvals(1)])
    return database_url


@pytest.mark.parametrize(
    "words",
    [
        ["experiments", "list"],
        ["experiments", "show", "nba"],
        ["runs", "list", "--since", "1d", "--best", "auc", "--tag", "mlflow.runName=first"],
        ["runs", "show", "nba/first"],
        ["models", "list"],
        ["models", "show", "churn"],
        ["models", "history", "churn"],
        ["models", "holders", "churn"],
        ["models", "verify"],
        ["versions", "list", "churn"],
        ["versions", "show", "churn/latest"],
        ["artifacts", "resolve", "churn/1"],
        ["rules", "show", "churn", "Production"],
        ["events", "list", "-n", "2"],
        ["gc", "--older-than", "0s"],
        ["db", "check"],
        ["doctor"],
    ],
    ids=" ".join,
)
def test_reading_works(cli: Callable, place: str, words: list[str]) -> None:
    for flags in ([], ["--json"], ["--csv"], ["-q"], ["--header"]):
        outcome = cli(*words, *flags, "--tracking-uri", place)
        assert (outcome.code, "Traceback" in outcome.err) == (0, False), (flags, outcome.err)


def test_a_version_goes_into_production_and_back(cli: Callable, place: str) -> None:
    at = ("--tracking-uri", place)
    assert cli("rules", "check", "churn/1", "Production", *at).code == 3
    assert cli("versions", "promote", "churn/1", "Production", *at).code == 3
    registry.MlflowClient(place).delete_promotion_rules("churn", "Production")
    for version in ("1", "2"):
        assert cli("versions", "promote", f"churn/{version}", "Production", *at).code == 0
    plan = cli("models", "rollback", "churn", "--dry-run", "--json", *at).json
    assert (plan["version"], plan["current_stage"], plan["applied"]) == (1, "Archived", False)
    assert cli("models", "rollback", "churn", "--expected-current", "2", *at).code == 0
    assert cli("versions", "show", "churn/Production", "-q", *at).out == "churn/1\n"
    assert cli("models", "verify", *at).code == 0
