"""One run: facts, metrics, series as JSON, notes and tags, and runs that are compared."""

import json
import re
from typing import Any

import pytest
from page_client import PageClient, open_page, words
from page_runs import ShownRuns, make_runs

from registry.web import series
from registry.web.compare import compare_metrics, compare_params
from registry.web.run import read_schema


@pytest.fixture
def runs(sqlite_url: str) -> ShownRuns:
    return make_runs(sqlite_url)


@pytest.fixture
def page(runs: ShownRuns, sqlite_url: str) -> PageClient:
    return open_page(sqlite_url)


def test_a_run_shows_what_is_known_of_it_on_both_databases(database_url: str) -> None:
    runs = make_runs(database_url)
    run_id = runs.ids[2]
    shown = words(open_page(database_url).get(f"/runs/{run_id}").text)
    for part in (
        f"Run {run_id}",
        "Took 4.2 s",
        "algorithm trees depth 4",
        "auc 0.5 0.5 0.5 loss 4.03333 4.03333 5",
        "games 2026 training",
        "Digest ab12",
        "1 column rest_days double",
        "team east",
    ):
        assert part in shown


def test_charts_begin_with_series(runs: ShownRuns, page: PageClient) -> None:
    text = page.get(f"/runs/{runs.ids[2]}/charts").text
    assert re.findall(r'data-series="([^"]+)"', text) == ["loss", "auc"]
    text = page.get(f"/runs/{runs.ids[2]}/charts?metric=AU&x=wall&scale=log&smooth=40&low=3&high=9").text
    assert re.findall(r'data-series="([^"]+)"', text) == ["auc"]
    assert 'data-axis="wall" data-scale="log" data-smoothing="40" data-low="3" data-high="9"' in text
    text = page.get(f"/runs/{runs.ids[2]}/charts?x=z&scale=z&smooth=0&low=z").text
    assert 'data-axis="step" data-scale="linear" data-smoothing="0" data-low="" data-high=""' in text


def test_a_metric_is_a_table_without_a_script(runs: ShownRuns, page: PageClient) -> None:
    shown = words(page.get(f"/runs/{runs.ids[2]}/metrics/loss").text)
    assert "30 points" in shown
    assert "29 20" in shown
    assert page.get(f"/runs/{runs.ids[2]}/metrics/none").status == 400


def test_many_metrics_are_searched_and_paged(runs: ShownRuns, page: PageClient) -> None:
    for number in range(210):
        runs.client.log_metric(runs.ids[0], f"many/{number:03d}", float(number))
    first = page.get(f"/runs/{runs.ids[0]}").text
    assert "Page 1 of 2" in words(first)
    assert "many/209" not in words(first)
    assert "many/209" in words(page.get(f"/runs/{runs.ids[0]}?page=2").text)
    assert "many/209" in words(page.get(f"/runs/{runs.ids[0]}?metric=Y/209").text)
    assert "No key contains that." in words(page.get(f"/runs/{runs.ids[0]}?metric=nothing").text)


def test_a_running_run_is_refreshed_with_and_without_a_script(runs: ShownRuns, page: PageClient) -> None:
    run_id = runs.client.create_run(runs.experiment_id).info.run_id
    text = page.get(f"/runs/{run_id}").text
    assert '<noscript><meta http-equiv="refresh" content="10"></noscript>' in text
    assert "data-live" in text
    assert "No metrics." in words(text)
    assert "data-live" not in page.get(f"/runs/{runs.ids[0]}").text


def test_a_run_that_is_not_there_is_said(page: PageClient) -> None:
    assert page.get("/runs/ffff").status == 404
    assert page.get("/runs/..%2f..").status in (400, 404)


def test_parents_are_linked_and_one_that_is_gone_does_no_harm(runs: ShownRuns, page: PageClient) -> None:
    assert f'href="/runs/{runs.ids[2]}"' in page.get(f"/runs/{runs.child}").text
    for parent in ("f" * 32, "no id!"):
        runs.client.set_tag(runs.child, "mlflow.parentRunId", parent)
        assert page.get(f"/runs/{runs.child}").status == 200


