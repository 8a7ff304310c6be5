"""Signatures: signing, loading with a required signature, and verification by OpenSSF's model-signing."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from governed_models import raw_sql
from travelling_models import FILES, open_registry, train_version

import registry
from registry.client.models.sigstore_bundle import check_bundle, key_id_of, sign_manifest
from registry.entities import Manifest, ManifestEntry
from registry.exceptions import (
    ArtifactNotFoundError,
    IntegrityError,
    InvalidParameterError,
    InvalidUriError,
    RegistryError,
    UntrustedModelError,
)

Client = registry.MlflowClient
Keys = tuple[Path, Path]


def key_files(name: str, key: object, password: bytes | None = None) -> Keys:
    """Create the files of a private key and its public key."""
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    private, public = Path(f"{name}.pem"), Path(f"{name}.pub")
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture
def keys(own_place: Path) -> Keys:
    return key_files("ours", ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
def theirs(own_place: Path) -> Keys:
    return key_files("theirs", ec.generate_private_key(ec.SECP384R1()))


@pytest.fixture
def client(sqlite_url: str, own_place: Path) -> Client:
    found = open_registry(sqlite_url, f"{own_place}/artifacts")
    registry.set_tracking_uri(sqlite_url)
    train_version(found)
    return found


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_openssf_verifies_what_we_sign(client: Client, own_place: Path, curve: ec.EllipticCurve) -> None:
    from model_signing import verifying

    private, public = key_files("key", ec.generate_private_key(curve))
    key_id = client.sign_model("models:/churn/1", private_key=private)
    Path("model.sig").write_text(client.get_model_signatures("models:/churn/1")[key_id])
    directory = registry.artifacts.download_artifacts("models:/churn/1", dst_path="copy")

    verifying.Config().use_elliptic_key_verifier(public_key=public).verify(directory, "model.sig")

    Path(directory, "data/weights.bin").write_bytes(b"other")
    with pytest.raises(ValueError, match="mismatch"):
        verifying.Config().use_elliptic_key_verifier(public_key=public).verify(directory, "model.sig")


def test_openssf_signs_what_we_verify(client: Client, keys: Keys) -> None:
    from model_signing import hashing, signing

    directory = registry.artifacts.download_artifacts("models:/churn/1", dst_path="copy")
    config = signing.Config().use_elliptic_key_signer(private_key=keys[0])
    config.set_hashing_config(hashing.Config().set_ignored_paths(paths=[], ignore_git_paths=False))
    config.sign(directory, "model.sig")
    bundle = Path("model.sig").read_text()
    model_id = str(client.get_model_version("churn", 1).model_id)
    manifest = client.backend.logged_models.manifest(model_id)

    check_bundle(bundle, manifest, keys[1].read_bytes())

    with pytest.raises(UntrustedModelError, match="The signature is of other files"):
        check_bundle(bundle, Manifest(manifest.entries[1:]), keys[1].read_bytes())


def test_a_signed_model_is_downloaded_by_stage_alias_and_run(client: Client, keys: Keys) -> None:
    run_id = client.get_model_version("churn", 1).run_id
    client.transition_model_version_stage("churn", 1, "Production")
    client.set_registered_model_alias("churn", "champion", 1)
    client.sign_model("models:/churn/Production", private_key=keys[0])

    for uri in ("models:/churn/1", "models:/churn@champion", "models:/churn/production", f"runs:/{run_id}/model"):
        path = registry.artifacts.download_artifacts(f"{uri}/data/weights.bin", require_signature=keys[1])
        assert Path(path).read_bytes() == FILES["data/weights.bin"]


def test_a_model_that_nobody_signed_is_refused(client: Client, keys: Keys, theirs: Keys) -> None:
    client.sign_model("models:/churn/1", private_key=theirs[0])

    with pytest.raises(UntrustedModelError, match=r"has no signature by the key .* 'registry versions sign'"):
        registry.artifacts.download_artifacts("models:/churn/1", require_signature=keys[1])
    with pytest.raises(UntrustedModelError, match="has no signature by the key"):
        registry.pyfunc.load_model("models:/churn/1", require_signature=str(keys[1]))


def test_every_key_signs_for_itself(client: Client, keys: Keys, theirs: Keys) -> None:
    ids = {client.sign_model("models:/churn/1", private_key=pair[0]) for pair in (keys, theirs, keys)}

    assert set(client.get_model_signatures("models:/churn/1")) == ids
    assert ids == {key_id_of(pair[1].read_bytes()) for pair in (keys, theirs)}
    for pair in (keys, theirs):
        registry.artifacts.download_artifacts("models:/churn/1", require_signature=pair[1])


@pytest.mark.parametrize(
    ("forge", "match"),
    [
        (lambda bundle: bundle["dsseEnvelope"].update(payload="e30="), "not made by this key"),
        (lambda bundle: bundle["dsseEnvelope"]["signatures"].append({"sig": "", "keyid": ""}), "cannot be read"),
        (lambda bundle: bundle["dsseEnvelope"].update(signatures=[]), "cannot be read"),
        (lambda bundle: bundle["dsseEnvelope"]["signatures"][0].update(sig="AAAA"), "not made by this key"),
        (lambda bundle: bundle["dsseEnvelope"]["signatures"][0].update(sig="-"), "cannot be read"),
        (lambda bundle: bundle["dsseEnvelope"].update(payloadType="text/plain"), "cannot be read"),
        (lambda bundle: bundle.pop("dsseEnvelope"), "cannot be read"),
    ],
)
def test_a_forged_bundle_is_refused(client: Client, keys: Keys, forge: Callable, match: str) -> None:
    client.sign_model("models:/churn/1", private_key=keys[0])
    (text,) = client.get_model_signatures("models:/churn/1").values()
    bundle = json.loads(text)
    forge(bundle)
    raw_sql(client.tracking_uri)("UPDATE model_signatures SET bundle = ?", [json.dumps(bundle)])

    with pytest.raises(UntrustedModelError, match=match):
        registry.artifacts.download_artifacts("models:/churn/1", require_signature=keys[1])


def test_the_signature_of_another_model_is_refused(client: Client, keys: Keys) -> None:
    train_version(client, {**FILES, "more.txt": b"more"})
    client.sign_model("models:/churn/1", private_key=keys[0])
    (bundle,) = client.get_model_signatures("models:/churn/1").values()
    client.sign_model("models:/churn/2", private_key=keys[0])
    raw_sql(client.tracking_uri)("UPDATE model_signatures SET bundle = ?", [bundle])

    registry.artifacts.download_artifacts("models:/churn/1", require_signature=keys[1])
    with pytest.raises(UntrustedModelError, match=r"The signature is of other files: 'more\.txt' has the SHA-256"):
        registry.artifacts.download_artifacts("models:/churn/2", require_signature=keys[1])


def test_changed_bytes_and_edited_rows_are_refused_whoever_signed(client: Client, keys: Keys) -> None:
    client.sign_model("models:/churn/1", private_key=keys[0])
    file = Path(client.get_model_version_download_uri("churn", 1), "data/weights.bin")
    good = file.read_bytes()
    file.write_bytes(b"W" + good[1:])
    with pytest.raises(IntegrityError, match=r"data/weights\.bin"):
        registry.artifacts.download_artifacts("models:/churn/1", require_signature=keys[1])

    file.write_bytes(good)
    raw_sql(client.tracking_uri)("UPDATE model_files SET size = size + 1 WHERE path = 'MLmodel'")
    with pytest.raises(IntegrityError, match="a line of its list of files was edited"):
        registry.artifacts.download_artifacts("models:/churn/1", require_signature=keys[1])


def test_signatures_go_along_with_copies_and_exports(client: Client, keys: Keys, own_place: Path) -> None:
    client.sign_model("models:/churn/1", private_key=keys[0])
    other = open_registry("sqlite:///other.db", f"{own_place}/other")
    client.copy_model_version("models:/churn/1", "copied", to=other.tracking_uri)
    other.import_model(client.export_model("churn", "churn.zip"), name="imported")

    registry.set_tracking_uri(other.tracking_uri)
    for name in ("copied", "imported"):
        registry.artifacts.download_artifacts(f"models:/{name}/1", require_signature=keys[1])


def test_loaders_take_signed_models_and_no_others(client: Client, keys: Keys) -> None:
    from sklearn.linear_model import LogisticRegression
    from xgboost import XGBClassifier

    features, labels = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
    for door, model in (
        (registry.sklearn, LogisticRegression()),
        (registry.xgboost, XGBClassifier(n_estimators=2, max_depth=1)),
    ):
        uri = door.log_model(model.fit(features, labels), name="model").model_uri
        for load in (door.load_model, registry.pyfunc.load_model):
            with pytest.raises(UntrustedModelError):
                load(uri, require_signature=keys[1])
        client.sign_model(uri, private_key=keys[0])
        for load in (door.load_model, registry.pyfunc.load_model):
            assert list(load(uri, require_signature=keys[1]).predict(features)) == list(model.predict(features))
    registry.end_run()


@pytest.mark.parametrize("uri", ["./somewhere", "s3://bucket/model"])
def test_places_bear_no_signatures(client: Client, keys: Keys, uri: str) -> None:
    with pytest.raises(InvalidParameterError, match="only models of a registry have signatures"):
        registry.artifacts.download_artifacts(uri, require_signature=keys[1])
    with pytest.raises(InvalidUriError):
        client.sign_model(uri, private_key=keys[0])


def test_a_file_inside_a_model_is_not_signed_alone(client: Client, keys: Keys) -> None:
    with pytest.raises(InvalidUriError, match="a whole model is expected"):
        client.sign_model("models:/churn/1/MLmodel", private_key=keys[0])


def test_a_key_with_a_password_needs_it(client: Client) -> None:
    private, public = key_files("locked", ec.generate_private_key(ec.SECP256R1()), b"secret")

    for password in (None, "wrong"):
        with pytest.raises(InvalidParameterError, match="private key cannot be used") as caught:
            client.sign_model("models:/churn/1", private_key=private, password=password)
        assert "wrong" not in str(caught.value)
    client.sign_model("models:/churn/1", private_key=private, password="secret")
    registry.artifacts.download_artifacts("models:/churn/1", require_signature=public)


def test_keys_that_cannot_sign_are_refused(client: Client, keys: Keys) -> None:
    other_curve, _ = key_files("curve", ec.generate_private_key(ec.SECP256K1()))
    no_curve, _ = key_files("ed", ed25519.Ed25519PrivateKey.generate())
    Path("none.pem").write_text("no key")

    for path in (other_curve, no_curve, keys[1], "none.pem"):
        with pytest.raises(InvalidParameterError, match="key"):
            client.sign_model("models:/churn/1", private_key=path)
    for path in (keys[0], "none.pem"):
        with pytest.raises(InvalidParameterError, match="public key cannot be used"):
            registry.artifacts.download_artifacts("models:/churn/1", require_signature=path)
    with pytest.raises(ArtifactNotFoundError, match="no key file"):
        client.sign_model("models:/churn/1", private_key="missing.pem")
    with pytest.raises(RegistryError):
        client.sign_model("models:/churn/9", private_key=keys[0])
    assert client.get_model_signatures("models:/churn/1") == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda statement: statement.update(_type="other"),
        lambda statement: statement.update(predicateType="https://model_signing/Digests/v0.1"),
        lambda statement: statement["predicate"]["serialization"].update(method="shards"),
        lambda statement: statement["predicate"]["resources"][0].update(algorithm="md5"),
        lambda statement: statement["predicate"]["resources"].append(statement["predicate"]["resources"][0]),
        lambda statement: statement["predicate"].update(resources=[]),
        lambda statement: statement.pop("predicate"),
    ],
)
def test_a_statement_of_another_kind_is_refused_though_the_key_signed_it(keys: Keys, change: Callable) -> None:
    manifest = Manifest.of([ManifestEntry("MLmodel", 1, "0" * 64)])
    _, text = sign_manifest(manifest, "model", keys[0].read_bytes())
    check_bundle(text, manifest, keys[1].read_bytes())
    bundle = json.loads(text)
    envelope = bundle["dsseEnvelope"]
    statement = json.loads(base64.b64decode(envelope["payload"]))
    change(statement)
    payload = json.dumps(statement).encode()
    kind = envelope["payloadType"]
    signed = load_pem_private_key(keys[0].read_bytes(), None).sign(
        f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload, ec.ECDSA(hashes.SHA256())
    )
    envelope["payload"] = base64.b64encode(payload).decode()
    envelope["signatures"][0]["sig"] = base64.b64encode(signed).decode()

    with pytest.raises(UntrustedModelError):
        check_bundle(json.dumps(bundle), manifest, keys[1].read_bytes())
