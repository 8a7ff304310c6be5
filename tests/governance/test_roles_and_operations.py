"""Each public operation as each role of a PostgreSQL database: it works, or it names the role that it needs."""

import inspect
import io
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from file_trees import write_files
from governed_models import raw_sql, register, sealed_model
from monitored_models import NOTHING, finding
from postgres_server import PostgresServer
from sklearn.linear_model import LogisticRegression

import registry
from registry import MlflowClient
from registry.entities import Dataset, DatasetInput, LoggedModelOutput
from registry.entities.history import PublishedEvent
from registry.exceptions import PermissionDeniedError
from registry.monitoring.runner import run_due
from registry.rules import MetricAtLeast
from registry.store.tables import Base

ROLES = ("reader", "writer", "promoter", "owner")
_TOKEN_TABLES = {"commit_markers"}  # a transaction's own sign; no fact of the registry


@dataclass
class Place:
    """A registry with one of everything, made by its owner, and the client of a user with a role."""

    owner: MlflowClient
    client: MlflowClient
    directory: Path

    def __post_init__(self) -> None:
        owner = self.owner
        self.run = owner.create_run("0").info.run_id
        owner.log_param(self.run, "depth", 3)
        owner.log_metric(self.run, "auc", 0.5)
        owner.set_tag(self.run, "team", "east")
        owner.log_text(self.run, "text", "notes/a.txt")
        owner.log_table(self.run, {"a": [1]}, "table.json")
        self.finished = owner.create_run("0").info.run_id
        self.gone_run = owner.create_run("0").info.run_id
        owner.delete_run(self.gone_run)
        self.experiment = owner.create_experiment("nba", tags={"team": "east"})
        self.gone_experiment = owner.create_experiment("nfl")
        owner.delete_experiment(self.gone_experiment)
        self.model = sealed_model(owner, tags={"team": "east"})
        self.spare_model = sealed_model(owner)
        self.pending = owner.create_logged_model("0").model_id
        owner.create_registered_model("churn", tags={"team": "east", "tier": "1"})
        register(owner, "churn", 4, model_id=self.model)
        owner.transition_model_version_stage("churn", 1, "Production")
        owner.transition_model_version_stage("churn", 2, "Production")
        owner.set_registered_model_alias("churn", "champion", 1)
        owner.set_model_version_tag("churn", 1, "team", "east")
        owner.set_promotion_rules("churn", "Staging", [])
        owner.delete_model_version("churn", 4)
        register(owner, "unloved")
        self.monitor = owner.add_monitor("churn").id
        run_due(owner, monitor_id=self.monitor, triggers=NOTHING, check=finding("a"))
        (self.incident,) = (incident.id for incident in owner.get_incidents())
        self.files = write_files(self.directory / "source", {"MLmodel": b"flavors: {}\n", "data.bin": b"x"})
        self.export = owner.export_model("churn", self.directory / "churn.zip")
        self.key = self.directory / "key.pem"
        private = ec.generate_private_key(ec.SECP256R1())
        self.key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def rows(self) -> list[tuple[str, str]]:
        """Every row of every table."""
        tables = sorted(set(Base.metadata.tables) - _TOKEN_TABLES)
        every = " UNION ALL ".join(f"SELECT '{table}' AS place, t::text AS content FROM {table} t" for table in tables)
        return raw_sql(self.owner.tracking_uri)(f"SELECT * FROM ({every}) AS r ORDER BY place, content")

    def stored(self) -> dict[str, bytes]:
        """Every file of a run or model."""
        root = self.directory / "artifacts"
        return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


class _Kept:
    """A sink that keeps what it takes."""

    def __init__(self) -> None:
        self.events: list[PublishedEvent] = []

    def deliver(self, event: PublishedEvent) -> None:
        self.events.append(event)


def _watch(place: Place) -> None:
    place.client.watch_events(_Kept(), cursor=place.directory / "cursor", once=True)


_HOLDOUT = registry.data.from_pandas(pd.DataFrame({"a": [1.0]}), "here", name="holdout")
_DATASET = [DatasetInput(Dataset("games", "1", "local", "{}"), [])]

