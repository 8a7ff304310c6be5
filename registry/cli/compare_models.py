"""``registry models compare``: which of two models is better on a file of data, and how sure that is."""

from typing import Annotated, Final

import typer

import registry
from registry.cli import models, output
from registry.cli.commands import standalone
from registry.cli.data_files import DataFile, DatasetName, Targets, read_dataset
from registry.cli.options import open_client
from registry.cli.targets import model_uri

app = standalone()

EXAMPLES: Final = (
    "registry models compare churn/8 churn/Production new.parquet --targets y --metric f1",
    "registry models compare churn/8 churn/7 new.csv --targets y --metric auc --json",
)


@models.app.command("compare", examples=EXAMPLES)
@app.command("compare-models", examples=EXAMPLES)
def compare_models(
    challenger: Annotated[str, typer.Argument(metavar="MODEL", help="The model that should be better.")],
    reference: Annotated[str, typer.Argument(metavar="OTHER", help="The model that it is compared with.")],
    data: DataFile,
    targets: Targets,
    metric: Annotated[str, typer.Option("--metric", metavar="METRIC", help="Such as f1, auc, log_loss or rmse.")],
    name: DatasetName = None,
    confidence: Annotated[float, typer.Option("--confidence", metavar="LEVEL", help="Of the interval.")] = 0.95,
    resamples: Annotated[int, typer.Option("--resamples", metavar="N", help="How often rows are drawn anew.")] = 9_999,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of the draws.")] = 0,
    allow_code: Annotated[bool, typer.Option("--allow-code", help="Run code from the models' files.")] = False,
) -> None:
    """Compare two models on the same rows, with a bootstrap interval of the difference.

    The result is stored as evidence of the first model, on which the rule BetterThanHolder is judged.
    """
    open_client(changes=True)
    models = [model_uri(challenger), model_uri(reference)]
    dataset = read_dataset(data, targets, name, models)
    comparison = registry.compare_models(
        models,
        dataset,
        metric=metric,
        confidence=confidence,
        resamples=resamples,
        seed=seed,
        allow_code=allow_code or None,
    )
    (found,), (evidence,) = comparison.differences, comparison.evidence_ids
    verdict = "better" if found.is_better else "not better beyond chance"
    output.record(
        {
            "metric": f"{found.metric}, {found.better} is better",
            found.challenger.uri: found.challenger.value,
            found.reference.uri: found.reference.value,
            "difference": found.difference,
            f"{found.confidence:.4g} interval": f"{found.low!r} to {found.high!r}",
            "verdict": verdict,
            "data": f"{comparison.dataset.name}, {found.rows} rows, sha256:{comparison.dataset.sha256}",
            "draws": f"{found.resamples}, seed {found.seed}",
            "evidence": evidence,
        },
        document={
            **dict(found),
            "challenger": dict(found.challenger),
            "reference": dict(found.reference),
            "is_better": found.is_better,
            "dataset": {
                "name": comparison.dataset.name,
                "digest": comparison.dataset.digest,
                "sha256": comparison.dataset.sha256,
            },
            "evidence_id": evidence,
        },
        identity=evidence,
    )
