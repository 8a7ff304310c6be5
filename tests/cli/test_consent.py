"""Destruction asks on a terminal, and needs --yes elsewhere."""

import io
import sys
from collections.abc import Callable

import pytest

import registry


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def rules(filled: object) -> registry.MlflowClient:
    client = registry.MlflowClient()
    client.set_promotion_rules("churn", "Production", [registry.Approvals(1)])
    return client


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 0), ("yes\n", 0, 0), ("n\n", 130, 1), ("", 130, 1)])
def test_a_person_is_asked(
    cli: Callable,
    rules: registry.MlflowClient,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    code: int,
    left: int,
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    outcome = cli("rules", "delete", "churn", "Production")

    assert outcome.code == code
    assert outcome.err.startswith("This removes the 1 rules that guard Production of churn.\nGo on? [y/N] ")
    assert len(rules.get_promotion_rules("churn", "Production")) == left


@pytest.mark.parametrize("flags", [[], ["--no-input"]])
def test_nobody_to_ask_is_an_error_that_names_the_option(
    cli: Callable, rules: registry.MlflowClient, monkeypatch: pytest.MonkeyPatch, flags: list[str]
) -> None:
    if flags:
        monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    outcome = cli("rules", "delete", "churn", "Production", *flags)

    assert (outcome.code, outcome.out) == (2, "")
    assert "Give --yes to do it." in outcome.err
    assert len(rules.get_promotion_rules("churn", "Production")) == 1


def test_a_dry_run_says_what_would_be_lost(cli: Callable, rules: registry.MlflowClient) -> None:
    plan = cli("rules", "delete", "churn", "Production", "--dry-run", "--json").json

    assert (plan["applied"], plan["removed"]) == (False, [{"kind": "approvals", "n": 1}])
    assert len(rules.get_promotion_rules("churn", "Production")) == 1
