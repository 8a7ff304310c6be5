"""Clients that change a few models while they are killed, and a judge of the outcomes they were told.

Every call carries an id of its own as the reason of its events, and is written down when it begins and when it ends.
The judge compares that with the histories, which give the order of all changes: what was acknowledged is there, once
and whole; nothing is there that nobody asked for; what ended before something else began comes before it; who looked
saw a holder that the stage had between the beginning and the end of the look.
"""

import os
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing import connection
from typing import Any

from racing import CONTEXT, settings

from registry import MlflowClient
from registry.entities.history import HistoryEvent
from registry.exceptions import RegistryError, UnavailableError

MODELS = tuple(f"model-{number}" for number in range(5))
VERSIONS = 4
KINDS = ("promote", "promote", "succeed", "succeed", "archive", "delete", "restore", "mark", "look", "look")
# Calls of these kinds may find everything as it should be already, and then leave no event.
IDEMPOTENT = ("promote", "succeed", "archive")


@dataclass(frozen=True)
class Call:
    """One call: `begun` and `ended` by the machine's monotonic clock, `ended` None if its outcome is unknown.

    `outcome` is ``done``, the name of an error, or, of a look, the version that was seen (None for an empty stage).
    """

    key: str
    kind: str
    model: str
    version: int
    expected: int | None
    begun: int
    ended: int | None = None
    outcome: Any = None


def churn(url: str, seed: int, writer: Any, environment: dict[str, str]) -> None:
    """Call and record, until killed."""
    os.environ.update(environment)
    client, chance, number = MlflowClient(url), random.Random(seed), 0
    while True:
        number += 1
        kind, model, version = chance.choice(KINDS), chance.choice(MODELS), chance.randint(1, VERSIONS)
        expected = chance.randint(1, VERSIONS) if kind == "succeed" else None
        call = Call(f"{seed}-{number}", kind, model, version, expected, time.monotonic_ns())
        writer.send(call)
        try:
            outcome = _perform(client, call)
        except UnavailableError:
            continue  # it may have taken place
        except RegistryError as error:
            outcome = type(error).__name__
        writer.send(replace(call, ended=time.monotonic_ns(), outcome=outcome))


def _perform(client: MlflowClient, call: Call) -> Any:
    name, version, key = call.model, call.version, call.key
    match call.kind:
        case "promote":
            client.transition_model_version_stage(name, version, "Production", reason=key)
        case "succeed":
            client.transition_model_version_stage(
                name, version, "Production", expected_current=call.expected, reason=key
            )
        case "archive":
            client.transition_model_version_stage(name, version, "Archived", reason=key)
        case "delete":
            client.delete_model_version(name, version, force=True, reason=key)
        case "restore":
            client.restore_model_version(name, version, reason=key)
        case "mark":
            client.set_model_version_tag(name, version, "mark", key, reason=key)
        case "look":
            found = client.search_model_versions(f"name = '{name}' AND current_stage = 'Production'")
            assert len(found) <= 1
            return found[0].version if found else None
    return "done"


class Chaos:
    """Several client processes, each with its own pipe, so that a killed one holds no lock of the others."""

    def __init__(self, url: str, workers: int) -> None:
        self.url = url
        self.calls: dict[str, Call] = {}
        self._ended = 0
        self._seed = 0
        self._running = [self._start() for _ in range(workers)]

    def wait_for(self, count: int) -> None:
        """Wait until so many more calls have ended."""
        enough = self._ended + count
        while self._ended < enough:
            connection.wait([reader for _, reader in self._running], timeout=60)
            for process, reader in self._running:
                self._drain(reader)
                assert process.is_alive(), "a client met with an error that is none of ours; it is on stderr"

    def freeze(self, worker: int, seconds: float) -> None:
        """Pause a process wherever it is, with or without the lock, and continue it."""
        process, _ = self._running[worker]
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGCONT)

    def kill(self, worker: int) -> None:
        """Kill a process wherever it is, and start another one."""
        self._end(worker)
        self._running[worker] = self._start()

    def stop(self) -> None:
        """End all processes."""
        for worker in range(len(self._running)):
            self._end(worker)
        self._running = []

    def _start(self) -> tuple[Any, Any]:
        self._seed += 1
        reader, writer = CONTEXT.Pipe(duplex=False)
        process = CONTEXT.Process(target=churn, args=(self.url, self._seed, writer, settings()), daemon=True)
        process.start()
        writer.close()
        return process, reader

    def _end(self, worker: int) -> None:
        process, reader = self._running[worker]
        process.kill()
        process.join()
        self._drain(reader)
        reader.close()

    def _drain(self, reader: Any) -> None:
        try:
            while not reader.closed and reader.poll():
                call = reader.recv()
                self.calls[call.key] = call
                self._ended += call.ended is not None
        except EOFError:  # it was killed, perhaps in the middle of a message, which does not count then
            pass


