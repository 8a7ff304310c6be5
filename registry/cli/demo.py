"""``registry demo``: the main job from training to prediction, step by step.

Prints each step; `demo_job` does the work. Guarantees: exit code 0 only if the model in Production predicts exactly
what the trained model does.
"""

import importlib.util
import logging
import shlex
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import registry
from registry.cli import demo_job, invocation, output, versions
from registry.cli.commands import standalone
from registry.cli.db import location_of, open_database
from registry.cli.demo_job import EXPERIMENT, MODEL, PRODUCTION, SETTINGS, Split, Trained
from registry.cli.formatting import duration
from registry.cli.options import use_place
from registry.cli.output import Column
from registry.cli.runs import param_column
from registry.exceptions import InvalidStateError, MissingDependencyError
from registry.package_name import install_command

if TYPE_CHECKING:
    from registry.entities import Experiment, Run
    from registry.entities.model_registry import ModelVersion

_NEEDED: Final = {"xgboost": "xgboost", "sklearn": "scikit-learn", "matplotlib": "matplotlib"}
_SHOWN_VERSIONS: Final = 6


app = standalone()


@app.command("demo", examples=["registry demo", "registry demo --tracking-uri /tmp/tried"])
def demo() -> None:
    """Train, log, register, promote, load and predict, on real data. Takes a few seconds."""
    use_place()
    tracking_uri, artifact_location = invocation.current().tracking_uri, invocation.current().artifact_location
    _require_packages()
    # Hide its message about building a font cache, once per machine.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    _prepare_database()
    experiment = _open_experiment(artifact_location)
    split = demo_job.load_data()
    trained = _train(split)
    _compare(experiment, trained)
    baseline, *others = trained
    best = min(others, key=lambda candidate: candidate.loss)
    _promote(baseline, best)
    _predict(best, split)
    _say_where(experiment, tracking_uri)


def _require_packages() -> None:
    missing = [package for module, package in _NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise MissingDependencyError(f"The demo needs {', '.join(missing)}: {install_command('demo')}.")


def _prepare_database() -> None:
    """Create the schema of an empty shared database, and say so. Other databases are checked when they are opened."""
    from registry.store import schema

    database = open_database()
    if not database.is_sqlite and schema.current(database) is None:
        schema.upgrade(database)
        output.line(f"{location_of(database)} was empty; it has schema revision {schema.current(database)} now.")


def _open_experiment(artifact_location: str | None) -> "Experiment":
    """Return the demo's experiment, made active.

    Raises:
        InvalidStateError: the experiment exists and has another artifact location than requested.
    """
    from registry.settings import current_settings, place_of

    experiment = registry.set_experiment(EXPERIMENT)
    settings = current_settings()
    root = place_of(settings.tracking_uri, settings).artifact_root
    if artifact_location is not None and not experiment.artifact_location.startswith(f"{root}/"):
        raise InvalidStateError(
            f"The demo ran on this database before and keeps its files at {experiment.artifact_location}. Leave "
            "--artifact-location out, or give another --tracking-uri."
        )
    return experiment


def _train(split: Split) -> list[Trained]:
    output.heading("1  Train and log")
    output.line(
        f"Scikit-learn's breast-cancer data: {split.train.shape[1]} measurements of each of "
        f"{len(split.train) + len(split.held_out)} tumours;\n{len(split.train)} to train on, "
        f"{len(split.held_out)} held out. Each run logs its settings, four metrics\nper boosting round, a figure, "
        "the data set and the model."
    )
    return [_train_one(name, split) for name in SETTINGS]


def _train_one(name: str, split: Split) -> Trained:
    since = time.perf_counter()
    trained = demo_job.train(name, SETTINGS[name], split)
    took = duration(round((time.perf_counter() - since) * 1000))
    output.line(f"  {name:<14}  run {trained.run_id}  {took}")
    return trained


def _compare(experiment: "Experiment", trained: Sequence[Trained]) -> None:
    output.heading("2  Compare")
    ids = ", ".join(f"'{candidate.run_id}'" for candidate in trained)
    runs = registry.MlflowClient().search_runs(
        [experiment.experiment_id],
        filter_string=f"attributes.run_id IN ({ids})",
        order_by=["metrics.held_out_logloss ASC"],
    )
    output.table(_COMPARISON, runs)


def _held_out(header: str, metric: str) -> "Column[Run]":
    return Column(header, lambda run: f"{run.data.metrics[metric]:.4f}", right=True)


_COMPARISON: Final[tuple["Column[Run]", ...]] = (
    Column("run", lambda run: run.info.run_name),
    param_column("n_estimators", "trees"),
    param_column("max_depth", "depth"),
    param_column("learning_rate", "rate"),
    _held_out("accuracy", "held_out_accuracy"),
    _held_out("AUC", "held_out_auc"),
    _held_out("log loss", "held_out_logloss"),
)


def _promote(baseline: Trained, best: Trained) -> None:
    output.heading("3  Register and promote")
    first = _promote_one(baseline, "the baseline")
    second = _promote_one(best, f"lower log loss than {baseline.name}")
    client = registry.MlflowClient()
    archived = client.get_model_version(MODEL, first.version)
    output.line(f"Version {second.version} replaced version {first.version}, which is {archived.current_stage} now.")
    output.line()
    newest = client.search_model_versions(
        versions.of_model(MODEL), max_results=_SHOWN_VERSIONS, order_by=["version_number DESC"]
    )
    output.table(versions.COLUMNS, newest)


def _promote_one(trained: Trained, reason: str) -> "ModelVersion":
    version = demo_job.register(trained)
    demo_job.promote(version, reason)
    output.line(f"{MODEL} version {version.version} ({trained.name}): registered, promoted to Production.")
    return version


def _predict(best: Trained, split: Split) -> None:
    output.heading("4  Load from Production and predict")
    demo_job.check_production(best, split)
    output.line(f"{PRODUCTION} predicts all {len(split.held_out)} held-out rows\nexactly as the model in memory does.")


def _say_where(experiment: "Experiment", tracking_uri: str | None) -> None:
    from registry.settings import redacted_uri

    output.heading("Where it is")
    output.line(f"database  {location_of(open_database())}\nfiles     {experiment.artifact_location}")
    output.heading("Try next")
    if tracking_uri is not None:
        output.line(f"  export REGISTRY_TRACKING_URI={shlex.quote(redacted_uri(tracking_uri))}")
    output.line(
        f"  registry runs list --experiment {EXPERIMENT} --best held_out_auc\n"
        f"  registry models show {MODEL}\n"
        f"  registry artifacts resolve {PRODUCTION}\n"
        f"  python -c \"import registry; print(registry.pyfunc.load_model('{PRODUCTION}'))\"\n"
        f"  registry versions promote {MODEL}/1 Production --reason 'trying it out'"
    )
