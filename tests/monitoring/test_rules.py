"""The promotion rules on monitoring, judged in the transaction that promotes."""

import pytest
from governed_models import RawSql, drop_guards
from monitored_models import NOTHING, find, finding, model_in_production

import registry
from registry import CheckedWithin, MlflowClient, NoOpenIncident
from registry.entities import Monitor
from registry.entities.monitors import CheckOutcome, CheckStatus
from registry.exceptions import IntegrityError, InvalidParameterError, PromotionRefusedError
from registry.monitoring.runner import run_due


def checked(client: MlflowClient, status: CheckStatus, version: int = 1) -> None:
    """Record a check of a version with this status."""
    client.backend.monitors.log_check("nba", CheckOutcome(status, version))


def verdict(client: MlflowClient, version: int = 1) -> tuple[bool, str]:
    (found,) = client.check_promotion("nba", version, "Production")
    return found.passed, found.actual


def test_an_incident_that_is_not_closed_refuses_a_promotion(client: MlflowClient) -> None:
    model_in_production(client)
    client.set_promotion_rules("nba", "Production", [NoOpenIncident()])
    assert verdict(client) == (True, "none")
    (incident,) = find(client, "a")
    assert verdict(client) == (False, f"{incident.id} (a, open)")

    client.acknowledge_incident(incident.id)
    with pytest.raises(PromotionRefusedError, match=rf"expected no open incident, actual {incident.id} \(a, acknow"):
        client.transition_model_version_stage("nba", 1, "Production")

    client.close_incident(incident.id)
    assert client.transition_model_version_stage("nba", 1, "Production").current_stage == "Production"
    client.verify("nba")


def test_a_version_that_was_trained_to_answer_an_incident_is_not_refused_for_it(client: MlflowClient) -> None:
    model_in_production(client)
    client.set_promotion_rules("nba", "Production", [NoOpenIncident()])
    first, second = find(client, "a", "b")
    client.set_model_version_tag("nba", 1, "registry.incidents", str(first.id))
    assert verdict(client) == (False, f"{second.id} (b, open)")

    client.set_model_version_tag("nba", 1, "registry.incidents", f"{first.id}, {second.id}")

    assert verdict(client) == (True, "none but 2 that the version was trained to answer")


def test_of_many_incidents_the_first_are_named(client: MlflowClient) -> None:
    model_in_production(client)
    client.set_promotion_rules("nba", "Production", [NoOpenIncident()])
    find(client, *"abcdefg")

    assert verdict(client) == (False, "; ".join(f"{i} ({c}, open)" for i, c in enumerate("abcde", 1)) + " and 2 more")


def test_an_incident_of_another_model_does_not_matter(client: MlflowClient) -> None:
    model_in_production(client, "nfl")
    model_in_production(client)
    client.set_promotion_rules("nfl", "Production", [NoOpenIncident()])
    find(client, "a")

    assert client.check_promotion("nfl", 1, "Production")[0].passed


def test_a_promotion_needs_a_check_that_measured_something_lately(client: MlflowClient, sql: RawSql) -> None:
    model_in_production(client)
    client.set_promotion_rules("nba", "Production", [CheckedWithin("24h")])
    checked(client, CheckStatus.UNAVAILABLE)
    checked(client, CheckStatus.ERROR)
    checked(client, CheckStatus.OK, version=2)
    assert verdict(client) == (False, "none")

    checked(client, CheckStatus.DRIFT)
    passed, actual = verdict(client)
    assert (passed, actual.startswith("check 4 at "), actual.endswith("Z (drift)")) == (True, True, True)

    drop_guards(client.tracking_uri)
    sql("UPDATE monitor_checks SET end_time = end_time - 24 * 3600000")
    assert verdict(client)[0] is False
    with pytest.raises(PromotionRefusedError, match="expected a check within 24h, actual check 4 at"):
        client.transition_model_version_stage("nba", 1, "Production")


def test_a_check_of_a_monitor_counts(client: MlflowClient) -> None:
    model_in_production(client)
    client.transition_model_version_stage("nba", 1, "Staging")
    client.set_promotion_rules("nba", "Production", [CheckedWithin("1h"), NoOpenIncident()])
    client.add_monitor("nba", "Staging")
    run_due(client, triggers=NOTHING, check=finding(version=1))

    assert client.transition_model_version_stage("nba", 1, "Production").version == 1

    client.verify("nba")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE monitor_checks SET status = 'drift'", "this evidence was edited"),
        ("UPDATE monitor_checks SET end_time = end_time - 1", "this evidence was edited"),
        ("DELETE FROM monitor_checks", "this evidence no longer exists"),
    ],
)
def test_verify_finds_that_a_judged_check_was_edited(
    client: MlflowClient, sql: RawSql, statement: str, message: str
) -> None:
    model_in_production(client)
    client.set_promotion_rules("nba", "Production", [CheckedWithin("1h")])
    checked(client, CheckStatus.OK)
    client.transition_model_version_stage("nba", 1, "Production")
    client.verify("nba")
    drop_guards(client.tracking_uri)

    sql(statement)

    with pytest.raises(IntegrityError, match=message):
        client.verify("nba")


def test_an_incident_that_opens_during_a_promotion_comes_before_or_after_it(client: MlflowClient) -> None:
    """Both lock the model, so a promotion never passes NoOpenIncident beside an incident that is already there."""
    model_in_production(client)
    client.set_promotion_rules("nba", "Production", [NoOpenIncident()])
    client.add_monitor("nba")

    def check(client: MlflowClient, monitor: Monitor) -> CheckOutcome:
        client.transition_model_version_stage("nba", 1, "Production")
        return finding("a")(client, monitor)

    run_due(client, triggers=NOTHING, check=check)

    assert [event.kind for event in client.get_history("nba")][-2:] == ["stage_changed", "incident_opened"]
    assert verdict(client, 2) == (False, "1 (a, open)")


@pytest.mark.parametrize("age", ["0s", "yesterday", "", 24])
def test_a_check_within_no_time_is_refused(age: object) -> None:
    with pytest.raises(InvalidParameterError, match="CheckedWithin: age"):
        CheckedWithin(age)  # type: ignore[arg-type]


def test_the_rules_are_stored_as_json(client: MlflowClient) -> None:
    from registry.rules import rules_from_json, rules_to_json

    rules = (NoOpenIncident(), CheckedWithin("7d"))
    text = rules_to_json(rules)

    assert text == '[{"kind":"no_open_incident"},{"age":"7d","kind":"checked_within"}]'
    assert rules_from_json(text) == rules
    assert repr(list(rules)) == "[NoOpenIncident(), CheckedWithin(age='7d')]"
    assert registry.NoOpenIncident is NoOpenIncident
