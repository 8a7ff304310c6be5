"""Act on models and versions: the pages that ask first, and the changes themselves.

Guarantees: a change of a stage or an alias names the holder that the page showed, so that two people do not undo each
other; a promotion shows the verdicts of its rules before it is asked for.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from registry.client import MlflowClient
from registry.entities.model_registry import ModelVersion
from registry.entities.stages import ACTIVE_STAGES, PRODUCTION, UNSET, Unset, active_stage, parse_stage
from registry.exceptions import (
    InUseError,
    InvalidParameterError,
    NoPreviousHolderError,
    PromotionRefusedError,
    StageConflictError,
)
from registry.web.pages import client_of, form_of, go_to, render, text_of, url

if TYPE_CHECKING:
    from registry.rules import Verdict


def ask_promotion(request: Request) -> Response:
    """Show what a promotion would do: the verdicts of the rules, and who holds the stage."""
    stage = parse_stage(request.query_params.get("stage", PRODUCTION))
    return _promotion_page(request, stage)


def promote(request: Request) -> Response:
    """Move a version to a stage; if that is refused, show why, with the stage as it is now."""
    client, name, number = _version(request)
    stage, reason = parse_stage(text_of(request, "stage")), text_of(request, "reason")
    if reason is None:
        return _promotion_page(request, stage, "Give a reason: the history keeps it.", 400)
    try:
        moved = client.transition_model_version_stage(
            name,
            number,
            stage,
            reason=reason,
            expected_current=_expected(request) if stage in ACTIVE_STAGES else UNSET,
            override="override" in form_of(request),
        )
    except PromotionRefusedError as error:
        return _promotion_page(request, stage, error.message, 403)
    except StageConflictError as error:
        return _promotion_page(
            request, stage, f"{error.message} This page shows the stage as it is now; nothing was changed.", 409
        )
    return go_to(url("models", name, number), f"Version {number} is in stage {moved.current_stage}.")


def _promotion_page(request: Request, stage: str, problem: str | None = None, status: int = 200) -> Response:
    client, name, number = _version(request)
    version = client.get_model_version(name, number)
    verdicts: Sequence[Verdict] = client.check_promotion(name, number, stage) if stage in ACTIVE_STAGES else []
    return render(
        request,
        "promote.html",
        status=status,
        version=version,
        stage=stage,
        holder=_holder(client, name, stage),
        leaves=version.current_stage if version.current_stage in ACTIVE_STAGES else None,
        verdicts=verdicts,
        is_allowed=all(verdict.passed for verdict in verdicts),
        problem=problem,
        reason=str(form_of(request).get("reason", "")) if request.method == "POST" else "",
    )


def ask_rollback(request: Request) -> Response:
    """Show which version a rollback would restore."""
    return _rollback_page(request, active_stage(request.query_params.get("stage", PRODUCTION)))


def roll_back(request: Request) -> Response:
    """Restore the version that the page named; if the stage has changed, show it as it is now."""
    client, name = client_of(request), request.path_params["name"]
    stage, reason = active_stage(str(text_of(request, "stage"))), text_of(request, "reason")
    if reason is None:
        return _rollback_page(request, stage, "Give a reason: the history keeps it.", 400)
    try:
        restored = client.rollback(
            name, stage, expected_current=_expected(request), to=text_of(request, "to"), reason=reason
        )
    except (StageConflictError, NoPreviousHolderError, InUseError) as error:
        return _rollback_page(request, stage, f"{error.message} Nothing was changed.", 409)
    return go_to(url("models", name), f"Version {restored.version} is in {stage} again.")


def _rollback_page(request: Request, stage: str, problem: str | None = None, status: int = 200) -> Response:
    client, name = client_of(request), request.path_params["name"]
    target: ModelVersion | None = None
    try:
        target = client.rollback(name, stage, dry_run=True)
    except (NoPreviousHolderError, InUseError) as error:
        problem = problem or error.message
    holder = _holder(client, name, stage)
    return render(
        request, "rollback.html", status=status, name=name, stage=stage, holder=holder, target=target, problem=problem
    )


def ask_registration(request: Request) -> Response:
    """Show the form that registers a model of a run."""
    client, run_id = client_of(request), request.query_params.get("run", "")
    run = client.get_run(run_id)
    names = client.backend.logged_models.names_in_run(run_id)
    known = [model.name for model in client.search_registered_models(max_results=1_000)]
    return render(request, "register.html", run=run, logged=names, known=known)


def register(request: Request) -> Response:
    """Register a logged model, or files of a run, as the next version of a model."""
    name = str(text_of(request, "name") or "")
    source = f"runs:/{text_of(request, 'run')}/{text_of(request, 'path') or ''}"
    version = client_of(request).register_model(source, name, reason=text_of(request, "reason"))
    return go_to(url("models", name, version.version), f"{source} is version {version.version} of {name}.")


def describe_model(request: Request) -> Response:
    """Set the description of a model."""
    client, name = client_of(request), request.path_params["name"]
    client.update_registered_model(name, _description(request), reason=text_of(request, "reason"))
    return go_to(url("models", name), "The description is saved.")


def describe_version(request: Request) -> Response:
    """Set the description of a version."""
    client, name, number = _version(request)
    client.update_model_version(name, number, _description(request), reason=text_of(request, "reason"))
    return go_to(url("models", name, number), "The description is saved.")


def tag_model(request: Request) -> Response:
    """Set a tag of a model."""
    client, name = client_of(request), request.path_params["name"]
    key, value = _tag(request)
    client.set_registered_model_tag(name, key, value, reason=text_of(request, "reason"))
    return go_to(url("models", name), f"The tag {key} is set.")


def untag_model(request: Request) -> Response:
    """Remove a tag of a model."""
    client, name = client_of(request), request.path_params["name"]
    key, _ = _tag(request)
    client.delete_registered_model_tag(name, key, reason=text_of(request, "reason"))
    return go_to(url("models", name), f"The tag {key} is removed.")


def tag_version(request: Request) -> Response:
    """Set a tag of a version."""
    client, name, number = _version(request)
    key, value = _tag(request)
    client.set_model_version_tag(name, number, key, value, reason=text_of(request, "reason"))
    return go_to(url("models", name, number), f"The tag {key} is set.")


def untag_version(request: Request) -> Response:
    """Remove a tag of a version."""
    client, name, number = _version(request)
    key, _ = _tag(request)
    client.delete_model_version_tag(name, number, key, reason=text_of(request, "reason"))
    return go_to(url("models", name, number), f"The tag {key} is removed.")


def set_alias(request: Request) -> Response:
    """Point an alias at a version."""
    client, name = client_of(request), request.path_params["name"]
    alias, number = str(text_of(request, "alias") or ""), str(text_of(request, "version") or "")
    client.set_registered_model_alias(name, alias, number, reason=text_of(request, "reason"))
    return go_to(url("models", name), f"@{alias} names version {number}.")


def delete_alias(request: Request) -> Response:
    """Remove an alias that still names the version that the page showed."""
    client, name = client_of(request), request.path_params["name"]
    alias = str(text_of(request, "alias") or "")
    client.delete_registered_model_alias(
        name, alias, reason=text_of(request, "reason"), expected_current=_expected(request)
    )
    return go_to(url("models", name), f"The alias @{alias} is removed.")


def rename(request: Request) -> Response:
    """Rename a model."""
    new = str(text_of(request, "name") or "")
    client_of(request).rename_registered_model(request.path_params["name"], new, reason=text_of(request, "reason"))
    return go_to(url("models", new), f"The model is called {new} now.")


def delete_model(request: Request) -> Response:
    """Delete a model whose name was written again."""
    name = request.path_params["name"]
    if text_of(request, "confirm") != name:
        raise InvalidParameterError("The name that was written is not the model's; nothing was deleted.")
    client_of(request).delete_registered_model(
        name, force="force" in form_of(request), reason=text_of(request, "reason")
    )
    return go_to("/models", f"{name} is deleted.")


def delete_version(request: Request) -> Response:
    """Delete a version; the model's page restores it."""
    client, name, number = _version(request)
    client.delete_model_version(name, number, force="force" in form_of(request), reason=text_of(request, "reason"))
    return go_to(url("models", name), f"Version {number} is deleted; 'Deleted versions' below restores it.")


