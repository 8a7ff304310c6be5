"""The page in a real browser: flows, two visitors at once, hostile texts, colour schemes, widths and accessibility."""

import re
from typing import Any

import pytest
from browsers import served_page, visitor
from governed_models import register, stages

import registry
from registry import MlflowClient
from registry.entities import Dataset, DatasetInput, InputTag

pytestmark = pytest.mark.slow

PAGES = (
    "/",
    "/models",
    "/models/{name}",
    "/models/{name}/history",
    "/models/{name}/2",
    "/models/{name}/2/verify",
    "/models/{name}/2/promote?stage=Production",
    "/models/{name}/rollback?stage=Production",
    "/inbox",
    "/storage",
    "/nowhere",
)


@pytest.fixture
def churn(sqlite_url: str) -> MlflowClient:
    """Return a client of a registry with one model that has been promoted and guarded."""
    client = MlflowClient(sqlite_url)
    register(client, "churn", 3)
    client.transition_model_version_stage("churn", 1, "Production", reason="first")
    client.set_registered_model_alias("churn", "champion", 1)
    client.set_promotion_rules("churn", "Production", [registry.TagEquals("checked", "yes"), registry.Approvals(1)])
    client.create_run("0", run_name="running")
    return client


def test_the_printed_address_signs_in_and_keys_go_places(browser: Any, churn: MlflowClient) -> None:
    with served_page(churn.tracking_uri) as server, visitor(browser, server) as page:
        assert page.url == f"{server.address}/"
        page.keyboard.press("g")
        page.keyboard.press("m")
        page.wait_for_url(f"{server.address}/models")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url(f"{server.address}/models/churn")
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.name") == "q"
        page.keyboard.type("g?j")
        assert page.input_value("header [name=q]") == "g?j"
        page.locator("h1").click()
        page.keyboard.press("?")
        assert page.get_by_role("dialog").get_by_text("next, previous row").is_visible()


def test_a_promotion_is_refused_then_passes_and_is_rolled_back(browser: Any, churn: MlflowClient) -> None:
    churn.delete_promotion_rules("churn", "Production")
    churn.set_promotion_rules("churn", "Production", [registry.TagEquals("checked", "yes")])
    with served_page(churn.tracking_uri) as server:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{server.url}")
        page.goto(f"{server.address}/models/churn/2")
        page.get_by_role("link", name="Promote to Production").click()
        assert page.get_by_text("The rules refuse it").is_visible()
        page.get_by_label("Reason").fill("better on the new season")
        page.get_by_role("button", name="Promote to Production").click()
        assert "TagEquals" in page.get_by_role("alert").inner_text()
        assert page.get_by_label("Reason").input_value() == "better on the new season"
        page.get_by_role("link", name="version 2").click()
        page.get_by_text("Tags", exact=True).last.click()
        page.get_by_role("textbox", name="Key").fill("checked")
        page.get_by_role("textbox", name="Value").fill("yes")
        page.get_by_role("button", name="Set the tag").click()
        assert page.get_by_role("status").inner_text() == "The tag checked is set."
        page.get_by_role("link", name="Promote to Production").click()
        page.get_by_label("Reason").fill("better on the new season")
        page.get_by_role("button", name="Promote to Production").click()
        page.get_by_role("status").get_by_text("Version 2 is in stage Production.").wait_for()
        page.get_by_role("link", name="churn").first.click()
        lane = page.get_by_role("group", name="Who held Production when")
        assert lane.locator("text").all_text_contents() == ["1", "2"]
        page.get_by_role("link", name="Roll back").click()
        page.get_by_label("Reason").fill("wrong numbers")
        page.get_by_role("button", name="Roll back to version 1").click()
        page.get_by_role("status").get_by_text("Version 1 is in Production again.").wait_for()
        assert page.get_by_role("group", name="Who held Production when").locator("text").count() == 3
        context.close()
    assert stages(churn, "churn") == {1: "Production", 2: "Archived", 3: "None"}


