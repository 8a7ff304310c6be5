"""Output: strict JSON, and tables that fit their content."""

import json
from collections.abc import Mapping

import pytest

from registry.cli import output
from registry.cli.output import Column
from registry.entities import Metric


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (0.1, 0.1),
        (None, None),
        (("a", 1), ["a", 1]),
        ({1: float("nan")}, {"1": "NaN"}),
    ],
)
def test_json_is_strict(capsys: pytest.CaptureFixture[str], value: object, printed: object) -> None:
    output.as_json(value)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert json.loads(capsys.readouterr().out, parse_constant=refuse) == printed


def test_an_entity_is_an_object_of_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    output.as_json([Metric("auc", 0.5, 1, 2)])

    (printed,) = json.loads(capsys.readouterr().out)
    assert {key: printed[key] for key in ("key", "value", "timestamp", "step", "run_id")} == {
        "key": "auc",
        "value": 0.5,
        "timestamp": 1,
        "step": 2,
        "run_id": None,
    }


def test_a_table_folds_long_values_and_keeps_ids_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    columns: list[Column[Mapping[str, str]]] = [
        Column("id", lambda item: item["id"], whole=True),
        Column("text", lambda item: item["text"]),
        Column("n", lambda item: item["n"], right=True),
    ]

    output.table(columns, [{"id": "0123456789", "text": "one two three four", "n": "7"}])

    assert capsys.readouterr().out.splitlines() == [
        "id          text             n",
        "──────────────────────────────",
        "0123456789  one two three    7",
        "            four",
    ]


def test_a_record_lines_its_values_up(capsys: pytest.CaptureFixture[str]) -> None:
    output.record({"a": 1, "longer": None, "evil\x1b": "\x1b"})

    assert capsys.readouterr().out == "a         1\nlonger    -\nevil\\x1b  \\x1b\n"
