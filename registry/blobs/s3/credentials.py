"""Credentials that are read anew when S3 says that they have expired.

boto3 reads ``~/.aws/credentials`` once. Short-lived keys, as clusters and single sign-on write them there, expire while
a process runs. Guarantee: a request that is refused for that is repeated once, with what the same sources say then.
"""

from collections.abc import Callable
from typing import Any, Final

from botocore.credentials import Credentials, ReadOnlyCredentials, create_credential_resolver
from botocore.session import Session

_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"})
_RENEWED: Final = "registry_renewed"


class RenewableCredentials(Credentials):
    """Credentials from one of boto3's sources, which `renew` reads again."""

    def __init__(self, found: Credentials, load: Callable[[], Credentials | None]) -> None:
        # Not the base class's: it would copy keys that their source refreshes by itself.
        self._found = found
        self._load = load

    def __getattr__(self, name: str) -> Any:
        return getattr(self._found, name)

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return the keys to sign one request with."""
        return self._found.get_frozen_credentials()

    def get_deferred_property(self, property_name: str) -> Callable[[], Any]:
        """Return what gives a property when it is needed."""
        return lambda: self._found.get_deferred_property(property_name)()

    def renew(self) -> None:
        """Read the keys again. Where there are none any more, the old ones stay."""
        self._found = self._load() or self._found


def session_with_renewal() -> Session:
    """Return a session of botocore whose clients renew expired credentials."""
    session = Session()
    session.register_component("credential_provider", _Provider(session))

    def renew(**event: Any) -> Any:  # the stubs say None, but botocore waits for seconds
        return _renew(session, **event)

    session.register("needs-retry.s3", renew)
    return session


class _Provider:
    """boto3's own chain of sources, of which the answer is renewable."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def load_credentials(self) -> Credentials | None:
        found = self._load()
        return None if found is None else RenewableCredentials(found, self._load)

    def _load(self) -> Credentials | None:
        fresh = Session(profile=self._session.profile)  # a session keeps the files that it has read
        found: Credentials | None = create_credential_resolver(fresh).load_credentials()
        return found


def _renew(session: Session, response: Any, operation: Any, request_dict: dict[str, Any], **_: object) -> int | None:
    """Repeat a request at once that was refused for its age; None leaves it to botocore's retries."""
    context = request_dict["context"]
    if response is None or context.get(_RENEWED):
        return None
    code = response[1].get("Error", {}).get("Code")
    # A HEAD has no body to say why.
    if code not in _EXPIRED and not (code == "400" and operation.name == "HeadObject"):
        return None
    credentials = session.get_credentials()
    if not isinstance(credentials, RenewableCredentials):
        return None
    context[_RENEWED] = True
    credentials.renew()
    return 0