def test_a_run_becomes_a_version_that_is_compared_and_promoted(browser: Any, churn: MlflowClient) -> None:
    churn.delete_promotion_rules("churn", "Production")
    churn.set_promotion_rules("churn", "Production", [registry.MetricAtLeast("auc", 0.9)])
    for name, auc in (("weak", 0.8), ("strong", 0.95)):
        run_id = churn.create_run("0", run_name=name).info.run_id
        churn.log_metric(run_id, "auc", auc)
        churn.log_text(run_id, name, "model/weights.txt")
        churn.set_terminated(run_id)
    with served_page(churn.tracking_uri) as server:
        context = browser.new_context()
        page = context.new_page()
        page.goto(server.url)
        for name, number in (("weak", 4), ("strong", 5)):
            page.goto(f"{server.address}/runs?filter=attributes.run_name+%3D+'{name}'")
            page.get_by_role("link", name=name).first.click()
            page.get_by_role("link", name="Register a model of this run").click()
            page.get_by_label("Logged model, or directory").fill("model")
            page.get_by_label("Registered model").fill("churn")
            page.get_by_role("button", name="Register").click()
            page.get_by_role("heading", name=f"churn, version {number}").wait_for()
        page.goto(f"{server.address}/models/churn")
        page.get_by_role("button", name="Compare").click()
        assert page.get_by_text("0.95").first.is_visible()
        for number, answer in ((4, "The rules refuse it."), (5, "Every rule passes.")):
            page.goto(f"{server.address}/models/churn/{number}/promote?stage=Production")
            assert page.get_by_text(answer).is_visible()
        page.get_by_label("Reason").fill("auc")
        page.get_by_role("button", name="Promote to Production").click()
        assert page.get_by_role("status").inner_text() == "Version 5 is in stage Production."
        context.close()


def test_of_two_visitors_who_promote_at_once_the_second_sees_what_the_first_did(
    browser: Any, churn: MlflowClient
) -> None:
    churn.delete_promotion_rules("churn", "Production")
    with served_page(churn.tracking_uri) as server:
        windows = [browser.new_context(), browser.new_context()]
        pages = [window.new_page() for window in windows]
        for number, page in zip((2, 3), pages, strict=True):
            page.goto(server.url)
            page.goto(f"{server.address}/models/churn/{number}/promote?stage=Production")
            page.get_by_label("Reason").fill(f"mine is {number}")
        for page in pages:
            page.get_by_role("button", name="Promote to Production").click()
        first, second = pages
        assert first.get_by_role("status").inner_text() == "Version 2 is in stage Production."
        assert "nothing was changed" in second.get_by_role("alert").inner_text()
        assert second.get_by_role("link", name="Version 2").is_visible()
        assert stages(churn, "churn") == {1: "Archived", 2: "Production", 3: "None"}
        second.get_by_role("button", name="Promote to Production").click()
        assert second.get_by_role("status").inner_text() == "Version 3 is in stage Production."
        for window in windows:
            window.close()


def test_the_first_page_says_what_gc_would_free_when_that_is_seen(browser: Any, churn: MlflowClient) -> None:
    small = {"width": 800, "height": 200}
    with served_page(churn.tracking_uri) as server, visitor(browser, server, viewport=small) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url.removeprefix(server.address)))
        page.goto(server.address)
        link = page.get_by_role("link", name="gc would free")
        assert link.inner_text() == "What gc would free"
        assert "/storage" not in asked
        link.scroll_into_view_if_needed()
        page.get_by_role("link", name="gc would free nothing now").wait_for()
        assert asked.count("/storage") == 1


def test_a_chart_of_runs_is_above_their_table_or_beside_it_on_a_wide_screen(browser: Any, churn: MlflowClient) -> None:
    run_id = churn.search_runs(["0"])[0].info.run_id
    churn.log_metric(run_id, "auc", 0.9)
    with served_page(churn.tracking_uri) as server:
        for width, is_beside in ((800, False), (2560, True)):
            with visitor(browser, server, viewport={"width": width, "height": 900}) as page:
                page.goto(f"{server.address}/runs?chart=trend")
                chart, table = (page.locator(place).bounding_box() for place in (".runs-chart", "#runs-table"))
                assert (chart["x"] >= table["x"] + table["width"]) is is_beside
                assert (chart["y"] + chart["height"] <= table["y"]) is not is_beside


def test_the_ticks_of_a_timeline_are_in_the_zone_of_the_reader(browser: Any, churn: MlflowClient) -> None:
    with served_page(churn.tracking_uri) as server:
        ticks = []
        for zone in ("UTC", "Asia/Kathmandu"):
            with visitor(browser, server, timezone_id=zone, locale="en-GB") as page:
                page.goto(f"{server.address}/models/churn")
                ticks.append(page.locator("text[data-tick]").first.text_content())
        assert all(re.fullmatch(r"\d\d:\d\d:\d\d", tick) for tick in ticks)
        minutes = [int(tick[:2]) * 60 + int(tick[3:5]) for tick in ticks]
        assert (minutes[1] - minutes[0]) % (24 * 60) == 5 * 60 + 45


