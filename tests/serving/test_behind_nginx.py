"""The guides' pieces for nginx: it ends TLS, and clients reach the server and the page through it."""

import re
import shutil
import ssl
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from certificates import write_certificate
from served_models import Callers, eventually, promote
from served_processes import call, free_port, program, server

DOCS = Path(__file__).parents[2] / "docs" / "guides"
BODY = {"dataframe_split": {"columns": ["x"], "data": [[0.0], [1.0]]}}
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")

pytestmark = [
    pytest.mark.storm,
    pytest.mark.skipif(not DOCS.is_dir(), reason="the guides are in a checkout"),
    pytest.mark.skipif(NGINX is None, reason="needs nginx"),
]


@contextmanager
def nginx(page: str, upstream: str) -> Iterator[tuple[str, ssl.SSLContext]]:
    """Run nginx with the piece of a guide before a server; yield its address, and what trusts its certificate."""
    certificate, key = write_certificate("nginx")
    port = free_port()
    (piece,) = re.findall(r"^```text\n([^`]*proxy_pass[^`]*)^```$", (DOCS / page).read_text(), re.MULTILINE)
    piece = re.sub(r"127\.0\.0\.1:500\d", upstream, piece).replace("listen 443", f"listen 127.0.0.1:{port}")
    piece = re.sub(r"ssl_certificate [^;]*", f"ssl_certificate {certificate.resolve()}", piece)
    piece = re.sub(r"ssl_certificate_key [^;]*", f"ssl_certificate_key {key.resolve()}", piece)
    piece = re.sub(r"auth_basic_user_file [^;]*", f"auth_basic_user_file {Path('users').resolve()}", piece)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {Path.cwd()}/{kind};\n" for kind in kinds)
    Path("nginx.conf").write_text(
        f"daemon off;\npid {Path.cwd()}/nginx.pid;\nuser root;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{places}{piece}}}\n"
    )
    words = [str(NGINX), "-p", str(Path.cwd()), "-e", "stderr", "-c", str(Path("nginx.conf").resolve())]
    with program(words) as process:
        context = ssl.create_default_context(cafile=str(certificate))
        yield f"https://127.0.0.1:{port}", context
        assert process.poll() is None, Path("log").read_text()


def test_no_request_through_nginx_is_lost_in_promotions(two_versions: None) -> None:
    Path("token").write_text("correct-horse-battery")
    head = {"Authorization": "Bearer correct-horse-battery"}
    with server("churn/Production", "--every", "0.1", "--token-file", "token") as (_process, address, _lines):
        with nginx("serving.md", address.removeprefix("http://")) as (outside, context):
            eventually(lambda: call(outside, "/ping", context=context)[0] == 200, 120)
            assert call(outside, "/invocations", BODY, context=context)[0] == 401

            def value() -> float:
                status, answer = call(outside, "/invocations", BODY, headers=head, context=context)
                assert status == 200, answer
                return float(round(answer["predictions"][0]))

            with Callers(value) as callers:
                for number in (2, 1):
                    promote(number)
                    eventually(lambda number=number: callers.answers[-20:] == [number] * 20, 120)
            assert callers.errors == []
            assert set(callers.answers) == {1.0, 2.0}


def test_the_page_behind_nginx_knows_who_signed_in(two_versions: None) -> None:
    Path("users").write_text("ann:{PLAIN}secret-of-ann\n")
    port = free_port()
    words = [sys.executable, "-m", "registry", "ui", "--auth", "header:X-Remote-User", "--port", str(port)]
    with program([*words, "--allow-host", "models.example.com"]):
        with nginx("page.md", f"127.0.0.1:{port}") as (outside, context):
            handlers = urllib.request.HTTPSHandler(context=context)
            passwords = urllib.request.HTTPPasswordMgrWithPriorAuth()
            passwords.add_password(None, outside, "ann", "secret-of-ann", is_authenticated=True)
            signed_in = urllib.request.build_opener(handlers, urllib.request.HTTPBasicAuthHandler(passwords))
            names = {"Host": "models.example.com", "X-Remote-User": "mallory"}

            def page() -> str:
                try:
                    request = urllib.request.Request(f"{outside}/models/churn", headers=names)
                    return str(signed_in.open(request, timeout=60).read().decode())
                except OSError:
                    return ""

            eventually(lambda: "churn" in page(), 120)
            assert "ann" in page()
            assert "mallory" not in page()  # nginx replaces the header
            assert call(outside, "/models/churn", context=context)[0] == 401
