"""Every parser of ours that reads untrusted input, as a function of bytes, with seeds to start from.

A target returns for any input. Whatever it raises is a finding: an exception that is not ours, or a value that does not
survive being written and read again.
"""

import contextlib
import json
import os
import random
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from registry import uris
from registry.client.transfer import archive, export_manifest, metrics_jsonl
from registry.entities import Manifest, ManifestEntry
from registry.entities.history import canonical_json, event_from
from registry.entities.signature import ModelSignature
from registry.exceptions import IntegrityError, InvalidFilterError, InvalidParameterError, RegistryError
from registry.filters import Subject, parse_filter, parse_order_by
from registry.flavors.mlmodel import Model
from registry.flavors.untrusted.ubjson import decode
from registry.flavors.untrusted.xgboost import check_model_bytes
from registry.settings import Settings, place_of
from registry.store.urls import parse_database_url


@dataclass(frozen=True)
class Target:
    """One parser: a function of bytes, the inputs that a fuzzer starts from, and its own way to change an input.

    `share` is its part of a long run.
    """

    name: str
    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    share: int = 1
    restructure: Callable[[bytes, random.Random], bytes] | None = None


@cache
def _scratch() -> Path:
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="registry-fuzz-", dir=memory if os.access(memory, os.W_OK) else None))


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="surrogateescape")


def _mlmodel(data: bytes) -> None:
    directory = _scratch()
    (directory / "MLmodel").write_bytes(data)
    try:
        model = Model.load(directory)
    except RegistryError:
        return
    model.get_input_schema()
    model.get_model_info()
    (directory / "MLmodel").write_text(model.to_yaml(), encoding="utf-8")
    Model.load(directory)


def _signature(data: bytes) -> None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    try:
        signature = ModelSignature.from_dict(value)
    except RegistryError:
        return
    # Compare as text, because a default may be NaN, which equals nothing.
    assert ModelSignature.from_dict(signature.to_dict()).to_json() == signature.to_json()


def _ubjson(data: bytes) -> None:
    try:
        decode(data)
    except ValueError:
        return


def _xgboost(data: bytes) -> None:
    try:
        check_model_bytes(data)
    except ValueError:
        return


def _filter(data: bytes) -> None:
    text = _text(data[1:])
    subject = list(Subject)[data[0] % len(Subject)] if data else Subject.RUNS
    try:
        node = parse_filter(text, subject)
        assert node is None or parse_filter(str(node), subject) == node
    except InvalidFilterError:
        pass
    try:
        keys = parse_order_by([text], subject)
        assert parse_order_by([str(key) for key in keys], subject) == keys
    except InvalidFilterError:
        pass


def _uri(data: bytes) -> None:
    text = _text(data)
    for parse in (uris.parse, uris.parse_models, uris.parse_location):
        try:
            value = parse(text)
        except InvalidParameterError:
            continue
        assert uris.parse(str(value)) == value


def _place(data: bytes) -> None:
    text = _text(data)
    settings = Settings.model_construct(backend_store_uri="sqlite:///x.db", artifact_location=None)
    for read in (lambda: place_of(text, settings), lambda: parse_database_url(text)):
        with contextlib.suppress(RegistryError):
            read()


def _archive(data: bytes) -> None:
    path = _scratch() / "export.zip"
    path.write_bytes(data)
    try:
        with archive.open_archive(path) as reader:
            text = reader.manifest()
            model, _ = export_manifest.from_json(text)
            files = [file for logged in model.logged_models for file in logged.files]
            reader.check_contents([*files, *(run.points for run in model.runs if run.points is not None)])
            for file in files:
                for _ in reader.read(file):
                    pass
    except RegistryError:
        return


def _manifest(data: bytes) -> None:
    try:
        export_manifest.from_json(data)
    except RegistryError:
        return


def _points(data: bytes) -> None:
    try:
        for points in metrics_jsonl.read_points([data[:7], data[7:]]):
            assert all(isinstance(point.value, float) for point in points)
    except IntegrityError:
        return


