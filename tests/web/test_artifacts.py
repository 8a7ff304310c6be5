"""Files of runs: what is shown of them, how they are sent, and that nothing of them is executed or escapes."""

import io
import json
import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import xgboost
from page_client import PageClient, open_page, words

import registry
from registry import MlflowClient
from registry.web import artifacts

SANDBOX = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"


@pytest.fixture
def client(sqlite_url: str) -> MlflowClient:
    registry.set_tracking_uri(sqlite_url)
    return MlflowClient(sqlite_url)


@pytest.fixture
def run_id(client: MlflowClient) -> str:
    return client.create_run("0").info.run_id


@pytest.fixture
def page(client: MlflowClient, sqlite_url: str) -> PageClient:
    return open_page(sqlite_url)


@pytest.fixture
def store(client: MlflowClient, run_id: str) -> Callable[[str, bytes], None]:
    """Store bytes as a file of the run."""
    return lambda path, data: client.log_stream(run_id, io.BytesIO(data), path)


def parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("path", "data", "shown"),
    [
        ("a.txt", b"<b>text</b>\xff", "<pre tabindex=\"0\">&lt;b&gt;text&lt;/b&gt;\ufffd</pre>"),
        ("a.json", b'{"b": [1, "<"]}', "{\n  &#34;b&#34;: [\n    1,\n    &#34;&lt;&#34;\n  ]\n}"),
        ("bad.json", b"{", "This is no valid JSON."),
        ("deep.json", b"[" * 100_000, "This is no valid JSON."),
        ("table.json", b'{"columns": ["q"], "data": [["yes"], [2.5]]}', "<tr><td><bdi>2.5</bdi></td></tr>"),
        ("odd.json", b'{"columns": ["q"], "data": [1]}', "<pre"),
        ("a.csv", b'x,y\n1,"a\nb"\n2\n', "<tr><td><bdi>2</bdi></td><td><bdi></bdi></td></tr>"),
        ("a.tsv", b"x\ty\n1\t<i>\n", "<td><bdi>&lt;i&gt;</bdi></td>"),
        ("empty.csv", b"", "<thead><tr></tr></thead>"),
        ("nul.csv", b"x\n\0\n", "<th scope=\"col\"><bdi>x</bdi></th>"),
        ("a.md", b"**b** <script>x</script> [l](javascript:x)", "b</strong> &lt;script&gt;x&lt;/script&gt; [l]"),
        ("a.bin", b"\0", "There is no preview of this kind of file."),
        ("a.html", b"<script>x</script>", '<iframe class="shown" sandbox="" src='),
        ("a.svg", b"<svg/>", '<img class="shown" src='),
        ("MLmodel", b"flavors: {}", "flavors: {}"),
        ("bad.parquet", b"PAR1", "This is no Parquet file that can be read"),
    ],
)  # fmt: skip
def test_files_are_shown_as_what_they_are_and_their_markup_is_text(
    page: PageClient, run_id: str, store: Callable[[str, bytes], None], path: str, data: bytes, shown: str
) -> None:
    store(f"dir/{path}", data)
    answer = page.get(f"/runs/{run_id}/artifacts/dir/{path}")
    assert answer.status == 200
    assert shown in answer.text


def test_parquet_is_a_table_of_its_first_rows(
    page: PageClient, run_id: str, store: Callable[[str, bytes], None]
) -> None:
    frame = pd.DataFrame({f"c{n}": np.arange(300) + n for n in range(70)})
    store("t.parquet", parquet(frame))
    text = page.get(f"/runs/{run_id}/artifacts/t.parquet").text
    assert "These are the first 200 rows of 300 and the first 60 of 70 columns." in words(text)
    assert text.count("<tr>") >= 201
    store("e.parquet", parquet(pd.DataFrame({"a": []})))
    assert "<bdi>a</bdi>" in page.get(f"/runs/{run_id}/artifacts/e.parquet").text