def test_forms_work_without_scripts(browser: Any, churn: MlflowClient) -> None:
    with served_page(churn.tracking_uri) as server, visitor(browser, server, java_script_enabled=False) as page:
        page.goto(f"{server.address}/models/churn/1/promote?stage=Archived")
        page.get_by_label("Reason").fill("old")
        page.get_by_role("button", name="Archive").click()
        assert page.get_by_role("status").inner_text() == "Version 1 is in stage Archived."
        assert "UTC" in page.locator("time").first.inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible(browser: Any, churn: MlflowClient, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with served_page(churn.tracking_uri) as server:
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto(server.url)
        found = {}
        for path in (address.format(name="churn") for address in PAGES):
            page.goto(server.address + path)
            page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
            violations = axe.run(page).response["violations"]
            serious = [
                (violation["id"], node["html"][:200])
                for violation in violations
                if violation["impact"] in ("serious", "critical")
                for node in violation["nodes"]
            ]
            if serious:
                found[path] = serious
        context.close()
        assert found == {}


def test_no_page_is_wider_than_its_window(browser: Any, churn: MlflowClient) -> None:
    long = "x" * 250
    churn.rename_registered_model("churn", long)
    churn.set_registered_model_tag(long, "key", "y" * 5_000)
    churn.update_registered_model(long, "z" * 5_000 + "\n\n    " + "code" * 500)
    with served_page(churn.tracking_uri) as server:
        for width in (360, 1280, 2560):
            with visitor(browser, server, viewport={"width": width, "height": 900}) as page:
                for path in (address.format(name=long) for address in PAGES if address != "/nowhere"):
                    page.goto(server.address + path)
                    assert (path, page.evaluate("document.documentElement.scrollWidth")) == (path, width)


HOSTILE = (
    "<script>window.pwned=1</script>",
    "\"><img src=x onerror='window.pwned=1'>",
    "'-window.pwned-'",
    "{{ 7*7 }} {% raw %}",
    "javascript:window.pwned=1",
    "<svg/onload=window.pwned=1>",
    "</title></textarea></script><b>",
    "&lt;script&gt;&#x3C;",
    "\u202egnp.exe \u2066 \u200b",
    "[click](javascript:window.pwned=1) ![x](http://evil.example/x.png) <iframe src=//evil.example>",
    "[a](data:text/html,<script>window.pwned=1</script>) <http://evil.example/'onmouseover=x>",
    "=cmd|' /C calc'!A0",
    "../../etc/passwd%00%2e%2e%2f",
    "💥" * 50,
    "a" * 5_000,
)


def test_hostile_texts_are_shown_as_texts(browser: Any, sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    name = "<script>window.pwned=1<;script> \"'>& {{7*7}} %2e%2e #x \\"
    register(client, name, 2)
    for text in HOSTILE:
        client.update_registered_model(name, text, reason=text)
        client.update_model_version(name, 2, text, reason=text)
        client.set_registered_model_tag(name, "key", text, reason=text)
        client.set_model_version_tag(name, 2, "key", text)
        client.transition_model_version_stage(name, 2, "Production", reason=text)
        client.transition_model_version_stage(name, 1, "Production", reason=text)
        client.create_run("0", run_name=text[:200] if text.isprintable() else "run")
    client.update_registered_model(name, "\n\n".join(HOSTILE))
    client.update_model_version(name, 2, "\n\n".join(HOSTILE))
    client.set_promotion_rules(name, "Production", [registry.TagEquals("key", HOSTILE[0]), registry.Approvals(1)])
    run_id = client.create_run("0").info.run_id
    uses = [
        DatasetInput(Dataset(text[:400], "d", "local", text), [InputTag("feature_pipeline", text[:400])])
        for text in HOSTILE
        if text.isprintable()
    ]
    client.log_inputs(run_id, uses)
    register(client, name, run_id=run_id)
    from registry.web.pages import url

    with served_page(sqlite_url) as server, visitor(browser, server) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: asked.append(f"dialog {dialog.message}"))
        for path in (*PAGES, "/models/{name}/3", f"/runs/{run_id}"):
            if path == "/nowhere":
                continue
            page.goto(server.address + path.replace("/models/{name}", url("models", name)))
            assert page.evaluate("window.pwned") is None
            assert page.locator("main iframe, main img, main script, main [onerror], main [onload]").count() == 0
            assert page.locator("main a[href^='javascript'], main a[href^='data']").count() == 0
        assert [address for address in asked if not address.startswith(server.address)] == []
        page.goto(server.address + url("models", name))
        assert page.locator("h1 bdi").first.inner_text() == name
