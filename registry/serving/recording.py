"""Recording of what a served model is asked and answers, where the registry has a monitor of it.

Guarantees: the registry is asked, and rows are stored, in the background; no request waits for that or fails because of
it.
"""

import logging
import threading
from typing import TYPE_CHECKING, Final

from registry.client import MlflowClient
from registry.entities.model_registry import ResolvedModel
from registry.exceptions import ModelNotFoundError, RegistryError
from registry.serving.follow import FollowedModel
from registry.serving.served_model import ServedModel
from registry.serving.shadow import Observation
from registry.settings import current_settings
from registry.uris import ModelStageUri, parse

if TYPE_CHECKING:  # they load pandas, which a server without a monitor may never need
    from registry.monitoring.columns import PrivacyRules
    from registry.monitoring.recorder import Recorder

_logger = logging.getLogger(__name__)

_END_SECONDS: Final = 5.0


class Recording:
    """Records what a followed model predicts, with the version that answered, as long as there is a monitor of it.

    A model that is followed by its stage is recorded if that stage has a monitor, and one that is followed otherwise
    if any stage of it has. Files outside the registry are never recorded.

    Args:
        followed: The model.
        every: Seconds between two looks for a monitor.
    """

    def __init__(self, followed: FollowedModel, every: float) -> None:
        self._followed = followed
        self._every = every
        self._client, self._reader = MlflowClient(), MlflowClient(read_only=True)
        self._rules: PrivacyRules | None = None  # None: nothing is recorded
        self._recorders: dict[int | None, Recorder] = {}
        self._lock = threading.Lock()
        self._dropped = 0
        self._failure: str | None = None
        self._stop = threading.Event()
        uri = parse(followed.uri)
        self._stage = uri.stage if isinstance(uri, ModelStageUri) else None
        self._thread: threading.Thread | None = None
        name: str | None = getattr(uri, "name", None)
        if name is not None and current_settings().monitoring_share > 0:
            self._thread = threading.Thread(target=self._run, args=(name,), name="registry-recording", daemon=True)
            self._thread.start()

    @property
    def is_on(self) -> bool:
        """Tell whether requests are recorded now."""
        return self._rules is not None

    @property
    def dropped(self) -> int:
        """Return how many rows were not recorded, because too many waited or storing them failed."""
        with self._lock:
            return self._dropped + sum(recorder.dropped for recorder in self._recorders.values())

    def offer(self, observation: Observation) -> None:
        """Record a request later, if there is a monitor, and the request is of the share that is recorded."""
        served = observation.served
        with self._lock:
            if self._rules is None:
                return
            recorder = self._recorders.get(served.version)
            if recorder is None:
                recorder = self._recorders[served.version] = self._begin(served, self._rules)
            recorder.put(observation.data, observation.predictions)

    def close(self) -> None:
        """Store what waits."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_END_SECONDS)
        with self._lock:
            self._rules = None
        self._end_others(None)

    def _begin(self, served: ServedModel, rules: "PrivacyRules") -> "Recorder":
        from registry.monitoring.recorder import Recorder

        settings = current_settings()
        return Recorder(
            self._client,
            ResolvedModel(served.name, served.version, served.model_id or "", served.location, served.digest),
            share=settings.monitoring_share,
            rules=rules,
            sample_rows=settings.monitoring_sample_rows,
        )

    def _run(self, name: str) -> None:
        while not self._stop.is_set():
            self._look(name)
            # A request of the version before may still be under way; it begins a recorder anew, until the next look.
            self._end_others(self._followed.status.version if self.is_on else None)
            self._stop.wait(self._every)

    def _look(self, name: str) -> None:
        """Ask whether there is a monitor; while nobody answers, what was so stays so."""
        try:
            monitors = self._reader.get_monitors(name)
        except ModelNotFoundError:
            monitors = []
        except RegistryError as error:
            if error.message != self._failure:
                _logger.warning("Whether %s has a monitor is not known: %s", name, error)
            self._failure = error.message
            return
        self._failure = None
        is_wanted = any(not one.has_ended and self._stage in (None, one.stage) for one in monitors)
        if is_wanted == self.is_on:
            return
        rules = None
        if is_wanted:
            from registry.monitoring.columns import default_rules

            rules = default_rules()
        with self._lock:
            self._rules = None if self._stop.is_set() else rules
        _logger.info(
            "%s is %s.", self._followed.uri, "recorded, for it has a monitor" if rules else "not recorded any more"
        )

    def _end_others(self, version: int | None) -> None:
        """Store what waits for other versions than this, and forget their recorders."""
        with self._lock:
            ended = [self._recorders.pop(other) for other in list(self._recorders) if other != version]
        for recorder in ended:
            recorder.stop()
            with self._lock:
                self._dropped += recorder.dropped
