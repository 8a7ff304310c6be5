"""Whatever is done to a model in whatever order: the registry says what a few lines of plain Python say.

The same steps run on one database beside a plain model, and on both databases beside each other. ``-m storm`` runs a
thousand sequences and more.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from governed_models import sealed_model
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import registry
from registry import MlflowClient
from registry.exceptions import RegistryError
from registry.store.catalog import NewVersion

STAGES = ("None", "Staging", "Production", "Archived")
HELD = ("Staging", "Production")
NAMES = ("nba", "mlb")
TICK = timedelta(microseconds=1)


@dataclass
class Hold:
    """A plain period: who, and the hold that a rollback would restore."""

    version: int
    before: "Hold | None"


@dataclass
class Plain:
    """A registered model as a dict would have it."""

    stages: dict[int, str] = field(default_factory=dict)
    deleted: set[int] = field(default_factory=set)
    aliases: dict[str, int] = field(default_factory=dict)
    last: dict[str, Hold] = field(default_factory=dict)
    # Slot (a stage or @alias) to (moment of the event, who held it from then on).
    past: dict[str, list[tuple[datetime, int | None]]] = field(default_factory=dict)
    events: int = 1

    def living(self, version: int) -> bool:
        return version in self.stages and version not in self.deleted

    def holder(self, stage: str) -> int | None:
        return next((version for version, held in self.stages.items() if held == stage), None)

    def target(self, stage: str) -> Hold | None:
        """What a rollback would restore."""
        holder, hold = self.holder(stage), self.last.get(stage)
        if hold is not None and holder is not None:
            hold = hold.before
        while hold is not None and (hold.version == holder or not self.living(hold.version)):
            hold = hold.before
        return hold

    def enter(self, version: int, stage: str, before: Hold | None) -> None:
        """Move a version that is in another stage."""
        holder = self.holder(stage) if stage in HELD else None
        if holder is not None:
            self.stages[holder] = "Archived"
            self.events += 1
        self.stages[version] = stage
        self.events += 1
        if stage in HELD:
            self.last[stage] = Hold(version, before)


class Governed(RuleBasedStateMachine):
    """One registry and its plain twin."""

    url = ""
    model_id = ""

    def __init__(self) -> None:
        super().__init__()
        self.client = MlflowClient(self.url)
        self.plain: dict[str, Plain] = {}
        self.uids: set[str] = set()
        for found in self.client.search_registered_models():
            self.client.delete_registered_model(found.name, force=True)

    def _do(self, call: Any, *, allowed: bool) -> bool:
        """Whether it was done; it must be if it is allowed, and raise our error if it is not."""
        try:
            call()
        except RegistryError:
            assert not allowed
            return False
        assert allowed
        return True

    def _note(self, name: str) -> None:
        """Write down who holds what since the last event."""
        plain, now = self.plain[name], self.client.get_history(name)[-1].time
        slots: dict[str, int | None] = {stage: plain.holder(stage) for stage in HELD}
        slots |= {f"@{alias}": plain.aliases.get(alias) for alias in ("a", "b")}
        for slot, holder in slots.items():
            past = plain.past.setdefault(slot, [])
            if (past[-1][1] if past else None) != holder:
                past.append((now, holder))

    @initialize()
    def create(self) -> None:
        self._create("nba")
        self._register("nba")
        self._register("nba")

    def _create(self, name: str) -> None:
        self.uids.add(str(self.client.create_registered_model(name).model_uid))
        self.plain[name] = Plain()

    def _register(self, name: str) -> None:
        plain = self.plain[name]
        version = self.client.backend.versions.create(name, NewVersion("source", self.model_id)).version
        assert version == len(plain.stages) + 1
        plain.stages[version] = "None"
        plain.events += 1

    @rule(name=st.sampled_from(NAMES))
    def register(self, name: str) -> None:
        if name in self.plain:
            self._register(name)

    versions = st.integers(1, 5)

    @rule(
        name=st.sampled_from(NAMES),
        version=versions,
        stage=st.sampled_from(STAGES),
        archive=st.booleans(),
        expected=st.sampled_from(["unset", None, 1, 2]),
    )
    def transition(self, name: str, version: int, stage: str, archive: bool, expected: int | str | None) -> None:
        plain = self.plain.get(name, Plain())
        options = {} if expected == "unset" else {"expected_current": expected}
        holder = plain.holder(stage)
        allowed = plain.living(version) and (expected == "unset" or (stage in HELD and holder == expected))
        moves = allowed and plain.stages[version] != stage
        if moves and stage in HELD and holder is not None and not archive:
            allowed = False
        done = self._do(
            lambda: self.client.transition_model_version_stage(
                name, version, stage.upper(), archive_existing_versions=archive, **options
            ),
            allowed=allowed,
        )
        if done and moves:
            plain.enter(version, stage, plain.last.get(stage))
            self._note(name)

    @rule(name=st.sampled_from(NAMES), stage=st.sampled_from(HELD))
    def rollback(self, name: str, stage: str) -> None:
        plain = self.plain.get(name, Plain())
        hold = plain.target(stage)
        if self._do(lambda: self.client.rollback(name, stage), allowed=hold is not None):
            assert hold is not None
            plain.enter(hold.version, stage, hold.before)
            self._note(name)

    @rule(name=st.sampled_from(NAMES), alias=st.sampled_from(["a", "b"]), version=versions)
    def set_alias(self, name: str, alias: str, version: int) -> None:
        plain = self.plain.get(name, Plain())
        call = lambda: self.client.set_registered_model_alias(name, alias, version)  # noqa: E731
        if self._do(call, allowed=plain.living(version)) and plain.aliases.get(alias) != version:
            plain.aliases[alias] = version
            plain.events += 1
            self._note(name)

    @rule(name=st.sampled_from(NAMES), alias=st.sampled_from(["a", "b"]))
    def delete_alias(self, name: str, alias: str) -> None:
        plain = self.plain.get(name, Plain())
        call = lambda: self.client.delete_registered_model_alias(name, alias)  # noqa: E731
        if self._do(call, allowed=name in self.plain) and plain.aliases.pop(alias, None):
            plain.events += 1
            self._note(name)

    @rule(name=st.sampled_from(NAMES), version=versions, force=st.booleans())
    def delete(self, name: str, version: int, force: bool) -> None:
        plain = self.plain.get(name, Plain())
        allowed = plain.living(version) and (force or plain.stages[version] not in HELD)
        if self._do(lambda: self.client.delete_model_version(name, version, force=force), allowed=allowed):
            gone = [alias for alias, named in plain.aliases.items() if named == version]
            for alias in gone:
                del plain.aliases[alias]
            plain.stages[version] = "None"
            plain.deleted.add(version)
            plain.events += 1 + len(gone)
            self._note(name)

    @rule(name=st.sampled_from(NAMES), version=versions)
    def restore(self, name: str, version: int) -> None:
        plain = self.plain.get(name, Plain())
        if self._do(lambda: self.client.restore_model_version(name, version), allowed=version in plain.deleted):
            plain.deleted.discard(version)
            plain.events += 1

    @rule(name=st.sampled_from(NAMES))
    def rename(self, name: str) -> None:
        new = NAMES[1 - NAMES.index(name)]
        allowed = name in self.plain and new not in self.plain
        if self._do(lambda: self.client.rename_registered_model(name, new), allowed=allowed):
            self.plain[new] = self.plain.pop(name)
            self.plain[new].events += 1

    @rule(name=st.sampled_from(NAMES))
    def create_anew(self, name: str) -> None:
        self._do(lambda: self._create(name), allowed=name not in self.plain)

    @rule(name=st.sampled_from(NAMES))
    def delete_model(self, name: str) -> None:
        held = name in self.plain and any(stage in HELD for stage in self.plain[name].stages.values())
        if self._do(lambda: self.client.delete_registered_model(name), allowed=name in self.plain and not held):
            del self.plain[name]

    @precondition(lambda self: any(plain.past for plain in self.plain.values()))
    @rule(data=st.data())
    def look_back(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(name for name, plain in self.plain.items() if plain.past)))
        plain = self.plain[name]
        slot = data.draw(st.sampled_from(sorted(plain.past)))
        if not plain.past[slot]:
            return
        index = data.draw(st.integers(0, len(plain.past[slot]) - 1))
        moment, holder = plain.past[slot][index]
        before = plain.past[slot][index - 1][1] if index else None
        for at, expected in ((moment, holder), (moment - TICK, before)):
            allowed = expected is None or plain.living(expected)
            found: list[Any] = []
            self._do(lambda at=at, found=found: found.append(self._find(name, slot, at)), allowed=allowed)
            if allowed:
                assert found == [expected]

    def _find(self, name: str, slot: str, at: datetime) -> int | None:
        if slot.startswith("@"):
            found = self.client.find_model_version_by_alias(name, slot[1:], at)
        else:
            found = self.client.find_model_version_by_stage(name, slot, at)
        return None if found is None else found.version

    @invariant()
    def the_tables_are_as_they_should_be(self) -> None:
        for name, plain in self.plain.items():
            stages = {}
            for version in plain.stages:
                if plain.living(version):
                    stages[version] = self.client.get_model_version(name, version).current_stage
            assert stages == {version: plain.stages[version] for version in stages}
            assert self.client.get_registered_model(name).aliases == plain.aliases

    def teardown(self) -> None:
        for name, plain in self.plain.items():
            report = self.client.verify(name)
            assert (report.events, report.versions) == (plain.events, len(plain.stages))
        for uid in self.uids:
            self.client.backend.audit.verify_uid(uid)


def _run(client: MlflowClient, examples: int, steps: int) -> None:
    Governed.url = client.tracking_uri
    Governed.model_id = sealed_model(client)
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


VOLUMES = [pytest.param(25, 25), pytest.param(1_000, 50, marks=pytest.mark.storm)]


@pytest.mark.parametrize(("examples", "steps"), VOLUMES)
def test_a_model_is_what_plain_python_says(sqlite_url: str, examples: int, steps: int) -> None:
    registry.set_tracking_uri(sqlite_url)
    _run(MlflowClient(), examples, steps)


@pytest.mark.parametrize(("examples", "steps"), [pytest.param(8, 20), pytest.param(200, 40, marks=pytest.mark.storm)])
def test_postgresql_says_the_same(postgres_url: str, examples: int, steps: int) -> None:
    registry.set_tracking_uri(postgres_url)
    _run(MlflowClient(), examples, steps)
