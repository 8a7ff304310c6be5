"""``registry export``, ``registry import`` and ``registry sign``."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

import registry


def test_a_model_goes_through_a_file_to_another_registry(cli: Callable, filled: object, own_place: Path) -> None:
    exported = cli("export", "churn", "churn.zip")
    assert (exported.code, exported.err) == (0, "")
    assert exported.out.startswith(f"churn: exported to {own_place}/churn.zip (")

    imported = cli("import", "churn.zip", "--as", "leavers", "--with-stages", "--tracking-uri", "file:./other")

    assert (imported.code, imported.err) == (0, "")
    lines = [line.split() for line in imported.out.splitlines()]
    assert lines[0] == ["leavers:", "imported."]
    assert [line[:2] for line in lines[-2:]] == [["2", "None"], ["1", "Production"]]
    client = registry.MlflowClient("file:./other")
    assert client.verify("leavers", read_bytes=True).versions == 2


def test_some_versions_may_be_exported_and_an_import_printed_as_json(cli: Callable, filled: object) -> None:
    cli("export", "churn", "churn.zip", "--versions", "2")

    found = cli("import", "churn.zip", "--json", "--reason", "moved", "--tracking-uri", "file:./other").json

    assert (found["name"], [version["version"] for version in found["latest_versions"]]) == ("churn", [2])
    client = registry.MlflowClient("file:./other")
    assert client.get_history("churn", kind="imported")[0].reason == "moved"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["export", "nobody", "x.zip"], "nobody"),
        (["export", "churn", "x.zip", "--versions", "1,x"], "'x'"),
        (["export", "churn", "x.zip", "--versions", "9"], "version=9"),
        (["export", "churn", "taken.zip"], "taken.zip"),
        (["import", "missing.zip"], "missing.zip"),
        (["import", "taken.zip"], "is not a complete export"),
        (["import", "good.zip"], "--as"),
        (["sign", "models:/churn/1", "--key", "missing.pem"], "missing.pem"),
        (["sign", "models:/churn/1"], "--key"),
    ],
)
def test_what_cannot_be_is_one_line(cli: Callable, filled: object, arguments: list[str], said: str) -> None:
    Path("taken.zip").write_text("mine")
    assert cli("export", "churn", "good.zip").code == 0

    outcome = cli(*arguments)

    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
    assert said in outcome.err


def test_a_model_is_signed_with_a_key_as_openssl_writes_it(cli: Callable, filled: object) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    Path("key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    Path("key.pub").write_bytes(public)

    outcome = cli("sign", "models:/churn/Production", "--key", "key.pem")

    (key_id,) = registry.MlflowClient().get_model_signatures("models:/churn/1")
    assert (outcome.code, outcome.out) == (0, f"models:/churn/Production: signed with the key {key_id}.\n")
    registry.artifacts.download_artifacts("models:/churn/1", require_signature="key.pub")
