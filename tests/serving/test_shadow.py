"""A shadow answers beside the served model, is compared with it, and counts as evidence for a promotion."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from asgi_client import AsgiClient
from served_models import ROWS, eventually, log_constant, promote

import registry
from registry.entities.shadow_comparison import ShadowComparison
from registry.exceptions import InvalidParameterError, PromotionRefusedError
from registry.serving.follow import follow
from registry.serving.metrics import Metrics
from registry.serving.shadow import Observation, Shadow, compare

Serve = Callable[..., AsgiClient]
URI = "models:/churn/Production"
STAGING = "models:/churn/Staging"
BODY = {"dataframe_split": {"columns": ["x"], "data": [[0.0], [1.0], [2.0]]}}


@pytest.fixture
def staged(own_place: Path) -> None:
    """Version 1 answers 1 and is in Production, version 2 answers 1.5 and is in Staging."""
    log_constant(1)
    log_constant(1.5)
    promote(1)
    promote(2, "Staging")


def shadow_evidence(version: int = 2) -> list[Any]:
    client = registry.MlflowClient()
    model_id = client.get_model_version("churn", version).model_id
    return [record.content for record in client.get_evidence(str(model_id), "shadow")]


def test_a_shadow_is_compared_and_becomes_evidence_for_a_promotion(database_url: str, serve: Serve) -> None:
    registry.set_tracking_uri(database_url)
    log_constant(1)
    log_constant(1.5)
    promote(1)
    promote(2, "Staging")
    client = registry.MlflowClient()
    client.set_promotion_rules("churn", "Production", [registry.ShadowAgreement(12, max_difference=0.4)])
    verdict = client.check_promotion("churn", 2, "Production")[0]
    assert verdict.actual == ("never a shadow of it; make it one: registry models serve churn/1 --shadow churn/2")
    server = serve(URI, shadow=STAGING, share=1.0)
    eventually(lambda: server.get("/status").json()["models"]["churn (shadow)"]["is_ready"])
    for _ in range(10):
        answer = server.post("/invocations", BODY)
        assert {round(number, 6) for number in answer.json()["predictions"]} == {1}
    eventually(lambda: len(shadow_evidence()) == 1)
    early = client.check_promotion("churn", 2, "Production")[0]
    assert (early.passed, early.actual.split(",")[0]) == (False, "10 requests")
    for _ in range(10):
        server.post("/invocations", BODY)
    eventually(lambda: len(shadow_evidence()) == 2)

    text = server.get("/metrics").body.decode()
    labels = 'model="churn",version="1",shadow="2"'
    assert f'registry_shadow_requests_total{{{labels},outcome="differs"}} 20\n' in text
    assert f"registry_shadow_rows_total{{{labels}}} 60\n" in text
    assert f'registry_shadow_seconds_count{{{labels},of="shadow"}} 20\n' in text
    with pytest.raises(PromotionRefusedError, match=r"20 requests, 0.00% of 60 rows equal, mean difference 0.5, large"):
        client.transition_model_version_stage("churn", 2, "Production")
    client.set_promotion_rules("churn", "Production", [registry.ShadowAgreement(12, max_difference=0.6)])
    client.transition_model_version_stage("churn", 2, "Production")
    registry.verify("churn")  # the record that was judged is still there


def test_evidence_about_another_holder_or_of_failures_does_not_count(staged: None) -> None:
    client = registry.MlflowClient()
    client.set_promotion_rules("churn", "Production", [registry.ShadowAgreement(1, max_difference=1)])
    model_id = client.get_model_version("churn", 2).model_id
    digest = registry.resolve(URI).digest
    other = ShadowComparison("s", "0" * 64, "models:/churn/9", 100, 100)
    client.log_evidence(model_id, "shadow", other.to_content())
    client.log_evidence(model_id, "shadow", {"session": "not one"})
    assert client.check_promotion("churn", 2, "Production")[0].actual.startswith("never a shadow of it")
    client.log_evidence(model_id, "shadow", ShadowComparison("s", digest, "u", 5, 10, 1, 0.5, 0.5).to_content())
    client.log_evidence(model_id, "shadow", ShadowComparison("s", digest, "u", 8, 16, 1, 0.5, 0.5).to_content())
    client.log_evidence(model_id, "shadow", ShadowComparison("t", digest, "u", 2, 4).to_content())
    verdict = client.check_promotion("churn", 2, "Production")[0]
    # The newest record of each server counts.
    assert (verdict.passed, verdict.actual) == (
        True,
        "10 requests, 95.00% of 20 rows equal, mean difference 0.025, largest 0.5",
    )
    client.log_evidence(model_id, "shadow", ShadowComparison("v", digest, "u", failures=1).to_content())
    verdict = client.check_promotion("churn", 2, "Production")[0]
    assert (verdict.passed, verdict.actual.endswith(", 1 failed")) == (False, True)
    assert ShadowComparison("v", digest, "u", failures=1).text == "0 requests compared, 1 failed"


def test_an_empty_stage_needs_no_shadow(own_place: Path) -> None:
    log_constant(1)
    client = registry.MlflowClient()
    client.set_promotion_rules("churn", "Production", [registry.ShadowAgreement(1, max_difference=0)])
    assert client.check_promotion("churn", 1, "Production")[0].passed


@pytest.mark.parametrize("arguments", [(0, 0.1), (1, -0.1), (1.5, 0.1), (1, float("nan"))])
def test_a_rule_out_of_range_is_refused(arguments: tuple[Any, Any]) -> None:
    with pytest.raises(InvalidParameterError, match="ShadowAgreement"):
        registry.ShadowAgreement(*arguments)


def test_models_show_prints_how_the_shadow_answers(
    staged: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from registry.cli import main, output

    client = registry.MlflowClient()
    model_id = client.get_model_version("churn", 2).model_id
    digest = registry.resolve(URI).digest
    monkeypatch.setattr(output, "is_for_people", lambda: True)
    assert main(["models", "show", "churn"]) == 0
    assert "shadow" not in capsys.readouterr().out
    client.log_evidence(model_id, "shadow", ShadowComparison("s", digest, "u", 5, 10, 1, 0.5, 0.5).to_content())
    assert main(["models", "show", "churn"]) == 0
    assert "Staging as a shadow of Production: 5 requests, 90.00% of 10 rows equal" in capsys.readouterr().out


def test_a_canary_answers_the_same_keys_always(staged: None, serve: Serve) -> None:
    server = serve(URI, shadow=STAGING, share=0.0, canary=0.3, canary_key="x-user")
    eventually(lambda: server.get("/status").json()["models"]["churn (shadow)"]["is_ready"])
    versions = {}
    for user in [*range(100), *range(100)]:
        answer = server.post("/invocations", BODY, headers={"x-user": f"user-{user}"})
        version = answer.headers["x-model-version"]
        assert versions.setdefault(user, version) == version
        assert {round(number, 6) for number in answer.json()["predictions"]} == {{"1": 1, "2": 1.5}[version]}
    assert 15 < list(versions.values()).count("2") < 45
    assert {server.post("/invocations", BODY).headers["x-model-version"] for _ in range(5)} in ({"1"}, {"2"})


def test_without_a_loaded_canary_production_answers_all(own_place: Path, serve: Serve) -> None:
    log_constant(1)
    promote(1)
    server = serve(URI, shadow=STAGING, share=1.0, canary=1.0)
    for _ in range(3):
        assert server.post("/invocations", BODY).headers["x-model-version"] == "1"
    assert shadow_evidence(1) == []


class Waits(registry.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
    """Waits for a file."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        import pathlib
        import time

        while not pathlib.Path("go").exists():
            time.sleep(0.01)
        raise RuntimeError("not today")


