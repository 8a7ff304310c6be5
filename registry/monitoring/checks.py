"""`check`: hold what a version saw in a window against a reference, and log the result as a run.

Guarantees: a check changes nothing of the registered model and takes none of its locks.
"""

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from registry.client import MlflowClient
from registry.entities import Metric, RunTag
from registry.entities.model_registry import ResolvedModel
from registry.entities.times import check_duration, format_milliseconds
from registry.exceptions import InvalidNameError, InvalidParameterError, InvalidTypeError, NotFoundError
from registry.fluent import state
from registry.monitoring.comparison import (
    FALSE_INCIDENTS,
    MINIMUM_ROWS,
    Sensitivity,
    alpha_of,
    check_detectors,
    compare_profiles,
)
from registry.monitoring.distributions import DISTRIBUTIONS_FILE, describe_distributions
from registry.monitoring.ground_truth import join_ground_truth
from registry.monitoring.incidents import outcome_of
from registry.monitoring.observations import read_window
from registry.monitoring.profiles import Profile
from registry.monitoring.references import Reference, find_reference
from registry.monitoring.report import REPORT_FILE, TARGET, DriftReport
from registry.monitoring.storage import CHECK, HOUR_MS, new_run, registered_version
from registry.validation.arguments import check_list
from registry.validation.values import now_ms

_VERSION: Final = re.compile(r"(?:version )?([0-9]{1,9})")
_NO_KEY: Final = re.compile(r"[^\w\-]")
_LONGEST_COLUMN: Final = 150
_LONGEST_SEGMENT: Final = 60
# A run holds the effects of the first so many results as metrics; the report holds all.
_MOST_METRICS: Final = 900


