"""Output: strict JSON, and tables that fit their content."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import pytest
from hypothesis import given, settings, strategies as st
from rich.cells import cell_len

from registry.cli import invocation, output
from registry.cli.formatting import Size, visible
from registry.cli.output import Column
from registry.cli.tables import Layout, draw
from registry.entities import Metric

_TEXT: Final = st.characters(codec="utf-8")


@pytest.fixture(autouse=True)
def _fresh() -> None:
    invocation.begin()


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


def test_a_table_folds_long_texts_at_blanks_and_keeps_ids_whole(
    capsys: pytest.CaptureFixture[str], terminal: Callable
) -> None:
    terminal(31)
    columns: list[Column[Mapping[str, str]]] = [
        Column("id", lambda item: item["id"], whole=True),
        Column("text", lambda item: item["text"]),
        Column("n", lambda item: item["n"], right=True),
    ]

    output.listing([{"id": "0123456789", "text": "one two three four", "n": "7"}], columns)

    assert capsys.readouterr().out.splitlines() == [
        "id          text              n",
        "───────────────────────────────",
        "0123456789  one two three     7",
        "            four",
    ]


def test_what_fits_in_no_way_is_printed_as_blocks(capsys: pytest.CaptureFixture[str], terminal: Callable) -> None:
    terminal(20)
    columns: list[Column[str]] = [Column("id", lambda item: item, whole=True), Column("again", str, whole=True)]

    output.listing(["0123456789", "abcdefghij"], columns)

    assert capsys.readouterr().out.splitlines() == [
        "id     0123456789",
        "again  0123456789",
        "",
        "id     abcdefghij",
        "again  abcdefghij",
    ]


def test_columns_that_may_leave_do_so_before_anything_else(
    capsys: pytest.CaptureFixture[str], terminal: Callable
) -> None:
    terminal(20)
    columns: list[Column[str]] = [
        Column("id", lambda item: item, whole=True),
        Column("path", lambda item: f"/srv/{item}", whole=True, leaves=1),
    ]

    output.listing(["0123456789"], columns)

    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["id", "──────────", "0123456789"]
    assert printed.err == "Too narrow for path; --csv has every column.\n"


@given(
    st.lists(
        st.tuples(st.text(_TEXT, max_size=60), st.text(_TEXT, max_size=60), st.booleans(), st.integers(0, 2)),
        min_size=1,
        max_size=5,
    ),
    st.integers(1, 3),
    st.integers(40, 250),
)
@settings(max_examples=300, deadline=None)
def test_no_character_is_lost_at_any_width(columns: list[tuple[str, str, bool, int]], rows: int, width: int) -> None:
    layouts = [Layout(visible(header), is_whole, leaves=leaves) for header, _, is_whole, leaves in columns]
    cells = [visible(text) for _, text, _, _ in columns]

    drawing = draw(layouts, [cells] * rows, width)

    shown = [i for i, layout in enumerate(layouts) if not _left(layouts, drawing.left_out, i)]
    heads = 1 if drawing.head else rows
    expected = Counter[str]()
    for i in shown:
        expected.update({c: n * heads for c, n in Counter(layouts[i].header).items()})
        expected.update({c: n * rows for c, n in Counter(cells[i]).items()})
    printed = Counter("".join(drawing.lines[: drawing.head][:1] + drawing.lines[drawing.head :]))
    assert {c: n for c, n in printed.items() if not c.isspace()} == {
        c: n for c, n in expected.items() if not c.isspace()
    }
    if drawing.head:
        assert max(map(cell_len, drawing.lines)) <= width
        for i in shown:
            words = [cells[i].strip(" ")] if layouts[i].whole else cells[i].split(" ")
            assert [word for word in words if not any(word in line for line in drawing.lines)] == []


def _left(layouts: list[Layout], left_out: list[str], index: int) -> bool:
    """Tell whether a column left: those with the highest number do, the first of equals before the others."""
    order = sorted((i for i, layout in enumerate(layouts) if layout.leaves), key=lambda i: (-layouts[i].leaves, i))
    return index in order[: len(left_out)]


def test_a_record_lines_its_values_up_on_a_terminal(capsys: pytest.CaptureFixture[str], terminal: Callable) -> None:
    terminal(80)
    output.record({"a": 1, "longer": None, "evil\x1b": "\x1b"})

    assert capsys.readouterr().out == "a         1\nlonger    -\nevil\\x1b  \\x1b\n"


def test_a_record_is_names_and_bare_values_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    output.record({"a": Size(2048), "none": None, "evil\x1b": "a\tb"})

    assert capsys.readouterr().out == "a\t2048\nnone\t\nevil\\x1b\ta\\tb\n"
