"""Manifests and histories changed inside an intact archive: each is rejected, and nothing is written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from export_files import (
    MANIFEST,
    Document,
    assert_refused,
    change_events,
    change_manifest,
    read_archive,
    sha256,
    write_archive,
)
from governed_models import raw_sql
from travelling_models import open_registry, train_version

import registry
from registry.entities.history import canonical_json
from registry.exceptions import InvalidModelError

Client = registry.MlflowClient


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"{}", b"[]", b"null", b'"x"', b"{", b"\xff\xfe", b"NaN", b"[" * 100_000, b'{"a":' * 100_000),
        *(b'{"format":1}', b'{"format":1,"segments":[],"versions":[],"logged_models":[],"runs":[]}'),
        b'{"format":1e400,"segments":[],"versions":[],"logged_models":[],"runs":[]}',
    ],
)
def test_a_manifest_of_another_kind_is_refused(target: Client, exported: Path, own_place: Path, text: bytes) -> None:
    assert_refused(target, write_archive(exported, {MANIFEST: text}), own_place)


def _set(*path: Any, value: Any) -> Callable[[Document], None]:
    def change(found: Document) -> None:
        inner: Any = found
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = value

    return change


def _first_file(value: str) -> Callable[[Document], None]:
    return _set("logged_models", 0, "files", 0, "path", value=value)


@pytest.mark.parametrize(
    "path",
    [
        *("../evil", "../../../../etc/evil", "/evil", "a/../../evil", ".", "..", "", "a//b", "a/", "a\\b", "..\\evil"),
        *("C:/evil", "a\nb", "a\x7fb", "x" * 256, "/".join(["x" * 250] * 5)),
    ],
)
def test_a_path_that_could_leave_its_directory_is_refused(
    target: Client, exported: Path, own_place: Path, path: str
) -> None:
    assert_refused(target, change_manifest(exported, _first_file(path)), own_place, "nvalid artifact path")


@pytest.mark.parametrize("path", ["data", "MLmodel/x", "data/weights.bin", "data/weights.bin/x"])
def test_two_files_in_one_place_are_refused(target: Client, exported: Path, own_place: Path, path: str) -> None:
    def change(found: Document) -> None:
        model = found["logged_models"][0]
        one = model["files"][0]
        model["files"] = sorted([*model["files"], {**one, "path": path}], key=lambda file: file["path"])
        lines = "".join(f"{file['sha256']} {file['size']} {file['path']}\n" for file in model["files"])
        _redigested(found, model["model_id"], sha256(lines.encode()))

    assert_refused(target, change_manifest(exported, change), own_place)


def _redigested(found: Document, model_id: str, digest: str) -> None:
    """Change a model's digest in the events and recompute the hash chain, so the history looks original."""

    def change(events: list[Document]) -> None:
        for event in events:
            if event["details"].get("model_id") == model_id:
                event["details"]["digest"] = digest

    change_events(change)(found)


