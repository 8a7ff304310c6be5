"""Optuna's own MLflow callback works with this package in MLflow's place; processes share one study and one parent."""

import subprocess
import sys
from pathlib import Path

import pytest

import registry

pytestmark = pytest.mark.slow

WORKER = """
import sys, warnings
warnings.simplefilter("ignore")
import registry
sys.modules["mlflow"] = registry
import optuna
from optuna_integration import MLflowCallback
optuna.logging.set_verbosity(optuna.logging.ERROR)
uri, storage, parent, trials, seed = sys.argv[1:]
registry.set_tracking_uri(uri)
callback = MLflowCallback(tracking_uri=uri, metric_name="loss", mlflow_kwargs={"nested": True})
study = optuna.load_study(study_name="search", storage=storage, sampler=optuna.samplers.RandomSampler(seed=int(seed)))
with registry.start_run(parent):
    study.optimize(
        lambda trial: (trial.suggest_float("x", -1, 1) - 0.3) ** 2, n_trials=int(trials), callbacks=[callback]
    )
"""


@pytest.mark.parametrize(("processes", "trials"), [(4, 10), pytest.param(8, 25, marks=pytest.mark.storm)])
def test_trials_of_several_processes_become_child_runs(tmp_path: Path, processes: int, trials: int) -> None:
    import optuna

    uri, storage = f"sqlite:///{tmp_path}/runs.db", f"sqlite:///{tmp_path}/optuna.db"
    optuna.create_study(study_name="search", storage=storage)
    registry.set_tracking_uri(uri)
    registry.set_experiment("search")
    with registry.start_run(run_name="search") as parent:
        pass
    arguments = [uri, storage, parent.info.run_id, str(trials)]

    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, *arguments, str(seed)], stderr=subprocess.PIPE, text=True)
        for seed in range(processes)
    ]
    errors = [worker.communicate(timeout=400)[1] for worker in workers]

    assert [worker.returncode for worker in workers] == [0] * processes, errors
    children = registry.search_runs(
        search_all_experiments=True,
        filter_string=f"tags.mlflow.parentRunId = '{parent.info.run_id}'",
        output_format="list",
        max_results=1_000,
    )
    assert len(children) == processes * trials
    assert {run.info.status for run in children} == {"FINISHED"}
    assert all(set(run.data.metrics) == {"loss"} and set(run.data.params) == {"x"} for run in children)
