"""Who a visitor is: by the token of the printed URL, by a password, or by a header of a trusted proxy.

Guarantees: names and tokens are compared in constant time; an unknown name takes as long as a wrong password; a header
counts only from the address of the proxy, and only once.
"""

import hashlib
import hmac
import re
import secrets
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from starlette.requests import Request

from registry.client.atomic_files import replace_text
from registry.entities.history import check_remark
from registry.exceptions import InvalidParameterError, InvalidStateError, RegistryError, StorageError
from registry.settings import actor_of, current_settings

_COST: Final = {"n": 2**14, "r": 8, "p": 1}
_LINE: Final = re.compile(r"(?P<name>[^:]+):scrypt:(?P<salt>[0-9a-f]{32}):(?P<hash>[0-9a-f]{64})")
MAX_NAME: Final = 250


class Auth(Protocol):
    """A way to recognise visitors."""

    @property
    def asks_for_password(self) -> bool:
        """Tell whether visitors sign in with a form."""
        ...

    @property
    def is_shared(self) -> bool:
        """Tell whether visitors other than the user of this process act on the page."""
        ...

    def actor(self, request: Request) -> str | None:
        """Return the name that the request itself proves, or None if it needs a session."""
        ...

    def generation(self, actor: str) -> str | None:
        """Return a text that changes when the sessions of a name end, or None if the name may not visit."""
        ...


@dataclass(frozen=True)
class TokenAuth:
    """Whoever has the printed URL is the user of this process."""

    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    asks_for_password: bool = False
    is_shared: bool = False

    def actor(self, request: Request) -> str | None:
        """Return the user of this process if the URL has the token."""
        given = request.query_params.get("token", "")
        return actor_of(current_settings()) if _equal(given, self.token) else None

    def generation(self, actor: str) -> str | None:
        """Return the token: sessions live as long as the process."""
        return self.token if actor == actor_of(current_settings()) else None


@dataclass(frozen=True)
class PasswordAuth:
    """Names and hashed passwords in a file, one a line; who is taken out of it is out at the next request."""

    file: Path
    asks_for_password: bool = True
    is_shared: bool = True
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def actor(self, request: Request) -> str | None:
        """Return None: a password makes a session."""
        del request
        return None

    def generation(self, actor: str) -> str | None:
        """Return the line of a name; a new password ends the sessions of the old one."""
        return self._lines().get(actor)

    def check(self, name: str, password: str) -> bool:
        """Tell whether a password is that of a name. One at a time, so that guessing is slow."""
        line = self._lines().get(name)
        match = _LINE.fullmatch(line or f"nobody:scrypt:{'0' * 32}:{'0' * 64}")
        with self._lock:
            found = _hash(password, bytes.fromhex(match["salt"] if match else ""))
        return line is not None and match is not None and _equal(found, match["hash"])

    def _lines(self) -> dict[str, str]:
        try:
            text = self.file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(f"The password file {str(self.file)!r} cannot be read: {error}.") from None
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        for number, line in enumerate(lines, 1):
            if not _LINE.fullmatch(line):
                raise InvalidStateError(
                    f"Entry {number} of the password file {str(self.file)!r} is no entry; "
                    "write them with 'registry ui --add-user NAME --auth FILE'."
                )
        return {line.partition(":")[0]: line for line in lines}


@dataclass(frozen=True)
class HeaderAuth:
    """A proxy that has signed visitors in says who they are, in a header that it sets itself."""

    header: str
    proxies: frozenset[str] = frozenset({"127.0.0.1", "::1"})
    asks_for_password: bool = False
    is_shared: bool = True

    def actor(self, request: Request) -> str | None:
        """Return the name in the header, if the proxy itself asks and the header is there once."""
        values = request.headers.getlist(self.header)
        address = request.client.host if request.client else None
        if len(values) != 1 or address not in self.proxies:
            return None
        try:
            return check_actor(values[0].encode("latin-1").decode("utf-8"))
        except (RegistryError, UnicodeError):
            return None

    def generation(self, actor: str) -> str | None:
        """Return None: every request carries its name, so there are no sessions."""
        del actor
        return None


def check_actor(name: str) -> str:
    """Return a name that the history can hold.

    Raises:
        InvalidParameterError: It is blank, too long, has a colon or unprintable characters.
    """
    check_remark(name, "The name")
    if not name.strip() or name != name.strip() or len(name) > MAX_NAME or ":" in name or not name.isprintable():
        raise InvalidParameterError(
            f"{name[:60]!r} cannot be a user's name: use at most {MAX_NAME} printable characters without a colon."
        )
    return name


def add_user(file: Path, name: str, password: str) -> None:
    """Add a name with its hashed password to a password file, or replace the password that it had.

    Raises:
        InvalidParameterError: The name cannot be used, or the password has less than 8 characters.
        StorageError: The file cannot be written.
    """
    check_actor(name)
    if len(password) < 8:
        raise InvalidParameterError("The password has less than 8 characters; use a longer one.")
    salt = secrets.token_bytes(16)
    line = f"{name}:scrypt:{salt.hex()}:{_hash(password, salt)}"
    try:
        before = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        others = [other for other in before if other.partition(":")[0] != name]
        replace_text(file, "\n".join([*others, line]) + "\n", mode=0o600)
    except (OSError, UnicodeError) as error:
        raise StorageError(f"The password file {str(file)!r} cannot be written: {error}.") from None


def _hash(password: str, salt: bytes) -> str:
    return hashlib.scrypt(password.encode("utf-8", "surrogatepass"), salt=salt, **_COST, dklen=32).hex()


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))
