"""``registry models serve``: answer over HTTP with models, and follow their promotions."""

from pathlib import Path
from typing import Annotated

import typer

from registry.cli import output
from registry.cli.models import app
from registry.cli.options import DAY_SECONDS, open_client, use_place
from registry.cli.targets import model_uri
from registry.exceptions import InvalidParameterError
from registry.uris import parse


@app.command(
    "serve",
    examples=[
        "registry models serve churn/Production",
        "registry models serve churn@champion prices=prices/Staging --port 8080 --workers 4",
        "registry models serve ./model --host 0.0.0.0 --token-file /run/secrets/token",
    ],
)
def serve(
    uris: Annotated[
        list[str],
        typer.Argument(
            metavar="URI...", help="churn/Production, models:/churn@champion or a path; NAME=URI gives it a name."
        ),
    ],
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", "-p", metavar="PORT", min=0, max=65_535, help="The port; 0 takes a free one.")
    ] = 5000,
    workers: Annotated[int, typer.Option("--workers", "-w", metavar="N", min=1, help="Processes.")] = 1,
    every: Annotated[
        float,
        typer.Option(
            "--every", metavar="SECONDS", min=0.05, max=DAY_SECONDS, help="How often to look for a promotion."
        ),
    ] = 5.0,
    threads: Annotated[
        int, typer.Option("--threads", metavar="N", min=1, help="Threads of one prediction in the model's library.")
    ] = 1,
    concurrency: Annotated[
        int,
        typer.Option(
            "--concurrency",
            metavar="N",
            min=1,
            help="Predictions at once, per worker, besides quick ones.",
        ),
    ] = 4,
    queue: Annotated[
        int, typer.Option("--queue", metavar="N", min=0, help="Requests that may wait, per worker; others get 429.")
    ] = 64,
    max_body: Annotated[
        int, typer.Option("--max-body", metavar="BYTES", min=1, help="The largest body; larger ones get 413.")
    ] = 16 * 2**20,
    max_rows: Annotated[
        int, typer.Option("--max-rows", metavar="N", min=1, help="The most rows of a request; more get 413.")
    ] = 100_000,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout",
            "-t",
            metavar="SECONDS",
            min=0.01,
            max=DAY_SECONDS,
            help="The most time for an answer; then 503.",
        ),
    ] = 60.0,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="Clients must send this token. REGISTRY_SERVE_TOKEN."),
    ] = None,
    trusted_proxy: Annotated[
        bool, typer.Option("--trusted-proxy", help="What stands before the server checks who calls; no token.")
    ] = False,
    certificate: Annotated[
        Path | None, typer.Option("--ssl-certfile", metavar="FILE", help="A certificate (PEM): serve HTTPS.")
    ] = None,
    key: Annotated[Path | None, typer.Option("--ssl-keyfile", metavar="FILE", help="Its private key (PEM).")] = None,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Consent to run code of the model's files, such as pickles.")
    ] = False,
    allow_incompatible: Annotated[
        bool,
        typer.Option("--allow-incompatible", help="Let a model take over whose signature callers do not fit."),
    ] = False,
    require_signature: Annotated[
        Path | None,
        typer.Option("--require-signature", metavar="KEY", help="Only models that this public key (PEM) signed."),
    ] = None,
    shadow: Annotated[
        str | None,
        typer.Option("--shadow", metavar="URI", help="Also ask this model, after the answer was sent, and compare."),
    ] = None,
    share: Annotated[
        float, typer.Option("--share", metavar="SHARE", min=0, max=1, help="The share of requests for the shadow.")
    ] = 0.1,
    canary: Annotated[
        float,
        typer.Option(
            "--canary", metavar="SHARE", min=0, max=1, help="The share that --shadow answers, or else Staging."
        ),
    ] = 0.0,
    canary_key: Annotated[
        str,
        typer.Option("--canary-key", metavar="HEADER", help="Requests with the same value stay on one side."),
    ] = "X-Canary-Key",
    access_log: Annotated[
        bool, typer.Option("--access-log/--no-access-log", help="Log each request as a line of JSON on stderr.")
    ] = True,
) -> None:
    """Answer over HTTP, in MLflow's scoring protocol and in Open Inference Protocol V2.

    A model that a stage or alias stands for is replaced when that moves, without a request lost. Until a model is
    loaded, /ping says 503.
    """
    from registry.serving.options import ServeOptions, check_certificate, check_exposure, named_models
    from registry.serving.run import run

    if (certificate is None) != (key is None):
        raise InvalidParameterError("Give --ssl-certfile and --ssl-keyfile together.")
    models = named_models([_uri(text) for text in uris])
    if any(uri.startswith(("models:", "runs:")) for _, uri in models):
        open_client()  # raises if there is no registry, which this command does not make
    use_place()
    options = ServeOptions(
        models,
        every,
        threads,
        concurrency,
        queue,
        max_body,
        max_rows,
        timeout,
        workers,
        token_file=None if token_file is None else str(token_file),
        allow_code=allow_code or None,
        allow_incompatible=allow_incompatible,
        require_signature=None if require_signature is None else str(require_signature),
        access_log=access_log,
        shadow=_shadow(shadow, canary, models),
        share=share if shadow is not None else 0.0,
        canary=canary,
        canary_key=canary_key.lower(),
    )
    check_exposure(host, options.read_token(), trusted_proxy=trusted_proxy)
    ssl = None
    if certificate is not None and key is not None:
        check_certificate(certificate, key)
        ssl = {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}
    shown = ", ".join(uri for _, uri in models)
    run(options, host, port, ssl=ssl, on_start=lambda address: output.note(f"Serving {shown} at {address}"))


def _shadow(uri: str | None, canary: float, models: list[tuple[str, str]]) -> str | None:
    """Return the URI of the shadow, which is Staging of the model if only a canary is asked for; or None."""
    if uri is None and not canary:
        return None
    if len(models) > 1:
        raise InvalidParameterError("A shadow and a canary belong to one model; start a server for each.")
    if uri is not None:
        return model_uri(uri)
    parsed = parse(models[0][1])
    name = getattr(parsed, "name", None)
    if name is None:
        raise InvalidParameterError(f"{str(parsed)!r} has no Staging; name the canary with --shadow URI.")
    return f"models:/{name}/Staging"


def _uri(text: str) -> str:
    name, equals, uri = text.partition("=")
    return f"{name}={model_uri(uri)}" if equals and "/" not in name and ":" not in name else model_uri(text)
