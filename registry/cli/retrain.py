"""``registry retrain``: train a new version, and promote it as far as the rules allow."""

from typing import Annotated

import typer

from registry.cli import output
from registry.cli.commands import standalone
from registry.cli.options import ModelName, open_client
from registry.cli.targets import model_name
from registry.exceptions import InvalidParameterError

app = standalone()


@app.command(
    "retrain",
    examples=["registry retrain churn retrain-churn", "registry retrain churn retrain-churn --incident 3"],
)
def retrain_model(
    name: ModelName,
    retraining: Annotated[
        str, typer.Argument(metavar="RETRAINING", help="Its name in the file of REGISTRY_TRIGGERS_FILE.")
    ],
    incident: Annotated[
        list[int] | None,
        typer.Option("--incident", metavar="INCIDENT", help="The incident that it answers; may be repeated."),
    ] = None,
) -> None:
    """Train a new version, compare it with the one in Production, and promote it as far as the rules allow."""
    client = open_client(changes=True)
    from registry.monitoring.retraining import retrain
    from registry.monitoring.triggers import read_triggers
    from registry.settings import current_settings

    name = model_name(name)
    client.get_registered_model(name)  # or an error, before anything is trained
    defined = read_triggers(current_settings().triggers_file).get_retraining(retraining)
    incidents = [client.get_incident(number) for number in incident or ()]
    for other in incidents:
        if other.name != name:
            raise InvalidParameterError(f"Incident {other.id} is of {other.name!r}, not of {name!r}.")
    result = retrain(name, defined, incidents=incidents, client=client)
    output.done(
        f"{name}: {result.message}.",
        identity=f"{name}/{result.version}",
        document={
            "model": name,
            "version": result.version,
            "stage": result.stage,
            "message": result.message,
            "run_id": result.run_id,
            "incidents": [other.id for other in incidents],
        },
    )
