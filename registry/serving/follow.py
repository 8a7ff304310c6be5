"""`follow`: a loaded model that changes when its stage or alias does.

Guarantees: each answer comes whole from one version. Whatever fails (the database, the files, the new model itself),
the version that answers goes on answering. A model is freed when its last call has ended, outside the caller's thread.
"""

import atexit
import contextlib
import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from registry.exceptions import InvalidParameterError, InvalidStateError, RegistryError, UnavailableError
from registry.scoring.pinned import LoadOptions
from registry.serving.served_model import FollowStatus, ServedModel
from registry.serving.source import Identity, Source
from registry.settings import base_of, current_base, current_settings
from registry.uris import Uri, parse

_logger = logging.getLogger(__name__)

_LONGEST_PAUSE_SECONDS: Final = 60.0
_END_SECONDS: Final = 5.0


OnSwap = Callable[[ServedModel | None, ServedModel], None]
"""Called after a swap, in the thread that made it: with the model before, None at first, and the one that answers."""


def follow(
    uri: str,
    *,
    every: float = 5.0,
    warm_up: bool = True,
    on_swap: OnSwap | None = None,
    allow_incompatible: bool = False,
    wait: bool = True,
    tracking_uri: str | None = None,
    nthread: int | None = None,
    model_config: Mapping[str, Any] | None = None,
    allow_code: bool | None = None,
    require_signature: str | Path | None = None,
    skops_trusted_types: Iterable[str] | None = None,
) -> "FollowedModel":
    """Load the model that a URI stands for, and replace it in the background when the URI stands for another one.

    A new model is fetched to the cache, compared with its digests, loaded, held against the signature of the one that
    answers, and warmed up, all beside the calls; then it takes over in one step. If any of this fails, the old one goes
    on answering, `status` says why and since when, and it is tried again, at growing intervals up to a minute.
    Database rights to read are enough.

    Args:
        uri: ``models:/name/Stage``, ``models:/name@alias`` or ``models:/name/latest``, which may move; or any other
            URI of a model, which is loaded once.
        every: Seconds between two looks at the registry. Each is one indexed query.
        warm_up: Predict the model's input example, if it has one, before it answers. Such a model that fails at that
            does not take over.
        on_swap: Called after each swap with the model before, or None, and the one that answers now.
        allow_incompatible: Let a model take over though its signature does not take what callers of the old one send.
        wait: Load now, and raise if that fails. False returns at once; until a model is loaded, `predict` raises
            `UnavailableError`.
        tracking_uri: Where the registry is. Default: the tracking URI that is set.
        nthread: Threads of one prediction, for XGBoost, LightGBM, CatBoost and scikit-learn. Default: as the model was
            saved.
        model_config: Settings that overwrite those that the model was saved with; plain JSON.
        allow_code: Consent to run code from the model's files. Default: ``REGISTRY_ALLOW_CODE``, else False.
        require_signature: A public key (a PEM file). Only models that this key signed take over.
        skops_trusted_types: Names of types that a scikit-learn model may hold, besides those known to be safe.

    Returns:
        A model to be closed in the end; it is a context manager.

    Raises:
        NotFoundError: The URI leads to nothing.
        InvalidParameterError: An argument is malformed.
        CodeExecutionRefusedError: Loading would run code of the model, without consent.
        IntegrityError: A stored file differs from the manifest.

    Example:
        >>> with registry.serving.follow("models:/churn/Production", every=1) as followed:
        ...     before = followed.predict(X.head(2)).tolist()
        ...     client.transition_model_version_stage("churn", 3, "Production")
        ...     _ = followed.refresh()  # do not wait for the next look
        ...     print(before, followed.status.version)
        [0, 0] 3
    """
    if not isinstance(every, int | float) or isinstance(every, bool) or not 0 < every < float("inf"):
        raise InvalidParameterError(f"every is a number of seconds above 0, got {every!r}.")
    parsed = parse(uri)
    place = current_settings().tracking_uri if tracking_uri is None else tracking_uri
    followed = FollowedModel(
        parsed,
        Source(
            parsed,
            place,
            (base_of if tracking_uri is None else current_base)(place),
            LoadOptions.of(allow_code, skops_trusted_types, model_config, nthread),
            require_signature,
            warm_up,
            allow_incompatible,
        ),
        every,
        on_swap,
    )
    if wait:
        followed.refresh()
    followed._start()
    return followed


