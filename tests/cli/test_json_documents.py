"""The documents of --json keep their keys: scripts read them with jq. Keys may be added, none renamed or removed."""

from collections.abc import Callable
from typing import Any

import pytest

import registry

RUN = {"info", "data", "inputs", "outputs"}
INFO = {
    *("run_id", "run_name", "experiment_id", "status", "user_id", "start_time", "end_time"),
    *("lifecycle_stage", "artifact_uri"),
}
EXPERIMENT = {
    *("experiment_id", "name", "artifact_location", "lifecycle_stage", "creation_time", "last_update_time", "tags"),
}
MODEL = {
    *("name", "description", "latest_versions", "aliases", "tags", "creation_timestamp", "last_updated_timestamp"),
}
VERSION = {
    *("name", "version", "current_stage", "run_id", "model_id", "digest", "aliases", "tags", "source", "description"),
    *("user_id", "creation_timestamp", "last_updated_timestamp", "status"),
}
HOLDING = {"place", "version", "since", "actor", "reason", "kind", "overridden", "verdicts", "approvals"}
MONITOR = {
    *("id", "model", "stage", "every_seconds", "cooldown_seconds", "settings", "triggers", "actor", "created", "next"),
    *("leased_until", "guard", "last_check"),
}
EVENT = {
    *("position", "model", "model_uid", "seq", "kind", "version", "from", "to", "actor", "session_user", "reason"),
    *("time", "details", "prev_hash", "hash"),
}


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (["runs", "list"], RUN),
        (["experiments", "list"], EXPERIMENT),
        (["experiments", "show", "nba"], EXPERIMENT | {"runs", "deleted_runs"}),
        (["models", "list"], MODEL),
        (["models", "show", "churn"], MODEL | {"holders"}),
        (["models", "history", "churn"], EVENT),
        (["models", "holders", "churn"], {"model_uid", "stage", "version", "since", "until", "actor", "reason"}),
        (
            ["models", "verify"],
            {"name", "model_uid", "sequence", "hash", "events", "versions", "unlisted", "notes"},
        ),
        (["versions", "list"], VERSION),
        (["versions", "show", "churn/1"], VERSION | {"files", "holds"}),
        (["versions", "promote", "churn/2", "Staging"], VERSION),
        (
            ["versions", "promote", "churn/2", "Staging", "--dry-run"],
            {"name", "version", "from", "to", "archived", "allowed", "verdicts"},
        ),
        (["rules", "check", "churn/1", "Production"], {"rule", "passed", "expected", "actual"}),
        (["rules", "show", "churn", "Production"], {"kind", "metric", "value"}),
        (["artifacts", "resolve", "churn/1"], {"name", "version", "model_id", "location", "digest"}),
        (["events", "list"], EVENT),
        (["monitor", "add", "churn"], MONITOR),
        (["monitor", "guard", "churn"], MONITOR),
        (["monitor", "run"], {"checks", "triggers"}),
        (["db", "current"], {"database", "revision", "newest"}),
        (["gc"], {"applied", "size_bytes", "items", "failures"}),
        (["doctor"], {"area", "verdict", "text", "remedy"}),
    ],
)
def test_documents_keep_their_keys(cli: Callable, filled: Any, words: list[str], keys: set[str]) -> None:
    registry.MlflowClient().set_promotion_rules("churn", "Production", [registry.MetricAtLeast("auc", 0.0)])

    document = cli(*words, "--json").json

    first = document[0] if isinstance(document, list) else document
    assert keys - set(first) == set()


def test_a_run_has_mlflows_shape(cli: Callable, filled: Any) -> None:
    run = cli("runs", "show", filled.run_id, "--json").json

    assert set(run) >= RUN
    assert INFO - set(run["info"]) == set()
    assert set(run["data"]) >= {"metrics", "params", "tags"}


def test_a_holding_says_why(cli: Callable, filled: Any) -> None:
    (held,) = cli("models", "show", "churn", "--json").json["holders"]

    assert set(held) == HOLDING
