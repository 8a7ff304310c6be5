"""What notebooks show for entities."""

import re

from registry.entities import Run
from registry.entities.html import moment
from registry.entities.model_registry import ModelVersion, RegisteredModel
from registry.entities.run import RunData, RunInfo


def run(**data: dict[str, object]) -> Run:
    info = RunInfo("1" * 32, "0", "ann", "FINISHED", 0, 1_000, "active", "/tmp", "<b>bold</b>")
    return Run(info, RunData(**data))  # type: ignore[arg-type]


def test_a_run_is_a_table_with_its_metrics() -> None:
    shown = run(metrics={"auc": 0.1 + 0.2}, params={})._repr_html_()
    assert "<strong>Run &lt;b&gt;bold&lt;/b&gt;</strong>" in shown
    assert "1970-01-01 00:00:01 UTC" in shown
    assert "<summary>Metrics (1)</summary>" in shown
    assert "0.30000000000000004" in shown
    assert "Params" not in shown


def test_many_and_long_values_are_cut() -> None:
    shown = run(tags={f"key-{number}": "<" * 1_000 for number in range(40)})._repr_html_()
    assert shown.count("&lt;") == 30 * 299 + 2
    assert "and 10 more" in shown


def test_a_version_and_a_model_say_where_they_stand() -> None:
    version = ModelVersion("churn", 3, 0, 0, "Production", "models:/m", aliases=["champion"], tags={"team": "a"})
    shown = version._repr_html_()
    assert "<strong>churn, version 3</strong>" in shown
    assert "models:/churn/3" in shown
    assert "champion" in shown
    model = RegisteredModel("churn", 0, 0, latest_versions=[version], aliases={"champion": 3})
    cells = re.findall(r"<t[hd][^>]*>([^<]*)", model._repr_html_())
    assert cells[:6] == ["Production", "3", "Staging", "–", "Newest version", "3"]
    assert "<strong>empty</strong>" in RegisteredModel("empty", 0, 0)._repr_html_()


def test_times_that_no_calendar_has_are_shown_as_numbers() -> None:
    assert (moment(None), moment(10**18)) == ("–", "1000000000000000000 ms")
