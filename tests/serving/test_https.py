"""HTTPS: a client that verifies the certificate reaches the server with its token; wrong files are one clear error."""

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from certificates import write_certificate
from served_models import eventually
from served_processes import call, server

from registry.cli import main

BODY = {"dataframe_split": {"columns": ["x"], "data": [[0.0], [1.0]]}}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_client_that_verifies_the_certificate_calls_with_its_token(two_versions: None, workers: int) -> None:
    certificate, key = write_certificate("server")
    other, _ = write_certificate("other")
    Path("token").write_text("correct-horse-battery")
    words = ["--ssl-certfile", str(certificate), "--ssl-keyfile", str(key), "--token-file", "token"]
    trusting = ssl.create_default_context(cafile=str(certificate))
    with server("churn/Production", *words, "--workers", str(workers)) as (_process, address, lines):
        assert address.startswith("https://127.0.0.1:")
        eventually(lambda: call(address, "/ping", context=trusting)[0] == 200, 120)
        head = {"Authorization": "Bearer correct-horse-battery"}

        assert call(address, "/invocations", BODY, context=trusting)[0] == 401
        status, answer = call(address, "/invocations", BODY, headers=head, context=trusting)
        assert (status, [round(value) for value in answer["predictions"]]) == (200, [1, 1])
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(f"{address}/ping", context=ssl.create_default_context(cafile=str(other)))
        assert call(address.replace("https", "http"), "/ping")[0] == 0  # nothing is answered in the clear
        assert call(address, "/ping", context=trusting)[0] == 200
    assert not [line for line in lines if "Traceback" in line]
    assert {json.loads(line)["status"] for line in lines if line.startswith("{")} <= {200, 401, 503}


@pytest.mark.parametrize(
    ("files", "code", "message"),
    [
        (("nowhere.crt", "server.key"), 1, "--ssl-certfile 'nowhere.crt' cannot be read: No such file or directory."),
        (("server.crt", "nowhere.key"), 1, "--ssl-keyfile 'nowhere.key' cannot be read: No such file or directory."),
        (("server.key", "server.crt"), 2, "--ssl-certfile 'server.key' has no certificate in PEM."),
        (("server.crt", "server.crt"), 2, "--ssl-keyfile 'server.crt' has no private key in PEM."),
        (("server.crt", "other.key"), 2, "--ssl-keyfile 'other.key' is not the key of the certificate 'server.crt'."),
        (("server.crt", "locked.key"), 2, "--ssl-keyfile 'locked.key' is encrypted. Decrypt it: openssl pkey -in"),
        (("broken.crt", "server.key"), 2, "'server.key' and the certificate 'broken.crt' cannot be used: "),
    ],
)
def test_wrong_files_are_one_clear_error(
    own_place: Path, capsys: pytest.CaptureFixture[str], files: tuple[str, str], code: int, message: str
) -> None:
    write_certificate("server")
    write_certificate("other")
    write_certificate("locked", b"secret")
    Path("broken.crt").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")

    assert main(["models", "serve", "./saved", "--ssl-certfile", files[0], "--ssl-keyfile", files[1]]) == code
    error = capsys.readouterr().err
    assert message in " ".join(error.split())
    assert "Traceback" not in error
