"""The pages of runs in a real browser: flows, live charts, zoom, hostile texts, widths, schemes and accessibility."""

from typing import Any

import pytest
from browsers import served_page, visitor
from page_runs import ShownRuns, make_runs

pytestmark = pytest.mark.slow

EVIL = "<img src=x onerror=alert(1)>\"'`{{7*7}}</script><script>document.title='pwned'</script>\u202e"


@pytest.fixture
def runs(sqlite_url: str) -> ShownRuns:
    return make_runs(sqlite_url)


def drawn(page: Any, key: str) -> Any:
    """Return the chart of a metric, once it is drawn."""
    chart = page.locator(f'[data-series="{key}"]')
    chart.scroll_into_view_if_needed()
    page.locator(f'[data-series="{key}"][data-ready] canvas').wait_for()
    return chart


def test_runs_are_filtered_opened_and_compared(browser: Any, runs: ShownRuns) -> None:
    with served_page(runs.client.tracking_uri) as server, visitor(browser, server) as page:
        page.goto(f"{server.address}/runs")
        page.get_by_label("Filter").click()
        page.keyboard.type("metr")
        page.get_by_role("option", name="metrics.", exact=True).wait_for()
        page.keyboard.press("Tab")
        page.get_by_role("option", name="metrics.auc").wait_for()
        page.keyboard.press("Tab")
        page.keyboard.type(" > 0.3")
        assert page.get_by_label("Filter").input_value() == "metrics.auc > 0.3"
        page.keyboard.press("Enter")
        page.wait_for_url("**/runs?filter=metrics.auc+%3E+0.3*")
        assert page.locator("table.runs tbody tr").count() == 2
        page.get_by_label("Select depth-3").check()
        assert f"select={runs.ids[1]}" in page.url
        page.get_by_role("link", name="started").click()
        page.wait_for_url("**order=start_time*")
        assert page.get_by_label("Select depth-3").is_checked()
        page.get_by_label("Select depth-4").check()
        assert page.locator("[data-selected]").inner_text() == "2 selected"
        page.get_by_role("link", name="depth-4").click()
        assert page.get_by_role("heading", name="depth-4").is_visible()
        drawn(page, "loss")
        page.go_back()
        page.get_by_label("Select depth-4").wait_for()
        page.get_by_role("button", name="Compare selected").click()
        assert page.get_by_role("heading", name="Compare 2 runs").is_visible()
        drawn(page, "loss")
        page.get_by_role("link", name="Parallel coordinates").click()
        page.locator("[data-parallel][data-ready]").wait_for()
        assert page.locator("[data-parallel] path.run-line").count() == 2
        page.get_by_role("link", name="Scatter").click()
        page.locator("[data-scatter][data-ready]").wait_for()
        assert page.locator("[data-scatter] circle").count() == 2


def test_a_live_chart_grows_until_the_run_ends(browser: Any, runs: ShownRuns) -> None:
    run_id = runs.client.create_run(runs.experiment_id, run_name="running").info.run_id
    runs.client.log_metric(run_id, "loss", 1.0, step=0)
    with served_page(runs.client.tracking_uri) as server, visitor(browser, server) as page:
        page.goto(f"{server.address}/runs/{run_id}")
        chart = drawn(page, "loss")
        assert chart.get_attribute("data-points") == "1"
        for step in range(1, 5):
            runs.client.log_metric(run_id, "loss", 1.0 / step, step=step)
        page.locator('[data-series="loss"][data-points="5"]').wait_for()
        page.locator("#live-metrics").get_by_text("0.25").first.wait_for()
        runs.client.set_terminated(run_id)
        page.locator("#live-status").get_by_text("finished").wait_for()
        assert page.locator("[data-live]").count() == 0


