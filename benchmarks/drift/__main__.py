"""Simulate months of checks and print what was found: ``python -m benchmarks.drift [--daily-months N] …``.

Months of games are made up, profiled and checked as `registry.monitoring.check` does it, without storage. With
``--peers evidently=PYTHON,alibi=PYTHON,river=PYTHON``, registry, evidently and alibi-detect judge the same files
instead, each tool in the Python that is named; river makes some of the data.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.drift.false_alarms import COLUMNWISE, false_alarms
from benchmarks.drift.games import KINDS
from benchmarks.drift.peers import RIVER, TOOLS, compare_tools, table
from benchmarks.drift.power import power
from registry.monitoring.detectors import DEFAULT_DETECTORS

_PROGRESS = 50


def main() -> None:
    """Simulate and print a line of JSON per figure; on stderr, what was found so far."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift", description=__doc__)
    parser.add_argument("--daily-months", type=int, default=1_000, help="months of daily checks without drift")
    parser.add_argument("--hourly-months", type=int, default=1_000, help="months of hourly checks without drift")
    parser.add_argument("--classifier-months", type=int, default=20, help="the same, daily, with the domain classifier")
    parser.add_argument("--power-months", type=int, default=30, help="months with drift, of each kind")
    parser.add_argument("--peers", type=_pythons, metavar="NAME=PYTHON,…", help="compare with these instead")
    parser.add_argument("--peer-months", type=int, default=5, help="months of each kind in that comparison")
    options = parser.parse_args()
    if options.peers is not None:
        print(table(compare_tools(options.peer_months, options.peers)))
        return
    for months, every, rows, detectors in (
        (options.daily_months, "1d", 500, COLUMNWISE),
        (options.hourly_months, "1h", 200, COLUMNWISE),
        (options.classifier_months, "1d", 500, DEFAULT_DETECTORS),
    ):
        found = None
        for found in false_alarms(months, every, rows, detectors, screened=detectors == COLUMNWISE):
            if found.months % _PROGRESS == 0:
                print(json.dumps(found.summary()), file=sys.stderr, flush=True)
        if found is not None:
            print(json.dumps(found.summary()), flush=True)
    for kind in KINDS if options.power_months else ():
        print(json.dumps(asdict(power(kind, options.power_months))), flush=True)


def _pythons(text: str) -> dict[str, Path]:
    pythons = {name: Path(python) for name, _, python in (part.partition("=") for part in text.split(",") if part)}
    unknown = pythons.keys() - {RIVER, *TOOLS}
    if unknown:
        raise argparse.ArgumentTypeError(f"There is no peer {min(unknown)!r}; there are {', '.join([*TOOLS, RIVER])}.")
    return pythons


if __name__ == "__main__":
    main()
