"""The arguments of `autolog`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What autologging of one integration logs. Each integration reads those of its own `autolog`."""

    log_input_examples: bool = False
    log_model_signatures: bool = True
    log_models: bool = True
    log_datasets: bool = True
    log_reference: bool = False
    exclusive: bool = False
    disable_for_unsupported_versions: bool = False
    silent: bool = False
    registered_model_name: str | None = None
    extra_tags: Mapping[str, str] | None = None
    importance_types: Sequence[str] | None = None
    model_format: str = "ubj"
    max_tuning_runs: int | None = 5
    log_post_training_metrics: bool = True
    serialization_format: str | None = None
    pos_label: Any = None
