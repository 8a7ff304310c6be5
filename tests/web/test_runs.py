"""The list of runs: filters, order, columns, paging, selection, CSV, and what its scripts ask for."""

import csv
import io
import json
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from page_client import PageClient, open_page, words
from page_runs import ShownRuns, make_runs
from starlette.datastructures import QueryParams

from registry.web.run_list import RunLine, RunsView, nest


@pytest.fixture
def runs(sqlite_url: str) -> ShownRuns:
    return make_runs(sqlite_url)


@pytest.fixture
def page(runs: ShownRuns, sqlite_url: str) -> PageClient:
    return open_page(sqlite_url)


def names(text: str) -> list[str]:
    """Return the names of the runs in a page's table."""
    return re.findall(r'<th scope="row" class="depth-\d"><a href="/runs/[^"]+"><bdi>([^<]+)', text)


def link(text: str, label: str) -> str:
    """Return the address of the first link with a label."""
    found = re.search(rf'<a href="([^"]+)"[^>]*>(?:<bdi>)?{re.escape(label)}', text)
    assert found is not None, label
    return found[1].replace("&amp;", "&")


def test_runs_are_listed_on_both_databases_with_children_below_their_parent(database_url: str) -> None:
    make_runs(database_url)
    answer = open_page(database_url).get("/runs")
    assert answer.status == 200
    assert names(answer.text) == ["depth-4", "fold-1", "depth-3", "depth-2"]
    assert "depth-4 finished 2023-11-14 22:15 UTC 4.2 s games trees 4 0.5 4.03333" in words(answer.text)
    assert 'class="depth-1"' in answer.text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("filter=metrics.auc+>+0.3", ["depth-4", "depth-3"]),
        ("failed=hide", ["depth-4", "depth-3", "depth-2"]),
        ("failed=hide&filter=params.depth+%3D+'3'+OR+params.depth+%3D+'2'", ["depth-3", "depth-2"]),
        ("order=metrics.auc&desc=0", ["depth-2", "depth-3", "depth-4", "fold-1"]),
        ("order=run_name&desc=0", ["depth-2", "depth-3", "depth-4", "fold-1"]),
        ("view=deleted", []),
        ("experiment=0", []),
    ],
)
def test_the_address_says_which_runs_and_in_which_order(page: PageClient, query: str, expected: list[str]) -> None:
    answer = page.get(f"/runs?{query}")
    assert answer.status == 200
    assert names(answer.text) == expected


def test_a_filter_that_cannot_be_read_is_shown_with_a_caret_and_can_be_mended(page: PageClient) -> None:
    answer = page.get("/runs?failed=hide&filter=metrics.auc+>>+3&column=params.depth")
    assert answer.status == 400
    assert "Invalid filter at character 13" in words(answer.text)
    assert "  metrics.auc &gt;&gt; 3\n              ^" in answer.text
    assert 'value="metrics.auc &gt;&gt; 3"' in answer.text
    assert '<input type="hidden" name="column" value="params.depth">' in answer.text


@pytest.mark.parametrize(
    "query", ["view=x", "column=auc", "order=auc", "axis=x.y", "order=metrics.", "experiment=x", "after=AAAA"]
)
def test_a_state_that_cannot_be_is_an_error_of_the_reader(page: PageClient, query: str) -> None:
    assert page.get(f"/runs?{query}").status in (400, 404)


def test_an_experiment_that_is_not_there_is_said(page: PageClient) -> None:
    assert page.get("/runs?experiment=77").status == 404


def test_the_chosen_columns_stay_in_every_link(page: PageClient) -> None:
    answer = page.get("/runs?column=tags.team&column=metrics.auc&filter=metrics.auc+>+0")
    assert "east" in words(answer.text)
    assert "trees" not in words(answer.text)
    address = link(answer.text, "started")
    assert parse_qsl(urlsplit(address).query) == [
        ("filter", "metrics.auc > 0"),
        ("order", "start_time"),
        ("desc", "0"),
        ("column", "tags.team"),
        ("column", "metrics.auc"),
    ]
    assert names(page.get(address).text) == ["depth-2", "depth-3", "depth-4"]


