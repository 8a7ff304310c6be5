"""Results of filters on runs, equal on both databases."""

import pytest
from searched_runs import NAN, log_run

from registry import MlflowClient
from registry.data import from_pandas
from registry.entities import DatasetInput, InputTag
from registry.exceptions import InvalidFilterError


@pytest.fixture
def runs(client: MlflowClient) -> dict[str, str]:
    return {
        "a": log_run(
            client,
            "a",
            start=1_000,
            metrics={"f1": 0.5, "loss": NAN},
            params={"depth": "3", "opt": "Apple"},
            tags={"owner": "o'brien"},
        ),
        "b": log_run(
            client, "b", start=2_000, metrics={"f1": 0.9, "loss": 1.0}, params={"depth": "5", "opt": "Adam_x"}
        ),
        "c": log_run(client, "c", start=3_000, metrics={"f1": NAN}, params={"depth": "3", "opt": "a%b"}, end=3_500),
        "d": log_run(client, "d", start=4_000, tags={"path": r"C:\dir\x", "letter": "É", "stars": "[*?]"}),
    }


def found(client: MlflowClient, filter_string: str) -> str:
    return "".join(sorted(run.info.run_name for run in client.search_runs(["0"], filter_string)))


# Metrics compare as numbers; NaN is unequal to all of them.
METRICS = {
    "metrics.f1 > 0.5": "b",
    "metrics.f1 >= 0.5": "ab",
    "metrics.f1 < 0.9": "a",
    "metrics.f1 <= 0.9": "ab",
    "metrics.f1 = 0.5": "a",
    "metrics.f1 != 0.5": "bc",
    "NOT metrics.f1 = 0.5": "bcd",
    "NOT metrics.f1 != 0.5": "ad",
    "metrics.f1 IS NULL": "d",
    "metrics.f1 IS NOT NULL": "abc",
    "metrics.F1 > 0": "",
}
# A comparison wants the field to be there; NOT does not.
TEXTS = {
    "": "abcd",
    "params.depth = '3'": "ac",
    "params.depth != '3'": "b",
    "NOT params.depth = '3'": "bd",
    "params.depth IN ('5', '7')": "b",
    "params.depth NOT IN ('5', '7')": "ac",
    "params.depth IS NULL": "d",
    "NOT params.depth IS NULL": "abc",
    "params.Depth = '3'": "",
    "params.depth = '3' AND metrics.f1 = 0.5": "a",
    "params.depth = '5' OR tags.owner = 'o''brien'": "ab",
    "NOT (params.depth = '5' OR tags.owner = \"o'brien\")": "cd",
    "params.depth = '3' AND (metrics.loss > 0 OR end_time IS NOT NULL)": "c",
}
# LIKE heeds case, ILIKE folds ASCII; nothing escapes.
PATTERNS = {
    "params.opt LIKE 'A%'": "ab",
    "params.opt LIKE 'a%'": "c",
    "params.opt ILIKE 'a%'": "abc",
    "params.opt LIKE '_____'": "a",
    "params.opt LIKE '%m_x'": "b",
    "params.opt LIKE 'a%b'": "c",
    "params.opt ILIKE 'APPLE'": "a",
    "NOT params.opt LIKE 'A%'": "cd",
    r"tags.path LIKE 'C:\dir\%'": "d",
    r"tags.path ILIKE 'c:\DIR\x'": "d",
    r"tags.path LIKE 'C:\\dir\\x'": "",
    "tags.letter ILIKE 'é'": "",
    "tags.letter LIKE '_'": "d",
    "tags.stars LIKE '[*?]'": "d",
    "tags.stars LIKE '%*%'": "d",
    "tags.stars LIKE '_[*?]'": "",
    "params.opt LIKE '[A]%'": "",
}
# What runs are; times also as text.
ATTRIBUTES = {
    "tags.`mlflow.runName` = 'b'": "b",
    "run_name IN ('a', 'd')": "ad",
    "attributes.run_name LIKE 'a'": "a",
    "status = 'RUNNING'": "abd",
    "status != 'RUNNING'": "c",
    "start_time > 2000": "cd",
    "start_time < 2000.5": "ab",
    "created >= '1970-01-01T00:00:03Z'": "cd",
    "end_time = 3500": "c",
    "end_time != 3500": "",
    "NOT end_time = 3500": "abd",
    "end_time IS NULL": "abd",
    "user_id = 'unknown'": "abcd",
    "experiment_id = '0'": "abcd",
    "experiment_id LIKE '1%'": "",
    "lifecycle_stage = 'active'": "abcd",
    "artifact_uri LIKE '%/artifacts'": "abcd",
    "datasets.name = 'x'": "",
    "datasets.name IS NULL": "abcd",
}


@pytest.mark.parametrize(
    "cases", [METRICS, TEXTS, PATTERNS, ATTRIBUTES], ids=["metrics", "texts", "patterns", "attributes"]
)
def test_filters_find_these_runs(client, runs, cases):
    assert {text: found(client, text) for text in cases} == cases


def test_a_run_is_found_by_its_id_and_its_place(client, runs):
    uri = client.get_run(runs["b"]).info.artifact_uri

    assert found(client, f"run_id = '{runs['b']}'") == "b"
    assert found(client, f"run_id NOT IN ('{runs['b']}', '{runs['c']}')") == "ad"
    assert found(client, f"artifact_uri = '{uri}'") == "b"


def test_metrics_compare_by_their_latest_value(client, runs):
    client.log_metric(runs["b"], "f1", 0.1, step=1)
    client.log_metric(runs["b"], "f1", 0.95, step=0)

    assert found(client, "metrics.f1 > 0.8") == ""
    assert found(client, "metrics.f1 = 0.1") == "b"


def test_infinite_metrics_compare_as_numbers(client, runs):
    client.log_metric(runs["d"], "f1", float("inf"))

    assert found(client, "metrics.f1 > 1e300") == "d"


def test_a_data_set_is_found_by_each_of_its_uses(client, runs):
    import pandas as pd

    data = from_pandas(pd.DataFrame({"x": [1.0]}), name="panel", digest="d1")._to_mlflow_entity()
    client.log_inputs(runs["a"], [DatasetInput(data, [InputTag("mlflow.data.context", "train")])])
    client.log_inputs(runs["b"], [DatasetInput(data, [])])

    assert found(client, "datasets.name = 'panel'") == "ab"
    assert found(client, "dataset.digest LIKE 'd%' AND datasets.context = 'train'") == "a"
    assert found(client, "datasets.context IS NULL") == "bcd"
    assert found(client, "NOT datasets.name = 'panel'") == "cd"


def test_values_are_bound_and_never_spliced(client, runs):
    hostile = "x' OR '1'='1"
    quoted = hostile.replace("'", "''")

    assert found(client, f"params.depth = '{quoted}'") == ""
    assert found(client, f"params.`{hostile}` = '3'") == ""


def test_a_pattern_longer_than_a_database_takes_is_refused(client, runs):
    with pytest.raises(InvalidFilterError, match="A pattern may have at most 10000 characters; this one has 10001"):
        found(client, f"params.opt LIKE '{'*' * 10_001}'")
    assert found(client, f"params.opt LIKE '{'*' * 10_000}'") == ""


def test_deep_and_wide_filters_run_on_both_databases(client, runs):
    values = ", ".join(f"'{number}'" for number in range(9_000))
    deep = "(" * 40 + "metrics.f1 > 0" + ")" * 40

    assert found(client, f"params.depth IN ({values}) AND {deep}") == "ab"
    assert found(client, " OR ".join(f"params.depth = '{number}'" for number in range(150))) == "abc"
