"""Read the data of a command line: CSV, Parquet or JSON, as a DataFrame or a named data set."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from registry.cli import files
from registry.exceptions import ArtifactNotFoundError, InvalidParameterError, MissingDependencyError
from registry.package_name import install_command

if TYPE_CHECKING:
    import pandas as pd

    from registry.data import PandasDataset

DataFile = Annotated[
    str,
    typer.Argument(metavar="DATA", help="A file that ends with .csv, .parquet, .json or .jsonl; - is CSV on stdin."),
]
Targets = Annotated[str, typer.Option("--targets", metavar="COLUMN", help="The column with the true values.")]
DatasetName = Annotated[
    str | None,
    typer.Option("--name", metavar="NAME", help="The data set's name, for rules. By default that of the file."),
]
_ENDINGS: Final = (".csv", ".parquet", ".json", ".jsonl")


def read_dataset(file: str, targets: str, name: str | None, models: Sequence[str]) -> "PandasDataset":
    """Read a file as a data set for models; its name is that of the file without the ending.

    The numbers of CSV and JSON have no types of their own, so they get those of the models' signatures.

    Raises:
        ArtifactNotFoundError: There is no such file.
        InvalidParameterError: The file cannot be parsed, or has no such column.
        RegistryError: A model is missing or cannot be read.
    """
    import registry

    source = None if file == files.STREAM else file
    chosen = name if name is not None else "stdin" if source is None else Path(file).stem
    frame = read_frame(file)
    if not file.lower().endswith(".parquet"):
        from registry.cli.prediction_files import fit_types

        for uri in models:
            signature = registry.models.get_model_info(uri).signature
            frame = fit_types(frame, signature.inputs if signature else None)
    return registry.data.from_pandas(frame, source, targets=targets, name=chosen)


def read_frame(file: str) -> "pd.DataFrame":
    """Read a file as a DataFrame.

    Raises:
        ArtifactNotFoundError: There is no such file.
        InvalidParameterError: The file has another ending, or cannot be parsed.
    """
    import pandas as pd

    suffix = ".csv" if file == files.STREAM else Path(file).suffix.lower()
    if suffix not in _ENDINGS:
        raise InvalidParameterError(f"The data {file!r} must be a file that ends with {', '.join(_ENDINGS)}.")
    try:
        with files.open_input(file, "The data", ".csv") as path:
            if suffix == ".csv":
                check_fields(path)
                return pd.read_csv(path)
            if suffix == ".parquet":
                return pd.read_parquet(path)
            return pd.read_json(path, lines=suffix == ".jsonl")
    except FileNotFoundError as error:
        raise ArtifactNotFoundError(f"There is no file {file!r}.") from error
    except ImportError:
        raise MissingDependencyError(f"Parquet needs pyarrow: {install_command('arrow')}.") from None
    # pandas and pyarrow say in many ways that a file is no table.
    except (OSError, ValueError, TypeError) as error:
        raise InvalidParameterError(f"The data {file!r} cannot be read: {error}") from error


def check_fields(path: Path) -> None:
    """Check that the first row of a CSV file has no more fields than the header; pandas would take them for an index.

    Raises:
        ValueError: It has, so every value would stand in the column beside its own. Later rows pandas checks itself.
    """
    import pandas as pd

    if path.is_file():  # what comes from a pipe can be read only once
        pd.read_csv(path, header=None, nrows=2, dtype=object)
