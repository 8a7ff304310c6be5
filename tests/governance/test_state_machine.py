"""Any operations in any order: the registry agrees with a model of a few lines of plain Python.

The same steps run on one database beside a plain model, and on both databases beside it and each other, which then also
refuse with equal errors. ``-m storm`` runs a thousand sequences and more.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from governed_models import kinds, sealed_model
from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from volumes import volume

from registry import MlflowClient
from registry.exceptions import RegistryError
from registry.rules import TagEquals
from registry.store.registry import NewVersion

pytestmark = pytest.mark.slow

STAGES = ("None", "Staging", "Production", "Archived")
HELD = ("Staging", "Production")
NAMES = ("nba", "mlb")
ALIASES = ("a", "b")
TICK = timedelta(microseconds=1)
LIVING_STAGES = (
    "SELECT name, version, current_stage FROM model_versions v JOIN registered_models m ON m.id = v.model_id "
    "WHERE v.deleted_time IS NULL AND m.deleted_time IS NULL"
)
ALIASES_NOW = "SELECT name, alias, version FROM model_aliases a JOIN registered_models m ON m.id = a.model_id"
_TIME: Final = re.compile(r"[0-9-]{10}T[0-9:.]+Z")


@dataclass
class Hold:
    """A plain period: its version, and the period that a rollback would restore."""

    version: int
    before: "Hold | None"


@dataclass
class Plain:
    """A registered model in plain Python."""

    uids: list[str] = field(default_factory=list)
    stages: dict[int, str] = field(default_factory=dict)
    deleted: set[int] = field(default_factory=set)
    aliases: dict[str, int] = field(default_factory=dict)
    fit: set[int] = field(default_factory=set)
    guarded: set[str] = field(default_factory=set)
    last: dict[str, Hold] = field(default_factory=dict)
    # Slot (a stage or @alias) to (moments of the event, one per database; who held it from then on).
    past: dict[str, list[tuple[list[datetime], int | None]]] = field(default_factory=dict)
    events: int = 1

    def living(self, version: int) -> bool:
        return version in self.stages and version not in self.deleted

    def holder(self, stage: str) -> int | None:
        if stage not in HELD:
            return None
        return next((version for version, held in self.stages.items() if held == stage), None)

    def target(self, stage: str) -> Hold | None:
        """Return the version that a rollback would restore."""
        holder, hold = self.holder(stage), self.last.get(stage)
        if hold is not None and holder is not None:
            hold = hold.before
        while hold is not None and (hold.version == holder or not self.living(hold.version)):
            hold = hold.before
        return hold

    def enter(self, version: int, stage: str, before: Hold | None) -> None:
        """Move a version that is in another stage."""
        holder = self.holder(stage)
        if holder is not None:
            self.stages[holder] = "Archived"
            self.events += 1
        self.stages[version] = stage
        self.events += 1
        if stage in HELD:
            self.last[stage] = Hold(version, before)


# Mostly what is there, and sometimes what is not.
some_name = st.integers(0, 7)
some_version = st.integers(0, 9)
some_stage = st.sampled_from((*STAGES, "Production", "Production"))
mostly = st.sampled_from((True, True, True, False))
some_move = st.tuples(
    some_version, some_stage, mostly, mostly, st.sampled_from(("unset", "unset", "unset", "right", None, 1, 2))
)
seldom = st.integers(0, 3)


class Governed(RuleBasedStateMachine):
    """One or several registries that run the same steps, and their plain model."""

    clients: Sequence[MlflowClient] = ()
    model_ids: Sequence[str] = ()

    def __init__(self) -> None:
        super().__init__()
        self.plain: dict[str, Plain] = {}
        self.uids: list[list[str]] = []
        for client in self.clients:
            for found in client.search_registered_models():
                client.delete_registered_model(found.name, force=True)

    def _do(self, call: Callable[[MlflowClient], Any], *, allowed: bool) -> bool:
        """Run a step everywhere; it must succeed if it is allowed, and raise our error if not. Tell whether it did."""
        outcomes = {_TIME.sub("TIME", _outcome(call, client)) for client in self.clients}
        assert len(outcomes) == 1, outcomes
        assert (outcomes == {"done"}) == allowed, outcomes
        return allowed

    def _name(self, number: int) -> str:
        """Draw a name, mostly one that is taken."""
        return sorted(self.plain)[number % len(self.plain)] if number > 1 and self.plain else NAMES[number % 2]

    def _version(self, plain: Plain, number: int) -> int:
        """Draw a version number, mostly of a version that existed."""
        return 1 + number % len(plain.stages) if number and plain.stages else 99

    def _note(self, name: str) -> None:
        """Record the holders since the last event."""
        plain = self.plain[name]
        slots: dict[str, int | None] = {stage: plain.holder(stage) for stage in HELD}
        slots |= {f"@{alias}": plain.aliases.get(alias) for alias in ALIASES}
        for slot, holder in slots.items():
            past = plain.past.get(slot, [])
            if (past[-1][1] if past else None) != holder:
                plain.past[slot] = [*past, (self._moments(name, slot), holder)]

    def _moments(self, name: str, slot: str) -> list[datetime]:
        """Return when a slot changed last, by database. Another model may have had the name too."""
        found = []
        for client, uid in zip(self.clients, self.plain[name].uids, strict=True):
            events = [event for event in client.get_history(name) if event.model_uid == uid]
            if slot.startswith("@"):
                events = [event for event in events if event.details.get("alias") == slot[1:]]
            found.append(events[-1].time)
        return found

    @initialize()
    def create(self) -> None:
        self._create("nba")
        for _ in range(3):
            self._register("nba")

    def _create(self, name: str) -> None:
        uids = [str(client.create_registered_model(name).model_uid) for client in self.clients]
        self.uids.append(uids)
        self.plain[name] = Plain(uids)

    def _register(self, name: str) -> None:
        plain = self.plain[name]
        for client, model_id in zip(self.clients, self.model_ids, strict=True):
            version = client.backend.versions.create(name, NewVersion("source", model_id)).version
            assert version == len(plain.stages) + 1
        plain.stages[len(plain.stages) + 1] = "None"
        plain.events += 1

    @rule(number=some_name)
    def register(self, number: int) -> None:
        name = self._name(number)
        if name in self.plain:
            self._register(name)

    @rule(number=some_name, moves=st.lists(some_move, min_size=1, max_size=4))
    def transitions(self, number: int, moves: list[tuple[int, str, bool, bool, int | str | None]]) -> None:
        for move in moves:
            self._transition(number, *move)

    def _transition(
        self, number: int, version: int, stage: str, archive: bool, override: bool, expected: int | str | None
    ) -> None:
        name = self._name(number)
        plain = self.plain.get(name, Plain())
        version, holder = self._version(plain, version), plain.holder(stage)
        if expected == "right":
            expected = holder if stage in HELD else "unset"
        options = {} if expected == "unset" else {"expected_current": expected}
        allowed = plain.living(version) and (expected == "unset" or (stage in HELD and holder == expected))
        moves = allowed and plain.stages[version] != stage
        if moves and holder is not None and not archive:
            allowed = moves = False
        fails = moves and stage in plain.guarded and version not in plain.fit
        done = self._do(
            lambda client: client.transition_model_version_stage(
                name,
                version,
                stage.upper(),
                archive_existing_versions=archive,
                override=override,
                reason="because",
                **options,
            ),
            allowed=allowed and (override or not fails),
        )
        plain.events += fails
        if done and moves:
            plain.enter(version, stage, plain.last.get(stage))
            self._note(name)

    @rule(number=some_name, stage=st.sampled_from(HELD), on=st.booleans())
    def guard(self, number: int, stage: str, on: bool) -> None:
        name = self._name(number)
        plain = self.plain.get(name, Plain())
        call: Callable[[MlflowClient], Any] = lambda client: client.delete_promotion_rules(name, stage)  # noqa: E731
        if on:
            call = lambda client: client.set_promotion_rules(name, stage, [TagEquals("fit", "yes")])  # noqa: E731
        if self._do(call, allowed=name in self.plain) and on != (stage in plain.guarded):
            plain.guarded ^= {stage}
            plain.events += 1

    @rule(number=some_name, version=some_version)
    def find_fit(self, number: int, version: int) -> None:
        name = self._name(number)
        plain = self.plain.get(name, Plain())
        version = self._version(plain, version)
        done = self._do(
            lambda client: client.set_model_version_tag(name, version, "fit", "yes"), allowed=plain.living(version)
        )
        if done and version not in plain.fit:
            plain.fit.add(version)
            plain.events += 1

    @rule(number=some_name, stage=st.sampled_from(HELD))
    def rollback(self, number: int, stage: str) -> None:
        name = self._name(number)
        plain = self.plain.get(name, Plain())
        hold = plain.target(stage)
        if self._do(lambda client: client.rollback(name, stage, force=True), allowed=hold is not None):
            assert hold is not None
            plain.enter(hold.version, stage, hold.before)
            self._note(name)

    @rule(number=some_name, alias=st.sampled_from(ALIASES), version=some_version)
    def set_alias(self, number: int, alias: str, version: int) -> None:
        name = self._name(number)
        plain = self.plain.get(name, Plain())
        version = self._version(plain, version)
        done = self._do(
            lambda client: client.set_registered_model_alias(name, alias, version), allowed=plain.living(version)
        )
        if done and plain.aliases.get(alias) != version:
            plain.aliases[alias] = version
            plain.events += 1
            self._note(name)

    @rule(number=some_name, alias=st.sampled_from(ALIASES))
    def delete_alias(self, number: int, alias: str) -> None:
        name = self._name(number)
        plain = self.plain.get(name, Plain())
        done = self._do(lambda client: client.delete_registered_model_alias(name, alias), allowed=name in self.plain)
        if done and plain.aliases.pop(alias, None):
            plain.events += 1
            self._note(name)

    @rule(number=some_name, version=some_version, force=st.booleans())
    def delete(self, number: int, version: int, force: bool) -> None:
        name = self._name(number)
        plain = self.plain.get(name, Plain())
        version = self._version(plain, version)
        allowed = plain.living(version) and (force or plain.stages[version] not in HELD)
        if self._do(lambda client: client.delete_model_version(name, version, force=force), allowed=allowed):
            gone = [alias for alias, named in plain.aliases.items() if named == version]
            for alias in gone:
                del plain.aliases[alias]
            plain.stages[version] = "None"
            plain.deleted.add(version)
            plain.events += 1 + len(gone)
            self._note(name)

    @rule(number=some_name, version=some_version)
    def restore(self, number: int, version: int) -> None:
        name = self._name(number)
        plain = self.plain.get(name, Plain())
        version = min(plain.deleted, default=self._version(plain, version))
        allowed = version in plain.deleted
        if self._do(lambda client: client.restore_model_version(name, version), allowed=allowed):
            plain.deleted.discard(version)
            plain.events += 1

    @rule(number=some_name)
    def rename(self, number: int) -> None:
        name = self._name(number)
        new = NAMES[1 - NAMES.index(name)]
        allowed = name in self.plain and new not in self.plain
        if self._do(lambda client: client.rename_registered_model(name, new), allowed=allowed):
            self.plain[new] = self.plain.pop(name)
            self.plain[new].events += 1

    @rule(name=st.sampled_from(NAMES), luck=seldom)
    def create_anew(self, name: str, luck: int) -> None:
        if name not in self.plain:
            self._create(name)
            self._register(name)
        elif luck == 0:
            self._do(lambda client: client.create_registered_model(name), allowed=False)

    @rule(number=some_name, luck=seldom)
    def delete_model(self, number: int, luck: int) -> None:
        if luck:
            return
        name = self._name(number)
        held = name in self.plain and any(stage in HELD for stage in self.plain[name].stages.values())
        if self._do(lambda client: client.delete_registered_model(name), allowed=name in self.plain and not held):
            del self.plain[name]

    @precondition(lambda self: any(plain.past for plain in self.plain.values()))
    @rule(data=st.data())
    def look_back(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(name for name, plain in self.plain.items() if plain.past)))
        plain = self.plain[name]
        slot = data.draw(st.sampled_from(sorted(plain.past)))
        index = data.draw(st.integers(0, len(plain.past[slot]) - 1))
        moments, holder = plain.past[slot][index]
        before = plain.past[slot][index - 1][1] if index else None
        for offset, expected in ((0 * TICK, holder), (-TICK, before)):
            found: list[int | None] = []

            def look(client: MlflowClient, offset: timedelta = offset, found: list[int | None] = found) -> None:
                found.append(_find(client, name, slot, moments[self.clients.index(client)] + offset))

            if self._do(look, allowed=expected is None or plain.living(expected)):
                assert found == [expected] * len(self.clients)

    @invariant()
    def the_tables_are_as_they_should_be(self) -> None:
        stages = {
            (name, version, stage)
            for name, plain in self.plain.items()
            for version, stage in plain.stages.items()
            if plain.living(version)
        }
        aliases = {(name, *named) for name, plain in self.plain.items() for named in plain.aliases.items()}
        for client in self.clients:
            assert set(client.backend.database.read(lambda c: c.exec_driver_sql(LIVING_STAGES).all())) == stages
            assert set(client.backend.database.read(lambda c: c.exec_driver_sql(ALIASES_NOW).all())) == aliases

    def teardown(self) -> None:
        for name, plain in self.plain.items():
            for client in self.clients:
                report = client.verify(name)
                assert (report.events, report.versions) == (plain.events, len(plain.stages))
                assert {stage: _find(client, name, stage, None) for stage in HELD} == {
                    stage: plain.holder(stage) for stage in HELD
                }
            assert len({tuple(kinds(client, name)) for client in self.clients}) == 1
        for uids in self.uids:
            for client, uid in zip(self.clients, uids, strict=True):
                client.backend.verification.verify_uid(uid)


def _outcome(call: Callable[[MlflowClient], Any], client: MlflowClient) -> str:
    try:
        call(client)
    except RegistryError as error:
        return f"{type(error).__name__}: {error}"
    return "done"


def _find(client: MlflowClient, name: str, slot: str, at: datetime | None) -> int | None:
    if slot.startswith("@"):
        found = client.find_model_version_by_alias(name, slot[1:], at)
    else:
        found = client.find_model_version_by_stage(name, slot, at)
    return None if found is None else found.version


def _run(urls: Sequence[str], examples: int, steps: int) -> None:
    Governed.clients = [MlflowClient(url) for url in urls]
    Governed.model_ids = [sealed_model(client) for client in Governed.clients]
    run_state_machine_as_test(
        Governed,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=False,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        ),
    )


@pytest.mark.parametrize(
    ("examples", "steps"), [(15, 25), pytest.param(*volume((1_000, 50), (60, 30)), marks=pytest.mark.storm)]
)
def test_a_registered_model_agrees_with_plain_python(sqlite_url: str, examples: int, steps: int) -> None:
    _run([sqlite_url], examples, steps)


@pytest.mark.parametrize(
    ("examples", "steps"), [(6, 20), pytest.param(*volume((500, 50), (30, 30)), marks=pytest.mark.storm)]
)
def test_both_databases_say_the_same(sqlite_url: str, postgres_url: str, examples: int, steps: int) -> None:
    _run([sqlite_url, postgres_url], examples, steps)