def test_names_notes_and_tags_are_changed(runs: ShownRuns, page: PageClient) -> None:
    path, run_id = f"/runs/{runs.ids[0]}", runs.ids[0]
    assert str(page.post(f"{path}/rename", {"name": "best"}).header("location")).startswith(f"{path}?said=Renamed.")
    assert page.post(f"{path}/note", {"note": "**good**"}).status == 303
    assert page.post(f"{path}/tags", {"key": "team", "value": "west"}).status == 303
    run = runs.client.get_run(run_id)
    assert run.info.run_name == "best"
    assert run.data.tags["mlflow.note.content"] == "**good**"
    assert "<strong>good</strong>" in page.get(path).text
    assert page.post(f"{path}/tags/delete", {"key": "team"}).status == 303
    assert page.post(f"{path}/note", {"note": ""}).status == 303
    assert page.post(f"{path}/note", {"note": ""}).status == 303
    assert {"team", "mlflow.note.content"}.isdisjoint(runs.client.get_run(run_id).data.tags)
    assert page.post(f"{path}/rename", {"name": " "}).status == 400
    assert page.post(f"{path}/tags", {"key": ""}).status == 400
    assert page.post(f"{path}/tags/delete", {"key": "team"}).status == 404


def test_a_run_is_deleted_and_restored(runs: ShownRuns, page: PageClient) -> None:
    path = f"/runs/{runs.ids[0]}"
    assert page.post(f"{path}/delete").status == 303
    text = page.get(path).text
    assert f'action="{path}/restore"' in text
    assert f'action="{path}/note"' not in text
    assert page.post(f"{path}/restore").status == 303
    assert runs.client.get_run(runs.ids[0]).info.lifecycle_stage == "active"


def test_series_are_json_with_gaps_for_what_is_no_number(runs: ShownRuns, page: PageClient) -> None:
    runs.client.log_metric_history(runs.ids[0], "odd", [0, 1, 2], [1.0, float("nan"), float("-inf")], [5, 6, 7])
    content = json.loads(page.get(f"/series.json?run={runs.ids[0]}&key=odd&times=1").text)
    assert content == {
        "series": [
            {
                "run": runs.ids[0],
                "key": "odd",
                "steps": [0, 1, 2],
                "times": [5, 6, 7],
                "values": [1.0, None, None],
                "sketch": False,
            }
        ]
    }


