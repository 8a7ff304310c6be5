"""Lists of rules: their JSON form and their evaluation."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Annotated, Any, Final, get_args

from pydantic import Field, TypeAdapter, ValidationError

from registry.exceptions import InvalidParameterError, InvalidTypeError
from registry.rules.evaluation import Facts, Verdict
from registry.rules.promotion import PromotionRule

MAX_RULES: Final = 50
_CLASSES: Final = get_args(PromotionRule)


def evaluate(rules: Iterable[PromotionRule], candidate: Facts, holder: Facts | None = None) -> list[Verdict]:
    """Evaluate each rule for a candidate, in order; `holder` has the stage now, None if it is empty."""
    return [rule.judge(candidate, holder) for rule in rules]


def rules_to_json(rules: Sequence[PromotionRule]) -> str:
    """Return the JSON list of rules. Each is an object with its ``kind`` and its fields.

    Raises:
        InvalidTypeError: An item is not a rule.
        InvalidParameterError: There are more than 50.
    """
    if not isinstance(rules, list | tuple):
        raise InvalidTypeError(f"Promotion rules are a list such as [MetricAtLeast('f1', 0.8)], got {rules!r:.100}.")
    for rule in rules:
        if not isinstance(rule, _CLASSES):
            raise InvalidTypeError(f"{rule!r:.100} is not a promotion rule; there are {_names()}.")
    if len(rules) > MAX_RULES:
        raise InvalidParameterError(f"A stage may have {MAX_RULES} promotion rules, got {len(rules)}.")
    return _adapter().dump_json(tuple(rules), exclude_none=True).decode()


def rules_from_json(text: str) -> tuple[PromotionRule, ...]:
    """Parse a JSON list of rules.

    Raises:
        InvalidParameterError: The text is not such a list; the message names the rule and the field.
    """
    try:
        return _adapter().validate_json(text)
    except ValidationError as error:
        raise InvalidParameterError(f"Not promotion rules: {'; '.join(map(_fault, error.errors()))}.") from error


@cache
def _adapter() -> TypeAdapter[tuple[PromotionRule, ...]]:
    one = Annotated[PromotionRule, Field(discriminator="kind")]
    return TypeAdapter(Annotated[tuple[one, ...], Field(max_length=MAX_RULES)])


def _fault(fault: Any) -> str:
    place = ".".join(map(str, fault["loc"]))
    return f"rule {place}: {fault['msg']}" if place else str(fault["msg"])


def _names() -> str:
    return ", ".join(rule.__name__ for rule in _CLASSES)