def test_a_slow_or_failing_shadow_costs_no_answer(staged: None, serve: Serve) -> None:
    signature = registry.models.infer_signature(ROWS, np.zeros(3))
    info = registry.pyfunc.log_model(
        name="model", python_model=Waits(), signature=signature, registered_model_name="churn"
    )
    promote(int(info.registered_model_version or 0), "Staging")
    server = serve(URI, shadow=STAGING, share=1.0, allow_code=True)
    eventually(lambda: server.get("/status").json()["models"]["churn (shadow)"]["is_ready"])
    for _ in range(300):
        assert server.post("/invocations", BODY).status == 200
    assert 'registry_shadow_requests_total{model="churn",outcome="dropped"}' in server.get("/metrics").body.decode()
    Path("go").touch()
    eventually(lambda: 'outcome="failed"} ' in server.get("/metrics").body.decode())
    eventually(lambda: bool(shadow_evidence(3)))
    assert shadow_evidence(3)[-1]["failures"] >= 10


def test_rights_to_read_alone_record_nothing_and_say_so(staged: None, caplog: pytest.LogCaptureFixture) -> None:
    with follow(URI) as served_by, follow(STAGING) as followed:
        shadow = Shadow(followed, 1.0, "churn", Metrics(), lambda: registry.MlflowClient(read_only=True))
        with served_by.lease() as served:
            for _ in range(3):
                shadow.offer(Observation(served, ROWS, None, served.predict(ROWS), 0.001))
            shadow.close()
    assert shadow_evidence() == []
    assert "is not recorded" in caplog.text


