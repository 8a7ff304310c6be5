"""What the readers of other trackers share: they have runs, and neither logged nor registered models."""

import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from registry.client.byte_stores import open_store
from registry.mlflow_bridge.source import Files, SourceExperiment, SourceLoggedModel, SourceModel
from registry.store.transfer.outside_runs import Series


class RunsOnlySource:
    """A source without models; its temporary directories are removed when it is closed."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.left_values: Counter[str] = Counter()
        self.series_of_runs: dict[str, list[Series]] = {}
        self.closing = contextlib.ExitStack()

    def make_directory(self) -> Path:
        """Return a new temporary directory."""
        directory = Path(tempfile.mkdtemp(prefix="registry-import-"))
        self.closing.callback(shutil.rmtree, directory, ignore_errors=True)
        return directory

    def open_directory(self, directory: Path) -> Files:
        """Return the files of a directory; none if it does not exist, as not every run has one."""
        return Files(open_store(str(directory if directory.is_dir() else self.make_directory())))

    def series(self, run_ids: Sequence[str]) -> Iterator[tuple[str, list[Series]]]:
        """Yield the metric histories of runs."""
        for run_id in run_ids:
            yield run_id, self.series_of_runs.pop(run_id)

    def files(self, location: str, *, run_id: str | None = None, model_id: str | None = None) -> Files:  # noqa: ARG002
        """Return the files at a location; no version names any."""
        return Files(open_store(location))

    def logged_models(self, experiment: SourceExperiment, *, deleted: bool) -> Iterator[SourceLoggedModel]:  # noqa: ARG002
        """Yield nothing."""
        yield from ()

    def registered_models(self) -> Iterator[SourceModel]:
        """Yield nothing."""
        yield from ()

    def left_out(self) -> list[str]:
        """Return which runs and values could not be read."""
        return self.problems

    def remarks(self) -> list[str]:
        """Return which values are no metrics here."""
        if not self.left_values:
            return []
        keys = ", ".join(f"{key!r}" for key in sorted(self.left_values)[:10])
        return [
            f"{self.left_values.total()} values that are no numbers were left out of the metrics ({keys}); images and "
            "other media are among the files of the runs."
        ]

    def close(self) -> None:
        """Close what is open, and remove temporary directories."""
        self.closing.close()