# In this order: what a role may do is done, and the operations below it find the registry as it left it.
OPERATIONS: dict[str, tuple[str, Callable[[Place], Any]]] = {
    "backend": ("reader", lambda p: p.client.backend),
    "tracking_uri": ("reader", lambda p: p.client.tracking_uri),
    "check_promotion": ("reader", lambda p: p.client.check_promotion("churn", 3, "Production")),
    "compare": ("reader", lambda p: p.client.compare([p.run, p.finished])),
    "download_artifacts": (
        "reader",
        lambda p: p.client.download_artifacts(p.run, "", p.directory / f"copy-{uuid.uuid4().hex}"),
    ),
    "export_model": ("reader", lambda p: p.client.export_model("churn", p.directory / f"{uuid.uuid4().hex}.zip")),
    "find_model_version_by_alias": ("reader", lambda p: p.client.find_model_version_by_alias("churn", "champion")),
    "find_model_version_by_stage": ("reader", lambda p: p.client.find_model_version_by_stage("churn", "Production")),
    "flush_async_logging": ("reader", lambda p: p.client.flush_async_logging()),
    "get_incident": ("reader", lambda p: p.client.get_incident(p.incident)),
    "get_incidents": ("reader", lambda p: p.client.get_incidents("churn")),
    "get_monitor": ("reader", lambda p: p.client.get_monitor(p.monitor)),
    "get_monitor_checks": ("reader", lambda p: p.client.get_monitor_checks(p.monitor)),
    "get_monitors": ("reader", lambda p: p.client.get_monitors()),
    "get_trigger_deliveries": ("reader", lambda p: p.client.get_trigger_deliveries()),
    "get_experiment": ("reader", lambda p: p.client.get_experiment("0")),
    "get_experiment_by_name": ("reader", lambda p: p.client.get_experiment_by_name("nba")),
    "get_foreign_history": ("reader", lambda p: p.client.get_foreign_history("churn")),
    "get_history": ("reader", lambda p: p.client.get_history("churn")),
    "get_holdings": ("reader", lambda p: p.client.get_holdings("churn")),
    "get_latest_versions": ("reader", lambda p: p.client.get_latest_versions("churn")),
    "get_logged_model": ("reader", lambda p: p.client.get_logged_model(p.model)),
    "get_metric_history": ("reader", lambda p: p.client.get_metric_history(p.run, "auc")),
    "get_metric_history_frame": ("reader", lambda p: p.client.get_metric_history_frame(p.run)),
    "get_model_signatures": ("reader", lambda p: p.client.get_model_signatures(f"models:/{p.model}")),
    "get_model_version": ("reader", lambda p: p.client.get_model_version("churn", 1)),
    "get_model_version_by_alias": ("reader", lambda p: p.client.get_model_version_by_alias("churn", "champion")),
    "get_model_version_by_stage": ("reader", lambda p: p.client.get_model_version_by_stage("churn", "Production")),
    "get_model_version_download_uri": ("reader", lambda p: p.client.get_model_version_download_uri("churn", 1)),
    "get_model_version_stages": ("reader", lambda p: p.client.get_model_version_stages("churn", 1)),
    "get_parent_run": ("reader", lambda p: p.client.get_parent_run(p.run)),
    "get_evidence": ("reader", lambda p: p.client.get_evidence(p.model)),
    "get_promotion_rules": ("reader", lambda p: p.client.get_promotion_rules("churn", "Staging")),
    "get_registered_model": ("reader", lambda p: p.client.get_registered_model("churn")),
    "get_run": ("reader", lambda p: p.client.get_run(p.run)),
    "list_artifacts": ("reader", lambda p: p.client.list_artifacts(p.run)),
    "list_logged_model_artifacts": ("reader", lambda p: p.client.list_logged_model_artifacts(p.model)),
    "load_table": ("reader", lambda p: p.client.load_table("0", "table.json")),
    "poll_events": ("reader", lambda p: p.client.poll_events()),
    "resolve": ("reader", lambda p: p.client.resolve("models:/churn/Production")),
    "search_experiments": ("reader", lambda p: p.client.search_experiments()),
    "search_logged_models": ("reader", lambda p: p.client.search_logged_models(["0"])),
    "search_model_versions": ("reader", lambda p: p.client.search_model_versions()),
    "search_registered_models": ("reader", lambda p: p.client.search_registered_models()),
    "search_runs": ("reader", lambda p: p.client.search_runs(["0"], "metrics.auc > 0")),
    "search_runs_frame": ("reader", lambda p: p.client.search_runs_frame(["0"])),
    "verify": ("reader", lambda p: p.client.verify("churn", read_bytes=True)),
    "verify_all": ("reader", lambda p: p.client.verify_all()),
    "watch_events": ("reader", _watch),
    "create_experiment": ("writer", lambda p: p.client.create_experiment("mlb")),
    "rename_experiment": ("writer", lambda p: p.client.rename_experiment(p.experiment, "wnba")),
    "set_experiment_tag": ("writer", lambda p: p.client.set_experiment_tag(p.experiment, "a", "b")),
    "set_experiment_tags": ("writer", lambda p: p.client.set_experiment_tags(p.experiment, {"a": "c"})),
    "delete_experiment_tag": ("writer", lambda p: p.client.delete_experiment_tag(p.experiment, "team")),
    "delete_experiment": ("writer", lambda p: p.client.delete_experiment(p.experiment)),
    "restore_experiment": ("writer", lambda p: p.client.restore_experiment(p.gone_experiment)),
    "create_run": ("writer", lambda p: p.client.create_run("0", tags={"a": "b"})),
    "log_param": ("writer", lambda p: p.client.log_param(p.run, "rate", 1)),
    "log_metric": ("writer", lambda p: p.client.log_metric(p.run, "auc", 0.6, step=1)),
    "log_metric_history": (
        "writer",
        lambda p: p.client.log_metric_history(p.run, "loss", np.arange(500), np.arange(500.0)),
    ),
    "set_tag": ("writer", lambda p: p.client.set_tag(p.run, "a", "b")),
    "delete_tag": ("writer", lambda p: p.client.delete_tag(p.run, "team")),
    "log_batch": ("writer", lambda p: p.client.log_batch(p.run, tags=[registry.entities.RunTag("t", "1")])),
    "log_inputs": ("writer", lambda p: p.client.log_inputs(p.run, _DATASET)),
    "log_evaluation": ("writer", lambda p: p.client.log_evaluation(p.run, {"f1": 0.9}, _HOLDOUT, p.model)),
    "log_evidence": ("writer", lambda p: p.client.log_evidence(p.model, "review", {"fine": "yes"}, dataset=_HOLDOUT)),
    "log_outputs": ("writer", lambda p: p.client.log_outputs(p.run, [LoggedModelOutput(p.model, 0)])),
    "update_run": ("writer", lambda p: p.client.update_run(p.run, name="other")),
    "log_text": ("artifacts", lambda p: p.client.log_text(p.run, "text", "b.txt")),
    "log_dict": ("artifacts", lambda p: p.client.log_dict(p.run, {"a": 1}, "b.json")),
    "log_stream": ("artifacts", lambda p: p.client.log_stream(p.run, io.BytesIO(b"x"), "b.bin")),
    "log_table": ("writer", lambda p: p.client.log_table(p.run, {"a": [2]}, "other.json")),
    "log_image": ("artifacts", lambda p: p.client.log_image(p.run, np.zeros((2, 2, 3), np.uint8), "b.png")),
    "log_figure": ("artifacts", lambda p: p.client.log_figure(p.run, _figure(), "figure.png")),
    "log_artifact": ("artifacts", lambda p: p.client.log_artifact(p.run, p.files / "data.bin")),
    "log_artifacts": ("artifacts", lambda p: p.client.log_artifacts(p.run, p.files, "files")),
    "set_terminated": ("writer", lambda p: p.client.set_terminated(p.finished)),
    "delete_run": ("writer", lambda p: p.client.delete_run(p.finished)),
    "restore_run": ("writer", lambda p: p.client.restore_run(p.gone_run)),
    "create_logged_model": ("writer", lambda p: p.client.create_logged_model("0", params={"a": "1"}, tags={"a": "b"})),
    "log_model_params": ("writer", lambda p: p.client.log_model_params(p.pending, {"b": "1"})),
    "log_model_artifact": ("artifacts", lambda p: p.client.log_model_artifact(p.pending, p.files / "data.bin")),
    "log_model_artifacts": ("artifacts", lambda p: p.client.log_model_artifacts(p.pending, p.files)),
    "finalize_logged_model": ("writer", lambda p: p.client.finalize_logged_model(p.pending, "READY")),
    "set_logged_model_tags": ("writer", lambda p: p.client.set_logged_model_tags(p.model, {"a": "b"})),
    "delete_logged_model_tag": ("writer", lambda p: p.client.delete_logged_model_tag(p.model, "team")),
    "log_model": (
        "writer",
        lambda p: p.client.log_model(
            "sklearn", LogisticRegression().fit([[0.0], [1.0]], [0, 1]), "model", experiment_id="0", run_id=p.run
        ),
    ),
    "sign_model": ("writer", lambda p: p.client.sign_model(f"models:/{p.model}", private_key=p.key)),
    "delete_logged_model": ("writer", lambda p: p.client.delete_logged_model(p.spare_model)),
    "create_registered_model": ("writer", lambda p: p.client.create_registered_model("other", tags={"a": "b"})),
    "update_registered_model": ("writer", lambda p: p.client.update_registered_model("churn", "about")),
    "set_registered_model_tag": ("writer", lambda p: p.client.set_registered_model_tag("churn", "a", "b")),
    "delete_registered_model_tag": ("writer", lambda p: p.client.delete_registered_model_tag("churn", "team")),
    "create_model_version": ("writer", lambda p: p.client.create_model_version("churn", f"models:/{p.model}")),
    "register_model": ("writer", lambda p: p.client.register_model(str(p.files), "other")),
    "copy_model_version": ("writer", lambda p: p.client.copy_model_version("models:/churn/1", "copied")),
    "import_model": ("promoter", lambda p: p.client.import_model(p.export, name="imported")),  # it brings rules
    "update_model_version": ("writer", lambda p: p.client.update_model_version("churn", 1, "about")),
    "set_model_version_tag": ("writer", lambda p: p.client.set_model_version_tag("churn", 1, "a", "b")),
    "delete_model_version_tag": ("writer", lambda p: p.client.delete_model_version_tag("churn", 1, "team")),
    "approve": ("writer", lambda p: p.client.approve("churn", 3, "Production")),
    "transition_model_version_stage": (
        "promoter",
        lambda p: p.client.transition_model_version_stage("churn", 3, "Production"),
    ),
    "rollback": ("promoter", lambda p: p.client.rollback("churn", "Production")),
    "set_registered_model_alias": ("promoter", lambda p: p.client.set_registered_model_alias("churn", "champion", 2)),
    "delete_registered_model_alias": (
        "promoter",
        lambda p: p.client.delete_registered_model_alias("churn", "champion"),
    ),
    "set_promotion_rules": (
        "promoter",
        lambda p: p.client.set_promotion_rules("churn", "Production", [MetricAtLeast("auc", 0.5)]),
    ),
    "add_monitor": ("writer", lambda p: p.client.add_monitor("churn", triggers=["page"])),
    "acknowledge_incident": ("writer", lambda p: p.client.acknowledge_incident(p.incident)),
    "close_incident": ("writer", lambda p: p.client.close_incident(p.incident)),
    "remove_monitor": ("writer", lambda p: p.client.remove_monitor(p.monitor)),
    "guard_stage": ("promoter", lambda p: p.client.guard_stage("churn")),
    "delete_promotion_rules": ("promoter", lambda p: p.client.delete_promotion_rules("churn", "Staging")),
    "restore_model_version": ("promoter", lambda p: p.client.restore_model_version("churn", 4)),
    "delete_model_version": ("promoter", lambda p: p.client.delete_model_version("churn", 3)),
    # A correction of no length moves no period.
    "correct_clock": ("writer", lambda p: p.client.correct_clock("churn", from_seq=2, to_seq=2, ahead="0s")),
    "rename_registered_model": ("promoter", lambda p: p.client.rename_registered_model("churn", "churned")),
    "delete_registered_model": ("promoter", lambda p: p.client.delete_registered_model("unloved", force=True)),
    "plan_relocation": (
        "reader",
        lambda p: p.client.plan_relocation(p.owner.get_experiment("0").artifact_location, "/elsewhere/0"),
    ),
    "relocate": ("owner", lambda p: p.client.relocate(p.owner.get_experiment("0").artifact_location, "/elsewhere/0")),
    "collect_garbage": ("owner", lambda p: p.client.collect_garbage(apply=True, older_than="0d", grace="0d")),
    "adopt": ("owner", lambda p: p.client.adopt(take_over=True)),
}


