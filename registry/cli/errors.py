"""Print errors: one line on stderr in the command line's words, or a JSON document, and the exit code of each."""

import re
from collections.abc import Sequence
from typing import Any, Final

import typer

from registry.cli import exit_codes, invocation, output
from registry.cli.formatting import one_line
from registry.exceptions import InvalidFilterError, RegistryError

# What Python calls it, and what the command line calls it. The library's messages are written for Python.
_WORDS: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(rf"(?<![\w'\"]){pattern}(?![\w'\"])"), words)
    for pattern, words in (
        (r"[Gg]ive reason='…' with override=True", "give --reason TEXT with --override"),
        (r"Pass override=True with a reason to promote it anyway", "To promote it anyway: --override --reason TEXT"),
        (r"leave archive_existing_versions at True", "let it be archived"),
        (r"take_over=True", "--take-over"),
        (r"new_root", "--new-root"),
        (r"old_root", "--old-root"),
        (r"override=True", "--override"),
        (r"force=True", "--force"),
        (r"allow_code=True", "REGISTRY_ALLOW_CODE=1"),
        (r"read_only=True", "read-only"),
        (r"(?:new_)?name='…'(?:, --as)?", "--as NAME"),
        (r"reason='…'", "--reason TEXT"),
        (r"expected_current=None", "--expected-current none"),
        (r"expected_current=(\d+)", r"--expected-current \1"),
        (r"expected_current", "--expected-current"),
        (r"set_tracking_uri\('([^']*)'\)", r"--tracking-uri \1"),
        (r"(?:registry\.)?set_tracking_uri(?:\(\))?", "--tracking-uri"),
        (r"max_results", "--limit"),
        (r"page_token", "--all"),
        (r"order_by", "--order-by"),
        (r"dst_path", "--directory"),
        (r"filter_string", "--filter"),
        (r"transition_model_version_stage", "'registry versions promote'"),
        (r"(?:client|MlflowClient)\.correct_clock(?:\(\))?", "'registry models correct-clock'"),
        (r"(?:client|MlflowClient)\.adopt(?:\(\))?", "'registry db adopt'"),
        (r"Input should be a valid integer, unable to parse string as an integer", "it must be a whole number"),
        (r"Input should be a valid number, unable to parse string as a number", "it must be a number"),
        (r"Input should be a valid boolean, unable to interpret input", "it must be true or false"),
        (r"Input should be", "it must be"),
    )
)


def report(error: RegistryError) -> int:
    """Print an error of the library; return its exit code."""
    code = exit_codes.code_of(error)
    message = in_our_words(error.message)
    details = {key: error.json_kwargs[key] for key in ("verdicts",) if key in error.json_kwargs}
    _print(error.error_code, code, message, details, keeps_lines=isinstance(error, InvalidFilterError))
    return code


def report_usage(error: typer.TyperException, arguments: Sequence[str]) -> int:
    """Print what is wrong with a command line, with the usage of the command that it reached; return 2."""
    context: Any = getattr(error, "ctx", None)
    path = "registry" if context is None else context.command_path
    message = _sentence(in_our_words(error.format_message().replace("Value error, ", "")))
    if message.startswith("Got unexpected extra argument") and _takes_version(context):
        message += " A version is one word, such as churn/7."
    if "--json" in arguments:
        invocation.current().json = True
    _print("INVALID_PARAMETER_VALUE", exit_codes.USAGE, f"{message} Try '{path} --help'.", {})
    return exit_codes.USAGE


def _takes_version(context: Any) -> bool:
    return context is not None and any(parameter.metavar == "VERSION" for parameter in context.command.params)


def report_output(error: OSError) -> int:
    """Print that stdout cannot be written; return 1."""
    output.complain(one_line(f"registry: The output cannot be written: {error.strerror or error}."))
    return exit_codes.FAILED


def in_our_words(message: str) -> str:
    """Replace Python's names in a message by those of the command line."""
    for pattern, words in _WORDS:
        message = pattern.sub(words, message)
    return message


def _print(
    error_code: str, exit_code: int, message: str, details: dict[str, Any], *, keeps_lines: bool = False
) -> None:
    if invocation.current().json:
        output.as_json({"error": {"code": error_code, "exit_code": exit_code, "message": message, **details}})
    text = f"registry: {message}"
    output.complain(text if keeps_lines else one_line(text))


def _sentence(message: str) -> str:
    return message if message.endswith((".", "?", "!")) else f"{message}."
