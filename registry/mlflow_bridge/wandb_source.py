"""Read the runs that W&B wrote offline: directories ``offline-run-…`` and ``run-…`` with a log and files.

Guarantees: nothing is written to the source, and none of W&B's code runs.
"""

import contextlib
import hashlib
import json
import math
import shutil
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from registry.entities.portable_model import PortableRun
from registry.exceptions import IntegrityError, InvalidStateError, StorageError, UnsupportedStoreError
from registry.mlflow_bridge.flat_values import Histories, params_of, too_long, without_media
from registry.mlflow_bridge.renames import find_fault, propose
from registry.mlflow_bridge.runs_only import RunsOnlySource
from registry.mlflow_bridge.source import Files, SourceExperiment, SourceRun
from registry.mlflow_bridge.wandb_log import Value, read_fields, read_records, signed, text
from registry.validation.names import MAX_RUN_TAG_VALUE
from registry.validation.values import MAX_INTEGER

# Numbers of fields in W&B's messages; each name is that of the message and the field.
_HISTORY, _SUMMARY, _CONFIG, _STATS, _RUN, _EXIT, _ENVIRONMENT = 2, 3, 5, 7, 17, 18, 26
_RUN_TEXTS: Final = {
    1: "run_id",
    2: "entity",
    3: "project",
    6: "group",
    7: "job_type",
    8: "name",
    9: "notes",
    13: "host",
}
_RUN_CONFIG, _RUN_TAGS, _RUN_START, _RUN_GIT = 4, 10, 17, 21
_ENVIRONMENT_TEXTS: Final = {6: "program", 10: "email", 13: "username"}
_ENVIRONMENT_GIT: Final = 9
_TAGS: Final = ("entity", "project", "group", "job_type", "host")
_NO_PROJECT: Final = "uncategorized"


@dataclass(slots=True)
class _Run:
    """What the logs of one run say."""

    facts: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    start_time: int | None = None
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    histories: Histories = field(default_factory=Histories)
    exit_code: int | None = None
    runtime: int = 0
    last_time: int = 0
    samples: int = 0


