"""After any change of a signature, no model is accepted that its key did not sign."""

import base64
import contextlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from damages import mangle
from file_trees import read_files, write_files
from gc_places import Place, make_place
from soundness import FILES
from volumes import volume

import registry
from registry.exceptions import IntegrityError, StorageError, UntrustedModelError

JUNK: list[Any] = [None, True, 0, -1.5, 10**30, "", "AAAA", "ü\u0000", [], {}, [[]], {"a": None}, ["sig"]]
TEXTS = ["", "null", "[]", "{}", '"x"', "[" * 100_000, '{"dsseEnvelope": ' * 5_000, "9" * 5_000, "NaN", "\ufeff{}"]


@dataclass(frozen=True)
class Signed:
    """Two models, ``churn`` signed by two keys and ``other`` by the first; the bundle of ``churn`` by the first."""

    place: Place
    public_key: Path
    key_id: str
    model_id: str
    bundle: str
    rows: dict[str, list[tuple[Any, ...]]]

    def restore(self) -> None:
        """Restore all signatures and manifests."""
        for table, rows in self.rows.items():
            self.place.sql(f"DELETE FROM {table}")
            for row in rows:
                self.place.sql(f"INSERT INTO {table} VALUES (?, ?, ?, ?)", row)

    def change(self, assignment: str, *values: Any) -> None:
        """Edit the row of the bundle."""
        self.place.sql(f"UPDATE model_signatures SET {assignment} WHERE bundle = ?", (*values, self.bundle))


@pytest.fixture(params=["sqlite-local", pytest.param("postgresql-local", marks=pytest.mark.storm)])
def signed(request: pytest.FixtureRequest, own_place: Path) -> Signed:
    place = make_place(request, own_place)
    registry.set_tracking_uri(place.url)
    client = place.client
    keys = {}
    for name in ("ours", "theirs"):
        key = ec.generate_private_key(ec.SECP256R1())
        Path(f"{name}.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        Path(f"{name}.pub").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        keys[name] = Path(f"{name}.pem")
    version = client.register_model(str(write_files(own_place / "source", FILES)), "churn")
    client.register_model(str(write_files(own_place / "other", {**FILES, "data.bin": b"other"})), "other")
    key_id = client.sign_model("models:/churn/1", private_key=keys["ours"])
    client.sign_model("models:/churn/1", private_key=keys["theirs"])
    client.sign_model("models:/other/1", private_key=keys["ours"])
    return Signed(
        place,
        own_place / "ours.pub",
        key_id,
        str(version.model_id),
        client.get_model_signatures("models:/churn/1")[key_id],
        {table: place.sql(f"SELECT * FROM {table}") for table in ("model_signatures", "model_files")},
    )


def _said(bundle: object) -> object:
    """Return payload and signature of a bundle; the rest of it decides nothing."""
    with contextlib.suppress(Exception):
        envelope = json.loads(bundle)["dsseEnvelope"]
        (signature,) = envelope["signatures"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        return envelope["payloadType"], payload, base64.b64decode(signature["sig"], validate=True)
    return None


def _mangle_text(signed: Signed, chance: random.Random) -> None:
    changed = mangle(signed.bundle.encode(), chance)
    if signed.place.url.startswith("sqlite"):
        signed.change(chance.choice(["bundle = ?", "bundle = CAST(? AS TEXT)"]), changed)
    else:  # which stores no text that is not UTF-8
        signed.change("bundle = ?", changed.decode(errors="replace").replace("\0", "?"))


def _mangle_encoded(signed: Signed, chance: random.Random) -> None:
    bundle = json.loads(signed.bundle)
    envelope = bundle["dsseEnvelope"]
    holder, key = chance.choice([(envelope, "payload"), (envelope["signatures"][0], "sig")])
    holder[key] = base64.b64encode(mangle(base64.b64decode(holder[key]), chance)).decode()
    signed.change("bundle = ?", json.dumps(bundle))


def _put_junk(signed: Signed, chance: random.Random) -> None:
    bundle = json.loads(signed.bundle)
    holder: Any = bundle
    while True:
        key = chance.choice(list(holder) if isinstance(holder, dict) else list(range(len(holder))))
        if isinstance(holder[key], dict | list) and holder[key] and chance.random() < 0.8:
            holder = holder[key]
        else:
            break
    if chance.random() < 0.3:
        del holder[key]
    else:
        holder[key] = chance.choice(JUNK)
    signed.change("bundle = ?", json.dumps(bundle))


def _put_text(signed: Signed, chance: random.Random) -> None:
    signed.change("bundle = ?", chance.choice(TEXTS))


def _take_anothers(signed: Signed, chance: random.Random) -> None:
    others = [bundle for _, _, bundle, _ in signed.rows["model_signatures"] if bundle != signed.bundle]
    signed.change("bundle = ?", chance.choice(others))


def _move(signed: Signed, chance: random.Random) -> None:
    key_id = mangle(signed.key_id.encode(), chance).decode(errors="replace").replace("\0", "?")
    signed.change("key_id = ?", key_id)


def _delete(signed: Signed, chance: random.Random) -> None:
    signed.place.sql("DELETE FROM model_signatures WHERE bundle = ?", (signed.bundle,))


def _edit_files(signed: Signed, chance: random.Random) -> None:
    edit = chance.choice(["size = size + 1", "path = 'x.bin'", f"sha256 = '{'0' * 64}'"])
    signed.place.sql(f"UPDATE model_files SET {edit} WHERE path = 'data.bin'")


DAMAGES: list[Callable[[Signed, random.Random], None]] = [
    *[_mangle_text, _mangle_encoded, _put_junk] * 4,
    *[_put_text, _take_anothers, _move, _delete, _edit_files],
]


@pytest.mark.slow
@pytest.mark.parametrize("damages", [40, pytest.param(volume(500, 100), marks=pytest.mark.storm)])
def test_no_damage_of_a_signature_passes(damages: int, signed: Signed, own_place: Path) -> None:
    chance = random.Random(5)
    refused = 0
    for number in range(damages):
        damage = DAMAGES[number] if number < len(DAMAGES) else chance.choice(DAMAGES)
        damage(signed, chance)
        target = own_place / f"copy-{number}"
        with contextlib.suppress(UntrustedModelError, IntegrityError, StorageError):
            registry.artifacts.download_artifacts(
                "models:/churn/1", dst_path=target, require_signature=signed.public_key
            )
        if not target.exists():
            refused += 1
        else:
            assert damage is not _edit_files
            assert read_files(target) == FILES
            bundles = signed.place.sql("SELECT bundle FROM model_signatures WHERE key_id = ?", (signed.key_id,))
            assert _said(signed.bundle) in [_said(bundle) for (bundle,) in bundles]
        signed.restore()
    assert refused > damages / 2
    registry.artifacts.download_artifacts("models:/churn/1", require_signature=signed.public_key)