def test_pages_follow_each_other_without_a_script(runs: ShownRuns, page: PageClient) -> None:
    for number in range(100):
        runs.client.create_run(runs.experiment_id, run_name=f"more-{number}", start_time=1_600_000_000_000 + number)
    first = page.get("/runs")
    assert len(names(first.text)) == 100
    second = page.get(link(first.text, "Next 100"))
    assert names(second.text) == ["more-3", "more-2", "more-1", "more-0"]
    assert link(second.text, "First page") == "/runs"
    assert 'rel="next"' not in second.text


def test_a_selection_is_in_the_address_and_reaches_the_comparison_from_other_pages(
    runs: ShownRuns, page: PageClient
) -> None:
    text = page.get(f"/runs?select={runs.ids[0]}&select={runs.ids[1]}&filter=params.depth+%3D+'2'").text
    assert f'<input type="checkbox" name="run" value="{runs.ids[0]}" checked' in text
    assert f'<input type="hidden" name="run" value="{runs.ids[1]}">' in text


def test_selected_runs_are_deleted_and_restored(runs: ShownRuns, page: PageClient) -> None:
    answer = page.post("/runs/selected/delete?filter=metrics.auc+>+0", {"run": runs.ids[:2]})
    assert answer.status == 303
    assert str(answer.header("location")).startswith("/runs?filter=metrics.auc+%3E+0&said=Deleted+2+runs.")
    assert names(page.get("/runs").text) == ["depth-4", "fold-1"]
    assert names(page.get("/runs?view=deleted").text) == ["depth-3", "depth-2"]
    assert page.post("/runs/selected/restore?view=deleted", {"run": runs.ids[:1]}).status == 303
    assert names(page.get("/runs?view=deleted").text) == ["depth-3"]


@pytest.mark.parametrize(
    ("action", "form", "said"),
    [
        ("delete", {}, "No run is selected"),
        ("purge", {"run": ["a"]}, "they can be deleted and restored"),
        ("delete", {"run": ["a"] * 201}, "select at most 200"),
        ("delete", {"run": ["ffff"]}, "0 of 1 runs are changed, then: Run with id=ffff not found"),
    ],
)
def test_what_cannot_be_done_to_runs_is_said(page: PageClient, action: str, form: dict[str, Any], said: str) -> None:
    answer = page.post(f"/runs/selected/{action}", form)
    assert answer.status in (400, 404)
    assert said in words(answer.text)


def test_a_read_only_page_has_no_form_that_changes_anything(runs: ShownRuns, sqlite_url: str) -> None:
    page = open_page(sqlite_url, read_only=True)
    for path in ("/runs", "/runs?view=all&column=tags.team", f"/runs/{runs.ids[2]}"):
        text = page.get(path).text
        assert 'method="post"' not in text
        assert "formmethod" not in text
        assert "data-tag=" not in text
    page.form_token = "0"
    assert page.post("/runs/selected/delete", {"run": runs.ids[:1]}).status == 403


def test_csv_has_the_runs_of_the_list_and_no_formulas(runs: ShownRuns, page: PageClient) -> None:
    runs.client.set_tag(runs.ids[0], "team", "=HYPERLINK(1)")
    runs.client.set_tag(runs.ids[1], "team", "-0.5")
    answer = page.get("/runs/runs.csv?filter=metrics.auc+>+0&column=tags.team&column=metrics.auc")
    assert answer.header("content-disposition") == 'attachment; filename="runs.csv"'
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[0][-2:] == ["tags.team", "metrics.auc"]
    assert [row[1:3] + row[-2:] for row in rows[1:]] == [
        ["depth-4", "FINISHED", "east", "0.5"],
        ["depth-3", "FINISHED", "-0.5", "0.375"],
        ["depth-2", "FINISHED", "'=HYPERLINK(1)", "0.25"],
    ]
    assert page.get("/runs/runs.csv?filter=x").status == 400
    assert page.get("/runs/runs.csv?experiment=0").text.count("\n") == 1


