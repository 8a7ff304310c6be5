"""``registry artifacts``: what a URI stands for, and the files of runs and models."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from registry.cli import output
from registry.cli.commands import noun
from registry.cli.formatting import size
from registry.cli.options import RunTarget, open_client, use_place
from registry.cli.output import Column
from registry.cli.targets import find_run, model_uri
from registry.uris import LocalUri, RunUri, S3Uri, Uri, parse

if TYPE_CHECKING:
    from registry import MlflowClient
    from registry.entities import FileInfo

app = noun("artifacts", "Files of runs and models.")

FilesUri = Annotated[
    str,
    typer.Argument(
        metavar="URI", help="runs:/RUN/path, models:/churn/7, churn/Production, s3://bucket/key or a local path."
    ),
]


@app.command(
    "resolve",
    examples=["registry artifacts resolve churn/Production", "registry artifacts resolve models:/churn/7 --json"],
)
def resolve(
    uri: Annotated[
        str, typer.Argument(metavar="URI", help="Such as models:/churn/Production, churn/7 or runs:/RUN_ID/model.")
    ],
) -> None:
    """Show the sealed model that a URI refers to, its digest, and where its files are."""
    resolved = open_client().resolve(model_uri(uri))
    output.record(
        {
            "model": resolved.name,
            "version": resolved.version,
            "logged model": resolved.model_id,
            "files": resolved.location,
            "digest": resolved.digest,
        },
        document=resolved,
        identity=resolved.location,
    )


@app.command(
    "list", examples=["registry artifacts list runs:/3f2a/plots", "registry artifacts list churn/Production -R"]
)
def list_files(
    uri: FilesUri,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-R", help="Also list what is in directories, at any depth.")
    ] = False,
) -> None:
    """List the files behind a URI with their sizes. Directories end with a slash."""
    client, place = open_uri(uri)
    files = list(_walk(client, place, "", recursive=recursive))
    if not files:
        from registry.client.artifacts.downloads import require_found

        require_found(client, place)
    output.listing(files, _COLUMNS, nothing="No files.", ids=lambda file: file.path)


@app.command(
    "download",
    examples=[
        "registry artifacts download churn/Production -d build/model",
        "registry artifacts download runs:/3f2a/plots/roc.png -d .",
    ],
)
def download(
    uri: FilesUri,
    directory: Annotated[
        str | None,
        typer.Option(
            "--directory", "-d", "--dst-path", metavar="DIR", help="Where to put it; by default a new temporary one."
        ),
    ] = None,
    require_signature: Annotated[
        Path | None,
        typer.Option("--require-signature", metavar="KEY", help="Only a model that this public key (PEM) signed."),
    ] = None,
) -> None:
    """Copy a file or directory here, check its digests, and print the path of the copy.

    A whole model or run becomes DIR itself; a file or directory inside it gets its own name in DIR.
    """
    from registry.client.artifacts.downloads import download as fetch
    from registry.client.models.signing import signed_uri

    client, place = open_uri(uri)
    if require_signature is not None:
        place = signed_uri(client.backend, place, require_signature)
    path = fetch(client, place, None if directory is None else Path(directory))
    output.value(path, document={"path": path})


@app.command(
    "upload",
    examples=["registry artifacts upload 3f2a report.html", "registry artifacts upload 3f2a plots/*.png --path plots"],
)
def upload(
    run: RunTarget,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files and directories.")],
    path: Annotated[
        str | None, typer.Option("--path", metavar="PATH", help="The directory of the run to store them in.")
    ] = None,
    contents: Annotated[
        bool, typer.Option("--contents", help="Store the contents of directories, without their names.")
    ] = False,
) -> None:
    """Store files and directories among the artifacts of a run."""
    client = open_client(changes=True)
    run_id = find_run(client, run).info.run_id
    for file in files:
        if contents and file.is_dir():
            client.log_artifacts(run_id, file, path)
        else:
            client.log_artifact(run_id, file, path)
    uri = f"runs:/{run_id}/{path or ''}".rstrip("/")
    count = "1 file or directory" if len(files) == 1 else f"{len(files)} files or directories"
    output.done(f"Stored {count} in {uri}.", document={"uri": uri})


def open_uri(text: str) -> "tuple[MlflowClient, Uri]":
    """Return a client and what a command line's URI means; a path or S3 location needs no registry."""
    place = parse(model_uri(text))
    if isinstance(place, LocalUri | S3Uri):
        import registry

        use_place()
        return registry.MlflowClient(read_only=True), place
    client = open_client()
    if isinstance(place, RunUri):
        place = RunUri(find_run(client, place.run_id).info.run_id, place.path)
    return client, place


def _walk(client: "MlflowClient", place: Uri, above: str, *, recursive: bool) -> "Iterator[FileInfo]":
    from dataclasses import replace

    from registry.client.artifacts.downloads import listing

    for file in listing(client, place, relative=True):
        path = f"{above}{file.path}"
        yield replace(file, path=f"{path}/" if file.is_dir else path)
        if recursive and file.is_dir:
            inner = parse(f"{str(place).rstrip('/')}/{file.path}")
            yield from _walk(client, inner, f"{path}/", recursive=True)


_COLUMNS: Final[tuple["Column[FileInfo]", ...]] = (
    Column("path", lambda file: file.path, whole=True),
    Column("size", lambda file: None if file.is_dir else size(file.file_size), whole=True, right=True),
)