def check(
    name: str,
    *,
    stage: str | None = "Production",
    version: int | None = None,
    window: str = "7d",
    against: str | int = "reference",
    detectors: Sequence[str] | None = None,
    segments: Sequence[str] | None = None,
    every: str = "1d",
    false_incidents: float = FALSE_INCIDENTS,
    minimum_rows: int = MINIMUM_ROWS,
    thresholds: Mapping[str, float] | None = None,
    at: datetime | None = None,
    log: bool = True,
    client: MlflowClient | None = None,
) -> DriftReport:
    """Hold what a version saw in a window of time against a reference.

    Something drifted if it differs by more than chance explains, and by more than a threshold. Chance is judged so that
    where nothing drifted, on average `false_incidents` checks of a month find something, however many columns and
    detectors there are and however often is checked. Such a check may name several causes.

    Args:
        name: The registered model.
        stage: Check the version that is in this stage now.
        version: Check this version instead.
        window: The length of the window, such as ``7d`` or ``1h``; it is widened to whole hours.
        against: ``reference``: the version's reference profile. ``previous``: the window before. A version's number:
            the reference profile of that version.
        detectors: ``ks``, ``wasserstein``, ``psi``, ``jensen_shannon``, ``chi_squared``, ``missing``,
            ``new_categories``, ``range``, ``performance``, ``domain_classifier``, ``correlation``. Default: all but
            ``wasserstein`` and ``jensen_shannon``.
        segments: The columns whose values are looked at one by one, too, of those that the reference has as segments.
            Default: all of them.
        every: How often this check is made; together with the budget it decides how sure a finding must be.
        false_incidents: The budget: how many checks per month may find drift where there is none, on average.
        minimum_rows: With fewer rows in the window nothing is tested.
        thresholds: The least effects that count, by detector, instead of the detectors' own.
        at: The end of the window, a time with time zone. Default: now.
        log: Whether to log the report as a run of the experiment ``monitoring/<name>``; `CheckedWithin` then finds it.
        client: The client of the registry. Default: that of the tracking URI.

    Returns:
        The report. What could not be computed is in it too, with the reason.

    Raises:
        NotFoundError: There is no such model or version, the stage is empty, or the version has no reference.
        InvalidParameterError: An argument is malformed.
        MissingDependencyError: scipy or pyarrow is not installed.

    Example:
        >>> _ = mlflow.monitoring.set_reference("models:/churn/2", X, predictions=model.predict(X))
        >>> mlflow.monitoring.log_inference("models:/churn/2", X + 9, model.predict(X + 9))
        >>> report = mlflow.monitoring.check("churn", window="1h", minimum_rows=20)
        >>> report.drifted, report.causes[0]
        (True, 'input/rating_gap:distribution')
    """
    client, begun = state.client() if client is None else client, now_ms()
    settings = CheckSettings(window, against, detectors, segments, every, false_incidents, minimum_rows, thresholds, at)
    compared = compare(client, name, settings, stage=stage, version=version)
    if not log:
        return compared.report
    logged = log_report(client, compared)
    client.backend.monitors.log_check(name, outcome_of(logged, begun))
    return logged


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """What a check compares and how sure it must be: arguments of `check`, which describes them."""

    window: str = "7d"
    against: str | int = "reference"
    detectors: Sequence[str] | None = None
    segments: Sequence[str] | None = None
    every: str = "1d"
    false_incidents: float = FALSE_INCIDENTS
    minimum_rows: int = MINIMUM_ROWS
    thresholds: Mapping[str, float] | None = None
    at: datetime | None = None

    def sensitivity(self) -> Sensitivity:
        """Return what counts as drift.

        Raises:
            InvalidParameterError: A setting is malformed.
        """
        if type(self.minimum_rows) is not int or self.minimum_rows < 2:
            raise InvalidParameterError(f"minimum_rows must be an integer of 2 or more, got {self.minimum_rows!r}.")
        thresholds = dict(self.thresholds or {})
        if thresholds:
            check_detectors(list(thresholds))
        for detector, least in thresholds.items():
            if isinstance(least, bool) or not isinstance(least, int | float) or not least >= 0:
                raise InvalidParameterError(
                    f"The threshold of {detector} must be a number of 0 or more, got {least!r}."
                )
        return Sensitivity(alpha_of(self.every, self.false_incidents), self.minimum_rows, thresholds)

    def hours(self) -> tuple[int, int]:
        """Return begin and end of the window in milliseconds since the epoch, widened to whole hours.

        Raises:
            InvalidParameterError: The window is no positive duration.
            InvalidTypeError: Its end is no time with time zone.
        """
        length = check_duration(self.window, "window", positive=True)
        if self.at is not None and (not isinstance(self.at, datetime) or self.at.utcoffset() is None):
            raise InvalidTypeError(f"at must be a datetime with a time zone, got {self.at!r}.")
        end = now_ms() if self.at is None else int(self.at.timestamp() * 1000)
        start = end - length // timedelta(milliseconds=1)
        # Until now means with this hour: what was logged just now is part of it.
        last = end // HOUR_MS + 1 if self.at is None else -(-end // HOUR_MS)
        return start // HOUR_MS * HOUR_MS, last * HOUR_MS


@dataclass(frozen=True, slots=True)
class Compared:
    """A report that is not logged yet, and the profiles that it compares."""

    report: DriftReport
    reference: Profile
    window: Profile


def compare(
    client: MlflowClient,
    name: str,
    settings: CheckSettings,
    *,
    stage: str | None = "Production",
    version: int | None = None,
) -> Compared:
    """Compare as `check` does, and log nothing."""
    if isinstance(name, str) and name.startswith("models:/"):
        raise InvalidNameError(f"{name!r} is a URI; give the name of the model alone, and `stage` or `version`.")
    detectors, sensitivity = check_detectors(settings.detectors), settings.sensitivity()
    start, end = settings.hours()
    stage = None if version is not None else stage
    resolved = client.resolve(f"models:/{name}/{version if stage is None else stage}")
    number = registered_version(resolved, name)[1]
    observed = read_window(client, name, number, start, end)
    reference, described = _reference(client, resolved, settings.against, start, end)
    seen = _add_truth(observed.profile, join_ground_truth(client, name, number, start, end, reference.profile))
    results = compare_profiles(_only_segments(reference.profile, settings.segments), seen, detectors, sensitivity)
    report = DriftReport(
        name=name,
        version=number,
        model_id=resolved.model_id,
        stage=stage,
        window_start=start,
        window_end=end,
        against=described,
        against_digest=reference.sha256,
        rows=seen.rows,
        reference_rows=reference.profile.rows,
        alpha=sensitivity.alpha,
        results=results,
        digest_of_data=observed.sha256,
    )
    return Compared(report, reference.profile, seen)


