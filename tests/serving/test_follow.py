"""A followed model changes when the registry does, and goes on answering when something fails."""

import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from s3_servers import S3Server
from served_models import ROWS, Callers, answer, damage, eventually, log_constant, promote

import registry
from registry.exceptions import (
    CodeExecutionRefusedError,
    IntegrityError,
    InvalidParameterError,
    InvalidStateError,
    ModelNotFoundError,
    UnavailableError,
    UntrustedModelError,
    VersionNotFoundError,
)
from registry.serving import FollowedModel, ServedModel, follow

SUPPORT = str(Path(__file__).parents[1] / "support")
URI = "models:/churn/Production"


@pytest.fixture
def followed(two_versions: None) -> Iterator[FollowedModel]:
    """Production of ``churn``, which looks only when it is told to."""
    with follow(URI, every=3600) as model:
        yield model


def test_the_model_changes_with_the_stage(database_url: str) -> None:
    registry.set_tracking_uri(database_url)
    log_constant(1)
    log_constant(2)
    promote(1)
    with follow(URI, every=0.05) as model:
        assert answer(model) == 1
        promote(2)
        eventually(lambda: answer(model) == 2)

        assert (model.status.name, model.status.version, model.status.swaps) == ("churn", 2, 1)
        assert model.status.error is None


@pytest.mark.parametrize("uri", ["models:/churn@champion", "models:/churn/latest", "models:/churn/Staging"])
def test_aliases_and_latest_move_as_stages_do(two_versions: None, uri: str) -> None:
    client = registry.MlflowClient()
    client.set_registered_model_alias("churn", "champion", 2)
    promote(2, "Staging")
    with follow(uri, every=3600) as model:
        assert answer(model) == 2
        version = log_constant(3)
        client.set_registered_model_alias("churn", "champion", version)
        promote(version, "Staging")

        assert model.refresh() is True
        assert answer(model) == 3


@pytest.mark.parametrize("form", ["models:/churn/1", "models:/{id}", "models:/churn/Production?at={now}"])
def test_what_never_changes_is_loaded_once_and_has_no_thread(two_versions: None, form: str) -> None:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    uri = form.format(id=registry.MlflowClient().get_model_version("churn", 1).model_id, now=now)
    threads = {thread.name for thread in threading.enumerate()}
    with follow(uri, every=0.01) as model:
        promote(2)

        assert {thread.name for thread in threading.enumerate()} - threads == set()
        assert model.refresh() is False
        assert answer(model) == 1


def test_a_directory_can_be_followed_without_a_registry(own_place: Path) -> None:
    from served_models import constant

    registry.sklearn.save_model(constant(5), "saved", signature=registry.models.infer_signature(ROWS))
    with follow("saved") as model, model.lease() as served:
        assert [round(value) for value in served.predict(ROWS)] == [5, 5, 5]
        assert (served.name, served.version, served.uri) == (None, None, str(own_place / "saved"))
    assert sorted(path.name for path in own_place.iterdir()) == ["saved"]


def test_a_lease_keeps_its_version_through_a_promotion(followed: FollowedModel) -> None:
    with followed.lease() as served:
        promote(2)
        assert followed.refresh() is True

        assert answer(served) == 1
        assert answer(followed) == 2
        assert served.uri == "models:/churn/1"


def test_a_replaced_model_is_freed_after_its_last_call(followed: FollowedModel) -> None:
    with followed.lease() as served:
        freed = weakref.ref(served.model)
        promote(2)
        followed.refresh()
        gc.collect()
        assert freed() is not None

    eventually(lambda: freed() is None)
    with pytest.raises(InvalidStateError, match=r"models:/churn/1 was replaced and freed"):
        served.predict(ROWS)


def test_a_model_is_freed_at_once_if_nobody_uses_it(followed: FollowedModel) -> None:
    with followed.lease() as served:
        freed = weakref.ref(served.model)
    promote(2)
    followed.refresh()

    eventually(lambda: freed() is None)


def test_closing_frees_the_model_after_its_last_call(two_versions: None) -> None:
    model = follow(URI)
    with model.lease() as served:
        freed = weakref.ref(served.model)
        model.close()
        model.close()
        assert answer(served) == 1
    eventually(lambda: freed() is None)
    with pytest.raises(InvalidStateError, match="was closed; follow it again"):
        model.predict(ROWS)
    assert model.status.is_ready is False


