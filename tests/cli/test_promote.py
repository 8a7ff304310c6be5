"""``registry versions promote`` and ``registry artifacts resolve``."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import registry


def test_promoting_says_who_was_archived(cli: Callable, filled: object) -> None:
    outcome = cli("versions", "promote", "churn/2", "production", "--reason", "better")

    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == (
        "churn: version 2 is in stage Production.\nchurn: version 1, which held it, is in stage Archived.\n"
    )
    assert registry.MlflowClient().get_model_version("churn", 1).current_stage == "Archived"


def test_promoting_the_holder_again_changes_nothing(cli: Callable, filled: object) -> None:
    assert cli("versions", "promote", "churn/1", "Production").err == "churn: version 1 is in stage Production.\n"


def test_promoting_prints_the_version_as_json(cli: Callable, filled: object) -> None:
    moved = cli("versions", "promote", "churn/2", "Staging", "--json").json

    assert (moved["name"], moved["version"], moved["current_stage"]) == ("churn", 2, "Staging")


@pytest.mark.parametrize("expected", ["2", "none"])
def test_a_promotion_whose_expectation_fails_changes_nothing(cli: Callable, filled: object, expected: str) -> None:
    outcome = cli("versions", "promote", "churn/2", "Production", "--expected-current", expected)

    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (5, "", 1)
    assert registry.MlflowClient().get_model_version("churn", 1).current_stage == "Production"


def test_a_promotion_whose_expectation_holds_takes_place(cli: Callable, filled: object) -> None:
    assert cli("versions", "promote", "churn/2", "Production", "--expected-current", "1").code == 0
    assert cli("versions", "promote", "churn/1", "Staging", "--expected-current", "none").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["churn/1", "Prod"], 2, "There is no stage 'Prod'. Did you mean 'Production'?"),
        (["chrun/1", "Production"], 4, "Did you mean 'churn'?"),
        (["churn/9", "Production"], 4, "version=9"),
        (["churn/one", "Production"], 2, "'one'"),
        (["churn", "Production"], 2, "'churn' names no version"),
        (
            ["churn/Production?at=2026-01-31T12:00:00Z", "Staging"],
            2,
            "For that time: registry artifacts resolve 'models:/churn/Production?at=2026-01-31T12:00:00Z'.",
        ),
    ],
)
def test_a_promotion_of_what_is_not_there_is_one_line(
    cli: Callable, filled: object, arguments: list[str], code: int, said: str
) -> None:
    outcome = cli("versions", "promote", *arguments)

    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (code, "", 1)
    assert said in outcome.err


def test_a_uri_resolves_to_its_sealed_model(cli: Callable, filled: Any, own_place: Path) -> None:
    model_id = filled.model_ids[0]
    resolved = cli("artifacts", "resolve", "models:/churn/Production", "--json").json

    assert resolved == {
        "name": "churn",
        "version": 1,
        "model_id": model_id,
        "location": f"{own_place}/mlruns/0/models/{model_id}/artifacts",
        "digest": registry.resolve("models:/churn/1").digest,
        "is_adopted": False,
    }
    assert cli("artifacts", "resolve", "churn/Production").rows == [
        ["model", "churn"],
        ["version", "1"],
        ["logged model", model_id],
        ["files", resolved["location"]],
        ["digest", resolved["digest"]],
    ]


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("models:/churn", 2),
        ("models:/churn/Staging", 4),
        ("models:/nobody/1", 4),
        ("runs:/x/y", 4),
    ],
)
def test_a_uri_that_leads_nowhere_is_one_line(cli: Callable, filled: object, uri: str, code: int) -> None:
    outcome = cli("artifacts", "resolve", uri)

    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (code, "", 1)
