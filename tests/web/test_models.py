"""Pages of models and versions."""

import json
import re
from pathlib import Path

import pytest
from governed_models import register, sealed_model
from page_client import open_page, words

import registry
from registry import MlflowClient
from registry.web.timeline import draw_timeline


def test_the_list_says_who_holds_each_stage(client: MlflowClient) -> None:
    register(client, "churn", 2)
    register(client, "fraud")
    client.transition_model_version_stage("churn", 2, "Production")
    client.set_registered_model_alias("churn", "champion", 1)
    text = words(open_page(client.tracking_uri).get("/models").text)
    assert re.search(r"churn version 2 since \S+ \S+ UTC – 2 @champion → 1", text)
    assert re.search(r"fraud – – 1 ", text)


def test_a_search_is_part_of_a_name_or_a_filter(client: MlflowClient) -> None:
    register(client, "churn")
    register(client, "o'fraud")
    client.set_registered_model_tag("churn", "team", "growth")
    page = open_page(client.tracking_uri)
    assert "o&#39;fraud" not in page.get("/models?q=CHU").text
    assert "o&#39;fraud" in page.get("/models?q=o'f").text
    assert ">churn<" in page.get("/models?q=tags.team+%3D+'growth'").text
    assert "No model matches" in page.get("/models?q=nothing").text
    wrong = page.get("/models?q=nix+%3D+x")
    assert wrong.status == 400
    assert "Invalid filter at character 7" in wrong.text


def test_an_empty_registry_says_the_next_command(sqlite_url: str) -> None:
    assert "registry models register runs:/RUN_ID/model churn" in open_page(sqlite_url).get("/models").text


