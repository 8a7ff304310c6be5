"""Check that the caller allowed a model's code to run. Everything that runs code of a model's files calls it."""

from pathlib import Path

from registry.exceptions import CodeExecutionRefusedError


def require_consent(allow_code: bool, directory: Path, reason: str, instead: str = "") -> None:
    """Raise unless the caller allowed code to run.

    Raises:
        CodeExecutionRefusedError: `allow_code` is False; the message says what would run and how to allow it.
    """
    if allow_code is True:
        return
    raise CodeExecutionRefusedError(
        f"Loading the model in {str(directory)!r} can run code from its files: {reason}. If you trust "
        f"its author, pass allow_code=True, or set REGISTRY_ALLOW_CODE=true.{' ' + instead if instead else ''}"
    )
