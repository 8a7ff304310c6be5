"""The drift page in a real browser: accessible, no wider than its window, walked by keyboard, whole without scripts."""

from typing import Any

import pytest
from browsers import served_page, visitor
from drifted_models import drifted_model

from registry import MlflowClient

pytestmark = pytest.mark.slow

HOSTILE = {
    "gap": "\"><img src=x onerror='window.pwned=1'>",
    "arena": "<script>window.pwned=1</script> / {{ 7*7 }} \u202e " + "x" * 200,
    "new": "</title></svg><script>window.pwned=1</script>",
}
PAGES = ("", "?check=2", "?check=1", "?all=1&n=1")


@pytest.fixture
def drifted(sqlite_url: str) -> MlflowClient:
    """Return a client of a registry whose model has drifted."""
    client = MlflowClient(sqlite_url)
    drifted_model(client, checks=3)
    client.close_incident(client.get_incidents("nba")[0].id, reason="mended")
    return client


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_drift_page_is_accessible(browser: Any, drifted: MlflowClient, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with served_page(drifted.tracking_uri) as server, visitor(browser, server, color_scheme=scheme) as page:
        for path in ("/models/nba/drift", "/models/nba/drift?check=3&column=input%2Fgap"):
            page.goto(server.address + path)
            page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
            serious = [
                (violation["id"], node["html"][:200])
                for violation in axe.run(page).response["violations"]
                if violation["impact"] in ("serious", "critical")
                for node in violation["nodes"]
            ]
            assert serious == []


def test_the_heat_map_is_one_stop_for_tab_and_is_walked_with_arrows(browser: Any, drifted: MlflowClient) -> None:
    with served_page(drifted.tracking_uri) as server, visitor(browser, server) as page:
        page.goto(f"{server.address}/models/nba/drift")
        assert page.locator("[data-map] td a[tabindex='0']").count() == 1
        page.locator("[data-map] td a[tabindex='0']").focus()
        figures = page.locator("[data-figures]")
        before = figures.inner_text()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("End")
        assert figures.inner_text() not in (before, "")
        where = page.evaluate("[document.activeElement.closest('td').cellIndex, document.activeElement.tabIndex]")
        assert where == [3, 0]
        page.keyboard.press("Home")
        page.keyboard.press("ArrowLeft")
        assert page.evaluate("document.activeElement.closest('td').cellIndex") == 1
        assert page.locator("[data-map] td a[tabindex='0']").count() == 1
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        page.wait_for_url("**/drift?check=2&column=**")
        assert page.locator("#details").inner_text().startswith("Check 2: ")


def test_an_alarm_leads_from_home_to_its_evidence_and_is_closed_there(browser: Any, drifted: MlflowClient) -> None:
    with served_page(drifted.tracking_uri) as server, visitor(browser, server) as page:
        page.goto(server.address)
        incident = drifted.get_incidents("nba", ["open"])[0]
        page.get_by_role("link", name=incident.cause).click()
        card = page.locator(f"#incident-{incident.id}")
        card.get_by_label(f"Reason for incident {incident.id}").fill("version 2 knows it")
        card.get_by_role("button", name=f"Close incident {incident.id}").click()
        assert page.get_by_role("status").first.inner_text() == f"Incident {incident.id} is closed."
        assert page.url.startswith(f"{server.address}/models/nba/drift?")
    assert drifted.get_incident(incident.id).reason == "version 2 knows it"


def test_the_drift_page_is_whole_without_scripts(browser: Any, drifted: MlflowClient) -> None:
    with served_page(drifted.tracking_uri) as server, visitor(browser, server, java_script_enabled=False) as page:
        page.goto(f"{server.address}/models/nba/drift")
        page.locator("[data-map] th[scope=row] a").first.click()
        assert page.locator("#details").inner_text().startswith("Check 3: ")
        page.get_by_role("link", name="All columns of this check").click()
        page.locator("[data-map] thead a").first.click()
        assert page.locator("#details").inner_text() == "Check 1"


def test_hostile_columns_and_categories_are_texts_and_fit_every_window(browser: Any, sqlite_url: str) -> None:
    drifted_model(MlflowClient(sqlite_url), checks=2, names=HOSTILE)
    from registry.web.pages import url

    with served_page(sqlite_url) as server:
        for width in (360, 1280, 2560):
            with visitor(browser, server, viewport={"width": width, "height": 900}) as page:
                addresses = [url("models", "nba", "drift") + query for query in PAGES]
                addresses += [url("models", "nba", "drift", column=f"input/{HOSTILE[key]}") for key in ("gap", "arena")]
                for path in addresses:
                    page.goto(server.address + path)
                    assert page.evaluate("window.pwned") is None
                    assert page.locator("main img, main script, main [onerror], main iframe").count() == 0
                    assert (path, page.evaluate("document.documentElement.scrollWidth")) == (path, width)
                assert page.locator("#details bdi").first.inner_text() == HOSTILE["arena"][:119] + "…"