class WandbSource(RunsOnlySource):
    """Offline runs of W&B below a directory; the runs of a project are an experiment."""

    system = "wandb"
    origin_tag = "wandb.project"

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._root = directory.absolute()
        self._logs: dict[str, dict[str, list[Path]]] = {}
        self._unfinished = 0
        self._files: dict[str, Path] = {}
        patterns = ("run-*.wandb", "*run-*/run-*.wandb", "wandb/*run-*/run-*.wandb")
        found = sorted({path for pattern in patterns for path in self._root.glob(pattern)})
        if not found:
            raise InvalidStateError(
                f"There are no runs of W&B's at {str(directory)!r}. Give the directory 'wandb' of a project, or one of "
                "its directories offline-run-…"
            )
        # A symlink such as latest-run leads to a run that is here anyway.
        for path in dict.fromkeys(path.resolve() for path in found):
            with self._noting():
                project, run_id = _identity(path)
                self._logs.setdefault(project, {}).setdefault(run_id, []).append(path)

    @property
    def uri(self) -> str:
        """Return the path of the directory."""
        return str(self._root)

    def experiments(self) -> list[SourceExperiment]:
        """Return the projects."""
        return [SourceExperiment(project, project, "") for project in sorted(self._logs)]

    def run_count(self) -> int:
        """Return the number of runs."""
        return sum(map(len, self._logs.values()))

    def runs(self, experiment: SourceExperiment, *, deleted: bool) -> Iterator[list[SourceRun]]:  # noqa: ARG002 - none is deleted
        """Yield the runs of a project, one at a time, as each is read as a whole."""
        for run_id, paths in self._logs[experiment.experiment_id].items():
            with self._noting():
                run = _Run()
                for path in paths:  # a run that was resumed offline has several logs
                    run.exit_code = None
                    for record in read_records(path):
                        _read_record(run, record)
                yield [self._source_run(experiment.name, run_id, paths, run)]
                self.series_of_runs.clear()

    def _source_run(self, project: str, wandb_id: str, paths: Sequence[Path], run: _Run) -> SourceRun:
        run_id = hashlib.sha256(f"wandb\0{project}\0{wandb_id}".encode()).hexdigest()[:32]
        facts = run.facts
        tags = {f"wandb.{key}": facts[key] for key in _TAGS if facts.get(key)}
        tags["wandb.run_id"] = wandb_id
        if run.tags:
            tags["wandb.tags"] = ",".join(run.tags)
        for tag, key in (
            ("mlflow.note.content", "notes"),
            ("mlflow.source.name", "program"),
            ("mlflow.source.git.commit", "commit"),
        ):
            if facts.get(key):
                tags[tag] = facts[key]
        tags |= self._add_summary(run)
        params = params_of({key: value for key, value in run.config.items() if key != "_wandb"})
        self.problems += too_long(f"the run {wandb_id}", params, tags)
        self.left_values += run.histories.left_out
        start = run.start_time or 0
        is_over = run.exit_code is not None
        self._unfinished += not is_over
        self.series_of_runs[run_id] = run.histories.series()
        self._files[run_id] = paths[-1].parent / "files"
        status = "RUNNING" if not is_over else "FINISHED" if run.exit_code == 0 else "FAILED"
        portable = PortableRun(
            run_id=run_id,
            experiment=project,
            name=facts.get("name") or wandb_id,
            user_id=facts.get("username") or facts.get("email") or facts.get("entity") or "",
            status=status,
            start_time=start,
            end_time=max(run.last_time, start + 1000 * run.runtime) if is_over else None,
            params=params,
            tags=tags,
        )
        return SourceRun(portable, str(self._files[run_id]))

    def _add_summary(self, run: _Run) -> dict[str, str]:
        """Add numbers of the summary that have no history as metrics; return the rest of what history lacks as tags."""
        tags = {}
        for key, value in without_media(run.summary)[0].items():
            if key.startswith("_"):
                continue
            last = run.histories.last(key)
            if isinstance(value, int | float) and last is None:
                run.histories.add(key, run.histories.last_step, run.last_time or run.start_time or 0, value)
            elif isinstance(value, str) and len(value) > MAX_RUN_TAG_VALUE:
                run.histories.left_out[key] += 1
            elif isinstance(value, str | int | float) and last != value and not _are_nan(last, value):
                tags[f"wandb.summary.{key}"] = value if isinstance(value, str) else repr(value)
        return tags

    def run_files(self, run: SourceRun) -> Files:
        """Return the files of a run. W&B links those that a script saves; they are copied to a temporary directory."""
        directory = self._files[run.run.run_id]
        if directory.is_dir() and any(path.is_symlink() for path in directory.rglob("*")):
            directory = self._files[run.run.run_id] = self._copy(directory)
        return self.open_directory(directory)

    def _copy(self, directory: Path) -> Path:
        target = self.make_directory()
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                copy = target / path.relative_to(directory)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
            elif path.is_symlink() and not path.exists():
                self.problems.append(f"The file {str(path)!r} is a link to a file that is gone; it was left out.")
        return target

    def remarks(self) -> list[str]:
        """Return what W&B's logs leave open, or keep that is no metric here."""
        remarks = super().remarks()
        if self._unfinished:
            remarks.append(
                f"{self._unfinished} runs have no end in their logs: they still run, or their process was killed. They "
                "are RUNNING here."
            )
        return remarks

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        """Note a log that cannot be read, and go on with the next one."""
        try:
            yield
        except (IntegrityError, StorageError, UnsupportedStoreError) as error:
            self.problems.append(error.message)
        except RecursionError:
            self.problems.append("A run of W&B's has values that are nested too deep; it was left out.")


def _are_nan(last: float | None, value: str | float) -> bool:
    return isinstance(value, float) and math.isnan(value) and last is not None and math.isnan(last)


def _identity(path: Path) -> tuple[str, str]:
    """Return project and id of the run of a log."""
    run = _Run()
    for record in read_records(path):
        for number, value in read_fields(record):
            if number == _RUN and isinstance(value, bytes):
                _read_run(run, value)
                if run.facts.get("run_id"):
                    return run.facts.get("project") or _NO_PROJECT, run.facts["run_id"]
    raise UnsupportedStoreError(f"The W&B log {str(path)!r} names no run; it was left out.")


def _read_record(run: _Run, record: bytes) -> None:
    for number, value in read_fields(record):
        if number in _READERS and isinstance(value, bytes):
            _READERS[number](run, value)


def _read_run(run: _Run, message: bytes) -> None:
    for number, value in read_fields(message):
        if number in _RUN_TEXTS:
            run.facts[_RUN_TEXTS[number]] = text(value)
        elif number == _RUN_TAGS:
            run.tags += [text(value)] if text(value) not in run.tags else []
        elif number == _RUN_START and run.start_time is None:
            run.start_time = _milliseconds(value)
        elif number == _RUN_CONFIG and isinstance(value, bytes):
            _read_config(run, value)
        elif number == _RUN_GIT:
            _read_git(run, value)


