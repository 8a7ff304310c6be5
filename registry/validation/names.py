"""Checks of names, aliases, keys and ids. Length limits are MLflow's where it has one.

Guarantees: a text is accepted unchanged or rejected. It is never stripped, percent-decoded or normalised first, so no
later reader sees another text than the one that was checked.
"""

import functools
import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from registry.exceptions import InvalidNameError, InvalidTypeError
from registry.validation.paths import is_plain_path

MAX_MODEL_NAME: Final = 256
MAX_EXPERIMENT_NAME: Final = 500
MAX_ALIAS: Final = 255
MAX_KEY: Final = 250
MAX_PARAM_VALUE: Final = 6_000
MAX_RUN_TAG_VALUE: Final = 8_000
MAX_EXPERIMENT_TAG_VALUE: Final = 20_000
MAX_MODEL_TAG_VALUE: Final = 100_000

_KEY: Final = re.compile(r"[/\w.\- :]+")
_ALIAS: Final = re.compile(r"[\w\-]+")
_VERSION_LIKE_ALIAS: Final = re.compile(r"[vV][0-9]+")
_RUN_ID: Final = re.compile(r"[a-zA-Z0-9][\w\-]{0,255}")
# Control, format, surrogate, private use, line and paragraph separators.
_UNPRINTABLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'list'?`` with the names nearest to a word, or an empty text."""
    import difflib

    originals = {name.lower(): name for name in known}
    begun = [name for name in originals if len(word) > 1 and name.startswith(word.lower())]
    close = dict.fromkeys([*begun, *difflib.get_close_matches(word.lower(), originals, n=3)])
    return f" Did you mean {' or '.join(repr(originals[name]) for name in [*close][:3])}?" if close else ""


def casefold_name(name: str) -> str:
    """Fold a name so that easily confused names become equal: NFKC, casefold, NFKC."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return unicodedata.normalize("NFKC", folded)


def check_text(name: object, what: str, limit: int) -> str:
    """Return a non-empty NFC text of at most `limit` characters without control characters or outer blanks.

    Raises:
        InvalidTypeError: it is not a string.
        InvalidNameError: it breaks a rule; the message says which.
    """
    if name is None or (isinstance(name, str) and not name):
        raise InvalidNameError(f"Missing value for required parameter '{what}'.")
    if not isinstance(name, str):
        raise InvalidTypeError(f"{what} must be a string, got {name!r} of type {type(name).__name__}.")
    if len(name) > limit:
        raise InvalidNameError(f"{what} has {len(name)} characters; at most {limit} are allowed: {name[:40]!r}…")
    if name.strip() == "":
        raise InvalidNameError(f"{what} must not be blank.")
    for position, character in enumerate(name):
        if unicodedata.category(character) in _UNPRINTABLE:
            raise InvalidNameError(
                f"{what} {name!r} has the unprintable character {character!r} at position {position}; leave it out."
            )
    if name != name.strip():
        raise InvalidNameError(f"{what} {name!r} begins or ends with a blank; use {name.strip()!r}.")
    if unicodedata.normalize("NFC", name) != name:
        raise InvalidNameError(f"{what} {name!r} is not in Unicode normal form C; normalise it to NFC first.")
    return name


def check_model_name(name: object) -> str:
    """Return a registered model's name: without ``/ : @ ?``, not ``.`` or ``..``, not like a logged model's id."""
    text = check_text(name, "name", MAX_MODEL_NAME)
    forbidden = sorted(set(text) & set("/:@?"))
    if forbidden:
        raise InvalidNameError(
            f"Invalid model name {text!r}. Names cannot contain '/' or ':', nor '@' or '?' "
            f"(found {' '.join(forbidden)})."
        )
    if text in (".", ".."):
        raise InvalidNameError(f"Invalid model name {text!r}. '.' and '..' are not names.")
    if MODEL_ID.fullmatch(text):
        raise InvalidNameError(f"Invalid model name {text!r}. It has the form of a logged model's id.")
    return text


def check_alias(alias: object) -> str:
    """Return an alias: letters, digits, ``_`` and ``-``; not ``latest`` and not like ``v1``."""
    text = check_text(alias, "alias", MAX_ALIAS)
    if not _ALIAS.fullmatch(text):
        raise InvalidNameError(f"Invalid alias name: {text!r}. Use letters, digits, '_' and '-' only.")
    if text.lower() == "latest":
        raise InvalidNameError("'latest' alias name (case insensitive) is reserved. It is the newest version's.")
    if _VERSION_LIKE_ALIAS.fullmatch(text):
        raise InvalidNameError(f"Version alias name {text!r} is reserved. Forms like 'v1' are reserved for versions.")
    return text


def check_key(key: object, what: str = "key") -> str:
    """Return a key of a param, metric or tag: letters, digits, ``/ _ . - :`` and blanks, as in MLflow.

    Raises:
        InvalidNameError: the key has other characters, is too long, or is not a normalised relative path.
    """
    if isinstance(key, str) and len(key) <= MAX_KEY and _is_key(key):
        return key
    raise _key_error(key, what)


@functools.lru_cache(maxsize=8_192)
def _is_key(text: str) -> bool:
    """Tell whether a text is a key. Cached, because a few keys are logged again and again."""
    return bool(_KEY.fullmatch(text)) and "\n" not in text and is_plain_path(text)


def _key_error(key: object, what: str) -> InvalidNameError | InvalidTypeError:
    """Return the error that says why a value is not a key."""
    if key is None or (isinstance(key, str) and not key):
        return InvalidNameError(f"Missing value for required parameter '{what}'.")
    if not isinstance(key, str):
        return InvalidTypeError(f"{what} must be a string, got {key!r} of type {type(key).__name__}.")
    if len(key) > MAX_KEY:
        return InvalidNameError(f"'{what}' exceeds the maximum length of {MAX_KEY} characters: {key[:40]!r}…")
    if not _KEY.fullmatch(key) or "\n" in key:
        return InvalidNameError(
            f"Invalid value {key!r} for parameter '{what}' supplied: Names may only contain alphanumerics, underscores "
            "(_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/)."
        )
    return InvalidNameError(
        f"Invalid value {key!r} for parameter '{what}' supplied: Names may be treated as files in certain cases, and "
        "must not resolve to other names when treated as such. Use a relative path in its shortest form: no leading or "
        "doubled '/', no '.' or '..' segment."
    )


def check_run_id(run_id: object) -> str:
    """Return a run id as MLflow accepts it: a letter or digit, then letters, digits, ``_`` and ``-``."""
    if run_id is None or (isinstance(run_id, str) and not run_id):
        raise InvalidNameError("Missing value for required parameter 'run_id'.")
    if not isinstance(run_id, str) or not _RUN_ID.fullmatch(run_id):
        raise InvalidNameError(
            f"Invalid value {run_id!r} for parameter 'run_id' supplied: a run id starts with a letter or digit and has "
            "only letters, digits, '_' and '-' (at most 256)."
        )
    return run_id


def check_version(version: object, what: str = "version") -> int:
    """Return a positive number, such as a version's, given as an int or as ASCII digits, as an int."""
    if isinstance(version, int) and not isinstance(version, bool):
        number = version
    elif isinstance(version, str) and re.fullmatch(r"[0-9]{1,18}", version):
        number = int(version)
    else:
        raise InvalidNameError(f"Parameter '{what}' must be an integer, got {version!r}.")
    if not 0 <= number < 2**63:
        raise InvalidNameError(f"Parameter '{what}' must be a positive integer, got {version!r}.")
    return number


MODEL_ID: Final = re.compile(r"m-[0-9a-f]{32}")