def _reference(
    client: MlflowClient, resolved: ResolvedModel, against: Any, start: int, end: int
) -> tuple[Reference, str]:
    name, version = registered_version(resolved, resolved.name)
    if against == "previous":
        before = read_window(client, name, None, start - (end - start), start)
        truth = join_ground_truth(client, name, None, start - (end - start), start, before.profile)
        return Reference(_add_truth(before.profile, truth), before.sha256), "previous"
    model_id, described = resolved.model_id, "reference"
    if against != "reference":
        matched = _VERSION.fullmatch(str(against))
        if matched is None or isinstance(against, bool):
            raise InvalidParameterError(
                f"against must be 'reference', 'previous' or the number of a version, got {against!r}."
            )
        version = int(matched[1])
        model_id, described = client.resolve(f"models:/{name}/{version}").model_id, f"version {version}"
    reference = find_reference(client, model_id)
    if reference is None:
        raise NotFoundError(
            f"Version {version} of {name!r} has no reference. Set one with registry.monitoring.set_reference("
            f"'models:/{name}/{version}', data, predictions), or check against='previous'."
        )
    return reference, described


def _add_truth(seen: Profile, truth: Profile | None) -> Profile:
    """Return a window's profile with the targets and the performance of the rows whose true values are known."""
    if truth is None:
        return seen
    targets = tuple(column for column in truth.columns if column.role == TARGET)
    segments = {key: _add_truth(segment, truth.segments.get(key)) for key, segment in seen.segments.items()}
    return replace(seen, columns=(*seen.columns, *targets), performance=truth.performance, segments=segments)


def _only_segments(reference: Profile, columns: Sequence[str] | None) -> Profile:
    if columns is None:
        return reference
    names = check_list(columns, "segments", str)
    unknown = [name for name in names if name not in reference.segment_columns]
    if unknown:
        known = ", ".join(reference.segment_columns) or "none"
        raise InvalidParameterError(
            f"The reference has no segments of {unknown[0]!r}; it has {known}. Set a reference with segments=[…]."
        )
    return replace(reference, segments={key: one for key, one in reference.segments.items() if key[0] in names})


def log_report(client: MlflowClient, compared: Compared) -> DriftReport:
    """Log a report and the distributions that it compares as a finished run; return the report with the run's id."""
    report, begun = compared.report, now_ms()
    tags = {
        "registry.monitoring.version": str(report.version),
        "registry.monitoring.stage": report.stage or "",
        "registry.monitoring.against": report.against,
        "registry.monitoring.drifted": str(report.drifted).lower(),
        "registry.monitoring.digest": report.digest(),
    }
    moment = format_milliseconds(report.window_end)
    run = new_run(client, report.name, CHECK, f"check until {moment}", tags, begun)
    run_id = run.info.run_id
    logged = report.with_run(run_id)
    metrics = {"drifted": float(report.drifted), "causes": float(len(report.causes)), "rows": float(report.rows)}
    for result in report.results:
        if result.effect is not None and len(metrics) < _MOST_METRICS:
            within = f"/{_NO_KEY.sub('_', result.segment[:_LONGEST_SEGMENT])}" if result.segment else ""
            column = _NO_KEY.sub("_", result.column[: _LONGEST_COLUMN - len(within)])
            metrics.setdefault(f"effect/{result.role}/{column}/{result.detector}{within}", result.effect)
    points = [Metric(key, value, report.window_end, 0) for key, value in metrics.items()]
    client.log_batch(run_id, points, (), [RunTag("registry.monitoring.causes", ", ".join(report.causes)[:5_000])])
    content = json.dumps(logged.to_dict(), indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    client.log_stream(run_id, io.BytesIO(content.encode()), REPORT_FILE)
    distributions = describe_distributions(compared.reference, compared.window).to_json()
    client.log_stream(run_id, io.BytesIO(distributions.encode()), DISTRIBUTIONS_FILE)
    client.set_terminated(run_id)
    return logged
