"""Which version a stage or alias had at a past time: exact to the microsecond, for clients and loaders."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from governed_models import register
from xgboost import XGBRegressor

import registry
from registry import MlflowClient
from registry.entities.times import format_time
from registry.exceptions import InvalidParameterError, InvalidUriError, ModelNotFoundError, VersionNotFoundError

TICK = timedelta(microseconds=1)


@pytest.fixture
def moments(client: MlflowClient) -> dict[str, datetime]:
    """Production: version 1, then 2, then nobody, then 3 by rollback's way; each with the moment of its event."""
    register(client, "nba", 3)
    found = {}
    for name, version, stage in (("one", 1, "Production"), ("two", 2, "Production"), ("nobody", 2, "Archived")):
        client.transition_model_version_stage("nba", version, stage)
        found[name] = client.get_history("nba")[-1].time
    client.rollback("nba")
    found["back"] = client.get_history("nba")[-1].time
    return found


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("one", None, 1), ("two", 1, 2), ("nobody", 2, None), ("back", None, 2)],
)
def test_a_period_includes_its_beginning_and_excludes_its_end(
    client: MlflowClient, moments: dict[str, datetime], name: str, before: int | None, after: int | None
) -> None:
    def holder(at: datetime) -> int | None:
        found = client.find_model_version_by_stage("nba", "production", at)
        return None if found is None else found.version

    assert (holder(moments[name] - TICK), holder(moments[name])) == (before, after)


def test_now_and_the_last_moment_agree(client: MlflowClient, moments: dict[str, datetime]) -> None:
    assert client.get_model_version_by_stage("nba", "Production").version == 2
    assert client.get_model_version_by_stage("nba", "Production", datetime.now(UTC)).version == 2


def test_a_time_may_be_text_or_in_another_zone(client: MlflowClient, moments: dict[str, datetime]) -> None:
    elsewhere = moments["one"].astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert client.get_model_version_by_stage("nba", "Production", elsewhere).version == 1
    assert client.get_model_version_by_stage("nba", "Production", elsewhere.isoformat()).version == 1
    assert registry.resolve(f"models:/nba/production?at={format_time(elsewhere)}").version == 1


def test_a_loader_reports_that_the_stage_was_empty(client: MlflowClient, moments: dict[str, datetime]) -> None:
    for at in (moments["one"] - TICK, moments["nobody"], datetime(2020, 1, 1, tzinfo=UTC)):
        with pytest.raises(VersionNotFoundError, match="No version of 'nba' held Production at"):
            registry.resolve(f"models:/nba/Production?at={format_time(at)}")
        with pytest.raises(VersionNotFoundError, match="No version of 'nba' held Production at"):
            client.get_model_version_by_stage("nba", "Production", at)
        assert client.find_model_version_by_stage("nba", "Production", at) is None


def test_the_future_is_an_error(client: MlflowClient, moments: dict[str, datetime]) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    for call in (
        lambda: client.get_model_version_by_stage("nba", "Production", tomorrow),
        lambda: client.find_model_version_by_stage("nba", "Production", tomorrow),
        lambda: client.find_model_version_by_alias("nba", "best", tomorrow),
        lambda: registry.pyfunc.load_model(f"models:/nba/Production?at={format_time(tomorrow)}"),
    ):
        with pytest.raises(InvalidParameterError, match="`at` is in the future"):
            call()


def test_a_time_without_a_zone_is_an_error(client: MlflowClient, moments: dict[str, datetime]) -> None:
    naive = datetime(2026, 1, 1)
    with pytest.raises(InvalidParameterError, match="has no time zone"):
        client.get_model_version_by_stage("nba", "Production", naive)
    with pytest.raises(InvalidUriError, match="has no time zone"):
        registry.resolve("models:/nba/Production?at=2026-01-01T00:00:00")


@pytest.mark.parametrize("stage", ["None", "Archived"])
def test_a_stage_without_a_single_holder_is_an_error(client: MlflowClient, stage: str) -> None:
    register(client, "nba")
    with pytest.raises(InvalidParameterError, match=f"The stage {stage} has no holder"):
        client.get_model_version_by_stage("nba", stage)
    with pytest.raises(InvalidUriError, match="Staging and Production"):
        registry.resolve(f"models:/nba/{stage}?at=2026-01-01T00:00:00Z")


