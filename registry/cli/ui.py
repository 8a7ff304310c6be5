"""``registry ui``: the page."""

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli import invocation, output
from registry.cli.commands import standalone
from registry.cli.options import require_registry, use_place
from registry.exceptions import InvalidParameterError

if TYPE_CHECKING:
    from registry.web.auth import Auth

app = standalone()


@app.command(
    "ui",
    examples=[
        "registry ui --open",
        "registry ui --read-only --port 8080",
        "registry ui --add-user ann --auth users.txt",
        "registry ui --host 0.0.0.0 --allow-host models.example.com --auth users.txt",
        "registry ui --auth header:X-Remote-User --allow-host models.example.com",
    ],
)
def ui(
    port: Annotated[
        int, typer.Option("--port", "-p", metavar="PORT", min=0, max=65_535, help="0: any free one.")
    ] = 5001,
    host: Annotated[
        str, typer.Option("--host", metavar="HOST", help="Another than 127.0.0.1 needs --auth.")
    ] = "127.0.0.1",
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Open the database read-only and show no forms.")
    ] = False,
    opens: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    auth: Annotated[
        str | None,
        typer.Option(
            "--auth", metavar="FILE|header:NAME", help="Who may visit: a password file, or a header that a proxy sets."
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="A name under which browsers see the page; may be repeated."),
    ] = None,
    proxy: Annotated[
        list[str] | None,
        typer.Option("--proxy", metavar="ADDRESS", help="The proxy whose header counts; by default this machine."),
    ] = None,
    add_user: Annotated[
        str | None,
        typer.Option("--add-user", metavar="NAME", help="Ask for a password, write it to the --auth file, and end."),
    ] = None,
) -> None:
    """Show runs and models in the browser, and act on them. Ctrl-C ends it.

    The printed URL has a token; whoever has it acts as you.
    """
    from registry.flavors.optional_imports import optional_import

    for module in ("starlette", "jinja2", "uvicorn", "uplot"):
        optional_import(module, "ui")
    if add_user is not None:
        _add_user(add_user, auth)
        return
    from registry.web.server import LOOPBACK, Server
    from registry.web.site import Site

    use_place()
    require_registry()
    if host not in LOOPBACK and auth is None:
        raise InvalidParameterError(
            f"--host {host} shows the page to others, who must say who they are: give --auth FILE or --auth "
            "header:NAME as well."
        )
    names = {name.lower() for name in allow_host or ()} | {"localhost", "127.0.0.1", "::1", host.lower()}
    site = Site(auth=parse_auth(auth, proxy), hosts=frozenset(names), read_only=read_only)
    server = Server(site, host=host, port=port)

    def say() -> None:
        if invocation.current().json:
            output.as_json({"url": server.url})
        else:
            output.line(server.url)
        output.note("Ctrl-C ends it.")
        output.flush()
        if opens:
            webbrowser.open(server.url)

    server.run(say)


def parse_auth(text: str | None, proxy: list[str] | None) -> "Auth":
    """Return how visitors are recognised: by the printed token, a password file, or a proxy's header."""
    from registry.web.auth import HeaderAuth, PasswordAuth, TokenAuth

    if text is None:
        return TokenAuth()
    if text.startswith("header:"):
        return HeaderAuth(text.removeprefix("header:"), frozenset(proxy or ("127.0.0.1", "::1")))
    if not Path(text).is_file():
        raise InvalidParameterError(
            f"There is no password file {text!r}. Make one: registry ui --add-user NAME --auth {text}"
        )
    return PasswordAuth(Path(text))


def _add_user(name: str, auth: str | None) -> None:
    from registry.web.auth import add_user

    if auth is None or auth.startswith("header:"):
        raise InvalidParameterError("--add-user writes to a password file; name it with --auth FILE.")
    password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    add_user(Path(auth), name, password)
    output.done(f"{name} can sign in.", document={"name": name})