def test_series_have_no_more_points_than_pixels_and_finer_ones_in_a_range(
    runs: ShownRuns, page: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.client.log_metric_history(runs.ids[0], "long", list(range(5_000)), [float(n % 13) for n in range(5_000)])

    def ask(query: str) -> Any:
        return json.loads(page.get(f"/series.json?run={runs.ids[0]}&key=long&{query}").text)["series"][0]

    assert 50 <= len(ask("points=100")["steps"]) <= 100
    assert ask("points=100&low=7&high=60")["steps"] == list(range(7, 61))
    assert len(ask("points=1&low=-9999999999999999999")["steps"]) <= 15
    monkeypatch.setattr(series, "SKETCH_OVER", 1_000)
    assert ask("points=100")["sketch"] is True
    assert ask("points=100&exact=1")["sketch"] is False


@pytest.mark.parametrize(
    "query",
    ["key=loss", "run={0}", "run={0}&key=" + "&key=".join(f"k{n}" for n in range(21)), "run={0}&key=loss&low=x",
     "run={0}&key=loss&points=x", "run={0}&key=../a"],
)  # fmt: skip
def test_a_wrong_question_for_series_is_refused(runs: ShownRuns, page: PageClient, query: str) -> None:
    assert page.get(f"/series.json?{query.format(runs.ids[0])}").status == 400


def test_a_schema_that_cannot_be_read_is_shown_as_it_is() -> None:
    assert read_schema(None) == []
    assert read_schema('[{"name": "a", "type": "double"}]') == [("a", "double")]
    assert read_schema('{"mlflow_tensorspec": 1}') == [("", '{"mlflow_tensorspec": 1}')]
    assert read_schema("[" * 100_000)[0][0] == ""


def test_only_params_that_differ_are_compared_and_the_best_metric_is_marked(runs: ShownRuns) -> None:
    two = [runs.client.get_run(run_id) for run_id in runs.ids[:2]]
    assert [(row.key, row.values) for row in compare_params(two)] == [("depth", ["2", "3"])]
    assert [row.key for row in compare_params(two, only_different=False)] == ["algorithm", "depth"]
    marked = {row.key: (row.best, row.is_lower_better) for row in compare_metrics(two)}
    assert marked == {"auc": (frozenset({1}), False), "loss": (frozenset({0}), True)}
    assert [row.key for row in compare_metrics(two, "LO")] == ["loss"]


def test_a_metric_that_is_equal_nan_or_missing_has_no_best(runs: ShownRuns) -> None:
    for run_id, value in zip(runs.ids, (float("nan"), 1.0, 1.0), strict=True):
        runs.client.log_metric(run_id, "flat", value)
    runs.client.log_metric(runs.ids[0], "alone", 2.0)
    three = [runs.client.get_run(run_id) for run_id in runs.ids]
    rows = {row.key: row for row in compare_metrics(three)}
    assert rows["flat"].best == frozenset()
    assert rows["alone"].values == [2.0, None, None]
    assert rows["alone"].best == frozenset()
    assert list(rows) == ["auc", "flat", "loss", "alone"]  # those of most runs first


def test_runs_are_compared_in_one_page(runs: ShownRuns, page: PageClient) -> None:
    query = "&".join(f"run={run_id}" for run_id in [*runs.ids, runs.child])
    text = page.get(f"/compare?{query}").text
    shown = words(text)
    assert "Compare 4 runs" in shown
    assert "depth 2 3 4 –" in shown
    assert "auc ↑ 0.25 0.375 0.5 best –" in shown
    assert re.findall(r'data-series="([^"]+)"', text) == ["loss", "auc"]
    shown = words(page.get(f"/compare?{query}&params=all&metric=zzz").text)
    assert "algorithm trees trees trees" in shown
    assert "One run is compared with nothing" in words(page.get(f"/compare?run={runs.ids[0]}").text)


@pytest.mark.parametrize(
    ("chart", "axes"),
    [("scatter", "params.depth\nmetrics.auc"), ("parallel", "params.depth\nmetrics.auc\nmetrics.loss")],
)
def test_compared_runs_are_drawn_over_what_differs(runs: ShownRuns, page: PageClient, chart: str, axes: str) -> None:
    query = "&".join(f"run={run_id}" for run_id in runs.ids)
    text = page.get(f"/compare?{query}&chart={chart}").text
    assert f'data-axes="{axes}"' in text
    address = re.search(rf'data-{chart}="([^"]+)"', text)
    assert address is not None
    content = json.loads(page.get(address[1].replace("&amp;", "&")).text)
    assert content["axes"]["params.depth"] == ["2", "3", "4"]
    assert 'data-axes="metrics.loss"' in page.get(f"/compare?{query}&chart={chart}&axis=metrics.loss").text


def test_many_runs_are_rows(runs: ShownRuns, page: PageClient) -> None:
    more = [runs.client.create_run(runs.experiment_id, run_name=f"more-{n}").info.run_id for n in range(9)]
    query = "&".join(f"run={run_id}" for run_id in [*runs.ids, *more])
    text = page.get(f"/compare?{query}").text
    assert "Compare only the ticked" in words(text)
    assert text.count('type="checkbox" name="run"') == 12


@pytest.mark.parametrize("count", [0, 201])
def test_too_few_or_too_many_runs_are_refused(page: PageClient, count: int) -> None:
    query = "&".join(f"run={number:032x}" for number in range(count))
    assert page.get(f"/compare?{query}").status == 400


def test_images_are_beside_each_other_by_path(runs: ShownRuns, page: PageClient) -> None:
    for run_id in runs.ids[:2]:
        runs.client.log_text(run_id, "<svg/>", "plots/deep/wave.svg")
        runs.client.log_text(run_id, "<svg/>", "a/b/c/too-deep.svg")
    runs.client.log_text(runs.ids[0], "x", "one.png")
    query = "&".join(f"run={run_id}" for run_id in runs.ids)
    text = page.get(f"/compare/images?{query}").text
    assert re.findall(r'<img [^>]*src="/runs/(\w+)/files/([^"]+)"', text) == [
        (runs.ids[0], "plots/deep/wave.svg"),
        (runs.ids[1], "plots/deep/wave.svg"),
        (runs.ids[0], "one.png"),
    ]
    assert "have no images" in words(page.get(f"/compare/images?run={runs.child}").text)
