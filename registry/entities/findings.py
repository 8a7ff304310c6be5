"""What an examination found, as values."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How it is with one thing."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was examined; ``remedy`` says what to do about it, empty if nothing."""

    area: str
    verdict: Verdict
    text: str
    remedy: str = ""
