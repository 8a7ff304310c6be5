"""A measured process: reads ``[work, argument, …]`` line by line and answers each with JSON."""

import json
import os
import sys

from bare import Bare
from models import Models
from raw_sql import RawSql
from tracking import Tracking


def main() -> None:
    """Serve until the input ends."""
    system, url = sys.argv[1:]
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # keep output of the libraries apart from the answers
        parts = [RawSql(url), Bare()] if system == "raw" else [Tracking(system, url), Models(system), Bare()]
        for line in sys.stdin:
            work, *arguments = json.loads(line)
            part = next(part for part in parts if hasattr(part, work))
            answers.write(json.dumps(getattr(part, work)(*arguments)) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