def _model_manifest(data: bytes) -> None:
    try:
        rows = json.loads(data)
        entries = [ManifestEntry(str(row["path"]), int(row["size"]), str(row["sha256"])) for row in rows]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return
    try:
        manifest = Manifest.of(entries)
    except InvalidParameterError:
        return
    assert Manifest.of(reversed(entries)) == manifest


def _mlmodel_seeds() -> list[bytes]:
    entry = {"loader_module": "mlflow.sklearn", "model_path": "model.skops", "predict_fn": "predict", "env": {"a": "b"}}
    form = {
        "artifact_path": "model",
        "flavors": {"python_function": entry, "sklearn": {"pickled_model": "model.skops", "code": None}},
        "metadata": {"a": [1, 2.5, None, True, {"b": "c"}]},
        "mlflow_version": "3.1.0",
        "model_uuid": "0" * 32,
        "saved_input_example_info": {"artifact_path": "input_example.json", "type": "dataframe"},
        "signature": json.loads(_signature_seeds()[0]),
        "utc_time_created": "2026-01-01 00:00:00.000000",
    }
    anchored = b"a: &a {b: 1}\nflavors: {x: *a}\nmetadata: [*a, *a]\n"
    return [canonical_json(form).encode(), Model.from_dict(form).to_yaml().encode(), anchored, b"flavors: {}\n"]


def _signature_seeds() -> list[bytes]:
    columns = [
        {"type": "double", "name": "a", "required": True},
        {"type": "object", "name": "o", "properties": {"p": {"type": "string"}, "q": {"type": "long"}}},
        {"type": "array", "name": "l", "items": {"type": "map", "values": {"type": "any"}}},
    ]
    tensor = [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}]
    params = [{"name": "t", "type": "double", "default": 0.5, "shape": None}]
    forms = [
        {"inputs": json.dumps(columns), "outputs": json.dumps(tensor), "params": json.dumps(params)},
        {"inputs": json.dumps(tensor), "outputs": None, "params": None},
    ]
    return [json.dumps(form).encode() for form in forms]


@cache
def _boosters() -> list[bytes]:
    import numpy as np
    import pandas as pd
    import xgboost

    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.random((40, 3)), columns=["a", "b", "c"])
    frame["k"] = pd.Categorical(list("xyzw") * 10)
    labels = np.arange(40) % 2
    found = []
    for params in ({"booster": "gbtree"}, {"booster": "dart"}, {"booster": "gblinear"}):
        columns = frame[["a", "b", "c"]] if params["booster"] == "gblinear" else frame
        data = xgboost.DMatrix(columns, labels, enable_categorical=True)
        booster = xgboost.train(
            {**params, "verbosity": 0, "nthread": 1, "max_depth": 2, "max_cat_to_onehot": 1}, data, 2
        )
        found += [bytes(booster.save_raw("ubj")), bytes(booster.save_raw("json"))]
    return found


def _ubjson_seeds() -> list[bytes]:
    return [
        b"{U\x01aTU\x01bi\xffU\x01c[$l#U\x02\x00\x00\x00\x01\x00\x00\x00\x02U\x01d[SU\x01xFZ]U\x01ed\x3f\x80\x00\x00}",
        b"[#U\x02SU\x01aD\x3f\xf0\x00\x00\x00\x00\x00\x00",
        *_boosters()[::2],
    ]


def _filter_seeds() -> list[bytes]:
    texts = (
        "metrics.f1 >= 0.8 AND params.`max depth` IN ('6', '8') AND NOT tags.owner = 'o''brien'",
        "start_time > '2026-03-01T00:00:00Z' OR attributes.status = 'FAILED'",
        "name = 'churn' AND ever_stage = 'Staging' AND metrics.auc > 0.9",
        "params.a IS NOT NULL OR (tags.b ILIKE '%x_' AND NOT (metrics.c != -1.5e-3))",
        "datasets.digest NOT IN ('a') AND alias LIKE 'ch%'",
        'metrics."a b" DESC',
    )
    return [bytes([number]) + text.encode() for number in range(len(Subject)) for text in texts]


