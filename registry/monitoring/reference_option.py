"""The argument ``reference`` of `log_model`, which all flavors have, and that of autologging; light to import."""

from collections.abc import Callable, Mapping
from typing import Any


def seal_reference(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of `log_model`, with the argument ``reference`` replaced by a file that is sealed."""
    others = {key: value for key, value in options.items() if key != "reference"}
    if options.get("reference") is None:
        return others
    from registry.monitoring.references import REFERENCE_FILE, as_profile

    content = as_profile(options["reference"], None, None).to_parquet()
    return {**others, "added_files": {REFERENCE_FILE: content}}


def training_reference(features: Any, targets: Any, predict: Callable[[Any], Any] | None) -> dict[str, bytes]:
    """Return the file that seals the profile of a model's training data with it."""
    from registry.monitoring.references import REFERENCE_FILE, profile_of_training

    return {REFERENCE_FILE: profile_of_training(features, targets, predict).to_parquet()}