def test_pages_of_models_follow_each_other(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    for number in range(5):
        client.create_registered_model(f"model-{number}")
    page = open_page(sqlite_url)
    seen, path = [], "/models?n=2"
    while path:
        text = page.get(path).text
        seen += re.findall(r"<bdi>(model-\d)</bdi>", text)
        following = re.search(r'rel="next" href="([^"]+)"', text)
        path = following[1].replace("&amp;", "&") + "&n=2" if following else ""
    assert seen == ["model-0", "model-1", "model-2", "model-3", "model-4"]


def test_a_model_shows_holders_rules_versions_and_history(client: MlflowClient) -> None:
    register(client, "churn", 2)
    client.set_promotion_rules("churn", "Production", [registry.Approvals(1)])
    client.transition_model_version_stage("churn", 1, "Production", override=True, reason="first one")
    client.update_registered_model(
        "churn", "# Title\n<script>alert(1)</script> ![x](http://evil/x.png) [bad](javascript:x)"
    )
    text = open_page(client.tracking_uri).get("/models/churn").text
    assert "<h1>Title</h1>" in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "evil/x.png&quot;" not in text
    assert 'href="javascript' not in text
    assert "<img" not in text
    shown = words(text)
    assert re.search(r"Production version 1 .* tester first one Roll back", shown)
    assert "Approvals(n=1)" in shown
    assert "rules overridden" in shown


def test_the_history_is_paged_and_filtered_by_version(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    register(client, "churn", 2)
    for number in range(110):
        client.set_model_version_tag("churn", 2, "key", str(number))
    page = open_page(sqlite_url)
    first = page.get("/models/churn/history").text
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following is not None
    rest = page.get(following[1].replace("&amp;", "&")).text
    assert first.count("<time") == 100
    assert rest.count("<time") == 113 - 100
    assert page.get("/models/churn/history?version=1").text.count("<time") == 1
    assert page.get("/models/churn/history?before=x").status == 400
    assert page.get("/models/nothing/history").status == 404


def test_a_timeline_spans_all_periods_and_keeps_short_ones_visible(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    register(client, "churn", 2)
    client.transition_model_version_stage("churn", 1, "Production")
    client.transition_model_version_stage("churn", 2, "Production")
    client.set_registered_model_alias("churn", "champion", 2)
    tenures = [one.tenure for one in client.backend.overview.tenures("churn", newest=10)]
    now = max(tenure.since for tenure in tenures) + 10**12
    timeline = draw_timeline(tenures, now)
    assert timeline is not None
    assert [lane.stage for lane in timeline.lanes] == ["Production", "@champion"]
    first, second = timeline.lanes[0].bars
    assert (first.left, first.width, first.tenure.version) == (0.0, 0.3, 1)
    assert (round(second.left + second.width), second.tenure.version) == (100, 2)
    assert draw_timeline([], now) is None


def test_tenures_of_long_ago_have_their_actor_too(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.store.registry.overview._RECENT", 2)
    client = MlflowClient(sqlite_url)
    register(client, "churn", 2)
    client.transition_model_version_stage("churn", 1, "Production", reason="long ago")
    for number in range(5):
        client.set_model_version_tag("churn", 1, "key", str(number))
    client.transition_model_version_stage("churn", 2, "Staging", reason="now")
    tenures = [one.tenure for one in client.backend.overview.tenures("churn", newest=10)]
    assert [(tenure.stage, tenure.actor, tenure.reason) for tenure in tenures] == [
        ("Staging", "tester", "now"),
        ("Production", "tester", "long ago"),
    ]


def test_a_version_shows_signature_example_files_lineage_and_how_to_load_it(sqlite_url: str) -> None:
    pandas = pytest.importorskip("pandas")
    sklearn = pytest.importorskip("sklearn.linear_model")
    registry.set_tracking_uri(sqlite_url)
    frame = pandas.DataFrame({"x": [0.0, 1.0, 2.0]})
    model = sklearn.LinearRegression().fit(frame, [0, 1, 2])
    versions = []
    for _ in range(2):
        with registry.start_run(run_name="first"):
            registry.log_input(registry.data.from_pandas(frame, name="games"))
            registry.sklearn.log_model(model, name="model", input_example=frame, registered_model_name="churn")
            versions.append(registry.active_run().info.run_id)
    client = MlflowClient(sqlite_url)
    client.create_registered_model("copy")
    client.copy_model_version("models:/churn/2", "copy")
    page = open_page(sqlite_url)
    answer = page.get("/models/churn/2")
    shown = words(answer.text)
    assert "&#39;x&#39;: double (required)" in shown
    assert "registry.sklearn.load_model(&#39;models:/churn/2&#39;)" in shown
    assert re.search(r"Data games \w+ … → Run first|Data games \w+…? → Run first", shown)
    assert "Version 2 churn → Copied to copy 1" in shown
    assert "Trained on the same data: churn 1" in shown.replace(" (games)", "").replace("copy 1, ", "")
    assert "The same bytes" not in shown
    assert "The same bytes: churn 2" in words(page.get("/models/copy/1").text)
    assert "Input example" in shown
    assert page.get("/models/churn/2/verify").text.count("These bytes are what was registered") == 1


def test_a_file_of_a_version_is_an_attachment_that_no_browser_opens(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    register(client, "churn")
    page = open_page(sqlite_url)
    answer = page.get("/models/churn/1/file?path=data.txt")
    assert answer.body == b"content"
    assert answer.header("content-type") == "application/octet-stream"
    assert answer.header("content-disposition") == "attachment; filename*=UTF-8''data.txt"
    assert answer.header("content-security-policy") == "default-src 'none'; sandbox"
    for path in ("../data.txt", "/etc/passwd", "..%2f..%2fregistry.db", "", "data.txt%00"):
        assert page.get(f"/models/churn/1/file?path={path}").status == 404


def test_changed_bytes_are_told(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    register(client, "churn")
    location = Path(client.get_model_version_download_uri("churn", 1))
    file = location / "data.txt"
    file.chmod(0o644)
    file.write_text("CONTENT")
    text = open_page(sqlite_url).get("/models/churn/1/verify").text
    assert "Do not use this version." in text
    assert "These bytes are what was registered" not in text


def test_a_version_without_a_usable_model_file_is_shown_nevertheless(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    register(client, "churn")
    model = client.create_logged_model("0")
    source = Path("odd")
    source.mkdir()
    (source / "MLmodel").write_text(json.dumps({"flavors": 3}))
    client.log_model_artifacts(model.model_id, source)
    client.finalize_logged_model(model.model_id, "READY")
    register(client, "churn", model_id=model.model_id)
    page = open_page(sqlite_url)
    assert "There is no MLmodel file" in page.get("/models/churn/1").text
    assert "the key `flavors` must be a map" in page.get("/models/churn/2").text
    assert page.get("/models/churn/3").status == 404
    assert sealed_model(client)


def test_whoever_holds_a_stage_for_long_is_shown_and_earlier_periods_follow(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.web.model._TENURES", 3)
    register(client, "churn", 7)
    client.transition_model_version_stage("churn", 1, "Production", reason="stays")
    client.set_registered_model_alias("churn", "champion", 1)
    for number in range(2, 8):
        client.transition_model_version_stage("churn", number, "Staging", archive_existing_versions=True)
    page = open_page(client.tracking_uri)
    seen: list[str] = []
    path = "/models/churn"
    while path:
        text = page.get(path).text
        shown = words(text)
        in_use = shown[shown.index("In use now") : shown.index("Who was where")]
        assert re.search(r"Production version 1 \S+ \S+ UTC \(\d+ s\) tester stays", in_use)
        assert "@champion version 1" in in_use
        table = text[text.index('aria-label="Periods"') :]
        seen += re.findall(r"<tr><td><bdi>([^<]+)</bdi></td><td>(\d+)</td>", table[: table.index("</table>")])
        following = re.search(r'href="(/models/churn\?before=\d+)#timeline"', text)
        path = following[1] if following else ""
    expected = [("Staging", str(number)) for number in range(7, 1, -1)] + [("@champion", "1"), ("Production", "1")]
    assert list(dict.fromkeys(seen)) == expected
    assert "Newest periods" in text


def test_versions_follow_each_other_by_number(sqlite_url: str) -> None:
    client = MlflowClient(sqlite_url)
    register(client, "churn", 5)
    client.delete_model_version("churn", 3)
    client.set_model_version_tag("churn", 1, "team", "growth")
    page = open_page(sqlite_url)
    seen, path = [], "/models/churn?n=2"
    while path:
        text = page.get(path).text
        versions = text[text.index('aria-label="Versions"') : text.index('aria-label="Pages of versions"')]
        seen += re.findall(r'<td><a href="/models/churn/(\d)">', versions)
        following = re.search(r'rel="next" href="([^"#]+)', text)
        path = f"{following[1]}&n=2" if following else ""
    assert seen == ["5", "4", "2", "1"]
    assert "<bdi>team</bdi>: <bdi>growth</bdi>" in versions


def test_many_versions_are_judged_as_each_of_them_is(client: MlflowClient) -> None:
    register(client, "churn", 4)
    client.transition_model_version_stage("churn", 1, "Production")
    client.set_promotion_rules("churn", "Production", [registry.TagEquals("checked", "yes"), registry.Approvals(1)])
    client.set_model_version_tag("churn", 3, "checked", "yes")
    client.approve("churn", 3, "Production")
    client.delete_model_version("churn", 4)
    judged = client.backend.promotion_rules.check_many("churn", [4, 3, 2, 1, 9], "Production")
    assert [[verdict.passed for verdict in verdicts] for verdicts in judged.values()] == [
        [True, False], [False, False], [False, False]
    ]  # fmt: skip
    assert list(judged) == [3, 2, 1]
    for number, verdicts in judged.items():
        assert list(verdicts) == client.check_promotion("churn", number, "Production")
    assert client.backend.promotion_rules.check_many("churn", [3], "Staging") == {3: ()}
    assert client.backend.promotion_rules.check_many("churn", [], "Production") == {}
