"""The public surface: which names there are, that they are documented, and what importing the package costs."""

import ast
import importlib
import importlib.metadata
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import registry
from registry.package_name import DISTRIBUTION

HEAVY = [
    "sqlalchemy",
    "alembic",
    "pydantic",
    "boto3",
    "botocore",
    "pandas",
    "numpy",
    "xgboost",
    "sklearn",
    "lark",
    "yaml",
]
MODULES = [
    "artifacts",
    "catboost",
    "client",
    "data",
    "entities",
    "evaluation",
    "exceptions",
    "lightgbm",
    "mlflow_bridge",
    "models",
    "monitoring",
    "onnx",
    "prophet",
    "protos",
    "pyfunc",
    "pytorch",
    "rules",
    "scoring",
    "serving",
    "sklearn",
    "system_metrics",
    "tracking",
    "types",
    "utils",
    "version",
    "xgboost",
]
SURFACE = """
ActiveModel ActiveRun Approvals BetterThanHolder CheckedWithin EvaluatedOn FlavorIn Image MetricAtLeast MetricAtMost
MetricNotWorse MlflowClient MlflowException NoOpenIncident RegistryError ResolvedModel ShadowAgreement
SignatureCompatible SignatureUnchanged TagEquals WebhookSink __version__ active_run artifacts autolog catboost
clear_active_model client compare compare_models create_experiment create_external_model data delete_experiment
delete_experiment_tag delete_logged_model_tag delete_run delete_tag disable_system_metrics_logging disconnect doctor
enable_system_metrics_logging end_run entities evaluate evaluation exceptions finalize_logged_model
flush_artifact_async_logging flush_async_logging get_active_model_id get_artifact_uri get_experiment
get_experiment_by_name get_logged_model get_parent_run get_registry_uri get_run get_tracking_uri history
initialize_logged_model is_tracking_uri_set last_active_run last_logged_model lightgbm load_table log_artifact
log_artifacts log_dict log_figure log_image log_input log_inputs log_metric log_metrics log_model_params log_outputs
log_param log_params log_stream log_table log_text metric_history mlflow_bridge models monitoring onnx prophet protos
pyfunc pytorch register_model resolve restore_experiment restore_run rules scoring search_experiments
search_logged_models search_model_versions search_registered_models search_runs serving set_active_model set_experiment
set_experiment_tag set_experiment_tags set_logged_model_tags set_model_version_tag set_registry_uri
set_system_metrics_node_id set_system_metrics_samples_before_logging set_system_metrics_sampling_interval set_tag
set_tags set_tracking_uri sklearn stage_holders start_run sync system_metrics tracking types ui utils
validate_evaluation_results verify version xgboost
""".split()


def test_the_surface_is_pinned() -> None:
    assert sorted(registry.__all__) == sorted(SURFACE)


