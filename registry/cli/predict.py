"""``registry models predict``: predictions for the rows of a file."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

import registry
from registry.cli import invocation, output
from registry.cli.artifacts import FilesUri, open_uri
from registry.cli.files import STREAM, create_output, open_input
from registry.cli.models import app
from registry.cli.prediction_files import FileFormat, format_of, read_data, write_predictions
from registry.exceptions import InvalidParameterError


@app.command(
    "predict",
    examples=[
        "registry models predict churn/Production -i customers.csv -o scores.csv",
        "cat rows.json | registry models predict churn@champion -i - --input-format json",
    ],
)
def predict(
    uri: FilesUri,
    file: Annotated[
        str, typer.Option("--input", "-i", metavar="FILE", help="CSV, Parquet or JSON by its name; - is stdin.")
    ] = STREAM,
    target: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="CSV, Parquet or JSON by its name; - is stdout.")
    ] = STREAM,
    input_format: Annotated[
        FileFormat | None,
        typer.Option("--input-format", metavar="FORMAT", help="csv, parquet or json. For stdin csv by default."),
    ] = None,
    output_format: Annotated[
        FileFormat | None,
        typer.Option(
            "--output-format", metavar="FORMAT", help="csv, parquet or json. For stdout that of the input by default."
        ),
    ] = None,
    params: Annotated[
        str | None, typer.Option("--params", metavar="JSON", help="""Params of predict, such as '{"top_k": 3}'.""")
    ] = None,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Consent to run code of the model's files, such as pickles.")
    ] = False,
    require_signature: Annotated[
        Path | None,
        typer.Option("--require-signature", metavar="KEY", help="Only a model that this public key (PEM) signed."),
    ] = None,
) -> None:
    """Predict for every row of a file, in this environment.

    JSON is in the forms of MLflow's scoring protocol (dataframe_split, dataframe_records, instances, inputs) or a list
    of records; as output it is {"predictions": [...]}.
    """
    reads = input_format or format_of(file) or _need_format(file, "--input-format", FileFormat.CSV)
    writes = output_format or format_of(target) or _need_format(target, "--output-format", _stdout_format(reads))
    if writes is FileFormat.PARQUET and target == STREAM and output.is_terminal():
        raise typer.BadParameter("Parquet is binary; give -o FILE, or pipe it.", param_hint="--output-format")
    _, place = open_uri(uri)
    model = registry.pyfunc.load_model(str(place), allow_code=allow_code or None, require_signature=require_signature)
    with open_input(file, "The data") as path:
        data, beside = read_data(path, reads, model.metadata.get_input_schema())
    predictions = model.predict(data, _params(params, beside))
    with create_output(target, f".{writes}") as path:
        write_predictions(predictions, path, writes)
    if target != STREAM:
        output.note(f"Wrote {_count(predictions)} to {target}.")


def _need_format(file: str, option: str, default: FileFormat) -> FileFormat:
    if file == STREAM:
        return default
    raise typer.BadParameter(f"The format of {file!r} is not known from its name; give {option}.", param_hint=option)


def _stdout_format(reads: FileFormat) -> FileFormat:
    asked = invocation.current()
    return FileFormat.JSON if asked.json else FileFormat.CSV if asked.csv else reads


def _params(text: str | None, beside: Any) -> dict[str, Any] | None:
    try:
        given = {} if text is None else json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"This is not JSON: {error}.", param_hint="--params") from None
    if not isinstance(given, dict) or not isinstance(beside or {}, dict):
        raise InvalidParameterError('Params are a JSON object, such as {"top_k": 3}.')
    return {**(beside or {}), **given} or None


def _count(predictions: Any) -> str:
    try:
        return f"{len(predictions)} predictions"
    except TypeError:
        return "the prediction"
