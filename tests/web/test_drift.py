"""The drift page: heat map, distributions, performance, incidents with evidence, and the next command."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from drifted_models import check_until, drifted_model
from governed_models import register
from monitored_models import NOTHING, find, model_in_production
from page_client import open_page, words

from registry import MlflowClient
from registry.entities.monitors import CheckOutcome, CheckStatus, MonitorCheck
from registry.exceptions import InvalidParameterError
from registry.monitoring.distributions import Distribution, Distributions, describe_distributions
from registry.monitoring.profiles import make_profile
from registry.monitoring.report import ColumnResult, DriftReport
from registry.monitoring.runner import run_due
from registry.store.registry.history_queries import StageTenure
from registry.web.drift_charts import draw_bars, draw_performance, time_label
from registry.web.heat_map import draw_heat_map, name_of

DAY = 86_400_000


def result(
    column: str, effect: float | None, *, drifted: bool = False, role: str = "input", **more: object
) -> ColumnResult:
    figures = {"statistic": effect, "effect": effect, "threshold": 0.1, "p_value": 0.5, "p_adjusted": 0.5}
    given: Any = {"kind": "number", "detector": "psi", "aspect": "distribution", **figures, **more}
    return ColumnResult(column, role, drifted=drifted, **given)


def check(number: int, day: float = 1000) -> MonitorCheck:
    return MonitorCheck(number, 1, 1, "ok", None, None, None, 0, 0, int(day * DAY))


def report(*results: ColumnResult, end: int = DAY, version: int = 1) -> DriftReport:
    return DriftReport("nba", version, "m-1", "Production", end - DAY, end, "reference", None, 500, 900, 0.003, results)


def cells(text: str, column: str) -> list[str]:
    """Return what stands in the cells of a row of the heat map."""
    row = re.search(rf"<th scope=\"row\">(?:<a [^>]*>)?<bdi>{column}</bdi>.*?</tr>", text, re.DOTALL)
    assert row is not None, column
    return [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<td class=\"heat.*?</td>", row[0], re.DOTALL)]


def test_the_drift_page_shows_what_each_check_found_in_each_column(client: MlflowClient) -> None:
    drifted_model(client)
    page = open_page(client.tracking_uri)

    text = page.get("/models/nba/drift").text
    found = words(text)

    assert [cell.startswith("▲") for cell in cells(text, "gap")] == [False, False, True]
    assert [cell.startswith("▲") for cell in cells(text, "arena")] == [False, False, True]
    assert re.search(r'title="psi [0-9.]+ of 0.1, p [0-9.e-]+: drift; ks ', text)
    assert re.search(r"Performance over time accuracy on true values, with its 95 % interval", found)
    assert len(re.findall(r'<circle class="good"', text)) == 2
    assert len(re.findall(r'<circle class="bad"', text)) == 1
    assert re.search(r"Check 3 drift version 1 ?: 200 rows from .* to .* UTC ?, against reference \(400 rows\)", found)
    assert re.search(r"elsewhere 0\.0 % \d+\.\d %", found)
    assert 'aria-label="Histogram of gap; the table below has its figures"' in text
    assert "style=" not in text
    assert 'href="/models/nba/drift"' in page.get("/models/nba").text


def test_a_check_and_a_column_can_be_chosen(client: MlflowClient) -> None:
    drifted_model(client)
    page = open_page(client.tracking_uri)

    one = words(page.get("/models/nba/drift?check=3&column=input%2Farena").text)
    assert re.search(r"Check 3: arena drift .* Detector Effect .* Result new_categories 0\.\d+ 0\.01", one)
    assert "Histogram of gap" not in page.get("/models/nba/drift?check=3&column=input%2Farena").text
    assert "Check 1 ok version 1" in words(page.get("/models/nba/drift?check=1").text)
    assert "Check 3: gap, where arena=home" in words(
        page.get("/models/nba/drift?check=3&column=input%2Fgap&segment=arena%3Dhome").text
    )
    metric = words(page.get("/models/nba/drift?check=3&column=performance%2Faccuracy").text)
    assert "There is no distribution of accuracy" in metric
    assert "Check 3" in words(page.get("/models/nba/drift?check=99&column=nonsense").text)
    assert page.get("/models/nba/drift?check=x").status == 400
    assert page.get("/models/nothing/drift").status == 404


def test_checks_come_in_pages_and_by_monitor(client: MlflowClient) -> None:
    monitor = drifted_model(client)
    other = client.add_monitor("nba")
    run_due(client, monitor_id=other.id, triggers=NOTHING, check=lambda *_: CheckOutcome(CheckStatus.OK, 1))
    page = open_page(client.tracking_uri)

    newest = page.get("/models/nba/drift?n=2").text
    assert len(cells(newest, "gap")) == 2
    assert "before=3" in newest
    older = page.get("/models/nba/drift?n=2&before=3").text
    assert [cell.startswith("▲") for cell in cells(older, "gap")] == [False, False]
    assert "Older checks" not in older
    mine = page.get(f"/models/nba/drift?monitor={monitor.id}").text
    assert len(cells(mine, "gap")) == 3
    assert "Check 1 ok" in words(page.get("/models/nba/drift?n=1&check=1").text)
    theirs = words(page.get(f"/models/nba/drift?monitor={other.id}").text)
    assert "None of these checks has a report. The newest says: There is no report." in theirs


def test_incidents_are_shown_with_evidence_and_acknowledged_and_closed_here(client: MlflowClient) -> None:
    drifted_model(client)
    page = open_page(client.tracking_uri)
    incident = next(one for one in client.get_incidents("nba") if one.cause == "input/gap:distribution")

    text = page.get("/models/nba/drift").text
    card = words("<main " + text[text.index(f'id="incident-{incident.id}"') :])
    assert re.search(rf"{incident.id}: input/gap:distribution open .*by check 3 of version 1", card)
    assert re.search(r"Window .* UTC to .* UTC .*Reference rows 400 Rows 200 .*ks 0\.\d+ 0\.1 \S+ drift", card)
    for act, status in (("acknowledge", "acknowledged"), ("close", "closed")):
        answer = page.post(f"/incidents/{incident.id}/{act}", {"reason": "the feed", "back": "drift"})
        assert (answer.header("location") or "").startswith("/models/nba/drift?said=")
        assert client.get_incident(incident.id).status == status
    closed = words(page.get("/models/nba/drift").text)
    assert "Incidents that were closed" in closed
    assert "by tester : the feed" in closed
    assert f"check={incident.check_id}" in page.get("/models/nba").text


def test_evidence_of_another_form_is_shown_as_far_as_it_goes(client: MlflowClient) -> None:
    model_in_production(client)
    (incident,) = find(client, "input/age")

    text = words(open_page(client.tracking_uri).get("/models/nba/drift").text)

    assert f"{incident.id}: input/age open" in text
    assert "Effect 0.25" in text
    assert re.search(r"None of these checks has a report. The newest says: .*r1", text)


def test_a_page_without_checks_says_the_next_command(client: MlflowClient) -> None:
    name = "a b's"
    register(client, name, 1)
    page = open_page(client.tracking_uri)

    assert "registry versions promote 'a b'\"'\"'s/1' Production" in _unescaped(page.get("/models/a%20b's/drift").text)
    client.transition_model_version_stage(name, 1, "Production")
    assert "registry monitor add 'a b'\"'\"'s' --every 1d" in _unescaped(page.get("/models/a%20b's/drift").text)
    client.add_monitor(name)
    text = _unescaped(page.get("/models/a%20b's/drift").text)
    assert "No check has been made yet. Next: <code>registry monitor run</code>" in text
    assert "waiting" in text


def _unescaped(text: str) -> str:
    return text.replace("&#39;", "'").replace("&#34;", '"')


def test_a_report_that_was_changed_is_not_shown(client: MlflowClient) -> None:
    drifted_model(client, checks=2)
    (check,) = client.get_monitor_checks(1, limit=1)
    assert check.run_id is not None
    content = json.loads(client.backend.run_files(check.run_id).read("report.json"))
    content["rows"] = 7
    client.log_text(check.run_id, json.dumps(content), "report.json")
    client.log_text(check.run_id, '{"format": 1, "columns": [{}]}', "distributions.json")

    text = words(open_page(client.tracking_uri).get("/models/nba/drift?check=2").text)

    assert "The report of 'nba' differs from the digest that its check recorded." in text.replace("&#39;", "'")
    content["alpha"] = float("nan")
    deep = "[" * 100_000
    for wrong, why in (
        (json.dumps(content), "differs from the digest"),
        ("no report", "This is no drift report"),
        (deep, "This is no drift report"),
        ("", "has no report.json"),
    ):
        client.log_text(check.run_id, wrong, "report.json")
        if not wrong:
            client.backend.run_files(check.run_id).delete(["report.json"])
        text = words(open_page(client.tracking_uri).get("/models/nba/drift?check=2").text)
        assert why in text
        assert "Check 1" in words(open_page(client.tracking_uri).get("/models/nba/drift?check=1").text)


def test_files_that_are_larger_than_any_check_writes_are_not_read(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    drifted_model(client, checks=1)
    monkeypatch.setattr("registry.web.drift._MOST_BYTES", 100)
    text = words(open_page(client.tracking_uri).get("/models/nba/drift?check=1").text)
    assert re.search("report.json of the run [0-9a-f]{32} has [0-9,]+ bytes; no check writes so many", text)


def test_distributions_that_are_gone_are_missed(client: MlflowClient) -> None:
    drifted_model(client, checks=1)
    (check,) = client.get_monitor_checks(1)
    assert check.run_id is not None
    client.log_text(check.run_id, "[]", "distributions.json")

    text = words(open_page(client.tracking_uri).get("/models/nba/drift").text)

    assert "The distributions of this check were not kept." in text


def test_a_read_only_page_has_no_forms(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    drifted_model(client, checks=1)
    text = open_page(sqlite_url, read_only=True).get("/models/nba/drift").text
    assert "Close incident" not in text
    assert '<form method="post"' not in text


def test_many_columns_are_cut_until_all_are_asked_for(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    monitor = drifted_model(client, checks=1)
    many = report(*(result(f"column {number}", 0.01) for number in range(60)))
    outcome = CheckOutcome(CheckStatus.OK, 1, {}, None, many.digest(), None, 0)
    run = client.create_run("0").info.run_id
    client.log_text(run, json.dumps(many.to_dict()), "report.json")
    outcome = CheckOutcome(CheckStatus.OK, 1, {}, None, many.digest(), run, 0)
    run_due(client, monitor_id=monitor.id, triggers=NOTHING, check=lambda *_: outcome)
    page = open_page(sqlite_url)

    text = page.get("/models/nba/drift").text
    assert "more columns" in words(text)
    shown = text[text.index("data-map") :]
    assert len(re.findall('<th scope="row"><a', shown)) == 40
    everything = page.get("/models/nba/drift?all=1").text
    assert "more columns" not in words(everything)
    assert len(re.findall('<th scope="row"><a', everything)) > 60


def test_cells_say_by_text_and_level_how_large_and_how_sure_a_difference_is() -> None:
    rows = draw_heat_map(
        [
            None,
            report(result("a", 0.02), result("b", 0.09), result("c", 0.3)),
            report(
                result("a", None, note="too few rows: 3 of 100"),
                result("b", 0.15, drifted=True),
                result("b", 0.05, aspect="missing"),
                result("c", 9.0, drifted=True),
                result("*", 0.5, role="joint", threshold=None),
            ),
        ]
    )

    assert [(name_of(row.key), [(cell.level, cell.text) for cell in row.cells]) for row in rows] == [
        ("c", [("gone", ""), ("unsure", "3.0"), ("strong", "▲10+")]),
        ("b", [("gone", ""), ("some", "0.9"), ("drift", "▲1.5")]),
        ("a", [("gone", ""), ("low", "0.2"), ("unknown", "·")]),
        ("all inputs together", [("gone", ""), ("gone", ""), ("low", "0.0")]),
    ]
    assert rows[2].cells[2].title == "psi: too few rows: 3 of 100"
    assert rows[1].cells[2].title == "psi 0.15 of 0.1, p 0.5: drift; psi 0.05 of 0.1, p 0.5"


def test_segments_have_rows_of_their_own_and_correlations_share_one() -> None:
    home = result("accuracy", 0.3, drifted=True, role="performance", segment="venue=home")
    whole = result("accuracy", 0.01, role="performance")
    pair = result("gap and rest", 0.2, drifted=True, role="joint", detector="correlation", aspect="correlation")
    other = result("gap and pace", 0.05, role="joint", detector="correlation", aspect="correlation")

    rows = draw_heat_map([report(whole, home, other), report(whole, home, pair)])

    assert [(name_of(row.key), [cell.text for cell in row.cells]) for row in rows] == [
        ("accuracy, where venue=home", ["▲3.0", "▲3.0"]),
        ("correlations of inputs", ["0.5", "▲2.0"]),
        ("accuracy", ["0.1", "0.1"]),
    ]
    assert rows[1].cells[1].title == "correlation of gap and rest 0.2 of 0.1, p 0.5: drift"
    chart = draw_performance([(check(1), report(whole, home))], [], "Production", None)
    assert chart is not None
    assert [point.result.segment for point in chart.points] == [""]


def test_performance_is_drawn_over_the_periods_of_versions() -> None:
    measured = [
        (
            check(number),
            report(
                result("accuracy", value, role="performance", low=value - 0.1, high=value + 0.1),
                result("accuracy", 0.1, role="performance", segment="venue=home"),  # not drawn
                end=day * DAY,
            ),
        )
        for number, (day, value) in enumerate([(10, 0.9), (20, 0.7), (30, 0.5)])
    ]
    us = DAY * 1000
    tenures = [
        StageTenure("u", "Production", 1, 5 * us, 20 * us, "ann", None),
        StageTenure("u", "Production", 2, 20 * us, None, "ann", None),
        StageTenure("u", "Production", 0, 1 * us, 2 * us, "ann", None),
        StageTenure("u", "Staging", 2, 12 * us, 20 * us, "ann", None),
    ]

    chart = draw_performance(measured, tenures, "Production", ("accuracy", 0.95))

    assert chart is not None
    assert [(band.version, band.left, band.width) for band in chart.bands] == [(1, 2.0, 48.0), (2, 50.0, 48.0)]
    assert [point.left for point in chart.points] == [2.0, 50.0, 98.0]
    assert chart.points[0].top < chart.points[1].top < chart.points[2].top
    assert [round(value, 2) for _, value in chart.scale] == [1.0, 0.7, 0.4]
    assert chart.reference is not None
    assert chart.reference[1] == 0.95
    assert time_label(chart.ticks[0][1], chart) == "1970-01-11"
    assert draw_performance([(check(1), report(result("a", 0.1)))], tenures, "Production", None) is None
    alone = draw_performance(measured[:1], [], "Production", ("brier_score", 0.1))
    assert alone is not None
    assert alone.reference is None
    assert time_label(alone.ticks[-1][1], alone) == "01-11 00:00"
    # Three checks of one hour have the same window, but are told apart.
    soon = [(check(number, 10 + number / 86_400), one) for number, (_, one) in enumerate(measured)]
    soon = [(made, replace(one, window_end=11 * DAY)) for made, one in soon]
    close = draw_performance(soon, tenures, "Production", None)
    assert close is not None
    assert [point.left for point in close.points] == [2.0, 50.0, 98.0]
    assert time_label(close.ticks[0][1], close) == "00:00:00"


def test_distributions_survive_their_file_and_are_refused_if_they_do_not_fit() -> None:
    import numpy as np
    import pandas as pd

    moments = pd.date_range("2026-01-01", periods=50, tz="UTC")
    frame = pd.DataFrame({"x": np.arange(50.0), "same": 1.0, "when": moments, "who": list("ab") * 25})
    reference, window = make_profile(frame), make_profile(frame.assign(x=frame["x"] + 10, who="c"))
    described = describe_distributions(reference, window)

    assert Distributions.from_json(described.to_json().encode()) == described
    x, who, same = (described.find("input", name) for name in ("x", "who", "same"))
    assert x is not None
    assert who is not None
    assert same is not None
    assert (sum(x.reference), sum(x.window), len(x.edges)) == (50, 50, 19)
    assert (who.categories, who.reference, who.window) == (("c", "a", "b"), (0, 25, 25, 0), (50, 0, 0, 0))
    assert [bar.label for bar in draw_bars(who).bars] == ["c", "a", "b"]
    assert (same.edges, same.reference) == ((1.0,), (0, 50))
    when = described.find("input", "when")
    assert when is not None
    assert re.fullmatch(r"below 2026-01-0\d \d\d:\d\d", draw_bars(when).bars[0].label)
    without_rows = describe_distributions(
        make_profile(frame, sample_rows=0), make_profile(frame[["who"]], sample_rows=0)
    )
    assert [column.name for column in without_rows.columns] == ["who"]
    counted = make_profile(frame[["x"]], sample_rows=0)
    binned = describe_distributions(counted, counted).find("input", "x")
    assert binned is not None
    assert binned.edges == counted.columns[0].edges
    for wrong in (
        b"",
        b"[]",
        b'{"format": 2}',
        b'{"format": 1, "columns": [1]}',
        described.to_json().replace("50", "-50").encode(),
        described.to_json().replace("[1.0]", "[NaN]").encode(),
        described.to_json().replace("[1.0]", "[1e999]").encode(),
        b"[" * 100_000,
    ):
        with pytest.raises(InvalidParameterError, match="These are no distributions"):
            Distributions.from_json(wrong)


def test_far_times_and_empty_categories_have_labels() -> None:
    far = draw_bars(Distribution("input", "t", "time", (1, 0), (0, 1), edges=(1e20,)))
    assert [bar.label for bar in far.bars] == ["below 1e+20", "1e+20 and above"]
    empty = draw_bars(Distribution("input", "c", "category", (1, 2), (0, 1), categories=("",)))
    assert [bar.label for bar in empty.bars] == ["(empty)", "all others"]


def test_a_check_that_nobody_asked_a_monitor_for_is_shown_too(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    monitor = drifted_model(client, checks=1)
    check_until(client, monitor, datetime.now(UTC))
    client.remove_monitor(monitor.id)
    assert "Check 2" in words(open_page(sqlite_url).get("/models/nba/drift").text)