def test_zoom_fetches_a_finer_sample_and_is_in_the_address(browser: Any, runs: ShownRuns) -> None:
    runs.client.log_metric_history(runs.ids[0], "long", list(range(50_000)), [float(n % 17) for n in range(50_000)])
    with served_page(runs.client.tracking_uri) as server, visitor(browser, server) as page:
        page.goto(f"{server.address}/runs/{runs.ids[0]}/metrics/long")
        chart = drawn(page, "long")
        box = chart.locator(".u-over").bounding_box()
        assert int(chart.get_attribute("data-points")) <= box["width"] + 200
        page.mouse.move(box["x"] + 100, box["y"] + 50)
        page.mouse.down()
        page.mouse.move(box["x"] + 140, box["y"] + 60, steps=5)
        with page.expect_response(lambda answer: "series.json" in answer.url and "low=" in answer.url) as found:
            page.mouse.up()
        steps = found.value.json()["series"][0]["steps"]
        assert 0 < steps[0] < steps[-1] < 50_000
        assert f"low={steps[0]}" in page.url
        page.reload()
        assert drawn(page, "long").is_visible()
        assert page.get_by_role("button", name="All steps").is_visible()
        page.get_by_role("button", name="All steps").click()
        assert "low=" not in page.url


def test_options_of_charts_are_in_the_address_and_draw_again(browser: Any, runs: ShownRuns) -> None:
    with served_page(runs.client.tracking_uri) as server, visitor(browser, server) as page:
        page.goto(f"{server.address}/runs/{runs.ids[0]}/charts")
        drawn(page, "loss")
        for axis in ("relative", "wall", "step"):
            page.get_by_label("Across").select_option(axis)
        page.get_by_label("Scale").select_option("log")
        page.get_by_label("Smoothing").fill("60")
        assert page.url.endswith("/charts?scale=log&smooth=60")
        page.reload()
        drawn(page, "loss").hover()
        assert "at step" in page.locator(".tip").first.inner_text()


def test_a_chart_is_fetched_when_it_comes_into_view(browser: Any, runs: ShownRuns) -> None:
    for number in range(60):
        runs.client.log_metric_history(runs.ids[0], f"m{number:02d}", [0, 1], [0.0, float(number)])
    asked: list[str] = []
    with (
        served_page(runs.client.tracking_uri) as server,
        visitor(browser, server, viewport={"width": 700, "height": 600}) as page,
    ):
        page.on("request", lambda request: "series.json" in request.url and asked.append(request.url))
        page.goto(f"{server.address}/runs/{runs.ids[0]}/charts")
        drawn(page, "loss")
        assert 0 < len(asked) < 15
        drawn(page, "m59")
        assert any("key=m59" in address for address in asked)
        assert page.locator("canvas").count() < 15


def test_a_tag_is_edited_in_the_table_and_columns_are_found(browser: Any, runs: ShownRuns) -> None:
    runs.client.set_tag(runs.ids[1], "mlflow.note.content", "long " * 100)
    with served_page(runs.client.tracking_uri) as server, visitor(browser, server) as page:
        page.goto(f"{server.address}/runs?column=tags.team")
        page.get_by_role("button", name="Edit the tag team").first.click()
        page.get_by_role("textbox", name="team").fill("north")
        with page.expect_response("**/tags"):
            page.get_by_role("textbox", name="team").press("Enter")
        page.get_by_role("cell", name="north").wait_for()
        assert runs.client.get_run(runs.ids[2]).data.tags["team"] == "north"
        page.get_by_role("button", name="Edit the note").click()
        page.locator("textarea").fill("two\nlines")
        with page.expect_response("**/tags"):
            page.locator("textarea").press("Control+Enter")
        assert runs.client.get_run(runs.ids[1]).data.tags["mlflow.note.content"] == "two\nlines"
        page.get_by_text("Columns (1)").click()
        page.get_by_label("Find a column").fill("mlflow.user")
        page.get_by_role("button", name="Show", exact=True).click()
        page.wait_for_url("**column=tags.team*")


def test_lists_compare_and_pages_work_without_scripts(browser: Any, runs: ShownRuns) -> None:
    with (
        served_page(runs.client.tracking_uri) as server,
        visitor(browser, server, java_script_enabled=False) as page,
    ):
        page.goto(f"{server.address}/runs")
        page.get_by_label("Filter").fill("metrics.auc > 0.3")
        page.get_by_role("button", name="Apply").click()
        page.get_by_label("Select depth-3").check()
        page.get_by_label("Select depth-4").check()
        page.get_by_role("button", name="Compare selected").click()
        assert page.get_by_role("heading", name="Compare 2 runs").is_visible()
        assert "form_token" not in page.url
        page.get_by_role("link", name="depth-4", exact=True).click()
        page.get_by_role("link", name="loss").last.click()
        assert page.get_by_role("cell", name="29", exact=True).is_visible()
        page.get_by_role("link", name="Overview").click()
        page.get_by_text("Edit the note").click()
        page.get_by_label("Note (Markdown)").fill("kept")
        page.get_by_role("button", name="Save").click()
        assert page.get_by_role("status").inner_text() == "The note is saved."
        page.get_by_role("link", name="Artifacts").click()
        page.get_by_role("link", name="docs/").click()
        page.get_by_role("link", name="report.md").click()
        assert page.get_by_role("heading", name="Report").is_visible()