# They read this registry and write another, or move files between experiments; tests of transfers cover them.
ACROSS_REGISTRIES = {"copy_runs", "copy_experiment", "copy_registered_model", "move_runs"}


def _figure() -> Any:
    from matplotlib.figure import Figure

    return Figure()


@pytest.fixture
def place(
    request: pytest.FixtureRequest,
    postgres_url: str,
    postgres_server: PostgresServer,
    own_place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Place]:
    monkeypatch.setenv("REGISTRY_ARTIFACT_LOCATION", str(own_place / "artifacts"))
    registry.set_tracking_uri(postgres_url)
    owner = MlflowClient(postgres_url)
    if request.param == "owner":
        yield Place(owner, owner, own_place)
        return
    user, database = f"{request.param}_{uuid.uuid4().hex[:8]}", postgres_url.rpartition("/")[2]
    postgres_server.execute(f"CREATE ROLE {user} LOGIN")
    command = [sys.executable, "-m", "registry", "db", "grants", "--role", request.param, "--to", user]
    statements = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout
    postgres_server.execute(statements, database)
    yield Place(owner, MlflowClient(postgres_url.replace("postgres@", f"{user}@")), own_place)
    registry.disconnect()
    postgres_server.execute(f"DROP OWNED BY {user}", database)
    postgres_server.execute(f"DROP ROLE {user}")