def _uri_seeds() -> list[bytes]:
    model = f"m-{'0' * 32}"
    return [
        text.encode()
        for text in (
            "models:/churn/1/data/x.bin",
            "models:/churn/Production?at=2026-01-01T00:00:00Z",
            "models:/churn@champion",
            f"models:/{model}/MLmodel",
            "models:/churn/latest",
            f"runs:/{'a' * 32}/model",
            "s3://bucket/some/prefix",
            "file:///tmp/a%20b",
            "file:relative/x",
            "file://localhost/tmp",
            "C:\\models",
            "./a:b",
        )
    ]


def _place_seeds() -> list[bytes]:
    return [
        text.encode()
        for text in (
            "sqlite:///a.db?journal_mode=wal",
            "sqlite://",
            "postgresql://user:se%40cret@host:5432/db?sslmode=require&password=x",
            "postgres://[::1]/db",
            "postgresql+psycopg:///db?host=/tmp,/run",
            "s3://bucket/prefix",
            "file:///srv/ml%20runs",
            "./mlruns",
            "http://localhost:5000",
            "databricks://profile",
        )
    ]


@cache
def _export() -> bytes:
    from travelling_models import train_version

    import registry

    with tempfile.TemporaryDirectory(dir=_scratch()) as name:
        place, here, root = Path(name), Path.cwd(), os.environ.get("REGISTRY_ARTIFACT_LOCATION")
        os.chdir(place)
        try:
            os.environ["REGISTRY_ARTIFACT_LOCATION"] = str(place / "artifacts")
            client = registry.MlflowClient(f"sqlite:///{place}/dev.db")
            train_version(client)
            train_version(client)
            client.transition_model_version_stage("churn", 1, "Production")
            client.set_registered_model_alias("churn", "champion", 1)
            client.set_promotion_rules("churn", "Production", [registry.MetricAtLeast("auc", 0.8)])
            return client.export_model("churn", place / "churn.zip").read_bytes()
        finally:
            os.chdir(here)
            os.environ.pop("REGISTRY_ARTIFACT_LOCATION")
            if root is not None:
                os.environ["REGISTRY_ARTIFACT_LOCATION"] = root


def _manifest_seeds() -> list[bytes]:
    path = _scratch() / "seed.zip"
    path.write_bytes(_export())
    with zipfile.ZipFile(path) as export:
        return [export.read(archive.MANIFEST)]


def _model_manifest_seeds() -> list[bytes]:
    return [json.dumps([{"path": "MLmodel", "size": 3, "sha256": "0" * 64}, {"path": "a/b", "size": 0}]).encode()]


_SCALARS: Final = (
    *(None, True, 0, -1, 1, 2**31, 2**63, -(2**63), 10**400, 1e308, float("inf"), float("nan"), 0.5),
    *("", "a", "../x", "/x", "a/b", "a\0b", "\ud800", "x" * 5_000, "Production", "1", "nan", "inf", "1e5", "[]", "{}"),
    *([], {}, [[]], [{}], {"": {}}),
)


def restructure_json(data: bytes, chance: random.Random) -> bytes:
    """Replace, remove, double or move one value of a JSON text; return other bytes unchanged."""
    try:
        form = json.loads(data)
    except (ValueError, RecursionError):
        return data
    places: list[tuple[Any, Any]] = []
    _collect(form, places)
    if not places:
        return data
    owner, key = chance.choice(places)
    match chance.randrange(5):
        case 0:
            del owner[key]
        case 1 if isinstance(owner, list):
            owner.insert(key, owner[key])
        case 2:
            other, index = chance.choice(places)
            try:
                owner[key] = json.loads(json.dumps(other[index]))
            except (LookupError, RecursionError, ValueError):
                owner[key] = None
        case 3 if isinstance(owner[key], str):
            owner[key] = restructure_json(owner[key].encode(errors="replace"), chance).decode(errors="replace")
        case _:
            owner[key] = chance.choice(_SCALARS)
    return _dumped(form)


def _collect(value: Any, places: list[tuple[Any, Any]]) -> None:
    stack = [value]
    while stack:
        found = stack.pop()
        keys = found if isinstance(found, dict) else range(len(found)) if isinstance(found, list) else ()
        places += [(found, key) for key in keys]
        stack += [found[key] for key in keys]


