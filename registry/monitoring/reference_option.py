"""The argument ``reference`` of `log_model`, which all flavors have; light to import."""

from collections.abc import Mapping
from typing import Any


def seal_reference(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of `log_model`, with the argument ``reference`` replaced by a file that is sealed."""
    others = {key: value for key, value in options.items() if key != "reference"}
    if options.get("reference") is None:
        return others
    from registry.monitoring.references import REFERENCE_FILE, as_profile

    content = as_profile(options["reference"], None, None).to_parquet()
    return {**others, "added_files": {REFERENCE_FILE: content}}
