"""The one gate in front of everything that runs code of a model's files."""

from pathlib import Path

from registry.exceptions import CodeExecutionRefusedError


def require_consent(allow_code: bool, directory: Path, reason: str, instead: str = "") -> None:
    """Pass if the caller consented.

    Raises:
        CodeExecutionRefusedError: the caller did not; the message says what would run and how to consent.
    """
    if allow_code is True:
        return
    raise CodeExecutionRefusedError(
        f"Loading the model in {str(directory)!r} can run code that its files bring along: {reason}. If you trust "
        f"whoever saved it, pass allow_code=True, or set REGISTRY_ALLOW_CODE=true.{' ' + instead if instead else ''}"
    )
