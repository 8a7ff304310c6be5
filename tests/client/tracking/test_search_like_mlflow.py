"""Searches give the results of mlflow 3.17.2 over the same data, for every query that mlflow accepts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import registry

RUNS = [
    "",
    *("metrics.f1 > 0.5", "metric.f1 >= 0.5", "metrics.f1 < 0.9", "metrics.f1 <= 0.9", "metrics.f1 = 0.5"),
    *("metrics.f1 != 0.5", "metrics.f1 = 1e-1", "metrics.f1 > -1", "metrics.none > 0", "metrics.F1 > 0"),
    *("metrics.`a b` > 0", 'metrics."a b" > 0', "metrics.m.x/y > 0", "metrics.big > 1e300", "METRICS.f1 > 0.5"),
    *("params.depth = '3'", "param.depth != '3'", 'parameters.depth = "3"', "params.depth LIKE '%3'"),
    *("params.depth ILIKE '%X%'", "params.depth IS NULL", "params.depth is not null", "params.opt LIKE 'A%'"),
    *("params.opt LIKE 'a%'", "params.opt ILIKE 'a%'", "params.opt LIKE 'A_am'", "params.opt LIKE '100\\%'"),
    *('params.quote = "it\'s"', "params.quote = 'say \"hi\"'", "params.`a-b` = '1'", "params.\"a-b\" = '1'"),
    *("tags.team = 'x'", "tag.team != 'x'", "tags.team IS NULL", "tags.`mlflow.runName` = 'b'", "tags.team LIKE '_'"),
    *("attributes.status = 'FINISHED'", "attr.status != 'FINISHED'", "run.status = 'RUNNING'", "status = 'FAILED'"),
    *("run_name = 'a'", "run_name LIKE 'B%'", "run_name ILIKE 'B%'", "`Run name` = 'a'", "attributes.`run name` = 'a'"),
    *("run_id = '{a}'", "run_id IN ('{a}', '{b}')", "run_id NOT IN ('{a}')", "attributes.run_id != '{a}'"),
    *("run_id LIKE '%'", "user_id = 'unknown'", "user_id != 'unknown'", "artifact_uri LIKE '%/{a}/%'"),
    *("start_time > 2000", "start_time <= 2000", "attributes.start_time = 1000", "end_time != 3500", "end_time > 0"),
    *("Created > 2000", "created >= 3000", "attribute.created < 2000"),
    *("datasets.name = 'panel'", "dataset.name LIKE 'p%'", "datasets.digest IN ('d1')", "dataset.context = 'train'"),
    *("datasets.name ILIKE 'PANEL'", "datasets.name != 'panel'", "datasets.name NOT IN ('other')"),
    *("metrics.f1 > 0.1 AND params.depth = '3'", "metrics.f1 > 0.1 and params.depth = '3' And tags.team = 'x'"),
    *("metrics.f1 > 0.1 AND", "params.depth = '3' AND params.opt = 'Adam'", "metrics.f1>0.1", "params.depth='3'"),
    *("params.depth = ''", "metrics.loss != 3", "metrics.loss > -5", "metrics.loss = 0", "metrics.loss <= 0"),
]
RUN_ORDERS = [
    *("metrics.f1", "metrics.f1 DESC", "metric.f1 asc", "params.depth", "params.depth DESC", "tags.team desc"),
    *("start_time", "attributes.start_time DESC", "end_time DESC", "end_time", "status", "run_name DESC"),
    *(
        "metrics.loss",
        "metrics.loss DESC",
        "metrics.`a b` DESC",
        "`Run name`",
    ),
]
EXPERIMENTS = [
    *("name = 'one'", "name != 'one'", "name LIKE 'T%'", "name ILIKE 'T%'", "attribute.name = 'one'", "tags.k = 'v'"),
    *("tag.k != 'v'", "tags.k LIKE 'V'", "tags.k ILIKE 'V'", "tags.k IS NULL", "tags.k IS NOT NULL"),
    *(
        "creation_time > 0",
        "last_update_time >= 0",
        "creation_time = 1",
        "experiment_id = '1'",
        "experiment_id IN ('1')",
    ),
    *("experiment_id NOT IN ('0', '1')", "experiment_id LIKE '%'", "name = 'one' AND tags.k = 'v'"),
]
EXPERIMENT_ORDERS = [
    "name",
    "name DESC",
    "experiment_id",
    "experiment_id DESC",
    "creation_time",
    "last_update_time DESC",
]
MODELS = [
    *("name = 'churn'", "name != 'churn'", "name LIKE 'c%'", "name LIKE 'C%'", "name ILIKE 'C%'", "name IN ('risk')"),
    *("name NOT IN ('risk')", "attribute.name = 'risk'", "tags.t = '1'", "tag.t != '1'", "tags.t LIKE '_'"),
    *("tags.t ILIKE '_' AND name = 'churn'", "tags.none = 'x'"),
]
MODEL_ORDERS = ["name", "name DESC", "timestamp", "timestamp DESC", "last_updated_timestamp DESC"]
VERSIONS = [
    *("name = 'churn'", "name LIKE 'c%'", "name IN ('churn', 'risk')", "name NOT IN ('churn')", "run_id = '{a}'"),
    *("run_id IN ('{a}')", "run_id != '{a}'", "version_number = 1", "version_number > 1", "version_number <= '1'"),
    *("version_number != 2", "tags.t = '1'", "tags.t != '1'", "source_path LIKE '%source'", "source_path = '{source}'"),
    *("name = 'churn' AND version_number >= 1 AND tags.t LIKE '%'", "attribute.name = 'risk'", "tags.t ILIKE '1'"),
]
VERSION_ORDERS = ["name", "name DESC", "version_number", "version_number DESC", "creation_timestamp", "name ASC"]

# What both answer; it sees `mlflow`, `queries` and `source`.
SCRIPT = """
client = mlflow.MlflowClient()
nan = float("nan")
runs = {
    "a": (1000, {"f1": 0.5, "loss": nan, "a b": 1.0}, {"depth": "3", "opt": "Adam", "quote": "it's"}, {"team": "x"}, 0),
    "b": (2000, {"f1": 0.9, "loss": -1.0, "m.x/y": 2.0}, {"depth": "x3", "opt": "adam", "a-b": "1"}, {"team": "Y"}, 0),
    "c": (3000, {"f1": nan, "big": 1e301}, {"depth": "3", "quote": 'say "hi"', "empty": ""}, {}, 3500),
    "d": (4000, {"a b": -2.0, "loss": 3.0}, {"opt": "100%"}, {"team": "x"}, 4500),
}
ids = {}
for name, (start, metrics, params, tags, end) in runs.items():
    run_id = ids[name] = client.create_run("0", start_time=start, run_name=name).info.run_id
    for key, value in metrics.items():
        client.log_metric(run_id, key, value, timestamp=1, step=1)
    for key, value in params.items():
        client.log_param(run_id, key, value)
    for key, value in tags.items():
        client.set_tag(run_id, key, value)
    if end:
        client.set_terminated(run_id, "FAILED" if name == "d" else "FINISHED", end_time=end)
