"""``registry models export`` and ``import``, and ``registry versions sign``."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

import registry


def test_a_model_goes_through_a_file_to_another_registry(cli: Callable, filled: object, own_place: Path) -> None:
    exported = cli("models", "export", "churn", "churn.zip")
    assert (exported.code, exported.out) == (0, f"{own_place}/churn.zip\n")
    assert exported.err.startswith(f"churn: exported to {own_place}/churn.zip (")

    imported = cli(
        "models", "import", "churn.zip", "--as", "leavers", "--with-stages", "--tracking-uri", "file:./other"
    )

    assert (imported.code, imported.out, imported.err) == (0, "leavers\n", "leavers: imported.\n")
    client = registry.MlflowClient("file:./other")
    assert client.verify("leavers", read_bytes=True).versions == 2


def test_some_versions_may_be_exported_and_an_import_printed_as_json(cli: Callable, filled: object) -> None:
    cli("models", "export", "churn", "churn.zip", "--versions", "2")

    found = cli("models", "import", "churn.zip", "--json", "--reason", "moved", "--tracking-uri", "file:./other").json

    assert (found["name"], [version["version"] for version in found["latest_versions"]]) == ("churn", [2])
    client = registry.MlflowClient("file:./other")
    assert client.get_history("churn", kind="imported")[0].reason == "moved"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["models", "export", "nobody", "x.zip"], 4, "nobody"),
        (["models", "export", "churn", "x.zip", "--versions", "1,x"], 2, "'x'"),
        (["models", "export", "churn", "x.zip", "--versions", "9"], 4, "version=9"),
        (["models", "export", "churn", "taken.zip"], 5, "taken.zip"),
        (["models", "import", "missing.zip"], 4, "missing.zip"),
        (["models", "import", "taken.zip"], 3, "is not a complete export"),
        (["models", "import", "good.zip"], 5, "--as"),
        (["versions", "sign", "churn/1", "--key", "missing.pem"], 4, "missing.pem"),
        (["versions", "sign", "churn/1"], 2, "--key"),
    ],
)
def test_what_cannot_be_is_one_line(cli: Callable, filled: object, arguments: list[str], code: int, said: str) -> None:
    Path("taken.zip").write_text("mine")
    assert cli("models", "export", "churn", "good.zip").code == 0

    outcome = cli(*arguments)

    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (code, "", 1)
    assert said in outcome.err


def test_a_model_is_signed_with_a_key_as_openssl_writes_it(cli: Callable, filled: object) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    Path("key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    Path("key.pub").write_bytes(public)

    outcome = cli("versions", "sign", "models:/churn/Production", "--key", "key.pem")

    (key_id,) = registry.MlflowClient().get_model_signatures("models:/churn/1")
    assert (outcome.code, outcome.out) == (0, f"{key_id}\n")
    assert outcome.err == f"models:/churn/Production: signed with the key {key_id}.\n"
    registry.artifacts.download_artifacts("models:/churn/1", require_signature="key.pub")
