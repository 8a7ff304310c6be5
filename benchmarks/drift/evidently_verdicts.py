"""Print which days evidently calls drift, in a Python that has it: ``python evidently_verdicts.py FILE …``.

Its presets have their defaults. A day is an alarm of ``dataset`` if at least half of the columns drifted (the preset's
own verdict), of ``any column`` if one did, and of ``quality`` if a figure of the classification is off by a fifth.
"""

import json
import sys
import warnings

import pandas as pd

warnings.filterwarnings("ignore")

from evidently import BinaryClassification, DataDefinition, Dataset, Report  # noqa: E402
from evidently.presets import ClassificationPreset, DataDriftPreset  # noqa: E402


def main() -> None:
    """Print a line of JSON per file: the days of alarms by verdict."""
    report = Report([DataDriftPreset(), ClassificationPreset()], include_tests=True)
    for path in sys.argv[1:]:
        frame = pd.read_parquet(path)
        days = frame.pop("day")
        answers = [name for name in frame if name in ("prediction", "target") or frame[name].dtype.kind not in "fi"]
        definition = DataDefinition(
            numerical_columns=[name for name in frame if name not in answers],
            categorical_columns=answers,
            classification=[BinaryClassification(target="target", prediction_labels="prediction")],
        )
        known = Dataset.from_pandas(frame[days == -1].reset_index(drop=True), definition)
        alarms: dict[str, list[int]] = {"dataset": [], "any column": [], "quality": []}
        for day in range(days.max() + 1):
            window = Dataset.from_pandas(frame[days == day].reset_index(drop=True), definition)
            failed = [
                test["name"] for test in report.run(window, known).dict()["tests"] if "FAIL" in str(test["status"])
            ]
            is_dataset, is_column = (
                any(name.startswith(start) for name in failed) for start in ("Share of Drifted", "Value Drift")
            )
            is_quality = any(not name.startswith(("Share of Drifted", "Value Drift")) for name in failed)
            for name, is_alarm in zip(alarms, (is_dataset, is_column, is_quality), strict=True):
                if is_alarm:
                    alarms[name].append(day)
        print(json.dumps(alarms), flush=True)


if __name__ == "__main__":
    main()
