"""``registry models evaluate``: measure a model on a file of data."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

import registry
from registry.cli import invocation, models, output
from registry.cli.commands import standalone
from registry.cli.data_files import DataFile, DatasetName, Targets, read_dataset
from registry.cli.options import open_client
from registry.cli.output import Column
from registry.cli.targets import find_experiment, model_uri

if TYPE_CHECKING:
    import pandas as pd

app = standalone()

EXAMPLES: Final = (
    "registry models evaluate churn/7 holdout.parquet --targets churned",
    "registry models evaluate churn/Production new.csv --targets churned --json",
)


@models.app.command("evaluate", examples=EXAMPLES)
@app.command("evaluate", examples=EXAMPLES)
def evaluate(
    uri: Annotated[str, typer.Argument(metavar="MODEL", help="churn/7, churn/Production, or any URI of a model.")],
    data: DataFile,
    targets: Targets,
    model_type: Annotated[
        str | None,
        typer.Option(
            "--model-type",
            metavar="TYPE",
            help="classifier or regressor. By default regressor if the targets have decimals.",
        ),
    ] = None,
    name: DatasetName = None,
    experiment: Annotated[
        str | None, typer.Option("--experiment", "-e", metavar="EXPERIMENT", help="Where the run of the result goes.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Draw SHAP plots too, which takes longer.")] = False,
    allow_code: Annotated[bool, typer.Option("--allow-code", help="Run code from the model's files.")] = False,
) -> None:
    """Measure a model on data, and log the metrics and figures to a new run.

    The metrics belong to the model and the data set from then on; promotion rules ask for them by its name.
    """
    client = open_client(changes=True)
    uri = model_uri(uri)
    dataset = read_dataset(data, targets, name, [uri])
    if experiment is not None:
        registry.set_experiment(experiment_id=find_experiment(client, experiment).experiment_id)
    chosen = model_type or _guess_type(dataset.df[targets])
    result = registry.evaluate(
        uri,
        dataset,
        model_type=chosen,
        evaluators=[chosen, "shap"] if explain else chosen,
        allow_code=allow_code or None,
    )
    found = result.dataset
    assert found is not None  # noqa: S101 - `evaluate` knows its data set
    if invocation.current().quiet:
        output.line(str(result.run_id))
        return
    output.listing(
        list(result.metrics.items()),
        _COLUMNS,
        document={
            "run_id": result.run_id,
            "model_id": result.model_id,
            "model_type": chosen,
            "dataset": {"name": found.name, "digest": found.digest, "sha256": found.sha256, "rows": found.rows},
            "metrics": result.metrics,
            "artifacts": {key: artifact.uri for key, artifact in result.artifacts.items()},
        },
    )
    output.note(f"{found.rows} rows of {found.name!r}, sha256:{found.sha256}; run {result.run_id} has the figures.")


def _guess_type(targets: "pd.Series[float]") -> str:
    has_decimals = targets.dtype.kind == "f" and bool((targets.dropna() % 1 != 0).any())
    return "regressor" if has_decimals else "classifier"


_COLUMNS: Final[tuple["Column[tuple[str, float]]", ...]] = (
    Column("metric", lambda metric: metric[0], whole=True),
    Column("value", lambda metric: metric[1], whole=True, right=True),
)