def test_points_of_a_chart_are_those_of_the_list(runs: ShownRuns, page: PageClient) -> None:
    runs.client.log_metric(runs.ids[0], "bad", float("nan"))
    runs.client.log_metric(runs.ids[1], "bad", float("inf"))
    answer = page.get("/runs/points.json?filter=metrics.auc+>+0&axis=params.depth&axis=metrics.auc&axis=metrics.bad")
    content = json.loads(answer.text)
    assert content["names"] == ["depth-4", "depth-3", "depth-2"]
    assert content["axes"] == {
        "params.depth": ["4", "3", "2"],
        "metrics.auc": [0.5, 0.375, 0.25],
        "metrics.bad": [None, None, None],
    }
    assert content["more"] is False
    assert json.loads(page.get("/runs/points.json?limit=1&axis=start_time").text)["more"] is True
    assert page.get("/runs/points.json?filter=x").status == 400


@pytest.mark.parametrize(
    ("chart", "axes"),
    [
        ("trend", ["start_time", "metrics.auc"]),
        ("scatter", ["params.algorithm", "metrics.auc"]),
        ("parallel", ["params.algorithm", "params.depth", "metrics.auc", "metrics.loss"]),
    ],
)
def test_a_chart_of_runs_has_axes_that_these_runs_have(page: PageClient, chart: str, axes: list[str]) -> None:
    found = re.search(r'data-axes="([^"]*)"', page.get(f"/runs?chart={chart}").text)
    assert found is not None
    assert found[1].split("\n") == axes


def test_keys_complete_a_filter(page: PageClient) -> None:
    assert json.loads(page.get("/runs/keys.json?group=metrics&q=L").text) == {"keys": ["loss"]}
    assert json.loads(page.get("/runs/keys.json?group=params").text) == {"keys": ["algorithm", "depth"]}
    assert page.get("/runs/keys.json?group=x").status == 400


def test_columns_are_chosen_without_a_script(page: PageClient) -> None:
    text = page.get("/runs/columns?column=metrics.auc&q=e").text
    assert re.findall(r'type="checkbox" name="column" value="([^"]+)"( checked)?', text) == [
        ("metrics.auc", " checked"),
        ("params.depth", ""),
        *((f"tags.{key}", "") for key in ("mlflow.parentRunId", "mlflow.runName", "team")),
    ]


def test_an_empty_list_says_the_next_step(sqlite_url: str) -> None:
    assert "with mlflow.start_run()" in open_page(sqlite_url).get("/runs").text


def test_runs_that_are_each_others_parents_are_shown_once() -> None:
    def line(run_id: str, parent_id: str | None) -> RunLine:
        return RunLine(run_id, run_id, "FINISHED", "active", "1", "u", 0, None, parent_id, "", ())

    lines = [line("a", "b"), line("b", "a"), line("c", "c"), line("d", "a"), line("e", "elsewhere")]
    assert [(each.run_id, each.depth) for each in nest(lines)] == [("c", 0), ("e", 0), ("a", 0), ("b", 1), ("d", 1)]


def test_a_view_is_the_same_after_its_address_was_read() -> None:
    view = RunsView(
        experiments=("1", "2"),
        filter="a = 'b&c'",
        order="metrics.a`b",
        descending=False,
        columns=("tags.x y",),
        lifecycle="all",
        hides_failed=True,
        after="token",
        chart="scatter",
        axes=("params.a",),
        selected=("r",),
    )
    assert RunsView.of(QueryParams(urlsplit(view.url(after="token")).query)) == view
    assert view.order_by == ["metrics.`a``b` ASC"]
