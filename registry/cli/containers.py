"""``registry models generate-dockerfile``: a build context for an image that serves a model."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from registry.cli import output
from registry.cli.artifacts import FilesUri, open_uri
from registry.cli.models import app
from registry.exceptions import InvalidParameterError, PathExistsError, RegistryError, disk_error
from registry.uris import ModelsUri


@app.command(
    "generate-dockerfile",
    examples=[
        "registry models generate-dockerfile churn/Production -d build && docker build -t churn build",
        "registry models generate-dockerfile churn/7 -d build --base-image python:3.12-slim",
    ],
)
def generate_dockerfile(
    uri: FilesUri,
    directory: Annotated[
        Path, typer.Option("--directory", "-d", metavar="DIR", help="A new or empty directory, or one made by this.")
    ],
    base_image: Annotated[
        str | None,
        typer.Option(
            "--base-image", metavar="IMAGE", help="By default python:X.Y-slim, of the Python that made the model."
        ),
    ] = None,
    package: Annotated[
        str | None,
        typer.Option(
            "--package", metavar="REQUIREMENT", help="What installs the server: a requirement, or a wheel's path."
        ),
    ] = None,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Let the server run code of the model's files, such as pickles.")
    ] = False,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Leave the model in the registry: the server follows the stage or alias."),
    ] = False,
) -> None:
    """Write a Dockerfile, with the model's files and pinned requirements, and print its path.

    The image runs 'registry models serve' on port 8080 as a user without rights.
    """
    from registry.cli.dockerfile import MODEL, Image, is_ours, write_context
    from registry.client.artifacts.downloads import download

    client, place = open_uri(uri)
    if follow and not isinstance(place, ModelsUri):
        raise InvalidParameterError(f"--follow needs a model of a registry, such as churn/Production, got {uri!r}.")
    labels = {"registry.uri": str(place)}
    if isinstance(place, ModelsUri):
        resolved = client.resolve(str(place))
        labels |= {"registry.model": f"models:/{resolved.name}/{resolved.version}"} if resolved.name else {}
        labels |= {"registry.digest": resolved.digest}
    if directory.exists() and not is_ours(directory):
        raise PathExistsError(f"{str(directory)!r} exists and is not empty; give another directory, or remove it.")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # The old model goes only when the new one is here whole.
        with tempfile.TemporaryDirectory(prefix=".registry-", dir=directory) as staging:
            fresh = Path(download(client, place, Path(staging) / MODEL))
            if (directory / MODEL).exists():
                shutil.rmtree(directory / MODEL)
            fresh.rename(directory / MODEL)
    except RegistryError:  # a model that is not there is an OSError too
        raise
    except OSError as error:
        raise disk_error(f"The build context {str(directory)!r} cannot be written: {error.strerror}.", error) from error
    image = Image(labels, base_image, package, allow_code, str(place) if follow else None)
    file = write_context(directory, image)
    output.value(str(file), document={"dockerfile": str(file), "labels": labels})
