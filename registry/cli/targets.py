"""Targets: how a command line names a version, a run, an experiment or a stage.

A version is ``churn/7``, ``churn/Production``, ``churn@champion`` or ``churn/latest``, with ``models:/`` before it or
not. A run is its id, the first 4 characters or more of it, or ``EXPERIMENT/run-name``. An experiment is its name or id.
"""

import os
import re
from typing import TYPE_CHECKING, Final

import typer

from registry.entities.stages import ACTIVE_STAGES, ALL_STAGES
from registry.exceptions import (
    ExperimentNotFoundError,
    InvalidNameError,
    InvalidParameterError,
    ModelNotFoundError,
    RunNotFoundError,
)
from registry.validation.names import nearest

if TYPE_CHECKING:
    from registry import MlflowClient
    from registry.entities import Experiment, Run
    from registry.entities.model_registry import ModelVersion

_MODELS: Final = "models:/"
_RUN_ID: Final = re.compile(r"[0-9a-f]{32}")
_LEAST_PREFIX: Final = 4
_PREFIX: Final = re.compile(rf"[\w\-]{{{_LEAST_PREFIX},}}")
_VERSION: Final = re.compile(r"(?P<name>[^/:@?]+)(?:/(?P<place>[^/:@?]+)|@(?P<alias>[^/:@?]+))")
_SHOWN_CANDIDATES: Final = 5


def split_version(text: str) -> tuple[str, str | None, str | None]:
    """Return the name, the number or stage, and the alias of a version's target.

    Raises:
        InvalidNameError: The text names no version.
    """
    written = text.removeprefix(_MODELS)
    match = _VERSION.fullmatch(written)
    if match is None:
        name, question, _ = written.partition("?at=")
        past = f" For that time: registry artifacts resolve '{_MODELS}{written}'." if question and "/" in name else ""
        raise InvalidNameError(
            f"{text!r} names no version. Write churn/7, churn/Production, churn@champion or churn/latest.{past}"
        )
    return match["name"], match["place"], match["alias"]


def find_version(client: "MlflowClient", text: str) -> "ModelVersion":
    """Return the version that a target names.

    Raises:
        InvalidNameError: The text names no version.
        ModelNotFoundError, VersionNotFoundError, AliasNotFoundError: There is no such version.
    """
    name, place, alias = split_version(text)
    if alias is not None:
        return client.get_model_version_by_alias(name, alias)
    assert place is not None  # noqa: S101 - the pattern has one or the other
    if place.isascii() and place.isdigit():
        return client.get_model_version(name, place)
    if place.lower() != "latest":
        place = parse_stage(place, ("latest", *ALL_STAGES))
    number = client.resolve(f"{_MODELS}{name}/{place}").version
    assert number is not None  # noqa: S101 - a version has a number
    return client.get_model_version(name, number)


def model_name(text: str) -> str:
    """Return the name of a registered model, written with ``models:/`` before it or not.

    Raises:
        InvalidNameError: The text is a URI, or names a version.
    """
    name = text.removeprefix(_MODELS)
    if match := _VERSION.fullmatch(name):
        raise InvalidNameError(f"{text!r} names a version; give the name of the model alone: {match['name']}.")
    if "/" in name and ":" in name:
        raise InvalidNameError(f"{text!r} is a URI where the name of a registered model is expected.")
    return name


def model_uri(text: str) -> str:
    """Return a target as a URI: a version's gets ``models:/`` before it, anything else stays.

    ``build/model`` is a path if it exists; ``churn/7`` is a version even then, and ``./churn/7`` the path.
    """
    match = _VERSION.fullmatch(text)
    if match is None or match["name"] in (".", "..", "~"):
        return text
    place = (match["place"] or "").lower()
    is_version = match["alias"] is not None or place.isdigit() or place in ("latest", *map(str.lower, ALL_STAGES))
    # Path.exists raises an error for a name that is too long to be one.
    is_path = not is_version and os.path.exists(text)  # noqa: PTH110
    return text if is_path else f"{_MODELS}{text}"


def parse_stage(text: str, known: "tuple[str, ...]" = ALL_STAGES) -> str:
    """Return the canonical name of a stage, written in any case.

    Raises:
        InvalidParameterError: There is no such stage; the message names the nearest.
    """
    for stage in known:
        if stage.lower() == text.lower():
            return stage
    close = nearest(text, known)
    raise InvalidParameterError(f"There is no stage {text!r}.{close} There are {', '.join(known)}.")


