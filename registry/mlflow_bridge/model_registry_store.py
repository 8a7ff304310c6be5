"""mlflow's model registry store on a registry's database (``mlflow.model_registry_store`` entry point).

Guarantees: a stage has one holder, each change is an event with its actor, promotion rules are judged in the
transaction that promotes, and the files of a version are sealed, whoever asks. A refusal is mlflow's error with the
reason. Prompts and webhooks of mlflow have no place in a registry.
"""

from collections.abc import Sequence
from typing import Any, Final

from mlflow.store.entities.paged_list import PagedList
from mlflow.store.model_registry.abstract_store import AbstractStore

from registry.mlflow_bridge import entities as convert
from registry.mlflow_bridge.places import MODEL_SCHEME, open_client, refusal, translate_class, without_items

_MAX_MODELS: Final = 100
_MAX_VERSIONS: Final = 10_000


@translate_class
class RegistryModelStore(AbstractStore):  # type: ignore[misc]  # mlflow has no types
    """Registered models and versions of one registry."""

    def __init__(self, store_uri: str, tracking_uri: str | None = None) -> None:
        super().__init__(store_uri, tracking_uri)
        self._client = open_client(store_uri)

    # Registered models

    def create_registered_model(
        self, name: str, tags: Any = None, description: str | None = None, deployment_job_id: str | None = None
    ) -> Any:
        """Create a registered model."""
        del deployment_job_id  # of Databricks
        return convert.to_registered_model(
            self._client.create_registered_model(name, convert.tags_of(tags), description)
        )

    def update_registered_model(self, name: str, description: str | None, deployment_job_id: str | None = None) -> Any:
        """Change the description of a registered model."""
        del deployment_job_id
        return convert.to_registered_model(self._client.update_registered_model(name, description))

    def rename_registered_model(self, name: str, new_name: str) -> Any:
        """Rename a registered model."""
        return convert.to_registered_model(self._client.rename_registered_model(name, new_name))

    def delete_registered_model(self, name: str) -> None:
        """Delete a registered model; one with a holder of a stage is kept."""
        self._client.delete_registered_model(name)

    def search_registered_models(
        self,
        filter_string: str | None = None,
        max_results: int | None = None,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> Any:
        """Return one page of registered models."""
        if filter_string and "mlflow.prompt.is_prompt" in filter_string and "!=" not in filter_string:
            return PagedList([], None)  # mlflow keeps prompts as registered models with this tag; here there are none
        page = self._client.search_registered_models(filter_string, max_results or _MAX_MODELS, order_by, page_token)
        return PagedList([convert.to_registered_model(model) for model in page], page.token)

    def get_registered_model(self, name: str) -> Any:
        """Return a registered model by name."""
        return convert.to_registered_model(self._client.get_registered_model(name))

    def get_latest_versions(self, name: str, stages: Sequence[str] | None = None) -> list[Any]:
        """Return the newest version of each stage."""
        return [convert.to_version(version) for version in self._client.get_latest_versions(name, stages or None)]

    def set_registered_model_tag(self, name: str, tag: Any) -> None:
        """Set a tag of a registered model."""
        self._client.set_registered_model_tag(name, tag.key, tag.value)

    def delete_registered_model_tag(self, name: str, key: str) -> None:
        """Delete a tag of a registered model."""
        self._client.delete_registered_model_tag(name, key)

    # Model versions

    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: Any = None,
        run_link: str | None = None,
        description: str | None = None,
        local_model_path: str | None = None,
        model_id: str | None = None,
    ) -> Any:
        """Create the next version: of a logged model without a copy, of files elsewhere by sealing a copy of them."""
        del local_model_path
        if source.startswith(f"{MODEL_SCHEME}:/"):
            model_id = model_id or source.removeprefix(f"{MODEL_SCHEME}:/").partition("/")[0]
        if model_id:
            source = f"models:/{model_id}"
        version = self._client.create_model_version(
            name, source, run_id or None, convert.tags_of(tags), run_link or None, description or None
        )
        return convert.to_version(version)

    def update_model_version(self, name: str, version: str, description: str | None) -> Any:
        """Change the description of a version."""
        return convert.to_version(self._client.update_model_version(name, version, description))

    def transition_model_version_stage(
        self, name: str, version: str, stage: str, archive_existing_versions: bool
    ) -> Any:
        """Move a version to a stage, which holds one version."""
        return convert.to_version(
            self._client.transition_model_version_stage(name, version, stage, archive_existing_versions)
        )

    def delete_model_version(self, name: str, version: str) -> None:
        """Delete a version that holds no stage."""
        self._client.delete_model_version(name, version)

    def get_model_version(self, name: str, version: str) -> Any:
        """Return a version by number."""
        return convert.to_version(self._client.get_model_version(name, version))

    def get_model_version_download_uri(self, name: str, version: str) -> str:
        """Return the URI under which mlflow reads the files of a version."""
        return str(self.get_model_version(name, version).source)

    def search_model_versions(
        self,
        filter_string: str | None = None,
        max_results: int | None = None,
        order_by: Sequence[str] | None = None,
        page_token: str | None = None,
    ) -> Any:
        """Return one page of versions."""
        page = self._client.search_model_versions(filter_string, max_results or _MAX_VERSIONS, order_by, page_token)
        return PagedList([convert.to_version(version) for version in page], page.token)

    def set_model_version_tag(self, name: str, version: str, tag: Any) -> None:
        """Set a tag of a version."""
        self._client.set_model_version_tag(name, version, tag.key, tag.value)

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        """Delete a tag of a version."""
        self._client.delete_model_version_tag(name, version, key)

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        """Let an alias name a version."""
        self._client.set_registered_model_alias(name, alias, version)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        """Delete an alias."""
        self._client.delete_registered_model_alias(name, alias)

    def get_model_version_by_alias(self, name: str, alias: str) -> Any:
        """Return the version that an alias names."""
        return convert.to_version(self._client.get_model_version_by_alias(name, alias))


_REASON: Final = (
    "it has no prompts and no webhooks of mlflow's kind. 'registry events watch --webhook URL' delivers the events of "
    "its history."
)

for _name in dir(AbstractStore):
    _is_own = _name in vars(RegistryModelStore)
    if not _name.startswith("_") and ("prompt" in _name or "webhook" in _name) and not _is_own:
        # After each change mlflow asks for webhooks.
        if _name in ("search_prompts", "search_prompt_versions", "list_webhooks", "list_webhooks_by_event"):
            setattr(RegistryModelStore, _name, without_items)
        else:
            setattr(RegistryModelStore, _name, refusal(_name, _REASON))
