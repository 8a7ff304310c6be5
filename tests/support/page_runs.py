"""Runs for the tests of pages, with series, files, data, a parent and its children."""

from dataclasses import dataclass, field

import registry
from registry import MlflowClient
from registry.entities import Dataset, DatasetInput, InputTag


@dataclass
class ShownRuns:
    """An experiment ``games`` with three finished runs, ``depth-2`` to ``depth-4``, and a child of the last."""

    client: MlflowClient
    experiment_id: str
    ids: list[str] = field(default_factory=list)
    child: str = ""


def make_runs(uri: str) -> ShownRuns:
    """Fill a registry."""
    registry.set_tracking_uri(uri)
    client = MlflowClient(uri)
    runs = ShownRuns(client, client.create_experiment("games"))
    for place, depth in enumerate((2, 3, 4)):
        start = 1_700_000_000_000 + 60_000 * place
        run_id = client.create_run(runs.experiment_id, start_time=start, run_name=f"depth-{depth}").info.run_id
        client.log_param(run_id, "depth", depth)
        client.log_param(run_id, "algorithm", "trees")
        client.log_metric(run_id, "auc", depth / 8)
        client.log_metric_history(run_id, "loss", list(range(30)), [1 / (1 + step) + depth for step in range(30)])
        client.set_tag(run_id, "team", "east")
        client.set_terminated(run_id, end_time=start + 4_200)
        runs.ids.append(run_id)
    client.log_text(runs.ids[2], "all good\n", "notes.txt")
    client.log_text(runs.ids[2], "# Report\n\n**fine** <script>alert(1)</script>", "docs/report.md")
    schema = '{"mlflow_colspec": [{"name": "rest_days", "type": "double"}]}'
    data = Dataset("games 2026", "ab12", "code", "{}", schema)
    client.log_inputs(runs.ids[2], [DatasetInput(data, [InputTag("mlflow.data.context", "training")])])
    child = client.create_run(
        runs.experiment_id,
        start_time=1_700_000_000_000,
        run_name="fold-1",
        tags={"mlflow.parentRunId": runs.ids[2]},
    )
    client.set_terminated(child.info.run_id, "FAILED", end_time=1_700_000_000_001)
    runs.child = child.info.run_id
    return runs