def test_what_could_not_be_recorded_is_recorded_at_the_end(staged: None) -> None:
    may_write = False
    with follow(URI) as served_by, follow(STAGING) as followed:
        shadow = Shadow(followed, 1.0, "churn", Metrics(), lambda: registry.MlflowClient(read_only=not may_write))
        with served_by.lease() as served:
            for _ in range(10):
                shadow.offer(Observation(served, ROWS, None, served.predict(ROWS), 0.001))
            eventually(lambda: shadow._is_recordable is False)
            may_write = True
            shadow.close()
    assert [content["requests"] for content in shadow_evidence()] == [10]


def test_few_requests_are_recorded_after_a_while(staged: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.serving.shadow._RECORD_SECONDS", 0.01)
    with follow(URI) as served_by, follow(STAGING) as followed:
        shadow = Shadow(followed, 1.0, "churn", Metrics())
        with served_by.lease() as served:
            for _ in range(3):
                shadow.offer(Observation(served, ROWS, None, served.predict(ROWS), 0.001))
                time.sleep(0.02)
            eventually(lambda: bool(shadow_evidence()))
            shadow.close()
    assert shadow_evidence()[-1]["requests"] == 3


def test_what_differs_is_measured_by_row(staged: None) -> None:
    with follow(URI) as followed, followed.lease() as served:

        def of(one: Any, other: Any) -> tuple[int, int, float, float]:
            found = compare("s", served, one, other)
            return found.rows, found.differing_rows, found.difference, found.largest_difference

        assert of(np.array([1.0, 2.0]), np.array([1.0, 2.5])) == (2, 1, 0.5, 0.5)
        assert of(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 5.0], [3.0, 4.0]])) == (2, 1, 3.0, 3.0)
        assert of(np.array([np.nan, np.inf]), np.array([np.nan, np.inf])) == (2, 0, 0.0, 0.0)
        assert of(np.array([np.nan, 1.0]), np.array([1.0, 1.0])) == (2, 1, np.inf, np.inf)
        assert of(np.array(["a", "b"]), np.array(["a", "c"])) == (2, 1, 1.0, 1.0)
        assert of(pd.Series([1, 2]), np.array([1.0, 2.0])) == (2, 0, 0.0, 0.0)
        assert of(pd.DataFrame({"p": [1], "q": ["x"]}), pd.DataFrame({"p": [1], "q": ["y"]})) == (1, 1, 1.0, 1.0)
        assert of(np.array([1.0, 2.0]), np.array([1.0])) == (2, 2, 2.0, 1.0)
        assert of([[1], [1, 2]], [[1], [1, 3]]) == (2, 1, 1.0, 1.0)
        assert of("a", "a") == (1, 0, 0.0, 0.0)


def test_a_canary_alone_is_staging(own_place: Path) -> None:
    from registry.cli.serve import _shadow

    assert _shadow(None, 0.0, [("churn", URI)]) is None
    assert _shadow(None, 0.1, [("churn", URI)]) == STAGING
    assert _shadow("churn/2", 0.1, [("churn", URI)]) == "models:/churn/2"
    with pytest.raises(InvalidParameterError, match="belong to one model"):
        _shadow("churn/2", 0.1, [("a", URI), ("b", URI)])
    with pytest.raises(InvalidParameterError, match="has no Staging"):
        _shadow(None, 0.1, [("model", "saved")])