@pytest.mark.parametrize(
    "change",
    [
        _set("format", value=2),
        _set("format", value=True),
        _set("format", value="1"),
        _set("surprise", value=1),
        _set("runs", 0, "surprise", value=1),
        _set("segments", value=[]),
        _set("segments", 0, "events", value=[]),
        _set("segments", 0, "registry_id", value=""),
        _set("segments", 0, "registry_id", value="a/b"),
        _set("segments", 0, "model_uid", value="x" * 32),
        _set("segments", 0, "events", 0, "reason", value="another"),
        _set("segments", 0, "events", 1, "time_us", value=1),
        _set("segments", 0, "events", 0, "seq", value="1"),
        _set("segments", 0, "events", 0, "details", value=[]),
        _set("segments", 0, "events", 0, value={}),
        _set("versions", 0, "version", value=7),
        _set("versions", 0, "version", value=2),
        _set("versions", 0, "version", value=0),
        _set("versions", 0, "version", value=-1),
        _set("versions", 0, "version", value=1.0),
        _set("versions", 0, "version", value=2**63),
        _set("versions", 0, "model_id", value="m-" + "0" * 32),
        _set("versions", value=[]),
        _set("logged_models", value=[]),
        _set("logged_models", 0, "model_id", value="../evil"),
        _set("logged_models", 0, "name", value="a/b"),
        _set("logged_models", 0, "files", value=[]),
        _set("logged_models", 0, "files", 0, "size", value=-1),
        _set("logged_models", 0, "files", 0, "size", value=2**70),
        _set("logged_models", 0, "files", 0, "sha256", value="../../../etc/passwd"),
        _set("logged_models", 0, "files", 0, "sha256", value="A" * 64),
        _set("logged_models", 0, "files", 0, "sha256", value="0" * 64),
        _set("logged_models", 0, "run_id", value="nobody"),
        _set("logged_models", 0, "experiment", value="a\u202eb"),
        _set("logged_models", 0, "experiment", value=""),
        _set("logged_models", 0, "tags", value={"../evil": "x"}),
        _set("logged_models", 0, "params", value={"a\0b": "x"}),
        _set("logged_models", 0, "metrics", 0, "value", value="1e0"),
        _set("logged_models", 0, "metrics", 0, "value", value="-nan"),
        _set("logged_models", 0, "metrics", 0, "value", value="one"),
        _set("logged_models", 0, "metrics", 0, "step", value=2**64),
        _set("logged_models", 0, "signatures", value={"key": "bundle"}),
        _set("runs", 0, "run_id", value="../evil"),
        _set("runs", 0, "status", value="DONE"),
        _set("runs", 0, "start_time", value=None),
        _set("runs", 0, "start_time", value=2**63),
        _set("runs", 0, "params", value={"x": "y" * 6_001}),
        _set("runs", 0, "tags", value={"../x": "y"}),
        _set("runs", 0, "tags", value={"x": "a\0b"}),
        _set("runs", 0, "tags", value={"x": "\ud800"}),
        _set("runs", 0, "points", "sha256", value="0" * 64),
        _set("runs", 0, "points", "size", value=1),
        lambda found: found["runs"].append(found["runs"][0]),
        lambda found: found["versions"].append(found["versions"][0]),
        lambda found: found["logged_models"].append(found["logged_models"][0]),
        lambda found: found["segments"].append(found["segments"][0]),
        lambda found: found["segments"][0]["events"].pop(2),
        lambda found: found["segments"][0]["events"].reverse(),
    ],
)
def test_a_manifest_that_does_not_fit_together_is_refused(
    target: Client, exported: Path, own_place: Path, change: Callable[[Document], object]
) -> None:
    assert_refused(target, _with(exported, change), own_place)


def _with(path: Path, change: Callable[[Document], object]) -> Path:
    contents = read_archive(path)
    found = json.loads(contents[MANIFEST])
    change(found)
    contents[MANIFEST] = canonical_json(found).encode(errors="surrogatepass")
    return write_archive(path, contents)


def _event(kind: str, **values: Any) -> Callable[[list[Document]], None]:
    """Return a change of the first event of a kind."""

    def change(events: list[Document]) -> None:
        event = next(event for event in events if event["kind"] == kind)
        event.update(values)

    return change


def _details(kind: str, **values: Any) -> Callable[[list[Document]], None]:
    def change(events: list[Document]) -> None:
        next(event for event in events if event["kind"] == kind)["details"].update(values)

    return change