def restore_version(request: Request) -> Response:
    """Restore a deleted version."""
    client, name, number = _version(request)
    client.restore_model_version(name, number, reason=text_of(request, "reason"))
    return go_to(url("models", name, number), f"Version {number} is back, in stage None.")


def _version(request: Request) -> tuple[MlflowClient, str, int]:
    return client_of(request), request.path_params["name"], request.path_params["version"]


def _holder(client: MlflowClient, name: str, stage: str) -> ModelVersion | None:
    return client.find_model_version_by_stage(name, stage) if stage in ACTIVE_STAGES else None


def _expected(request: Request) -> str | Unset | None:
    """Return the holder that the page showed: a version, None for an empty stage; UNSET if the form does not say."""
    form = form_of(request)
    return text_of(request, "expected") if "expected" in form else UNSET


def _description(request: Request) -> str:
    return str(form_of(request).get("description", ""))


def _tag(request: Request) -> tuple[str, Any]:
    return str(text_of(request, "key") or ""), str(form_of(request).get("value", ""))


def _post(path: str, change: Any) -> Route:
    return Route(path, change, methods=["POST"])


_MODEL: Final = "/models/{name}"
_VERSION: Final = "/models/{name}/{version:int}"
routes: Final = [
    Route("/register", ask_registration),
    _post("/register", register),
    Route(f"{_MODEL}/rollback", ask_rollback),
    _post(f"{_MODEL}/rollback", roll_back),
    _post(f"{_MODEL}/description", describe_model),
    _post(f"{_MODEL}/tags", tag_model),
    _post(f"{_MODEL}/tags/delete", untag_model),
    _post(f"{_MODEL}/aliases", set_alias),
    _post(f"{_MODEL}/aliases/delete", delete_alias),
    _post(f"{_MODEL}/rename", rename),
    _post(f"{_MODEL}/delete", delete_model),
    Route(f"{_VERSION}/promote", ask_promotion),
    _post(f"{_VERSION}/promote", promote),
    _post(f"{_VERSION}/description", describe_version),
    _post(f"{_VERSION}/tags", tag_version),
    _post(f"{_VERSION}/tags/delete", untag_version),
    _post(f"{_VERSION}/delete", delete_version),
    _post(f"{_VERSION}/restore", restore_version),
]
