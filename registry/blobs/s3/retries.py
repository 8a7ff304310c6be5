"""Trying again where botocore does not: broken bodies and conflicting conditional writes.

botocore itself repeats requests that were answered with SlowDown or 5xx, or not at all. The invariant: a call ends
after `ATTEMPTS` tries, and what S3 refuses for good is tried once.
"""

import random
import time
from typing import Final

ATTEMPTS: Final = 5
BASE_SECONDS: Final = 0.1
MAX_SECONDS: Final = 5.0


def pause(attempt: int) -> None:
    """Sleep before the next attempt: longer each time, and not in step with others."""
    # Spreading load needs no secret randomness.
    time.sleep(random.uniform(0, min(MAX_SECONDS, BASE_SECONDS * 2**attempt)))  # noqa: S311 - not a secret
