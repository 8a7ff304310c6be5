"""Every change is one event in the same transaction; a call that changes nothing has none."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from governed_models import RawSql, kinds, register, sealed_model

import registry
from registry import MlflowClient
from registry.entities.history import EventKind, HistoryEvent
from registry.exceptions import InvalidParameterError, ModelNotFoundError, NotFoundError, PromotionRefusedError
from registry.rules import MetricAtLeast

Change = Callable[[MlflowClient], Any]
RULES = '[{"metric":"f1","value":0.8,"kind":"metric_at_least"}]'
FAILED = {
    "rule": "MetricAtLeast(metric='f1', value=0.8)",
    "passed": False,
    "expected": "f1 >= 0.8",
    "actual": "missing",
}


def _refused(client: MlflowClient) -> None:
    client.set_promotion_rules("nba", "Production", [MetricAtLeast("f1", 0.8)])
    with pytest.raises(PromotionRefusedError):
        client.transition_model_version_stage("nba", 1, "Production", reason="why")


def _overridden(client: MlflowClient) -> None:
    client.set_promotion_rules("nba", "Production", [MetricAtLeast("f1", 0.8)])
    client.transition_model_version_stage("nba", 1, "Production", override=True, reason="why")


def _twice_in_production(client: MlflowClient) -> None:
    client.transition_model_version_stage("nba", 1, "Production")
    client.transition_model_version_stage("nba", 2, "Production", reason="why")


def _back(client: MlflowClient) -> None:
    client.transition_model_version_stage("nba", 1, "Production")
    client.transition_model_version_stage("nba", 1, "Archived")
    client.rollback("nba", reason="why")


def _rules_deleted(client: MlflowClient) -> None:
    client.set_promotion_rules("nba", "staging", [MetricAtLeast("f1", 0.8)])
    client.delete_promotion_rules("nba", "Staging", reason="why")


def _restored(client: MlflowClient) -> None:
    client.delete_model_version("nba", 1)
    client.restore_model_version("nba", 1, reason="why")


def _alias_deleted(client: MlflowClient) -> None:
    client.set_registered_model_alias("nba", "best", 1)
    client.delete_registered_model_alias("nba", "best", reason="why")


def _tag_deleted(client: MlflowClient) -> None:
    client.set_model_version_tag("nba", 1, "team", "a")
    client.delete_model_version_tag("nba", 1, "team", reason="why")


def _alias_moved(client: MlflowClient) -> None:
    client.set_registered_model_alias("nba", "best", 1)
    client.set_registered_model_alias("nba", "best", 2, reason="why")


# What is done to a model with two versions; then the last event: kind, version, from, to, details.
CHANGES: list[tuple[Change, EventKind, int | None, str | None, str | None, dict[str, Any]]] = [
    (lambda c: c.rename_registered_model("nba", "mlb", reason="why"), EventKind.RENAMED, None, "nba", "mlb", {}),
    (
        lambda c: c.update_registered_model("nba", "about", reason="why"),
        EventKind.UPDATED,
        None,
        None,
        "about",
        {"field": "description"},
    ),
    (
        lambda c: c.update_model_version("nba", 2, "about", reason="why"),
        EventKind.UPDATED,
        2,
        None,
        "about",
        {"field": "description"},
    ),
    (
        lambda c: c.delete_registered_model("nba", reason="why"),
        EventKind.DELETED,
        None,
        "nba",
        None,
        {"force": False},
    ),
    (
        lambda c: c.delete_model_version("nba", 2, reason="why"),
        EventKind.VERSION_DELETED,
        2,
        "None",
        None,
        {"force": False},
    ),
    (_restored, EventKind.VERSION_RESTORED, 1, None, "None", {}),
    (
        lambda c: c.transition_model_version_stage("nba", 2, "Staging", reason="why"),
        EventKind.STAGE_CHANGED,
        2,
        "None",
        "Staging",
        {},
    ),
    (_twice_in_production, EventKind.STAGE_CHANGED, 2, "None", "Production", {}),
    (
        lambda c: c.set_registered_model_alias("nba", "best", 2, reason="why"),
        EventKind.ALIAS_SET,
        2,
        None,
        "2",
        {"alias": "best"},
    ),
    (_alias_moved, EventKind.ALIAS_SET, 2, "1", "2", {"alias": "best"}),
    (_alias_deleted, EventKind.ALIAS_DELETED, 1, "1", None, {"alias": "best"}),
    (
        lambda c: c.set_registered_model_tag("nba", "team", "a", reason="why"),
        EventKind.TAG_SET,
        None,
        None,
        "a",
        {"key": "team"},
    ),
    (
        lambda c: c.set_model_version_tag("nba", 1, "team", "a", reason="why"),
        EventKind.TAG_SET,
        1,
        None,
        "a",
        {"key": "team"},
    ),
    (_tag_deleted, EventKind.TAG_DELETED, 1, "a", None, {"key": "team"}),
    (
        lambda c: c.set_promotion_rules("nba", "production", [MetricAtLeast("f1", 0.8)], reason="why"),
        EventKind.RULES_SET,
        None,
        None,
        RULES,
        {"stage": "Production"},
    ),
    (_rules_deleted, EventKind.RULES_DELETED, None, RULES, None, {"stage": "Staging"}),
    (
        lambda c: c.approve("nba", 1, "production", reason="why"),
        EventKind.APPROVED,
        1,
        None,
        None,
        {"stage": "Production"},
    ),
    (_refused, EventKind.PROMOTION_REFUSED, 1, "None", "Production", {"rules": [FAILED]}),
    (_overridden, EventKind.STAGE_CHANGED, 1, "None", "Production", {}),
    (_back, EventKind.ROLLED_BACK, 1, "Archived", "Production", {"rules": "not judged again"}),
]


@pytest.mark.parametrize(("change", "kind", "version", "before", "after", "details"), CHANGES)
def test_a_change_is_an_event_with_the_old_value_and_the_reason(
    client: MlflowClient,
    database_url: str,
    change: Change,
    kind: EventKind,
    version: int | None,
    before: str | None,
    after: str | None,
    details: dict[str, Any],
) -> None:
    register(client, "nba", 2)
    begun = datetime.now(UTC) - timedelta(seconds=1)
    change(client)
    event = client.get_history("nba")[-1]
    assert (event.kind, event.version, event.from_value, event.to_value) == (kind, version, before, after)
    assert (event.reason, event.actor, dict(event.details)) == ("why", "tester", details)
    assert event.session_user == (None if database_url.startswith("sqlite") else "postgres")
    assert begun < event.time <= datetime.now(UTC)


def test_creation_is_on_record_with_the_digest(client: MlflowClient) -> None:
    client.create_registered_model("nba", tags={"team": "a"}, description="about", reason="season")
    model_id = sealed_model(client)
    version = client.create_model_version("nba", f"models:/{model_id}", tags={"k": "v"}, reason="first")
    created, tagged, versioned, version_tagged = client.get_history("nba")
    assert (created.kind, created.to_value, created.reason) == ("created", "nba", "season")
    assert dict(created.details) == {"description": "about"}
    assert (tagged.kind, tagged.version, tagged.to_value) == ("tag_set", None, "a")
    assert (versioned.kind, versioned.version, versioned.reason) == ("version_created", 1, "first")
    assert dict(versioned.details) == {
        "digest": version.digest,
        "model_id": model_id,
        "run_id": None,
        "source": f"models:/{model_id}",
        "recorded": {
            "creation_time": version.creation_timestamp,
            "flavors": [],
            "run_link": None,
            "signature": None,
        },
        "signatures": {},
    }
    assert (version_tagged.kind, version_tagged.version, version_tagged.to_value) == ("tag_set", 1, "v")


def test_archiving_the_holder_is_an_event_of_its_own(client: MlflowClient) -> None:
    register(client, "nba", 2)
    _twice_in_production(client)
    archived, promoted = client.get_history("nba")[-2:]
    assert (archived.version, archived.from_value, archived.to_value) == (1, "Production", "Archived")
    assert dict(archived.details) == {"succeeded_by": 2}
    assert (archived.reason, promoted.version) == ("why", 2)


def test_an_override_is_an_event_with_the_figures_before_the_move(client: MlflowClient) -> None:
    register(client, "nba")
    _overridden(client)
    overridden = client.get_history("nba")[-2]
    assert (overridden.kind, overridden.reason) == ("rules_overridden", "why")
    assert dict(overridden.details) == {"rules": [FAILED]}


def test_a_refusal_leaves_its_event_and_nothing_else(client: MlflowClient) -> None:
    register(client, "nba")
    _refused(client)
    assert kinds(client, "nba") == ["created", "version_created", "rules_set", "promotion_refused"]
    assert client.get_model_version("nba", 1).current_stage == "None"


def test_deleting_a_version_with_aliases_says_which_went(client: MlflowClient) -> None:
    register(client, "nba")
    client.set_registered_model_alias("nba", "best", 1)
    client.delete_model_version("nba", 1)
    assert kinds(client, "nba")[-2:] == ["alias_deleted", "version_deleted"]


NOTHING: list[Change] = [
    lambda c: c.rename_registered_model("nba", "nba"),
    lambda c: c.update_registered_model("nba", "about"),
    lambda c: c.update_registered_model("nba", None),
    lambda c: c.update_model_version("nba", 1, "about"),
    lambda c: c.transition_model_version_stage("nba", 1, "Production"),
    lambda c: c.set_registered_model_alias("nba", "best", 1),
    lambda c: c.delete_registered_model_alias("nba", "unknown"),
    lambda c: c.set_registered_model_tag("nba", "team", "a"),
    lambda c: c.delete_registered_model_tag("nba", "unknown"),
    lambda c: c.set_model_version_tag("nba", 1, "team", "a"),
    lambda c: c.delete_model_version_tag("nba", 1, "unknown"),
    lambda c: c.set_promotion_rules("nba", "Staging", [MetricAtLeast("f1", 0.8)]),
    lambda c: c.delete_promotion_rules("nba", "Production"),
    lambda c: c.approve("nba", 1, "Staging"),
    lambda c: c.check_promotion("nba", 1, "Staging"),
]


@pytest.mark.parametrize("change", NOTHING)
def test_a_call_that_changes_nothing_appends_nothing(client: MlflowClient, change: Change) -> None:
    register(client, "nba")
    client.update_registered_model("nba", "about")
    client.update_model_version("nba", 1, "about")
    client.transition_model_version_stage("nba", 1, "Production")
    client.set_registered_model_alias("nba", "best", 1)
    client.set_registered_model_tag("nba", "team", "a")
    client.set_model_version_tag("nba", 1, "team", "a")
    client.set_promotion_rules("nba", "Staging", [MetricAtLeast("f1", 0.8)])
    client.approve("nba", 1, "Staging")
    before = client.get_history("nba")
    change(client)
    assert client.get_history("nba") == before


FAILURES: list[Change] = [
    lambda c: c.transition_model_version_stage("nba", 9, "Production"),
    lambda c: c.transition_model_version_stage("nba", 1, "Staging", expected_current=1),
    lambda c: c.set_registered_model_alias("nba", "best", 9),
    lambda c: c.rename_registered_model("nba", "taken"),
    lambda c: c.rename_registered_model("nba", "TAKEN"),
    lambda c: c.restore_model_version("nba", 1),
    lambda c: c.rollback("nba", "Staging"),
    lambda c: c.approve("nba", 9, "Staging"),
    lambda c: c.transition_model_version_stage("nba", 1, "Staging", reason="nul \0"),
    lambda c: c.set_model_version_tag("nba", 1, "k", "v", reason="x" * 10_001),
]


@pytest.mark.parametrize("change", FAILURES)
def test_a_call_that_fails_leaves_nothing(client: MlflowClient, change: Change) -> None:
    register(client, "nba")
    register(client, "taken")
    before = client.get_history("nba")
    with pytest.raises(registry.RegistryError):
        change(client)
    assert client.get_history("nba") == before
    client.verify("nba")


def test_sequences_are_without_gaps_and_times_grow_with_them(client: MlflowClient) -> None:
    register(client, "nba", 3)
    for version in (1, 2, 3, 1):
        client.transition_model_version_stage("nba", version, "Production")
    events = client.get_history("nba")
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert all(before.time < after.time for before, after in pairwise(events))


def test_times_grow_even_if_the_clock_runs_back(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    register(client, "nba", 2)
    last = client.get_history("nba")[-1].time_us
    monkeypatch.setenv("REGISTRY_IGNORE_CLOCK", "1")
    monkeypatch.setattr("registry.store.clock.clock_us", lambda server_us: 1_000_000)
    client = MlflowClient()
    _twice_in_production(client)
    assert [event.time_us - last for event in client.get_history("nba")[-3:]] == [1, 2, 3]


def test_a_renamed_model_keeps_its_history_under_both_names(client: MlflowClient) -> None:
    register(client, "old")
    client.rename_registered_model("old", "new")
    client.transition_model_version_stage("new", 1, "Staging")
    expected = ["created", "version_created", "renamed", "stage_changed"]
    assert (kinds(client, "new"), kinds(client, "old")) == (expected, expected)
    with pytest.raises(ModelNotFoundError, match="renamed to 'new'"):
        client.get_registered_model("old")
    client.rename_registered_model("new", "newest")
    with pytest.raises(ModelNotFoundError, match="renamed to 'newest'"):
        client.transition_model_version_stage("old", 1, "Production")


def test_a_recreated_name_is_a_new_model_with_a_chain_of_its_own(client: MlflowClient) -> None:
    register(client, "nba", 2)
    client.delete_registered_model("nba")
    with pytest.raises(ModelNotFoundError, match="deleted at .* by tester"):
        client.get_registered_model("nba")
    assert kinds(client, "nba") == ["created", "version_created", "version_created", "deleted"]
    assert register(client, "nba") == [1]
    events = client.get_history("nba")
    assert len({event.model_uid for event in events}) == 2
    assert [event.seq for event in events] == [1, 2, 3, 4, 1, 2]
    assert {event.model_uid for event in events[4:]} == {client.get_registered_model("nba").model_uid}
    assert events[4].prev_hash is None


def test_the_history_of_a_name_that_never_was_is_an_error(client: MlflowClient) -> None:
    with pytest.raises(ModelNotFoundError, match="no model ever had this name"):
        client.get_history("nobody")


def _filtered(client: MlflowClient, **filters: Any) -> list[int]:
    return [event.seq for event in client.get_history("nba", **filters)]


def test_filters_pick_by_version_kind_and_time(client: MlflowClient) -> None:
    register(client, "nba", 2)
    _twice_in_production(client)
    events: list[HistoryEvent] = client.get_history("nba")
    assert _filtered(client, version=1) == [2, 4, 5]
    assert _filtered(client, version="2") == [3, 6]
    assert _filtered(client, kind="created") == [1]
    assert _filtered(client, kind=["created", EventKind.VERSION_CREATED]) == [1, 2, 3]
    assert _filtered(client, since=events[3].time) == [4, 5, 6]
    assert _filtered(client, until=events[3].time) == [1, 2, 3]
    assert _filtered(client, since=events[1].time, until=events[3].time, version=2) == [3]


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"kind": "promoted"}, "no event kind 'promoted'; there are created, renamed"),
        ({"since": datetime(2026, 1, 1)}, "no time zone"),
        ({"until": "2026-01-01T00:00:00"}, "no time zone"),
    ],
)
def test_filters_that_mean_nothing_are_refused(client: MlflowClient, filters: dict[str, Any], words: str) -> None:
    register(client, "nba")
    with pytest.raises(InvalidParameterError, match=words):
        client.get_history("nba", **filters)


def test_history_is_a_data_frame_with_the_same_columns_whatever_it_holds(client: MlflowClient) -> None:
    register(client, "nba")
    full, empty = registry.history("nba"), registry.history("nba", kind="imported")
    assert list(full.columns) == [
        "model_uid",
        "seq",
        "time",
        "kind",
        "version",
        "from",
        "to",
        "actor",
        "session_user",
        "reason",
        "details",
        "hash",
    ]
    assert full.dtypes.to_dict() == empty.dtypes.to_dict()
    assert (len(full), len(empty)) == (2, 0)
    assert str(full["time"].dtype) == "datetime64[us, UTC]"
    assert full["kind"].tolist() == ["created", "version_created"]
    assert full["time"].tolist() == [event.time for event in client.get_history("nba")]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE history SET actor = 'somebody else'",
        "DELETE FROM history",
        "INSERT OR REPLACE INTO history SELECT * FROM history",
        "REPLACE INTO history SELECT id + 1000, model_id, seq, kind, version, from_value, to_value, actor, "
        "session_user, reason, time_us, details, prev_hash, hash FROM history",
        "TRUNCATE history CASCADE",
    ],
)
def test_the_database_refuses_to_change_history(
    client: MlflowClient, sql: RawSql, database_url: str, statement: str
) -> None:
    only_sqlite, only_postgres = "REPLACE" in statement, "TRUNCATE" in statement
    if (only_sqlite, only_postgres)[database_url.startswith("sqlite")]:
        pytest.skip("a statement of the other database")
    register(client, "nba")
    before = client.get_history("nba")
    with pytest.raises(Exception, match="history is append-only"):
        sql(statement)
    assert client.get_history("nba") == before


def test_a_deleted_version_can_be_restored_until_its_files_are_removed(client: MlflowClient, sql: RawSql) -> None:
    register(client, "nba", 2)
    client.delete_model_version("nba", 1)
    with pytest.raises(NotFoundError, match="it was deleted"):
        client.get_model_version("nba", 1)
    assert client.restore_model_version("nba", 1).current_stage == "None"
    client.delete_model_version("nba", 2)
    sql("UPDATE logged_models SET purged_time = 1")
    with pytest.raises(registry.RegistryError, match="its files were removed by gc"):
        client.restore_model_version("nba", 2)


def test_the_actor_comes_from_the_settings_or_the_operating_system(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    import getpass

    register(client, "nba")
    monkeypatch.setenv("REGISTRY_ACTOR", "ann")
    MlflowClient().set_model_version_tag("nba", 1, "k", "1")
    monkeypatch.delenv("REGISTRY_ACTOR")
    MlflowClient().set_model_version_tag("nba", 1, "k", "2")
    assert [event.actor for event in client.get_history("nba", kind="tag_set")] == ["ann", getpass.getuser()]
