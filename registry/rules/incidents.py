"""The promotion rules on monitoring: no incident is open, and the version was checked lately."""

import dataclasses
from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import AfterValidator

from registry.entities.times import format_milliseconds, parse_duration
from registry.exceptions import InvalidParameterError
from registry.rules.declaration import rule
from registry.rules.evaluation import Facts, Verdict

# A version that was trained to answer incidents names them in this tag: numbers, separated by commas.
INCIDENTS_TAG: Final = "registry.incidents"
_SHOWN: Final = 5


def _check_age(text: str) -> str:
    if parse_duration(text) <= timedelta(0):
        raise InvalidParameterError(f"{text!r} is no time at all; write it like 24h or 7d.")
    return text


@rule
class NoOpenIncident:
    """A rule: the model has no incident that is not closed; an acknowledged one counts.

    Incidents that the version was trained to answer do not count: a retraining names them in the version's tag
    ``registry.incidents``.

    Example:
        >>> client.set_promotion_rules("churn", "Production", [registry.NoOpenIncident()])
        >>> client.check_promotion("churn", 3, "Production")[0].text
        'NoOpenIncident() passed: expected no open incident, actual none'
    """

    kind: Literal["no_open_incident"] = dataclasses.field(default="no_open_incident", kw_only=True, repr=False)

    def judge(self, candidate: Facts, _holder: Facts | None) -> Verdict:
        """Evaluate the rule; the holder does not matter."""
        answered = {number.strip() for number in candidate.tags.get(INCIDENTS_TAG, "").split(",")}
        blocking = [incident for incident in candidate.incidents if str(incident[0]) not in answered]
        shown = "; ".join(f"{number} ({cause}, {status})" for number, cause, status in blocking[:_SHOWN])
        rest = f" and {len(blocking) - _SHOWN} more" if len(blocking) > _SHOWN else ""
        skipped = len(candidate.incidents) - len(blocking)
        none = "none" if not skipped else f"none but {skipped} that the version was trained to answer"
        return Verdict(self, not blocking, "no open incident", f"{shown}{rest}" if blocking else none)


@rule
class CheckedWithin:
    """A rule: a check of the version for drift measured something within a time, whatever it found.

    Checks with too little data, and checks that failed, do not count. To refuse what a check found, add
    `NoOpenIncident`.

    Args:
        age: The longest time since the check ended, such as ``24h`` or ``7d``.

    Raises:
        InvalidParameterError: `age` is no duration.

    Example:
        >>> client.set_promotion_rules("churn", "Production", [registry.CheckedWithin("24h")])
        >>> client.check_promotion("churn", 3, "Production")[0].text
        "CheckedWithin(age='24h') failed: expected a check within 24h, actual none"
    """

    age: Annotated[str, AfterValidator(_check_age)]
    kind: Literal["checked_within"] = dataclasses.field(default="checked_within", kw_only=True, repr=False)

    def judge(self, candidate: Facts, _holder: Facts | None) -> Verdict:
        """Evaluate the rule on the newest check; the holder does not matter."""
        check, expected = candidate.last_check, f"a check within {self.age}"
        if check is None:
            return Verdict(self, passed=False, expected=expected, actual="none")
        passed = candidate.now_ms - check.timestamp <= parse_duration(self.age) / timedelta(milliseconds=1)
        actual = f"check {check.id} at {format_milliseconds(check.timestamp)} ({check.content['status']})"
        return Verdict(self, passed, expected, actual, check)