def test_a_followed_model_that_nobody_closes_can_be_collected(two_versions: None) -> None:
    model = follow(URI, every=0.02)
    thread = model._thread
    gone = weakref.ref(model)
    assert thread is not None
    del model
    eventually(lambda: (gc.collect(), gone() is None)[1])

    thread.join(30)
    assert not thread.is_alive()


def test_answers_under_load_come_whole_from_one_version(two_versions: None) -> None:
    # `answer` fails if the rows of one answer differ.
    with follow(URI, every=0.01) as model, Callers(lambda: answer(model)) as callers:
        for turn in range(12):
            promote(2 - turn % 2)
            eventually(lambda turn=turn: model.status.version == 2 - turn % 2)

    assert callers.errors == []
    assert set(callers.answers) == {1, 2}
    assert model.status.swaps == 12


def test_a_stage_without_a_version_is_told_as_what_is_waited_for(
    two_versions: None, caplog: pytest.LogCaptureFixture
) -> None:
    with follow("models:/churn/Staging", every=0.02, wait=False):
        eventually(lambda: "No model answers for models:/churn/Staging yet, and it is tried again: " in caplog.text)


def test_on_swap_is_told_before_and_after(two_versions: None, caplog: pytest.LogCaptureFixture) -> None:
    told: list[tuple[Any, Any]] = []

    def on_swap(before: ServedModel | None, after: ServedModel) -> None:
        told.append((before and before.version, after.version))
        raise RuntimeError("a listener that fails")

    with follow(URI, every=3600, on_swap=on_swap) as model:
        promote(2)
        model.refresh()

        assert answer(model) == 2
    assert told == [(None, 1), (1, 2)]
    assert "on_swap failed after models:/churn/2 began to answer" in caplog.text


def test_an_emptied_stage_leaves_the_old_model_answering(followed: FollowedModel) -> None:
    registry.MlflowClient().transition_model_version_stage("churn", 1, "Archived")

    with pytest.raises(VersionNotFoundError):
        followed.refresh()
    with pytest.raises(VersionNotFoundError):
        followed.refresh()

    assert answer(followed) == 1
    assert "stage 'Production' found" in str(followed.status.error)
    assert followed.status.failures == 2
    since = followed.status.failing_since
    assert since is not None
    promote(2)
    followed.refresh()
    assert (followed.status.error, followed.status.failing_since, followed.status.failures) == (None, None, 0)
    assert answer(followed) == 2


def test_damaged_bytes_do_not_take_over(followed: FollowedModel) -> None:
    damage(registry.resolve("models:/churn/2").location)
    promote(2)

    with pytest.raises(IntegrityError):
        followed.refresh()

    assert answer(followed) == 1
    assert "SHA-256" in str(followed.status.error)
    promote(1)
    assert followed.refresh() is False
    assert followed.status.error is None


def test_a_model_that_fails_is_tried_again_at_growing_intervals_while_the_stage_is_watched(two_versions: None) -> None:
    damage(registry.resolve("models:/churn/2").location)
    with follow(URI, every=0.05) as model:
        promote(2)
        eventually(lambda: model.status.failures == 2)
        looked = model.status.checked
        # The stage is looked at meanwhile: whoever puts another model there waits for no retry.
        eventually(lambda: model.status.checked != looked and model.status.failures < 4)
        promote(log_constant(3))
        eventually(lambda: answer(model) == 3)


def test_code_without_consent_does_not_take_over(followed: FollowedModel) -> None:
    info = registry.pyfunc.log_model(
        name="model",
        python_model=lambda model_input: model_input["x"],
        signature=followed._current.metadata.signature if followed._current else None,
        registered_model_name="churn",
    )
    promote(int(info.registered_model_version or 0))

    with pytest.raises(CodeExecutionRefusedError):
        followed.refresh()
    assert answer(followed) == 1


