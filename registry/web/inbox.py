"""Approvals: what waits for the visitor's, and whether one given here would count."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from registry.exceptions import PermissionDeniedError
from registry.store.registry.open_approvals import OpenApproval
from registry.web.pages import client_of, form_of, go_to, render, rights_of, site_of, text_of, url, visitor_of


@dataclass(frozen=True, slots=True)
class Waiting:
    """A version that lacks approvals for a stage, and how many it needs."""

    item: OpenApproval
    needed: int

    @property
    def approvers(self) -> Sequence[str]:
        """Return who has approved it and counts: not the one who registered it."""
        return sorted(self.item.approvers - {self.item.registered_by})


def show_inbox(request: Request) -> Response:
    """Show the versions that wait for an approval: first those that the visitor's would help."""
    from registry.rules import Approvals, rules_from_json

    client = client_of(request)
    me = _name_that_counts(request)
    mine: list[Waiting] = []
    others: list[Waiting] = []
    for item in client.backend.overview.open_approvals():
        needed = max((rule.n for rule in rules_from_json(item.rules) if isinstance(rule, Approvals)), default=0)
        waiting = Waiting(item, needed)
        if len(waiting.approvers) < needed:
            (others if me in (item.registered_by, *item.approvers) else mine).append(waiting)
    return render(request, "inbox.html", mine=mine, others=others, why_not=why_no_approval(request))


def approve(request: Request) -> Response:
    """Approve a version for a stage.

    Raises:
        PermissionDeniedError: The approval would count for somebody else.
    """
    why_not = why_no_approval(request)
    if why_not is not None:
        raise PermissionDeniedError(why_not)
    name, number, stage = request.path_params["name"], request.path_params["version"], str(text_of(request, "stage"))
    client_of(request).approve(name, number, stage, reason=text_of(request, "reason"))
    back = "/inbox" if form_of(request).get("back") == "inbox" else url("models", name, number)
    return go_to(back, f"Version {number} of {name} is approved for {stage}.")


def why_no_approval(request: Request) -> str | None:
    """Return why an approval given on this page would not count for the visitor, or None if it does.

    PostgreSQL counts database users, and all visitors of a page with --auth come as one, unless the owner of the
    database trusts that user to name them.
    """
    rights = rights_of(request)
    if not site_of(request).auth.is_shared or rights.user is None or rights.speaks_for_others:
        return None
    return (
        f"Approvals in this database count database users, and everybody behind this page is the user {rights.user!r}. "
        "Approve with a database user of your own: registry versions approve MODEL/VERSION STAGE. Or let the owner of "
        f"the database trust this page: registry db grants --role promoter --to {rights.user} --speaks-for-others"
    )


def _name_that_counts(request: Request) -> str:
    rights, actor = rights_of(request), visitor_of(request).actor
    return actor if rights.speaks_for_others else rights.user or actor


routes: Final = [
    Route("/inbox", show_inbox),
    Route("/models/{name}/{version:int}/approve", approve, methods=["POST"]),
]
