"""Reports: values that can be stored, compared, shown and drawn."""

from dataclasses import replace
from typing import Any

import pytest

from registry.exceptions import InvalidParameterError
from registry.monitoring import ColumnResult, DriftReport

KS = ColumnResult("age", "input", "number", "ks", "distribution", 0.3, 0.3, 0.1, 1e-9, 1e-8, True)
PSI = ColumnResult("age", "input", "number", "psi", "distribution", 0.4, 0.4, 0.1, 1e-9, 1e-8, True)
QUIET = ColumnResult("<b>", "prediction", "number", "ks", "distribution", 0.01, 0.01, 0.1, 0.9, 0.9)
UNAVAILABLE = ColumnResult("accuracy", "performance", "metric", "performance", "metric", note="no ground truth")


def report(*results: ColumnResult) -> DriftReport:
    return DriftReport(
        "churn", 3, "m-1", "Production", 0, 3_600_000, "reference", "ab", 500, 5_000, 0.0033, results, "cd"
    )


def test_detectors_of_one_aspect_share_a_cause() -> None:
    drifted = report(KS, PSI, QUIET, UNAVAILABLE)
    assert (drifted.drifted, drifted.causes) == (True, ("input/age:distribution",))
    assert drifted.unavailable == (UNAVAILABLE,)
    assert (report(QUIET).drifted, report(QUIET).causes, report().causes) == (False, (), ())


def test_a_cause_names_the_segment_and_fits_into_the_index_of_a_database() -> None:
    assert replace(KS, segment="venue=home").cause == "input/age:distribution[venue=home]"
    causes = [replace(KS, segment=f"venue={'é' * 3_000}{end}").cause for end in ("", "x", "\0")]
    assert [len(cause) for cause in causes] == [250, 250, 250]
    assert len(set(causes)) == 3
    assert replace(KS, column="a\0b").cause == "input/a\\0b:distribution"


def test_a_report_is_the_same_after_it_was_stored() -> None:
    stored = report(KS, UNAVAILABLE).with_run("r-1")
    assert DriftReport.from_dict(stored.to_dict()) == stored
    assert stored.to_dict()["results"][0]["column"] == "age"


def test_the_digest_covers_everything_but_the_run() -> None:
    assert report(KS).digest() == report(KS).with_run("r-1").digest()
    assert len({report(KS).digest(), report(PSI).digest(), report(KS, PSI).digest(), report().digest()}) == 4


@pytest.mark.parametrize("values", [None, {}, {"format": 2}, {"format": 1}, {"format": 1, "results": [{"odd": 1}]}])
def test_what_is_no_report_is_refused(values: Any) -> None:
    with pytest.raises(InvalidParameterError, match="This is no drift report"):
        DriftReport.from_dict(values)


def test_a_report_is_a_frame_with_a_row_per_result() -> None:
    frame = report(KS, QUIET).to_frame()
    assert frame["column"].tolist() == ["age", "<b>"]
    assert frame["drifted"].tolist() == [True, False]
    assert report().to_frame().columns.tolist()[:2] == ["column", "role"]


def test_a_report_that_compared_nothing_does_not_say_that_nothing_drifted() -> None:
    shown = repr(replace(report(UNAVAILABLE), rows=0))
    assert shown == ("DriftReport('churn' version 3 against reference, 0 rows, nothing was compared: no ground truth)")
    assert "reference: nothing was compared: no ground truth<br>" in report(UNAVAILABLE)._repr_html_()
    assert repr(report()).endswith("500 rows, nothing was compared)")


def test_a_report_is_shown_in_notebooks_with_what_drifted_first() -> None:
    html = report(QUIET, KS)._repr_html_()
    assert "churn version 3 against reference: <b style='color:#b00020'>drifted</b>" in html
    assert "1970-01-01T00:00:00Z to 1970-01-01T01:00:00Z, 500 rows" in html
    assert html.index("<td>age</td>") < html.index("<td>&lt;b&gt;</td>")
    assert "no drift" in report(QUIET)._repr_html_()
    assert repr(report(QUIET)) == "DriftReport('churn' version 3 against reference, 500 rows, no drift)"
    assert repr(report(KS)).endswith("drifted: input/age:distribution)")


def test_a_report_is_drawn() -> None:
    figure = report(QUIET, KS, UNAVAILABLE).plot()
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["prediction <b>, ks", "input age, ks"]
    assert [round(bar.get_width(), 3) for bar in axes.patches] == [0.1, 3.0]