@pytest.mark.parametrize(
    "change",
    [
        _event("created", to="../evil"),
        _event("created", to="a" * 300),
        _event("created", to=None),
        _event("version_created", version=2**62),
        _event("version_created", version=-1),
        _event("version_created", version=None),
        _details("version_created", digest="0" * 64),
        _details("version_created", model_id="m-" + "0" * 32),
        _details("version_created", run_id="../evil"),
        _details("version_created", run_id=7),
        _details("tag_set", key="../evil"),
        _details("tag_set", key=["a"]),
        _event("tag_set", to="x" * 100_001),
        _event("stage_changed", to="Prod"),
        _event("stage_changed", to="Production'; DROP TABLE runs; --"),
        _details("alias_set", alias="../evil"),
        _details("alias_set", alias="v1"),
        _details("rules_set", stage="Archived"),
        _event("rules_set", to="[{}]"),
        _event("rules_set", to="not JSON"),
        lambda events: events.append({**events[-1], "kind": "deleted", "time_us": 2**60}),
        lambda events: events.append(
            {**events[-1], "kind": "stage_changed", "version": 2, "to": "Production", "details": {}, "time_us": 2**60}
        ),
        lambda events: events.append({**events[-1], "kind": "imported", "details": {}, "time_us": 2**60}),
        lambda events: events.append(
            {**events[-1], "kind": "imported", "details": {"last_version": 2}, "time_us": 2**60}
        ),
        lambda events: events.insert(1, {**events[1], "details": {}}),
    ],
)
def test_a_history_whose_chain_was_mended_is_refused_for_what_it_says(
    target: Client, exported: Path, own_place: Path, change: Callable[[list[Document]], object]
) -> None:
    assert_refused(target, change_manifest(exported, change_events(change)), own_place)


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"x", b"[]", b"{}", b'["auc",0,1]', b'["auc",0,1,0.5]', b'["auc",0,1,"x"]', b'["auc",0,1.5,"0.5"]'),
        *(b'["auc",true,1,"0.5"]', b'["auc",9223372036854775808,1,"0.5"]', b'["../x",0,1,"0.5"]', b'[7,0,1,"0.5"]'),
        *(b'["a\\u0000b",0,1,"0.5"]', b'["auc",0,1,"0.5"]extra', b"[" * 20_000, b'["auc",0,1,"0.5"] ' * 1_000),
    ],
)
def test_points_that_are_none_are_refused(target: Client, exported: Path, own_place: Path, line: bytes) -> None:
    contents = read_archive(exported)
    found = json.loads(contents[MANIFEST])
    points = found["runs"][0]["points"]
    data = contents[f"files/{points['sha256']}"] + line + b"\n"
    contents[f"files/{sha256(data)}"] = data
    points.update(sha256=sha256(data), size=len(data))
    contents[MANIFEST] = canonical_json(found).encode()

    assert_refused(target, write_archive(exported, contents), own_place, "a metric point that cannot be read")


def test_a_model_file_that_could_crash_its_parser_is_refused(own_place: Path) -> None:
    dev = open_registry("sqlite:///dev.db", f"{own_place}/dev")
    mlmodel = b"flavors:\n  xgboost:\n    data: model.ubj\n    model_format: ubj\n"
    train_version(dev, {"MLmodel": b"flavors: {}\n", "model.ubj": b"{L\x00\x00"})
    path = dev.export_model("churn", "churn.zip")
    contents = read_archive(path)
    found = json.loads(contents[MANIFEST])
    model = found["logged_models"][0]
    (old,) = [file for file in model["files"] if file["path"] == "MLmodel"]
    del contents[f"files/{old['sha256']}"]
    old.update(sha256=sha256(mlmodel), size=len(mlmodel))
    contents[f"files/{sha256(mlmodel)}"] = mlmodel
    lines = "".join(f"{file['sha256']} {file['size']} {file['path']}\n" for file in model["files"])
    _redigested(found, model["model_id"], sha256(lines.encode()))
    contents[MANIFEST] = canonical_json(found).encode()
    target = open_registry("sqlite:///target.db", f"{own_place}/target")

    with pytest.raises(InvalidModelError, match=f"{model['model_id']} of the export: 'model.ubj' is no whole XGBoost"):
        target.import_model(write_archive(path, contents))

    assert raw_sql(target.tracking_uri)("SELECT count(*) FROM uploads") == [(0,)]


def test_an_export_that_nobody_changed_is_taken(target: Client, exported: Path) -> None:
    change_manifest(exported, lambda found: None)
    change_manifest(exported, change_events(lambda events: None))

    assert target.import_model(exported, with_stages=True).aliases == {"champion": 1}