entities = mlflow.entities
data = entities.Dataset("panel", "d1", "local", "{}")
client.log_inputs(ids["a"], [entities.DatasetInput(data, [entities.InputTag("mlflow.data.context", "train")])])
client.log_inputs(ids["b"], [entities.DatasetInput(data, [])])
client.create_experiment("one", tags={"k": "v"})
client.create_experiment("Two", tags={"k": "V"})
client.create_registered_model("churn", tags={"t": "1"})
client.create_registered_model("risk", tags={"t": "2"})
for model, run, tags in (("churn", "a", {"t": "1"}), ("churn", "b", {}), ("risk", "a", {"t": "2"})):
    client.create_model_version(model, source, run_id=ids[run], tags=tags)
show = {
    "runs": lambda found: [run.info.run_name for run in found],
    "experiments": lambda found: [experiment.name for experiment in found],
    "models": lambda found: [model.name for model in found],
    "versions": lambda found: [f"{version.name}/{version.version}" for version in found],
}
search = {
    "runs": lambda **query: client.search_runs(["0"], **query),
    "experiments": client.search_experiments,
    "models": client.search_registered_models,
    "versions": client.search_model_versions,
}
answer = []
for subject, text, order_by in queries:
    text = text.replace("{a}", ids["a"]).replace("{b}", ids["b"]).replace("{source}", source)
    try:
        found = show[subject](search[subject](filter_string=text, **({"order_by": order_by} if order_by else {})))
    except Exception as error:
        found = type(error).__name__
    answer.append(found if order_by or isinstance(found, str) else sorted(found))
"""


def _queries() -> list[tuple[str, str, list[str]]]:
    filters = {"runs": RUNS, "experiments": EXPERIMENTS, "models": MODELS, "versions": VERSIONS}
    orders = {
        "runs": RUN_ORDERS,
        "experiments": EXPERIMENT_ORDERS,
        "models": MODEL_ORDERS,
        "versions": VERSION_ORDERS,
    }
    # What is equal is ordered by ids and times of creation, which differ from place to place.
    ties = {
        "runs": ["start_time"],
        "experiments": ["name"],
        "models": ["name"],
        "versions": ["name", "version_number"],
    }
    found: list[tuple[str, str, list[str]]] = [(subject, text, []) for subject in filters for text in filters[subject]]
    for subject, clauses in orders.items():
        for clause in clauses:
            named = clause.split()[0].replace("attributes.", "").replace("Created", "start_time")
            found.append((subject, "", [clause, *(tie for tie in ties[subject] if tie != named)]))
    return found


@pytest.mark.slow
def test_what_mlflow_finds_is_found_here(run_mlflow: Callable[..., Any], sqlite_url: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "weights.bin").write_bytes(b"1")
    queries = _queries()
    theirs = run_mlflow(f"queries, source = {queries!r}, {str(source)!r}\n{SCRIPT}")
    registry.set_tracking_uri(sqlite_url)
    ours: dict[str, Any] = {"mlflow": registry, "queries": queries, "source": str(source)}
    exec(SCRIPT, ours)

    answered = [isinstance(answer, list) for answer in theirs]
    different = {
        str(query): (mine, found)
        for query, mine, found, taken in zip(queries, ours["answer"], theirs, answered, strict=True)
        if taken and mine != found
    }
    assert different == {}
    assert [text or order_by[0] for (_, text, order_by), taken in zip(queries, answered, strict=True) if not taken] == [
        "metrics.m.x/y > 0",
        "METRICS.f1 > 0.5",
        "experiment_id LIKE '%'",
        "`Run name`",
    ]
    assert [answer for answer in ours["answer"] if not isinstance(answer, list)] == []
