"""Grammars of names, aliases, keys, paths and numbers: matched whole, never repaired."""

from collections.abc import Callable

import pytest
from hypothesis import given, strategies as st

from registry.exceptions import InvalidParameterError
from registry.validation.names import (
    casefold_name,
    check_alias,
    check_key,
    check_model_name,
    check_run_id,
    check_version,
)
from registry.validation.paths import check_path

CHECKS: list[Callable[[object], object]] = [
    check_alias,
    check_key,
    check_model_name,
    check_path,
    check_run_id,
    check_version,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@given(text=st.text(st.characters(codec=None), max_size=12))
def test_a_text_passes_as_it_stands_or_is_refused(check: Callable[[object], object], text: str) -> None:
    try:
        passed = check(text)
    except InvalidParameterError:
        return
    assert passed == (int(text) if check is check_version else text)
    assert not set(text) & set("\0\n\r\x1b\u2028")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("value", [None, 1.5, b"a", ["a"], object(), True, "", "a\n", "a\0", "\ud800"])
def test_what_is_no_such_text_is_refused(check: Callable[[object], object], value: object) -> None:
    with pytest.raises(InvalidParameterError):
        check(value)


@pytest.mark.parametrize(
    "path",
    [
        *("..", ".", "/", "/etc/passwd", "//proc/self", "a/../b", "a/./b", "a//b", "../a", "a/..", "a/", "./a"),
        *("a\\b", "..\\a", "C:/a", "C:\\a", "C:", "\\\\host\\share", "a\tb", "a\x7fb"),
        *("x" * 256, "/".join(["x" * 100] * 11), "é" * 128),
    ],
)
def test_a_path_that_could_leave_its_root_is_refused(path: str) -> None:
    with pytest.raises(InvalidParameterError):
        check_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "a/b.txt",
        "x:y.csv",
        "a/b:c",
        "a b/c",
        "größe.txt",
        "...",
        "a..b",
        ".hidden",
        "a%2e%2e",
        "a%2fb",
        "~",
        "x" * 255,
        "é" * 127,
    ],
)
def test_a_path_inside_its_root_passes_as_it_stands(path: str) -> None:
    assert check_path(path) == path


@given(text=st.text(max_size=8))
def test_folding_again_changes_nothing(text: str) -> None:
    assert casefold_name(casefold_name(text)) == casefold_name(text)
    assert casefold_name(text.upper()) == casefold_name(text.lower()) or len(text.upper()) != len(text)


@pytest.mark.parametrize("pair", [("Straße", "STRASSE"), ("ﬁt", "FIT"), ("Ａ", "a"), ("²", "2"), ("Å", "å")])
def test_confusable_names_fold_to_one(pair: tuple[str, str]) -> None:
    assert casefold_name(pair[0]) == casefold_name(pair[1])


@pytest.mark.parametrize(("given_version", "number"), [(1, 1), ("1", 1), ("007", 7), (10**12, 10**12)])
def test_a_version_is_an_int_or_its_ascii_digits(given_version: int | str, number: int) -> None:
    assert check_version(given_version) == number