def test_every_public_operation_has_its_place_in_the_table() -> None:
    public = {name for name, _ in inspect.getmembers(MlflowClient) if not name.startswith("_")}
    assert set(OPERATIONS) == public - ACROSS_REGISTRIES


@pytest.mark.parametrize("place", ROLES, indirect=True)
def test_each_role_does_what_the_table_says_and_is_told_what_it_lacks(
    place: Place, request: pytest.FixtureRequest
) -> None:
    role = request.node.callspec.params["place"]
    outcomes, expected = {}, {}
    state = place.rows(), place.stored()
    for name, (needed, operation) in OPERATIONS.items():
        before = state
        allowed = needed == "artifacts" or ROLES.index(role) >= ROLES.index(needed)
        # A reader fails at the row of the model that every change locks first.
        expected[name] = "done" if allowed else "writer" if role == "reader" else needed
        try:
            operation(place)
        except PermissionDeniedError as error:
            named = f"'{expected[name]}'" in error.message
            outcome = expected[name] if named and not allowed else error.message
        else:
            outcome = "done"
        state = place.rows(), place.stored()
        # The bytes go first and the row last: files that no row names are no change of the registry.
        if outcome != "done" and state[0] != before[0]:
            outcome = f"{outcome}, but rows changed"
        outcomes[name] = outcome
    assert outcomes == expected


@pytest.mark.parametrize("place", ["writer"], indirect=True)
def test_a_writer_imports_a_model_that_brings_no_rules_and_not_its_stages(place: Place) -> None:
    place.owner.delete_promotion_rules("churn", "Staging")
    place.export = place.owner.export_model("churn", place.directory / "without-rules.zip")
    assert [v.current_stage for v in place.client.import_model(place.export, name="copy").latest_versions] == ["None"]
    before = place.rows(), place.stored()
    with pytest.raises(PermissionDeniedError, match="'promoter'"):
        place.client.import_model(place.export, name="other", with_stages=True)
    assert (place.rows(), place.stored()) == before


@pytest.mark.parametrize("place", ["promoter"], indirect=True)
def test_a_refused_adoption_leaves_no_marker_that_would_stop_the_owners_gc(place: Place) -> None:
    before = place.stored()
    with pytest.raises(PermissionDeniedError, match="'owner'"):
        place.client.adopt(take_over=True)
    assert place.stored() == before
    place.owner.collect_garbage(apply=True)
