"""Values as the text of a cell, without characters that control a terminal."""

import pytest

from registry.cli.formatting import bare, cell, duration, minute, moment, one_line, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, Ünïcode ✓ 日本", "plain text, Ünïcode ✓ 日本"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2028", "\\u2028"),
        ("\ud800", "\\ud800"),
        ("non\u00a0breaking", "non\u00a0breaking"),
    ],
)
def test_what_a_terminal_might_act_on_is_an_escape(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_one_line_joins_lines_and_escapes_the_rest() -> None:
    assert one_line("refused:\n  auc 0.7 < 0.8\n  \x1b[31mred\n") == "refused: auc 0.7 < 0.8 \\x1b[31mred"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        ("", "-"),
        ([], "-"),
        ({}, "-"),
        (0, "0"),
        (0.1 + 0.2, "0.3"),
        (12345678.0, "12345678"),
        (1234567.25, "1234567.25"),
        (1e300, "1e+300"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ({"a": 1, "b\x1b": "x\x1b"}, "a=1, b\\x1b=x\\x1b"),
        (["champion", "x"], "champion, x"),
        ("None", "None"),
    ],
)
def test_any_value_has_a_text(value: object, shown: str) -> None:
    assert cell(value) == shown


def test_times_are_utc() -> None:
    assert str(moment(1_767_225_665_250)) == "2026-01-01 00:01:05"
    assert str(minute(1_767_225_665_250)) == "2026-01-01 00:01"
    assert bare(minute(1_767_225_665_250)) == "2026-01-01T00:01:05.250Z"
    assert moment(None) is None
    assert minute(None) is None


def test_a_time_beyond_the_calendar_is_a_number() -> None:
    assert str(moment(2**62)) == "4611686018427387904000 us"


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [(40, "0.0 s"), (1_250, "1.2 s"), (185_000, "3 m 05 s"), (7_800_000, "2 h 10 m")],
)
def test_durations_read_as_people_say_them(milliseconds: int, shown: str) -> None:
    assert str(duration(milliseconds)) == shown