def _dumped(form: Any) -> bytes:
    try:
        return json.dumps(form, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")
    except (ValueError, RecursionError):
        return b"null"


def restructure_manifest(data: bytes, chance: random.Random) -> bytes:
    """Change a manifest and make its hash chains whole again, so that the checks behind them are reached."""
    changed = restructure_json(data, chance)
    try:
        form = json.loads(changed)
        for segment in form["segments"]:
            segment["events"] = _chained(segment["events"])
    except Exception:  # the change made re-chaining impossible: try the manifest as it is
        return changed
    return _dumped(form)


def _chained(events: list[Mapping[str, Any]]) -> list[Any]:
    previous: str | None = None
    chained = []
    for seq, values in enumerate(events, 1):
        event = replace(event_from(dict(values)), seq=seq, prev_hash=previous)
        previous = event.hash
        chained.append(json.loads(event.canonical()))
    return chained


def restructure_archive(data: bytes, chance: random.Random) -> bytes:
    """Rename, empty, double, compress or refill one entry of a ZIP archive."""
    path = _scratch() / "old.zip"
    path.write_bytes(data)
    try:
        with zipfile.ZipFile(path) as old:
            contents = [(entry.filename, old.read(entry)) for entry in old.infolist()[:50]]
    except Exception:  # no longer an archive
        return data
    if not contents:
        return data
    at = chance.randrange(len(contents))
    name, content = contents[at]
    compression = zipfile.ZIP_STORED
    match chance.randrange(6):
        case 0:
            contents[at] = (chance.choice(("../x", "files/" + "a" * 64, archive.MANIFEST, "/x", "a\\b", "")), content)
        case 1:
            contents[at] = (name, content[: chance.randrange(len(content) + 1)])
        case 2:
            contents.pop(at)
        case 3:
            compression = zipfile.ZIP_DEFLATED
        case _:
            contents[at] = (name, restructure_manifest(content, chance) if name == archive.MANIFEST else content + b"x")
    new = _scratch() / "new.zip"
    with zipfile.ZipFile(new, "w", compression) as file:
        for entry_name, entry_content in contents:
            if entry_name not in file.namelist():
                file.writestr(zipfile.ZipInfo(entry_name), entry_content, compression)
    return new.read_bytes()


TARGETS: Final = {
    target.name: target
    for target in (
        Target("mlmodel", _mlmodel, _mlmodel_seeds, 3, restructure_json),
        Target("signature", _signature, _signature_seeds, 2, restructure_json),
        Target("ubjson", _ubjson, _ubjson_seeds, 5),
        Target("xgboost", _xgboost, _boosters, 2, restructure_json),
        Target("filter", _filter, _filter_seeds, 2),
        Target("uri", _uri, _uri_seeds, 3),
        Target("place", _place, _place_seeds, 3),
        Target("archive", _archive, lambda: [_export()], 1, restructure_archive),
        Target("manifest", _manifest, _manifest_seeds, 2, restructure_manifest),
        Target("points", _points, lambda: [b'["auc",0,1767225600000,"0.875"]\n["val",-1,1,"nan"]\n'], 2),
        Target("files", _model_manifest, _model_manifest_seeds, 1, restructure_json),
    )
}


def mutate(data: bytes, chance: random.Random, target: Target) -> bytes:
    """Change the input in one to four places; half of the time by its structure, if the target knows it."""
    if target.restructure is not None and chance.random() < 0.5:
        for _ in range(chance.choice((1, 1, 1, 2))):
            data = target.restructure(data, chance)
        return data
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed) + 1)
        match chance.randrange(6):
            case 0 if at < len(changed):
                changed[at] ^= 1 << chance.randrange(8)
            case 1 if at < len(changed):
                changed[at] = chance.randrange(256)
            case 2:
                del changed[at : at + chance.randint(1, 8)]
            case 3:
                changed[at:at] = chance.randbytes(chance.randint(1, 8))
            case 4:
                other = chance.choice(target.seeds())
                start = chance.randrange(len(other) + 1)
                changed[at:at] = other[start : start + chance.randint(1, 40)]
            case _:
                changed[at : at + 4] = b"\xff\xff\xff\x7f"
    return bytes(changed)