class Judge:
    """The calls on one model, compared with its history."""

    def __init__(self, calls: Sequence[Call], events: Sequence[HistoryEvent]) -> None:
        self._calls = {call.key: call for call in calls}
        self._events = [event for event in events if event.reason is not None]
        self._places: dict[str, list[int]] = {}
        for event in self._events:
            self._places.setdefault(str(event.reason), []).append(event.seq)
        # The version in Production after each event; None before the first one.
        self._holders: list[int | None] = [None]
        self._stages: list[dict[int, str]] = [{}]
        for event in events:
            stages = dict(self._stages[-1])
            if event.kind == "stage_changed":
                stages[event.version or 0] = str(event.to_value)
            if event.kind == "version_deleted":
                stages[event.version or 0] = "deleted"
            if event.kind == "version_restored":
                stages[event.version or 0] = "None"
            self._stages.append(stages)
            holding = [version for version, stage in stages.items() if stage == "Production"]
            # A holder gives way in the event before the one of its successor, in the same transaction.
            gives_way = event.kind == "stage_changed" and "succeeded_by" in event.details
            self._holders.append(event.version if gives_way else (holding[0] if holding else None))

    def complaints(self) -> list[str]:
        """Return all errors found."""
        found = [f"phantom: {key}" for key in self._places if key not in self._calls]
        for call in self._calls.values():
            found += self._about(call)
        return found + self._out_of_order()

    def _about(self, call: Call) -> list[str]:
        places = self._places.get(call.key, [])
        if call.ended is None:
            return self._about_whole(call, places) if places else []
        if call.kind == "look":
            seen = {self._holders[place] for place in self._window(call)}
            return [] if call.outcome in seen else [f"stale: {call} saw neither of {seen}"]
        if call.outcome != "done":
            return [f"refused but there: {call}"] if places else self._about_refusal(call)
        if places:
            return self._about_whole(call, places)
        wanted = "Archived" if call.kind == "archive" else "Production"
        at_rest = call.kind in IDEMPOTENT and any(
            self._stages[place].get(call.version) == wanted for place in self._window(call)
        )
        return [] if at_rest else [f"lost: {call}"]

    def _about_whole(self, call: Call, places: list[int]) -> list[str]:
        """Check that events follow each other, and that each requested change happened once."""
        own = [event for event in self._events if event.reason == call.key]
        changes = [event for event in own if "succeeded_by" not in event.details]
        if places != list(range(places[0], places[0] + len(places))) or len(changes) != 1 or len(own) > 2:
            return [f"not once and whole: {call} at {places}"]
        if call.kind == "succeed" and self._holders[places[0] - 1] != call.expected:
            return [f"not what was expected: {call} at {places}"]
        return []

    def _about_refusal(self, call: Call) -> list[str]:
        window = self._window(call)
        stages = [self._stages[place].get(call.version) for place in window]
        match call.outcome:
            case "StageConflictError":
                right = any(self._holders[place] != call.expected for place in window)
            case "VersionNotFoundError":
                right = "deleted" in stages
            case "InvalidStateError":
                right = any(stage != "deleted" for stage in stages)
            case _:
                right = False
        return [] if right else [f"refused for no reason: {call}"]

    def _window(self, call: Call) -> range:
        """Return the states that a call may have seen: from the last ended change to the last begun one."""
        last = len(self._holders) - 1
        ended = [seq for seq, other in self._changes() if other.ended is not None and other.ended < call.begun]
        later = [
            self._places[other.key][0]
            for _, other in self._changes()
            if call.ended is not None and other.begun > call.ended
        ]
        return range(max(ended, default=0), min(later, default=last + 1))

    def _changes(self) -> list[tuple[int, Call]]:
        return [(places[-1], self._calls[key]) for key, places in self._places.items() if key in self._calls]

    def _out_of_order(self) -> list[str]:
        found, latest_begin = [], 0
        for seq, call in sorted(self._changes(), key=lambda change: change[0]):
            if call.ended is not None and call.ended < latest_begin:
                found.append(f"out of order: {call} at {seq}")
            latest_begin = max(latest_begin, call.begun)
        return found
