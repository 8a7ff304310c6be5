"""Where a model version comes from and where it went: feature pipelines, data, run, copies, and what shares them.

A feature pipeline is what made the features of the run: a logged model that is an input of the run, the tag
``feature_pipeline`` of a data set's use, or the program that a data set names as its source.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from registry.client import MlflowClient
from registry.datasets.sources import CodeDatasetSource, source_of
from registry.entities.dataset import DatasetInput
from registry.entities.model_registry import ModelVersion
from registry.entities.run import Run
from registry.exceptions import InvalidParameterError, InvalidUriError, LoggedModelNotFoundError, RunNotFoundError
from registry.store.registry.overview import RelatedVersion
from registry.uris import ModelVersionUri, parse_models
from registry.web.pages import url

PIPELINE_TAG: Final = "feature_pipeline"
_MAX_PIPELINES: Final = 10
_PROGRAM: Final = "mlflow.source.name"
_COMMIT: Final = "mlflow.source.git.commit"


@dataclass(frozen=True, slots=True)
class FeaturePipeline:
    """What made the features of a run; `link` leads to it, if it is in this registry."""

    name: str
    kind: str
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a version comes from, and which versions are copies of it, have its bytes, or used its data."""

    run: Run | None = None
    pipelines: Sequence[FeaturePipeline] = ()
    origin: str | None = None
    copies: Sequence[RelatedVersion] = ()
    same_bytes: Sequence[RelatedVersion] = ()
    same_data: Sequence[RelatedVersion] = ()


def read_lineage(client: MlflowClient, version: ModelVersion) -> Lineage:
    """Return the lineage of a version."""
    overview, here = client.backend.overview, (version.name, version.version)
    same = overview.with_same_bytes(version.digest) if version.digest else []
    origin = next((one.origin for one in same if (one.name, one.version) == here), None)
    others = [one for one in same if (one.name, one.version) != here]
    uri = str(ModelVersionUri(version.name, int(version.version)))
    copies = [one for one in others if one.source == uri]
    same_bytes = [one for one in others if one.source != uri]
    run = find_run(client, version)
    if run is None:
        return Lineage(origin=origin, copies=copies, same_bytes=same_bytes)
    same_data = overview.with_same_data(run.info.run_id)
    pipelines = list(dict.fromkeys(islice(_find_pipelines(client, run), _MAX_PIPELINES)))
    return Lineage(run, pipelines, origin, copies, same_bytes, same_data)


def find_run(client: MlflowClient, version: ModelVersion) -> Run | None:
    """Return the run of a version; None if it has none, was copied from another registry, or gc removed the run."""
    try:
        return client.get_run(version.run_id) if version.run_id else None
    except RunNotFoundError:
        return None


def _find_pipelines(client: MlflowClient, run: Run) -> Iterator[FeaturePipeline]:
    for used in run.inputs.model_inputs:
        try:
            model = client.get_logged_model(used.model_id)
        except LoggedModelNotFoundError:
            yield FeaturePipeline(used.model_id, "logged model that is no longer here")
            continue
        link = url("runs", model.source_run_id, "artifacts", model.name) if model.source_run_id else None
        yield FeaturePipeline(model.name, "logged model", link)
    for dataset in run.inputs.dataset_inputs:
        yield from (_named(tag.value) for tag in dataset.tags if tag.key == PIPELINE_TAG)
        yield from _program(run, dataset)


def _named(text: str) -> FeaturePipeline:
    """Return a pipeline that a tag names; a ``models:`` URI of a version or a name leads to its page."""
    try:
        uri = parse_models(text)
    except InvalidUriError:
        return FeaturePipeline(text, "as tagged")
    name = getattr(uri, "name", None)
    link = url("models", name, *([uri.version] if isinstance(uri, ModelVersionUri) else [])) if name else None
    return FeaturePipeline(text, "registered model", link)


def _program(run: Run, used: DatasetInput) -> Iterator[FeaturePipeline]:
    """Yield the program that a data set names as its source, unless it is the run's own."""
    try:
        source = source_of(used.dataset)
    except InvalidParameterError:  # a source of another program's kind
        return
    if not isinstance(source, CodeDatasetSource):
        return
    program, commit = source.tags.get(_PROGRAM), source.tags.get(_COMMIT)
    if program and (program, commit) != (run.data.tags.get(_PROGRAM), run.data.tags.get(_COMMIT)):
        yield FeaturePipeline(program, f"program at commit {commit[:12]}" if commit else "program")
