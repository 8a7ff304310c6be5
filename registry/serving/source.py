"""Where a followed model comes from: which one its URI stands for now, how it is loaded, and whether it may take over.

Guarantees: the model whose signature was checked is the one that is loaded, whatever is promoted in between.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from registry.client.backend import Backend, open_backend
from registry.client.models.loading import resolve
from registry.exceptions import InvalidStateError
from registry.flavors import Model
from registry.rules.compatibility import incompatibilities
from registry.scoring.pinned import LoadOptions, PinnedModel, load_pinned, pin
from registry.serving.served_model import ServedModel
from registry.settings import current_settings
from registry.uris import LocalUri, LoggedModelUri, ModelAliasUri, ModelLatestUri, ModelStageUri, S3Uri, Uri

# A check that waits longer than this for an answer of the database is given up, and tried again.
_STATEMENT_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Identity:
    """What must change for a model to be loaded anew."""

    name: str | None
    version: int | None
    digest: str


@dataclass(frozen=True, slots=True)
class Source:
    """Where models come from, and how they are loaded."""

    uri: Uri
    tracking_uri: str
    base: Path | None
    options: LoadOptions
    require_signature: str | Path | None
    warm_up: bool
    allow_incompatible: bool

    @property
    def can_move(self) -> bool:
        """Tell whether the URI may come to stand for another model."""
        is_slot = isinstance(self.uri, ModelStageUri | ModelAliasUri) and self.uri.at is None
        return is_slot or isinstance(self.uri, ModelLatestUri)

    def backend(self) -> Backend:
        """Open the registry to read, without patience: a check that fails is repeated anyway."""
        settings = current_settings()
        limit = settings.statement_timeout_seconds
        limits = {
            "database_patience": 0,
            "statement_timeout_seconds": min(limit, _STATEMENT_SECONDS) if limit else _STATEMENT_SECONDS,
        }
        return open_backend(self.tracking_uri, settings.model_copy(update=limits), base=self.base, read_only=True)

    def find(self) -> Identity:
        """Return the model that the URI stands for now."""
        resolved = resolve(self.backend(), self.uri)
        return Identity(resolved.name, resolved.version, resolved.digest)

    def load(self, serving: ServedModel | None) -> ServedModel:
        """Load what the URI stands for now, and check that it can take over from the model that is serving."""
        pinned = self._pin()
        model = load_pinned(pinned, self.options)
        if serving is not None and not self.allow_incompatible:
            reasons = misfits(serving.metadata, model.metadata)
            if reasons:
                raise InvalidStateError(
                    f"{_shown(pinned)} cannot take over from {serving.uri}: {'; '.join(reasons)}. Promote a model that "
                    "callers can go on using, or follow with allow_incompatible=True."
                )
        if self.warm_up:
            model.predict_example()
        return ServedModel(pinned, model)

    def _pin(self) -> PinnedModel:
        uri = self.uri
        if isinstance(uri, LocalUri | S3Uri) or not self.can_move:
            return pin(str(uri), self.require_signature, open_registry=self.backend)
        # The signature is checked, and the files are listed, of the very model that the stage stands for now.
        resolved = resolve(self.backend(), uri)
        inner = getattr(uri, "path", None)
        exact = str(LoggedModelUri(resolved.model_id, inner))
        pinned = pin(exact, self.require_signature, open_registry=self.backend)
        return replace(pinned, name=resolved.name, version=resolved.version)


def misfits(old: Model, new: Model) -> list[str]:
    """Return why callers of one model cannot call another in its place; an empty list if they can."""
    if old.signature is None:
        before, after = (model.flavor("python_function").get("loader_module") for model in (old, new))
        if new.signature is None and before != after:
            return [f"neither has a signature, and the loader was {before} and is {after}"]
        return []
    if new.signature is None:
        return ["it has no signature"]
    return incompatibilities(old.signature, new.signature)


def _shown(pinned: PinnedModel) -> str:
    return f"models:/{pinned.name}/{pinned.version}" if pinned.name is not None else pinned.location
