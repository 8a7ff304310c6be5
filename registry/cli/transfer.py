"""``registry models export`` and ``import``: a registered model as one file."""

from typing import Annotated

import typer

from registry.cli import files, output
from registry.cli.formatting import size
from registry.cli.models import app
from registry.cli.options import ModelName, Reason, open_client
from registry.cli.targets import model_name


@app.command(
    "export", examples=["registry models export churn churn.zip", "registry models export churn - > churn.zip"]
)
def export_model(
    name: ModelName,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A new file; - is stdout.")],
    only: Annotated[
        str | None, typer.Option("--versions", metavar="N,M", help="Only these versions. Default: all.")
    ] = None,
) -> None:
    """Export a model with its versions, their files and runs, and its history to one file."""
    name = model_name(name)
    numbers = None if only is None else [number.strip() for number in only.split(",")]
    client = open_client()
    with files.create_output(file, ".zip") as path:
        written = client.export_model(name, path, versions=numbers)
        count = written.stat().st_size
    if file == files.STREAM:
        output.note(f"{name}: exported ({size(count)}).")
        return
    output.done(
        f"{name}: exported to {written} ({size(count)}).",
        identity=str(written),
        document={"name": name, "file": str(written), "size_bytes": count},
    )


@app.command("import", examples=["registry models import churn.zip", "registry models import churn.zip --as leavers"])
def import_model(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file that 'models export' wrote; - is stdin.")],
    name: Annotated[str | None, typer.Option("--as", metavar="NAME", help="The model's name here.")] = None,
    with_stages: Annotated[
        bool, typer.Option("--with-stages", help="Restore stages and aliases of the versions.")
    ] = False,
    reason: Reason = None,
) -> None:
    """Import a model from a file after checking all of it. Its name must be free here, else exit code 5."""
    client = open_client(creates=True)
    with files.open_input(file, "The export", ".zip") as path:
        model = client.import_model(path, name=name, with_stages=with_stages, reason=reason or None)
    output.done(f"{model.name}: imported.", identity=model.name, document=model)