class FollowedModel:
    """A model that changes when its stage or alias does. Made by `follow`; threads may share it.

    A forked child loads the model again at its first call, with one thread if the parent had loaded a library that
    uses OpenMP: its threads do not survive a fork.

    Example:
        >>> followed = registry.serving.follow("models:/churn@champion")
        >>> with followed.lease() as served:  # several calls of one version
        ...     answer = served.version, served.predict(X.head(2)).tolist()
        >>> followed.close()
        >>> answer
        (2, [0, 0])
    """

    def __init__(self, uri: Uri, source: Source, every: float, on_swap: OnSwap | None) -> None:
        self._uri = uri
        self._source = source
        self._every = every
        self._on_swap = on_swap
        self._current: ServedModel | None = None
        self._identity: Identity | None = None
        self._swaps = 0
        self._inherited: list[ServedModel] = []
        self._begin()
        _followed.add(self)

    def _begin(self) -> None:
        """Set what belongs to this process alone."""
        self._lock = threading.Lock()
        self._checking = threading.RLock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._retired: list[ServedModel] = []
        self._is_closed = False
        self._is_forked = False
        self._failed: Identity | None = None
        self._retry_at = 0.0
        self._checked: tuple[datetime, float] | None = None
        self._error: str | None = None
        self._failing_since: datetime | None = None
        self._failures = 0

    @property
    def uri(self) -> str:
        """Return the URI that is followed."""
        return str(self._uri)

    @property
    def status(self) -> FollowStatus:
        """Return what answers now, and what is wrong, if anything."""
        with self._lock:
            status = FollowStatus(
                self.uri,
                checked=self._checked[0] if self._checked else None,
                check_age=time.monotonic() - self._checked[1] if self._checked else None,
                error=self._error,
                failing_since=self._failing_since,
                failures=self._failures,
                swaps=self._swaps,
            )
            served = self._current
        if served is None:
            return status
        return replace(
            status,
            is_ready=True,
            name=served.name,
            version=served.version,
            model_id=served.model_id,
            digest=served.digest,
            since=served.since,
        )

    @contextlib.contextmanager
    def lease(self) -> Iterator[ServedModel]:
        """Lend the model that answers now, for several calls of the same version.

        Yields:
            The model. It stays loaded until the block ends, whatever is promoted meanwhile.

        Raises:
            UnavailableError: No model is loaded yet; `status` says why.
            InvalidStateError: The followed model was closed.

        Example:
            >>> with registry.serving.follow("models:/churn/Production") as followed:
            ...     with followed.lease() as served:
            ...         print(served.uri)
            models:/churn/2
        """
        served = self._take()
        try:
            yield served
        finally:
            self._give_back(served)

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Predict with the model that answers now.

        Args:
            data: As `PyFuncModel.predict` takes it.
            params: Params that the signature names.

        Returns:
            The predictions, all of one version.

        Raises:
            SchemaEnforcementError: The data do not fit the signature.
            UnavailableError: No model is loaded yet; `status` says why.
            InvalidStateError: The followed model was closed.

        Example:
            >>> with registry.serving.follow("models:/churn/Production") as followed:
            ...     print(followed.predict(X.head(2)).tolist())
            [0, 0]
        """
        served = self._take()
        try:
            return served.predict(data, params)
        finally:
            self._give_back(served)

    def refresh(self) -> bool:
        """Look now, without waiting for the next time, and load what the URI stands for, also after a failure.

        Returns:
            Whether another model answers now.

        Raises:
            RegistryError: The look or the load failed; the model that answered before still does.

        Example:
            >>> with registry.serving.follow("models:/churn/Production") as followed:
            ...     print(followed.refresh())
            False
        """
        return self._check(force=True)

    def close(self) -> None:
        """Stop following, and free the model when its last call has ended. Idempotent."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            served, self._current = self._current, None
            if served is not None:
                served._is_retired = True
                self._retired.append(served)
            thread = self._thread
        if thread is None or not thread.is_alive():
            self._free()
        self._wake.set()
        # A look that is under way ends before this returns, so that it opens no connection afterwards.
        if self._checking.acquire(timeout=_END_SECONDS):
            self._checking.release()

    def __enter__(self) -> "FollowedModel":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _take(self) -> ServedModel:
        with self._lock:
            served = self._current
            if served is not None:
                served._leases += 1
                return served
        if self._is_closed:
            raise InvalidStateError(f"The model that followed {self.uri} was closed; follow it again.")
        if self._is_forked:
            self.refresh()
            self._start()
            return self._take()
        raise UnavailableError(f"No model is loaded for {self.uri} yet: {self._error or 'it is being loaded'}")

    def _give_back(self, served: ServedModel) -> None:
        with self._lock:
            served._leases -= 1
            if served._leases or not served._is_retired:
                return
            thread = self._thread
        if thread is None or not thread.is_alive():
            self._free()
        self._wake.set()

    def _free(self) -> None:
        """Drop the models that were replaced and that no call uses any more."""
        with self._lock:
            done = [served for served in self._retired if not served._leases]
            self._retired = [served for served in self._retired if served._leases]
        for served in done:
            served._model = None

    def _start(self) -> None:
        with self._lock:
            self._is_forked = False
            needs_thread = self._source.can_move or self._current is None
            if self._thread is not None or self._is_closed or not needs_thread:
                return
            # It holds no reference to this object, so that one that nobody closes can be collected.
            self._wake.clear()  # the first load has set it, and needs no second look
            target, name = _keep_following, f"registry-follow-{self.uri}"
            pause = self._pause() if self._current is not None else 0.0
            self._thread = threading.Thread(
                target=target, args=(weakref.ref(self), self._wake, pause), name=name, daemon=True
            )
            self._thread.start()

    def _step(self) -> float | None:
        """Look, free what was replaced, and return the seconds until the next look; None ends the thread."""
        self._free()
        if not self._is_closed:
            with contextlib.suppress(RegistryError):  # it is in `status`, and was logged
                self._check()
            self._free()
        with self._lock:
            if self._retired:
                return self._pause()
            is_done = self._is_closed or (self._current is not None and not self._source.can_move)
            if is_done:
                self._thread = None
                return None
            return self._pause()

    def _pause(self) -> float:
        pause = self._every
        if self._failures and self._failed is None:
            pause = _backoff(self._every, self._failures)
        return pause * random.uniform(0.9, 1.1)  # noqa: S311 - servers that start together do not look together

    def _check(self, *, force: bool = False) -> bool:
        with self._checking:
            if self._is_closed:
                return False
            identity = None
            try:
                if self._source.can_move or self._current is None:
                    identity = self._source.find() if self._source.can_move else None
                    self._checked = datetime.now(UTC), time.monotonic()
                    if self._current is None or identity != self._identity:
                        is_known_to_fail = identity is not None and identity == self._failed
                        if is_known_to_fail and not force and time.monotonic() < self._retry_at:
                            return False
                        return self._swap(self._source.load(self._current))
                self._succeed()
                return False
            except RegistryError as error:
                self._fail(error, identity)
                raise
            except Exception as error:
                # Code of the model's own raises whatever it likes, and must not end the thread.
                failure = InvalidStateError(f"The model of {self.uri} cannot be used: {type(error).__name__}: {error}")
                self._fail(failure, identity)
                raise failure from error

    def _swap(self, served: ServedModel) -> bool:
        with self._lock:
            if self._is_closed:
                return False
            before, self._current = self._current, served
            self._identity = Identity(served.name, served.version, served.digest)
            if before is not None:
                self._swaps += 1
                before._is_retired = True
                self._retired.append(before)
        self._checked = datetime.now(UTC), time.monotonic()
        self._succeed()
        _logger.info("%s answers for %s, after %s.", served.uri, self.uri, before.uri if before else "nothing")
        if self._on_swap is not None:
            try:
                self._on_swap(before, served)
            except Exception:
                _logger.exception("on_swap failed after %s began to answer for %s.", served.uri, self.uri)
        if threading.current_thread() is not self._thread:
            self._wake.set()  # its thread frees the model before
        return True

    def _succeed(self) -> None:
        with self._lock:
            was_failing = self._error is not None
            self._error = self._failing_since = self._failed = None
            self._failures = 0
        if was_failing:
            _logger.info("%s can be followed again.", self.uri)

    def _fail(self, error: RegistryError, identity: Identity | None) -> None:
        with self._lock:
            is_news = error.message != self._error
            self._error = error.message
            self._failing_since = self._failing_since or datetime.now(UTC)
            self._failures += 1
            self._failed = identity
            self._retry_at = time.monotonic() + _backoff(self._every, self._failures)
            serving = self._current.uri if self._current else None
        if is_news and serving is not None:
            _logger.warning("%s goes on answering for %s: %s", serving, self.uri, error.message)
        elif is_news:
            _logger.warning("No model answers for %s yet, and it is tried again: %s", self.uri, error.message)

    def _renew_in_child(self) -> None:
        """Start anew in a forked child: the parent's threads are gone, and so are those of the loaded model."""
        if self._current is not None:
            self._inherited.append(self._current)  # it is the parent's to free
        self._inherited += self._retired
        is_closed = self._is_closed
        self._current = self._identity = None
        self._begin()
        self._is_closed, self._is_forked = is_closed, True


def _backoff(every: float, failures: int) -> float:
    return max(every, min(every * 2.0 ** min(failures - 1, 16), _LONGEST_PAUSE_SECONDS))


def _keep_following(reference: "weakref.ref[FollowedModel]", wake: threading.Event, pause: float | None) -> None:
    wake.wait(pause)
    while True:
        wake.clear()
        followed = reference()
        pause = followed._step() if followed is not None else None
        if pause is None:
            return
        del followed
        wake.wait(pause)


_followed: "weakref.WeakSet[FollowedModel]" = weakref.WeakSet()


def _renew_in_child() -> None:
    for followed in list(_followed):
        followed._renew_in_child()


def _close_at_exit() -> None:
    """End the threads before the interpreter does: one inside a library of another language could crash it."""
    threads = [followed._thread for followed in list(_followed)]
    for followed in list(_followed):
        followed.close()
    until = time.monotonic() + _END_SECONDS
    for thread in threads:
        if thread is not None:
            thread.join(max(until - time.monotonic(), 0))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_in_child)
atexit.register(_close_at_exit)