def parse_guarded_stage(text: str) -> str:
    """Return the canonical name of Staging or Production."""
    stage = parse_stage(text)
    if stage not in ACTIVE_STAGES:
        raise InvalidParameterError(f"The stage {stage} has no holder; use {' or '.join(ACTIVE_STAGES)}.")
    return stage


def find_experiment(client: "MlflowClient", name_or_id: str) -> "Experiment":
    """Return the experiment of this name, or else of this id.

    Raises:
        ExperimentNotFoundError: Neither exists.
    """
    experiment = client.get_experiment_by_name(name_or_id)
    if experiment is not None:
        return experiment
    if name_or_id.isascii() and name_or_id.isdigit():
        return client.get_experiment(name_or_id)
    close = nearest(name_or_id, (experiment.name for experiment in client.search_experiments()))
    raise ExperimentNotFoundError(
        f"There is no experiment named {name_or_id!r}.{close} 'registry experiments list' shows all."
    )


def find_run(client: "MlflowClient", text: str) -> "Run":
    """Return the run that a target names.

    Raises:
        RunNotFoundError: There is none.
        typer.BadParameter: There are several; the message lists them.
    """
    if _RUN_ID.fullmatch(text):
        return client.get_run(text)
    candidates = _runs_named(client, text) if "/" in text else _runs_beginning(client, text)
    if len(candidates) > 1:
        listed = ", ".join(f"{run.info.run_id} ({run.info.run_name})" for run in candidates[:_SHOWN_CANDIDATES])
        rest = "" if len(candidates) <= _SHOWN_CANDIDATES else " and more"
        raise typer.BadParameter(f"{text!r} may be {listed}{rest}. Write more of the id.", param_hint="RUN")
    if candidates:
        return candidates[0]
    if len(text) < _LEAST_PREFIX:
        raise RunNotFoundError(
            f"Run with id={text} not found. The beginning of an id has {_LEAST_PREFIX} characters or more."
        )
    return client.get_run(text)  # an id of another form, or the error that there is none


def find_runs(client: "MlflowClient", texts: "list[str]") -> "list[Run]":
    """Return the runs that targets name."""
    return [find_run(client, text) for text in texts]


def _runs_named(client: "MlflowClient", text: str) -> "list[Run]":
    """Return the runs of ``EXPERIMENT/run-name``; either name may have slashes of its own."""
    pieces = text.split("/")
    for at in range(len(pieces) - 1, 0, -1):
        experiment = client.get_experiment_by_name("/".join(pieces[:at]))
        if experiment is not None:
            name = "/".join(pieces[at:]).replace("'", "''")
            return list(client.search_runs([experiment.experiment_id], f"attributes.run_name = '{name}'"))
    raise RunNotFoundError(f"There is no run {text!r}: no experiment has the name before the slash.")


def _runs_beginning(client: "MlflowClient", text: str) -> "list[Run]":
    if not _PREFIX.fullmatch(text):
        return []
    from registry.entities import ViewType

    escaped = text.replace("'", "''")
    found = client.search_runs(
        all_experiment_ids(client), f"attributes.run_id LIKE '{escaped}%'", ViewType.ALL, max_results=50
    )
    exact = [run for run in found if run.info.run_id == text]
    return exact or [run for run in found if run.info.run_id.startswith(text)]


def all_experiment_ids(client: "MlflowClient") -> list[str]:
    """Return the ids of all experiments, deleted ones included."""
    from registry.entities import ViewType
    from registry.entities.paging import all_pages

    experiments = all_pages(lambda token: client.search_experiments(ViewType.ALL, page_token=token))
    return [experiment.experiment_id for experiment in experiments]


def run_or_version(client: "MlflowClient", text: str) -> str:
    """Return what `MlflowClient.compare` takes: a run's id, or the URI of a version."""
    if text.startswith(_MODELS):
        return text
    match = _VERSION.fullmatch(text)
    if match is not None:
        try:
            version = find_version(client, text)
        except (ModelNotFoundError, InvalidParameterError):
            if match["alias"] is not None:
                raise
        else:
            return f"{_MODELS}{version.name}/{version.version}"
    return find_run(client, text).info.run_id
