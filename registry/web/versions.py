"""The page of a model version: what it is, where it comes from, whether its bytes are whole, and how to load it."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from registry.blobs import explain_adopted
from registry.client import MlflowClient
from registry.client.artifacts.model_info import model_info
from registry.client.models.loading import check_files
from registry.entities.manifest import Manifest
from registry.entities.model_registry import ModelVersion, ResolvedModel
from registry.entities.stages import ACTIVE_STAGES, ALL_STAGES
from registry.exceptions import IntegrityError, RegistryError
from registry.uris import LoggedModelUri, ModelVersionUri
from registry.web.artifacts import sealed_file
from registry.web.inbox import why_no_approval
from registry.web.lineage import Lineage, read_lineage
from registry.web.pages import client_of, render

if TYPE_CHECKING:
    from registry.flavors import ModelInfo

_SHOWN_BYTES: Final = 100_000
_SHOWN_FILES: Final = 500
_EVENTS: Final = 50


@dataclass(frozen=True, slots=True)
class Contents:
    """What the files of a version say; `problem` is why they cannot be read, if so."""

    info: "ModelInfo | None" = None
    example: str | None = None
    requirements: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Snippet:
    """Lines to copy, and what they do."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class VersionPage:
    """Everything that the template shows of a version."""

    version: ModelVersion
    model: ResolvedModel
    manifest: Manifest
    contents: Contents
    lineage: Lineage
    snippets: Sequence[Snippet]
    signed_by: Sequence[str] = field(default_factory=tuple)


def show_version(request: Request) -> Response:
    """Show a version."""
    client, name, number = _target(request)
    page = read_version(client, name, number)
    overview = client.backend.overview
    events = overview.events(name=name, version=number, limit=_EVENTS)
    return render(
        request,
        "version.html",
        page=page,
        version=page.version,
        held=[one.tenure for one in overview.tenures_of_version(name, number, newest=_EVENTS)],
        began={published.event.time_us: published.event for published in events},
        events=events,
        shown_files=_SHOWN_FILES,
        stages=[stage for stage in reversed(ALL_STAGES) if stage != page.version.current_stage],
        guarded=[stage for stage in ACTIVE_STAGES if client.get_promotion_rules(name, stage)],
        why_no_approval=why_no_approval(request),
    )


def read_version(client: MlflowClient, name: str, number: int) -> VersionPage:
    """Read a version with its files and relatives.

    Raises:
        VersionNotFoundError: There is no such version.
    """
    version = client.get_model_version(name, number)
    model = client.resolve(str(ModelVersionUri(name, number)))
    manifest = client.backend.logged_models.manifest(model.model_id)
    contents = read_contents(client, model, manifest)
    lineage = read_lineage(client, version)
    signed_by = sorted(client.backend.signatures.all(model.model_id))
    return VersionPage(version, model, manifest, contents, lineage, _snippets(version, contents), signed_by)


def read_contents(client: MlflowClient, model: ResolvedModel, manifest: Manifest) -> Contents:
    """Read the MLmodel file, the input example and the requirements of a version; no code of it runs."""
    entries = {entry.path: entry for entry in manifest.entries}
    if "MLmodel" not in entries:
        return Contents(problem="There is no MLmodel file among its files, so nothing is known of its signature.")

    def text(path: object) -> str | None:
        entry = entries.get(path) if isinstance(path, str) else None
        if entry is None or entry.size > _SHOWN_BYTES:
            return None
        return sealed_file(client, model, entry).read(_SHOWN_BYTES).decode("utf-8", "replace")

    try:
        info = model_info(client, LoggedModelUri(model.model_id))
        example = text((info.saved_input_example_info or {}).get("artifact_path"))
        return Contents(info, example and _pretty(example), text("requirements.txt"))
    except RegistryError as error:
        return Contents(problem=error.message)


def verify_version(request: Request) -> Response:
    """Read every file of a version, and say whether the bytes are those that were registered."""
    client, name, number = _target(request)
    version, model = client.get_model_version(name, number), client.resolve(str(ModelVersionUri(name, number)))
    manifest = client.backend.logged_models.manifest(model.model_id)
    problem, is_listed = None, True
    try:
        with explain_adopted(model.location, is_adopted=model.is_adopted):
            is_listed = check_files(client.backend.blobs(model.location), manifest)
        client.verify(name)
    except IntegrityError as error:
        problem = error.message
    return render(request, "verified.html", version=version, manifest=manifest, problem=problem, is_listed=is_listed)


def _target(request: Request) -> tuple[MlflowClient, str, int]:
    return client_of(request), request.path_params["name"], request.path_params["version"]


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _snippets(version: ModelVersion, contents: Contents) -> list[Snippet]:
    uri = f"models:/{version.name}/{version.version}"
    flavors: Any = contents.info.flavors if contents.info else {}
    native = [name for name in flavors if name != "python_function" and str(name).isidentifier()]
    loads = [f"model = registry.{name}.load_model({uri!r})" for name in native[:1]]
    if "python_function" in flavors or not native:
        loads.append(f"predictor = registry.pyfunc.load_model({uri!r})")
    place = shlex.quote(f"{version.name}/{version.version}")
    return [
        Snippet("In Python", "\n".join(["import registry", "", *loads])),
        Snippet(
            "Whatever is in Production",
            f"import registry\n\nmodel = registry.pyfunc.load_model({f'models:/{version.name}/Production'!r})",
        ),
        Snippet(
            "On the command line",
            f"registry versions show {place}\nregistry artifacts download {place} -d model\n"
            f"registry models predict {place} -i rows.csv",
        ),
    ]


routes: Final = [
    Route("/models/{name}/{version:int}", show_version),
    Route("/models/{name}/{version:int}/verify", verify_version),
]