def test_a_holder_that_was_deleted_since_is_named_with_time_and_actor(
    client: MlflowClient, moments: dict[str, datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_ACTOR", "ann")
    MlflowClient().delete_model_version("nba", 1)
    deleted = client.get_history("nba")[-1].time
    words = f"Version 1 of 'nba' held Production then, but was deleted at {format_time(deleted)} by ann"
    with pytest.raises(VersionNotFoundError, match=words) as caught:
        registry.resolve(f"models:/nba/Production?at={format_time(moments['one'])}")
    assert caught.value.error_code == "RESOURCE_DOES_NOT_EXIST"
    with pytest.raises(VersionNotFoundError, match=words):
        client.find_model_version_by_stage("nba", "Production", moments["one"])
    client.restore_model_version("nba", 1)
    assert client.get_model_version_by_stage("nba", "Production", moments["one"]).version == 1


def test_a_holder_whose_model_was_deleted_since_is_named_too(
    client: MlflowClient, moments: dict[str, datetime]
) -> None:
    client.delete_registered_model("nba", force=True)
    deleted = format_time(client.get_history("nba")[-1].time)
    for call in (
        lambda: registry.resolve(f"models:/nba/Production?at={format_time(moments['two'])}"),
        lambda: client.find_model_version_by_stage("nba", "Production", moments["two"]),
    ):
        words = f"Version 2 of 'nba' held Production then, but the model was deleted at {deleted} by tester"
        with pytest.raises(VersionNotFoundError, match=words):
            call()
    with pytest.raises(ModelNotFoundError, match=f"deleted at {deleted} by tester"):
        registry.resolve(f"models:/nba/Production?at={format_time(moments['nobody'])}")


def test_a_new_model_of_an_old_name_has_no_past(client: MlflowClient, moments: dict[str, datetime]) -> None:
    client.delete_registered_model("nba", force=True)
    register(client, "nba")
    assert client.find_model_version_by_stage("nba", "Production", moments["two"]) is None


def test_an_old_name_leads_to_an_error_with_the_new_one(client: MlflowClient, moments: dict[str, datetime]) -> None:
    client.rename_registered_model("nba", "mlb")
    at = format_time(moments["one"])
    with pytest.raises(ModelNotFoundError, match="renamed to 'mlb'"):
        registry.resolve(f"models:/nba/Production?at={at}")
    assert registry.resolve(f"models:/mlb/Production?at={at}").version == 1


def test_aliases_have_a_past_like_stages(client: MlflowClient) -> None:
    register(client, "nba", 2)
    client.set_registered_model_alias("nba", "best", 1)
    first = client.get_history("nba")[-1].time
    client.set_registered_model_alias("nba", "best", 2)
    second = client.get_history("nba")[-1].time
    client.delete_registered_model_alias("nba", "best")
    third = client.get_history("nba")[-1].time
    found = [
        client.find_model_version_by_alias("nba", "best", at)
        for at in (first - TICK, first, second - TICK, second, third - TICK, third)
    ]
    assert [version and version.version for version in found] == [None, 1, 1, 2, 2, None]
    assert registry.resolve(f"models:/nba@best?at={format_time(second)}").version == 2
    assert client.find_model_version_by_alias("nba", "best") is None


def test_stage_holders_is_a_table_of_who_held_what(client: MlflowClient, moments: dict[str, datetime]) -> None:
    client.set_registered_model_alias("nba", "best", 3, reason="tried out")
    table = registry.stage_holders("nba")
    since = client.get_history("nba")[-1].time
    assert list(table.columns) == ["model_uid", "stage", "version", "since", "until", "actor", "reason"]
    assert str(table["since"].dtype) == str(table["until"].dtype) == "datetime64[us, UTC]"
    rows = table[["stage", "version", "since", "reason"]].itertuples(index=False, name=None)
    assert [(stage, version, at.to_pydatetime(), why) for stage, version, at, why in rows] == [
        ("Production", 1, moments["one"], None),
        ("Production", 2, moments["two"], None),
        ("Production", 2, moments["back"], None),
        ("@best", 3, since, "tried out"),
    ]
    ends = [None if end is registry_nat() else end.to_pydatetime() for end in table["until"]]
    assert ends == [moments["two"], moments["nobody"], None, None]
    assert set(table["actor"]) == {"tester"}


def registry_nat() -> object:
    import pandas as pd

    return pd.NaT


def test_stage_holders_of_a_model_that_nothing_held_has_the_same_columns(client: MlflowClient) -> None:
    register(client, "nba")
    empty = registry.stage_holders("nba")
    client.transition_model_version_stage("nba", 1, "Staging")
    assert len(empty) == 0
    assert empty.dtypes.to_dict() == registry.stage_holders("nba").dtypes.to_dict()


def test_every_loader_goes_back_in_time(client: MlflowClient) -> None:
    data = np.array([[0.0], [1.0], [2.0]])
    trained = [XGBRegressor(n_estimators=1, n_jobs=1, base_score=value).fit(data, data[:, 0]) for value in (0.0, 9.0)]
    moments = []
    for version, model in enumerate(trained, start=1):
        registry.xgboost.log_model(model, name="m", registered_model_name="nba")
        client.transition_model_version_stage("nba", version, "Production")
        moments.append(format_time(client.get_history("nba")[-1].time))
    for moment, model in zip(moments, trained, strict=True):
        uri = f"models:/nba/Production?at={moment}"
        assert registry.xgboost.load_model(uri).predict(data).tolist() == model.predict(data).tolist()
        assert registry.pyfunc.load_model(uri).predict(data).tolist() == model.predict(data).tolist()


def test_a_file_of_a_past_holder_can_be_fetched(client: MlflowClient, moments: dict[str, datetime]) -> None:
    path = registry.artifacts.download_artifacts(f"models:/nba/Production/data.txt?at={format_time(moments['one'])}")
    with open(path) as file:  # noqa: PTH123 - what callers do with what they got
        assert file.read() == "content"