def test_a_preview_reads_a_bounded_part(
    page: PageClient, run_id: str, store: Callable[[str, bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    store("long.txt", b"x" * 600_000)
    store("long.csv", b"a,b\n" + b"1,2\n" * 150 + b"3," + b"4" * 600_000)
    store("long.json", b"[" + b"1," * 400_000 + b"1]")
    text = page.get(f"/runs/{run_id}/artifacts/long.txt").text
    assert "These are the first 500,000 bytes." in text
    assert len(text) < 510_000
    assert page.get(f"/runs/{run_id}/artifacts/long.csv").text.count("<tr><td>") == 150  # without the row that was cut
    assert "These are the first 500,000 bytes." in page.get(f"/runs/{run_id}/artifacts/long.json").text
    monkeypatch.setattr(artifacts, "MAX_WHOLE", 100)
    store("t.parquet", parquet(pd.DataFrame({"a": range(1000)})))
    assert "too large for a preview" in page.get(f"/runs/{run_id}/artifacts/t.parquet").text


@pytest.mark.parametrize(
    ("path", "query", "media_type", "disposition"),
    [
        ("a.txt", "", "text/plain; charset=utf-8", "inline"),
        ("a.js", "", "text/plain; charset=utf-8", "inline"),
        ("a.xml", "", "text/plain; charset=utf-8", "inline"),
        ("a.html", "", "application/octet-stream", "attachment"),
        ("a.html", "?view=page", "text/html; charset=utf-8", "inline"),
        ("a.svg", "", "image/svg+xml", "attachment"),
        ("a.svg", "?view=page", "image/svg+xml", "attachment"),
        ("a.xhtml", "?view=page", "application/octet-stream", "attachment"),
        ("a.pdf", "", "application/octet-stream", "attachment"),
        ("A.PNG", "", "image/png", "inline"),
        ("noname", "", "application/octet-stream", "attachment"),
    ],
)
def test_files_are_sent_as_types_that_a_browser_runs_nothing_of(
    page: PageClient,
    run_id: str,
    store: Callable[[str, bytes], None],
    path: str,
    query: str,
    media_type: str,
    disposition: str,
) -> None:
    store(path, b"<script>alert(1)</script>")
    answer = page.get(f"/runs/{run_id}/files/{path}{query}")
    assert answer.body == b"<script>alert(1)</script>"
    assert answer.header("content-type") == media_type
    assert answer.header("content-disposition") == f"{disposition}; filename*=UTF-8''{path}"
    assert answer.header("content-security-policy") == SANDBOX
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("cache-control") == "no-store"


@pytest.mark.parametrize(
    ("asked", "status", "body", "part"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=-0", 416, b"", "bytes */10"),
        ("bytes=5-2", 200, b"0123456789", None),
        ("bytes=0-1,4-5", 200, b"0123456789", None),
        ("lines=0-1", 200, b"0123456789", None),
        ("bytes=-", 200, b"0123456789", None),
        ("bytes=\u00b2-", 200, b"0123456789", None),
        (f"bytes={'9' * 50}-", 200, b"0123456789", None),
    ],
)
def test_a_range_is_sent_if_it_can_be(
    page: PageClient,
    run_id: str,
    store: Callable[[str, bytes], None],
    asked: str,
    status: int,
    body: bytes,
    part: str | None,
) -> None:
    store("digits.bin", b"0123456789")
    answer = page.get(f"/runs/{run_id}/files/digits.bin", {"range": asked})
    assert (answer.status, answer.body, answer.header("content-range")) == (status, body, part)


def test_files_in_s3_are_shown_and_sent_in_ranges(
    sqlite_url: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = request.getfixturevalue("s3_environment")(request.getfixturevalue("moto_s3")).fresh_root()
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", root)
    client = MlflowClient(sqlite_url)
    run_id = client.create_run(client.create_experiment("in s3")).info.run_id
    client.log_text(run_id, "0123456789", "dir/digits.txt")
    page = open_page(sqlite_url)
    assert "0123456789</pre>" in page.get(f"/runs/{run_id}/artifacts/dir/digits.txt").text
    answer = page.get(f"/runs/{run_id}/files/dir/digits.txt", {"range": "bytes=3-5"})
    assert (answer.status, answer.body, answer.header("content-range")) == (206, b"345", "bytes 3-5/10")
    assert page.get(f"/runs/{run_id}/files/dir/nothing.txt").status == 404


def test_an_empty_file_has_no_ranges(page: PageClient, run_id: str, store: Callable[[str, bytes], None]) -> None:
    store("empty.bin", b"")
    answer = page.get(f"/runs/{run_id}/files/empty.bin", {"range": "bytes=0-"})
    assert (answer.status, answer.body, answer.header("content-length")) == (200, b"", "0")


@pytest.mark.parametrize(
    "path",
    ["..%2f..%2fetc/passwd", "../../../etc/passwd", "%2fetc/passwd", "a%00b", "dir/../../x", "%252e%252e/x", "nope"],
)
@pytest.mark.parametrize("part", ["files", "artifacts"])
def test_no_path_leads_out_of_the_run(page: PageClient, run_id: str, part: str, path: str) -> None:
    answer = page.get(f"/runs/{run_id}/{part}/{path}")
    assert answer.status in (400, 404)
    assert "root:" not in answer.text


def test_a_link_in_the_directory_of_a_run_is_not_followed(page: PageClient, client: MlflowClient, run_id: str) -> None:
    from pathlib import Path

    client.log_text(run_id, "x", "a.txt")
    directory = Path(client.get_run(run_id).info.artifact_uri)
    (directory / "passwd.txt").symlink_to("/etc/passwd")
    assert "root:" not in page.get(f"/runs/{run_id}/files/passwd.txt", {}).body.decode("utf-8", "replace")


def test_directories_come_first_and_lead_to_their_files(
    page: PageClient, run_id: str, store: Callable[[str, bytes], None]
) -> None:
    assert "No files yet." in words(page.get(f"/runs/{run_id}/artifacts").text)
    store("a.txt", b"x")
    store("plots & more/b c.txt", b"y")
    text = page.get(f"/runs/{run_id}/artifacts").text
    links = re.findall(r'<tr><th scope="row"><a href="([^"]+)"', text)
    assert links == [f"/runs/{run_id}/artifacts/plots%20%26%20more", f"/runs/{run_id}/artifacts/a.txt"]
    (inner,) = re.findall(r'<tr><th scope="row"><a href="([^"]+)"', page.get(links[0]).text)
    assert '<pre tabindex="0">y</pre>' in page.get(inner).text
    answer = page.get(f"/runs/{run_id}/artifacts/nothing")
    assert answer.status == 404
    assert "There is no nothing." in words(answer.text)


def test_a_model_of_the_run_is_browsed_and_its_files_are_checked(page: PageClient, client: MlflowClient) -> None:
    features = pd.DataFrame({"a": np.arange(20.0)})
    with registry.start_run() as run:
        model = xgboost.XGBClassifier(n_estimators=1, nthread=1).fit(features, np.arange(20) % 2)
        info = registry.xgboost.log_model(model, name="model", registered_model_name="churn")
        registry.log_param("depth", 1)
    run_id = run.info.run_id
    text = page.get(f"/runs/{run_id}").text
    assert "churn version 1" in words(text)
    assert info.model_id in text
    assert f'href="/runs/{run_id}/artifacts/model"' in page.get(f"/runs/{run_id}/artifacts").text
    assert "model.ubj" in page.get(f"/runs/{run_id}/artifacts/model").text
    assert "flavors:" in page.get(f"/runs/{run_id}/artifacts/model/MLmodel").text
    answer = page.get(f"/runs/{run_id}/files/model/MLmodel", {"range": "bytes=0-6"})
    assert (answer.status, len(answer.body)) == (206, 7)
    assert page.get(f"/runs/{run_id}/files/model/none").status == 404
    assert page.get(f"/runs/{run_id}/files/model").status == 404


def test_two_versions_are_compared_by_params_signature_files_and_requirements(
    page: PageClient, client: MlflowClient
) -> None:
    features = pd.DataFrame({"a": np.arange(20.0), "b": np.arange(20.0)})
    for depth, columns in ((1, ["a"]), (2, ["a", "b"])):
        with registry.start_run():
            registry.log_param("depth", depth)
            registry.log_metric("auc", depth / 4)
            chosen = features[columns]
            model = xgboost.XGBClassifier(n_estimators=1, max_depth=depth, nthread=1).fit(chosen, np.arange(20) % 2)
            signature = registry.models.infer_signature(chosen, model.predict(chosen))
            registry.xgboost.log_model(model, name="model", signature=signature, registered_model_name="churn")
    text = page.get("/compare/versions?version=churn/1&version=churn/2").text
    shown = words(text)
    for part in (
        "churn version 1 churn version 2",
        "depth 1 2",
        "auc 0.25 0.5 best",
        "python_function, xgboost",
        "model.ubj",
        "yes yes",
    ):
        assert part in shown
    assert '<tr class="differs"><th scope="row">inputs</th>' in text
    same = page.get("/compare/versions?version=churn/1&version=churn/1").text
    assert 'class="differs"' not in same
    assert "the same bytes" in same
    assert page.get("/compare/versions?version=churn/1").status == 400
    assert page.get("/compare/versions?version=churn/1&version=churn/9").status == 404
    assert page.get("/compare/versions?version=churn/1&version=churn").status in (400, 404)


def test_a_version_whose_files_are_gone_is_compared_as_far_as_it_can_be(page: PageClient, client: MlflowClient) -> None:
    features = pd.DataFrame({"a": np.arange(20.0)})
    model = xgboost.XGBClassifier(n_estimators=1, nthread=1).fit(features, np.arange(20) % 2)
    registry.xgboost.log_model(model, name="model", registered_model_name="churn")
    location = client.get_logged_model(str(client.get_model_version("churn", "1").model_id)).artifact_location
    from pathlib import Path

    (Path(location) / "MLmodel").unlink()
    answer = page.get("/compare/versions?version=churn/1&version=churn/1")
    assert answer.status == 200
    assert "cannot be read" in words(answer.text)


def test_an_image_beside_the_page_needs_its_session(sqlite_url: str, page: PageClient, run_id: str) -> None:
    stranger = PageClient(page.app)
    assert stranger.get(f"/runs/{run_id}/files/a.png").status == 401
    assert stranger.get(f"/series.json?run={run_id}&key=a").status == 401
    assert json.loads(page.get(f"/series.json?run={run_id}&key=a").text) == {"series": []}