def hostile(runs: ShownRuns) -> str:
    """Add a run whose names, values and files are markup; return its id."""
    client = runs.client
    run_id = client.create_run(runs.experiment_id, run_name=EVIL).info.run_id
    client.log_param(run_id, "depth", EVIL)
    client.log_metric(run_id, "auc", 0.5)
    client.log_metric_history(run_id, "loss", [0, 1], [1.0, 0.5])
    client.set_tag(run_id, "team", EVIL)
    client.set_tag(run_id, "mlflow.note.content", EVIL)
    client.set_tag(run_id, "mlflow.source.name", EVIL)
    client.log_text(run_id, f"<script>parent.document.title='pwned'</script>{EVIL}", "page.html")
    client.log_text(run_id, f"x,y\n{EVIL},1\n", "table.csv")
    client.log_text(run_id, EVIL, "notes.md")
    client.log_text(run_id, "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "dot.svg")
    client.set_terminated(run_id)
    return run_id


def test_nothing_of_a_stored_text_is_executed(browser: Any, runs: ShownRuns) -> None:
    run_id = hostile(runs)
    ids = f"run={run_id}&run={runs.ids[0]}"
    with served_page(runs.client.tracking_uri) as server:
        context = browser.new_context()
        page = context.new_page()
        said: list[str] = []
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(server.url)
        for path in (
            "/runs?column=tags.team&column=params.depth&chart=parallel&axis=params.depth&axis=metrics.auc",
            "/runs?chart=scatter&axis=params.depth&axis=metrics.auc",
            f"/runs?filter={EVIL.replace('%', '')}",
            f"/runs/{run_id}",
            f"/runs/{run_id}/charts",
            f"/runs/{run_id}/artifacts/page.html",
            f"/runs/{run_id}/artifacts/table.csv",
            f"/runs/{run_id}/artifacts/notes.md",
            f"/runs/{run_id}/artifacts/dot.svg",
            f"/runs/{run_id}/files/page.html?view=page",
            f"/compare?{ids}",
            f"/compare?{ids}&chart=parallel",
            f"/compare/images?{ids}",
        ):
            page.goto(f"{server.address}{path}", wait_until="networkidle")
            assert page.title() != "pwned", path
            if "/files/" not in path:  # the file itself has such an image, and no script that runs
                assert page.locator("img[src='x'], main script").count() == 0, path
        assert said == []
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280, 2560])
def test_every_page_of_runs_fits_and_is_accessible(browser: Any, runs: ShownRuns, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    hostile(runs)
    ids = "&".join(f"run={run_id}" for run_id in runs.ids)
    found: list[str] = []
    with (
        served_page(runs.client.tracking_uri) as server,
        visitor(browser, server, color_scheme=scheme, viewport={"width": width, "height": 900}) as page,
    ):
        for path in (
            "/runs?column=tags.team&column=params.depth&column=metrics.auc&view=all",
            "/runs?chart=parallel",
            "/runs?chart=scatter",
            "/runs/columns",
            f"/runs/{runs.ids[2]}",
            f"/runs/{runs.ids[2]}/charts",
            f"/runs/{runs.ids[2]}/metrics/loss",
            f"/runs/{runs.ids[2]}/artifacts/docs/report.md",
            f"/compare?{ids}",
            f"/compare?{ids}&chart=parallel",
            f"/compare/images?{ids}",
        ):
            page.goto(f"{server.address}{path}", wait_until="networkidle")
            if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                found.append(f"{path}: wider than the window")
            if width == 1280:
                found += [
                    f"{path}: {problem['id']}: {problem['nodes'][0]['html'][:200]}"
                    for problem in axe.run(page).response["violations"]
                    if problem["impact"] in ("serious", "critical")
                ]
    assert found == []