def _read_environment(run: _Run, message: bytes) -> None:
    for number, value in read_fields(message):
        if number in _ENVIRONMENT_TEXTS:
            run.facts[_ENVIRONMENT_TEXTS[number]] = text(value)
        elif number == _ENVIRONMENT_GIT:
            _read_git(run, value)


def _read_git(run: _Run, message: Value) -> None:
    for number, value in read_fields(message) if isinstance(message, bytes) else ():
        if number == 2:
            run.facts["commit"] = text(value)


def _read_config(run: _Run, message: bytes) -> None:
    _update(run.config, message)


def _read_summary(run: _Run, message: bytes) -> None:
    _update(run.summary, message)


def _update(target: dict[str, Any], message: bytes) -> None:
    """Apply the updates (1) and removals (2) of a config or summary."""
    for number, value in read_fields(message):
        if number not in (1, 2) or not isinstance(value, bytes):
            continue
        path, item = _read_item(value)
        above = target
        for part in path[:-1]:
            if not isinstance(above.get(part), dict):
                above[part] = {}
            above = above[part]
        if number == 1:
            above[path[-1]] = item
        else:
            above.pop(path[-1], None)


def _read_history(run: _Run, message: bytes) -> None:
    step: int | None = None
    values = {}
    for number, value in read_fields(message):
        if number == 1 and isinstance(value, bytes):
            path, item = _read_item(value)
            values[".".join(path)] = item
        elif number == 2 and isinstance(value, bytes):
            step = signed(next((inner for one, inner in read_fields(value) if one == 1), 0))
    given = values.get("_step")
    if isinstance(given, int) and abs(given) < MAX_INTEGER:
        step = given
    timestamp = values.get("_timestamp")
    at = run.last_time
    if isinstance(timestamp, int | float) and abs(timestamp) < MAX_INTEGER / 1000:
        at = round(1000 * timestamp)
    run.last_time = max(run.last_time, at)
    run.histories.add_row({key: value for key, value in values.items() if key[:1] != "_"}, step or 0, at)


def _read_stats(run: _Run, message: bytes) -> None:
    """Read a sample of the machine; the samples are numbered."""
    at, values = run.last_time, {}
    for number, value in read_fields(message):
        if number == 2:
            at = _milliseconds(value)
        elif number == 3 and isinstance(value, bytes):
            path, item = _read_item(value)
            # W&B escapes dots in the names of disks by a character that no key may have here.
            key = f"system/{'.'.join(path)}"
            values[key if find_fault("keys", key) is None else propose("keys", key)] = item
    run.histories.add_row(values, run.samples, at, moves_step=False)
    run.samples += 1


def _read_exit(run: _Run, message: bytes) -> None:
    numbers = {number: signed(value) for number, value in read_fields(message)}
    run.exit_code, run.runtime = numbers.get(1, 0), numbers.get(2, 0)


_READERS: Final = {
    _HISTORY: _read_history,
    _SUMMARY: _read_summary,
    _CONFIG: _read_config,
    _STATS: _read_stats,
    _RUN: _read_run,
    _EXIT: _read_exit,
    _ENVIRONMENT: _read_environment,
}


def _read_item(message: bytes) -> tuple[list[str], Any]:
    """Return the path and the value of an item: JSON (16, 8), or typed as newer clients write it (3 to 7)."""
    key, nested, item = "", [], None
    for number, value in read_fields(message):
        if number == 1:
            key = text(value)
        elif number == 2:
            nested.append(text(value))
        elif number in (8, 16):
            item = _parse(text(value))
        elif number == 4:
            item = bool(value)
        elif number == 5 and isinstance(value, int):
            item = (value >> 1) ^ -(value & 1)  # zigzag
        elif number == 6 and isinstance(value, bytes) and len(value) == 8:
            item = struct.unpack("<d", value)[0]
        elif number == 7:
            item = text(value)
    return nested or [key], item


def _parse(document: str) -> Any:
    try:
        return json.loads(document)
    except (ValueError, RecursionError):
        return document


def _milliseconds(message: Value) -> int:
    """Return a protobuf timestamp in milliseconds since the epoch."""
    parts = dict(read_fields(message)) if isinstance(message, bytes) else {}
    at = signed(parts.get(1)) * 1000 + signed(parts.get(2)) // 1_000_000
    return at if abs(at) < MAX_INTEGER else 0