def test_code_that_raises_while_it_loads_does_not_take_over(two_versions: None) -> None:
    class Broken(registry.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
        def load_context(self, context: Any) -> None:
            raise SystemError("not today")

        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return model_input

    with follow(URI, every=3600, allow_code=True, allow_incompatible=True) as model:
        info = registry.pyfunc.log_model(name="model", python_model=Broken(), registered_model_name="churn")
        promote(int(info.registered_model_version or 0))
        with pytest.raises(registry.RegistryError, match="not today"):
            model.refresh()

        assert answer(model) == 1


def test_a_model_that_cannot_predict_its_example_does_not_take_over(two_versions: None) -> None:
    class Picky(registry.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            raise KeyError("x")

    with follow(URI, every=3600, allow_code=True, allow_incompatible=True) as model:
        signature = registry.models.infer_signature(ROWS, np.zeros(3))
        info = registry.pyfunc.log_model(
            name="model",
            python_model=Picky(),
            signature=signature,
            input_example=ROWS,
            registered_model_name="churn",
        )
        promote(int(info.registered_model_version or 0))
        with pytest.raises(InvalidStateError, match="cannot be used: KeyError"):
            model.refresh()
        assert answer(model) == 1
    with follow(URI, allow_code=True, warm_up=False) as cold:
        assert cold.status.version == 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"columns": "y"}, "input 'y' is new and required"), ({"signature": False}, "it has no signature")],
)
def test_another_signature_does_not_take_over_unless_allowed(
    followed: FollowedModel, change: dict[str, Any], reason: str
) -> None:
    promote(log_constant(3, example=False, **change))

    with pytest.raises(InvalidStateError, match=r"models:/churn/3 cannot take over from models:/churn/1") as refused:
        followed.refresh()
    assert reason in str(refused.value)
    assert answer(followed) == 1
    with follow("models:/churn/latest", allow_incompatible=True) as model:
        assert model.status.version == 3


def test_without_signatures_only_a_model_of_the_same_kind_takes_over(two_versions: None) -> None:
    promote(log_constant(3, signature=False, example=False))
    with follow(URI, every=3600) as model:
        promote(log_constant(4, signature=False, example=False))
        assert model.refresh() is True
        xgboost = pytest.importorskip("xgboost")
        other = xgboost.XGBRegressor(n_estimators=1).fit(ROWS, ROWS["x"])
        registry.xgboost.log_model(other, name="model", signature=False, registered_model_name="churn")
        promote(5)

        with pytest.raises(InvalidStateError, match=r"loader was mlflow\.sklearn and is mlflow\.xgboost"):
            model.refresh()