def test_each_public_name_is_the_one_that_the_stub_declares() -> None:
    stub = ast.parse(Path(registry.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    declared = [
        (alias.name, node.module) for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names
    ]

    for name, module in declared:
        source = f"registry.{module}" if module else "registry"
        assert getattr(registry, name) is getattr(importlib.import_module(source), name)
    assert sorted({name for name, _ in declared} | {"__version__"}) == sorted(SURFACE)


def test_dir_has_every_public_name() -> None:
    assert set(registry.__all__) <= set(dir(registry))


@pytest.mark.parametrize("name", [name for name in SURFACE if name != "__version__"])
def test_a_public_name_exists_and_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(registry, name))


@pytest.mark.parametrize("name", MODULES)
def test_a_public_module_is_bound_on_first_use(name: str) -> None:
    assert getattr(registry, name) is importlib.import_module(f"registry.{name}")


@pytest.mark.parametrize("name", [name for name in MODULES if name not in ("protos", "utils", "version")])
def test_a_public_module_says_what_it_has_and_documents_it(name: str) -> None:
    module = importlib.import_module(f"registry.{name}")
    public = getattr(module, "__all__", None) or [n for n in vars(module) if isinstance(vars(module)[n], type)]
    described = [getattr(module, item) for item in public if callable(getattr(module, item))]

    assert described
    assert [item for item in described if not inspect.getdoc(item)] == []


def run_fresh(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_loads_nothing_heavy() -> None:
    program = f"import sys, registry; print([name for name in {HEAVY!r} if name in sys.modules])"

    assert run_fresh(program) == "[]"


# What a process that only logs to runs does not need: each costs it milliseconds before its first point.
UNUSED_BY_LOGGING = [
    *(name for name in HEAVY if name not in ("pydantic", "sqlalchemy")),
    *("difflib", "matplotlib", "platformdirs", "psutil", "rich", "sqlalchemy.orm", "typer", "jinja2"),
    *("registry.datasets", "registry.flavors", "registry.rules", "registry.client.ownership"),
    *("registry.client.transfer.archive", "registry.client.transfer.run_copying"),
    *(f"registry.store.{room}" for room in ("gc", "incidents", "logged_models", "monitors", "registry", "search")),
]


def test_a_process_that_logs_points_loads_only_what_that_takes(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of the tests, not of the library: an unknown setting would be compared with those that there are.
    monkeypatch.delenv("REGISTRY_TEST_MLFLOW_PYTHON", raising=False)
    unused = [*UNUSED_BY_LOGGING, "psycopg" if database_url.startswith("sqlite") else "sqlalchemy.dialects.sqlite"]
    program = f"""
import gc, sys
import registry as mlflow
mlflow.set_tracking_uri({database_url!r})
mlflow.set_experiment("games")
with mlflow.start_run() as run:
    mlflow.log_metric("loss", 0.5, step=1)
print(mlflow.get_run(run.info.run_id).data.metrics, gc.isenabled())
print([name for name in {unused!r} if name in sys.modules])
"""
    assert run_fresh(program) == "{'loss': 0.5} True\n[]"


def test_a_garbage_collector_that_is_switched_off_stays_off() -> None:
    program = "import gc; gc.disable(); import registry; registry.start_run; print(gc.isenabled())"

    assert run_fresh(program) == "False"


def test_a_child_that_is_forked_while_another_thread_imports_collects_garbage() -> None:
    program = """
import gc, os, threading
from registry.garbage_collector import paused_collector
inside, done = threading.Event(), threading.Event()
def pause():
    with paused_collector():
        inside.set()
        done.wait()
thread = threading.Thread(target=pause)
thread.start()
inside.wait()
with paused_collector():
    pass
print(gc.isenabled(), flush=True)
child = os.fork()
if not child:
    print(gc.isenabled(), flush=True)
    os._exit(0)
os.waitpid(child, 0)
done.set()
thread.join()
print(gc.isenabled())
"""
    assert run_fresh(program).split() == ["False", "True", "True"]


def test_asking_what_there_is_loads_nothing_heavy() -> None:
    program = f"""
import sys, registry
dir(registry), hasattr(registry, "log_trace"), hasattr(registry, "log_metrix")
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    assert run_fresh(program) == "[]"


@pytest.mark.parametrize("options", [[], ["-O"], ["-OO"], ["-I"]])
def test_names_are_bound_under_every_way_to_start_python(options: list[str]) -> None:
    program = (
        "import registry; print(registry.start_run.__name__, registry.xgboost.__name__, 'log_text' in dir(registry))"
    )
    command = [sys.executable, *options, "-c", program]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "start_run registry.xgboost True\n"


@pytest.mark.parametrize(("value", "heavy"), [("", False), ("0", False), ("1", True)])
def test_eager_import_binds_every_name_at_once(value: str, heavy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EAGER_IMPORT", value)

    program = "import sys, registry; print('sqlalchemy' in sys.modules, 'log_text' in vars(registry))"
    assert run_fresh(program) == f"{heavy} {heavy}"


def test_a_star_import_binds_every_public_name() -> None:
    names: dict[str, object] = {}
    exec("from registry import *", names)

    assert set(SURFACE) <= set(names)


def test_the_version_is_ours_and_the_version_module_has_the_version_of_mlflow(run_mlflow) -> None:
    assert registry.version.VERSION == "3.17.2"
    assert run_mlflow("answer = mlflow.version.VERSION") == registry.version.VERSION
    assert registry.__version__ == importlib.metadata.version(DISTRIBUTION)


def test_the_types_of_signatures_load_nothing_heavy() -> None:
    program = f"""
import sys
from registry.types.schema import ColSpec, Schema
from registry.exceptions import MlflowException
from registry.protos.databricks_pb2 import ErrorCode
Schema([ColSpec("double", "a")])
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    assert run_fresh(program) == "[]"


CHECKED = """
import registry as mlflow
from registry import MlflowClient, log_metric, start_run
from registry.artifacts import download_artifacts
from registry.entities import Metric, Run
from registry.entities.model_registry.model_version_tag import ModelVersionTag
from registry.models.signature import infer_signature
from registry.pyfunc.model import PythonModel
from registry.tracking import MlflowClient as Same
from registry.tracking.fluent import active_run
from registry.types.schema import ColSpec, Schema
from registry.version import VERSION

mlflow.set_experiment("x")
with start_run(run_name="a") as run:
    log_metric("f1", 0.5, step=1)
    mlflow.log_params({"depth": 3})
    mlflow.xgboost.log_model(object(), name="model", step=2, extra_files=["notes.md"])
MlflowClient().get_run(run.info.run_id)
mlflow.pyfunc.load_model("models:/m/Production").predict([1])
"""
MISSPELT = """
import registry
registry.strat_run()
registry.log_metric("f1")
import registry.models.signature
import registry.tracking.fluent
registry.models.signature.infer_signatur
registry.tracking.fluent.strat_run()
registry.sklearn.log_model(object(), nmae="model")
"""
# Analysed no further than our own annotations need: the test is of our names.
MYPY_SETTINGS = """
[mypy]
follow_imports = silent
ignore_missing_imports = true
[mypy-sqlalchemy.*,alembic.*,pandas.*,numpy.*,pydantic.*,boto3.*,botocore.*,lark.*,typer.*,rich.*]
follow_imports = skip
"""


def check_types(program: str, directory: Path) -> str:
    """What mypy says of a program, strictly; the empty text if it is content."""
    (directory / "program.py").write_text(program)
    (directory / "mypy.ini").write_text(MYPY_SETTINGS)
    command = [
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        "--cache-dir",
        str(directory.parent / "mypy"),
        "program.py",
    ]
    done = subprocess.run([sys.executable, *command], cwd=directory, capture_output=True, text=True, timeout=300)
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_type_checker_accepts_the_names_and_rejects_misspelt_ones(tmp_path: Path) -> None:
    good = tmp_path / "good"
    bad = tmp_path / "bad"
    good.mkdir()
    bad.mkdir()

    assert check_types(CHECKED, good) == ""
    assert check_types(MISSPELT, bad).splitlines() == [
        'program.py:3: error: Module has no attribute "strat_run"; maybe "start_run"?  [attr-defined]',
        'program.py:4: error: Missing positional argument "value" in call to "log_metric"  [call-arg]',
        'program.py:7: error: Module has no attribute "infer_signatur"; maybe "infer_signature"?  [attr-defined]',
        'program.py:8: error: Module has no attribute "strat_run"; maybe "start_run"?  [attr-defined]',
        'program.py:9: error: Unexpected keyword argument "nmae" for "log_model"  [call-arg]',
        'program.py:9: note: "log_model" defined in "registry.sklearn"',
    ]