def test_only_signed_models_take_over_if_a_key_is_required(two_versions: None, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    private, public = tmp_path / "key.pem", tmp_path / "key.pub"
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    client = registry.MlflowClient()
    client.sign_model("models:/churn/1", private_key=private)
    with follow(URI, every=3600, require_signature=public) as model:
        promote(2)
        with pytest.raises(UntrustedModelError):
            model.refresh()
        assert answer(model) == 1
        client.sign_model("models:/churn/2", private_key=private)
        assert model.refresh() is True
        assert (answer(model), model.status.version) == (2, 2)


def test_following_what_is_not_there_raises_or_waits_for_it(own_place: Path) -> None:
    registry.MlflowClient().create_registered_model("other")
    with pytest.raises(ModelNotFoundError):
        follow(URI)
    with follow(URI, every=0.05, wait=False) as model:
        eventually(lambda: model.status.failures > 0)
        with pytest.raises(UnavailableError, match="No model is loaded for models:/churn/Production yet: .*churn"):
            model.predict(ROWS)
        assert model.status.is_ready is False
        log_constant(1)
        promote(1)
        eventually(lambda: model.status.is_ready)
        assert answer(model) == 1


def test_a_fixed_model_that_is_not_there_yet_is_waited_for(own_place: Path) -> None:
    with follow("models:/churn/1", every=0.05, wait=False) as model:
        eventually(lambda: model.status.failures > 1)
        log_constant(1)
        eventually(lambda: model.status.is_ready)
        eventually(lambda: model._thread is None)
        assert answer(model) == 1


@pytest.mark.parametrize("every", [0, -1, float("nan"), float("inf"), True, "5"])
def test_a_wrong_interval_is_refused(own_place: Path, every: Any) -> None:
    with pytest.raises(InvalidParameterError, match="every is a number of seconds above 0"):
        follow(URI, every=every)


def test_a_database_that_is_away_stops_no_answer(postgres_server: Any, postgres_url: str) -> None:
    registry.set_tracking_uri(postgres_url)
    log_constant(1)
    log_constant(2)
    promote(1)
    database = postgres_url.rpartition("/")[2].partition("?")[0]
    with follow(URI, every=0.05) as model, Callers(lambda: answer(model)) as callers:
        postgres_server.execute(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS false')
        try:
            postgres_server.execute(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
            )
            eventually(lambda: model.status.failures > 1)
            assert model.status.version == 1
            assert database in str(model.status.error)
        finally:
            postgres_server.execute(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS true')
        eventually(lambda: model.status.error is None)
        promote(2)
        eventually(lambda: answer(model) == 2)
    assert callers.errors == []


def test_an_object_store_that_is_away_stops_no_answer(
    moto_s3: S3Server, s3_environment: Any, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3_environment(moto_s3)
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", moto_s3.fresh_root())
    registry.set_tracking_uri("sqlite:///registry.db")
    for value in (1, 2):
        log_constant(value)
    promote(1)
    with follow(URI, every=3600) as model:
        promote(2)
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        registry.disconnect()
        with pytest.raises(registry.RegistryError):
            model.refresh()
        assert answer(model) == 1
        monkeypatch.setenv("AWS_ENDPOINT_URL", moto_s3.endpoint_url)
        registry.disconnect()
        assert model.refresh() is True
        assert answer(model) == 2


def test_the_files_of_a_model_stay_in_the_cache_while_it_answers(
    moto_s3: S3Server, s3_environment: Any, own_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from registry.client.models.loading import _cache
    from registry.settings import cache_directory, current_settings

    s3_environment(moto_s3)
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", moto_s3.fresh_root())
    registry.set_tracking_uri("sqlite:///registry.db")
    for value in (1, 2):
        log_constant(value)
    promote(1)
    settings = current_settings()
    cache = _cache(cache_directory(settings), settings.cache_limit_bytes)
    with follow(URI, every=3600) as model:
        assert cache.clear() == 0
        promote(2)
        model.refresh()
        eventually(lambda: cache.clear() == 1)
        assert [entry.digest for entry in cache.entries()] == [model.status.digest]


def test_rights_to_read_are_enough(postgres_server: Any, postgres_url: str) -> None:
    registry.set_tracking_uri(postgres_url)
    log_constant(1)
    promote(1)
    database = postgres_url.rpartition("/")[2].partition("?")[0]
    postgres_server.execute(f"CREATE ROLE reader_{database[-8:]} LOGIN")
    for statement in ("GRANT USAGE ON SCHEMA public TO {0}", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {0}"):
        postgres_server.execute(statement.format(f"reader_{database[-8:]}"), database)
    head, _, tail = postgres_url.partition("://")
    reader = f"{head}://reader_{database[-8:]}@{tail.partition('@')[2]}"
    with follow(URI, every=3600, tracking_uri=reader) as model:
        log_constant(2)
        promote(2)
        assert model.refresh() is True
        assert answer(model) == 2


@pytest.mark.slow
def test_a_forked_child_loads_anew_with_one_thread(own_place: Path) -> None:
    program = """
import logging, os
from scored_games import COLUMNS, fill, games
from registry.serving import follow
logging.basicConfig(format="%(message).40s")
fill()
followed = follow("models:/churn/Production", every=0.2, nthread=2)
expected = followed.predict(games(50_000)[COLUMNS])
if os.fork() == 0:
    same = (followed.predict(games(50_000)[COLUMNS]) == expected).all()
    with followed.lease() as served:
        print(same, served.model.get_raw_model().n_jobs, followed._thread.is_alive(), flush=True)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.wait()[1]))
with followed.lease() as served:
    print(served.model.get_raw_model().n_jobs, followed._thread.is_alive())
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        env={**os.environ, "PYTHONPATH": SUPPORT},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.stdout.split() == ["True", "1", "True", "0", "2", "True"], done.stderr
    assert "This process was forked from one that ha" in done.stderr


@pytest.mark.slow
def test_the_interpreter_ends_though_a_model_is_followed(own_place: Path) -> None:
    program = """
from served_models import ROWS, answer, log_constant, promote
from registry.serving import follow
log_constant(1); promote(1)
followed = follow("models:/churn/Production", every=0.001)
print(answer(followed))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": SUPPORT},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert (done.returncode, done.stdout) == (0, "1.0\n"), done.stderr
