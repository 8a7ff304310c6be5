"""``registry help``: topics that belong to no single command."""

from typing import Annotated, Any, Final

import typer

from registry.cli import exit_codes, output
from registry.cli.commands import Group, definitions, standalone, titled
from registry.exceptions import InvalidParameterError
from registry.validation.names import nearest

app = standalone()

TOPICS: Final[dict[str, str]] = {
    "exit-codes": "What the exit code says",
    "json": "The documents of --json, and the other outputs",
    "environment": "Environment variables",
    "filters": "Filters, order and times",
    "targets": "How a version, a run or an experiment is named",
}


@app.command("help", examples=["registry help exit-codes", "registry help runs"])
def help_command(
    context: typer.Context,
    topic: Annotated[
        list[str] | None, typer.Argument(metavar="[TOPIC]", help="A topic, or a noun and a verb such as runs list.")
    ] = None,
) -> None:
    """Show the overview, a topic, or the help of a command."""
    if not topic:
        output.line(f"{_root(context).get_help()}\n\n{_overview()}")
    elif topic[0] in TOPICS:
        output.line(render(topic[0]))
    else:
        output.line(_help_of(context, topic))


def render(topic: str) -> str:
    """Return the text of a topic."""
    if topic == "exit-codes":
        return titled("Exit codes", definitions((str(code), text) for code, text in exit_codes.MEANINGS.items()))
    if topic == "environment":
        return titled("Environment variables", definitions(_VARIABLES))
    return _TEXTS[topic]


def _overview() -> str:
    return titled("Topics of 'registry help'", definitions(TOPICS.items()))


def _root(context: typer.Context) -> Any:
    return context.find_root()


def _help_of(context: typer.Context, words: list[str]) -> str:
    """Return the help of a noun or a command."""
    at = _root(context)
    for word in words:
        command = getattr(at.command, "get_command", lambda *_: None)(at, word)
        if command is None:
            commands = at.command.visible_commands(at) if isinstance(at.command, Group) else ()
            known = [*(name for name, _ in commands), *(TOPICS if at.parent is None else ())]
            raise InvalidParameterError(f"There is no topic {word!r}.{nearest(word, known)} {_listed(known)}")
        at = typer.Context(command, info_name=word, parent=at)
    return str(at.get_help())


def _listed(known: list[str]) -> str:
    return f"There are {', '.join(known)}." if known else "It has no further words."


_TEXTS: Final[dict[str, str]] = {
    "json": """\
Output:
  On a terminal, a table. In a pipe, one line a thing, with tabs between values
  and no header (--header prints one). --csv prints CSV with a header, --json
  one JSON document, -q only ids. Notes and counts go to stderr.

JSON:
  Lists are arrays; 'show' prints an object. The keys are those of MLflow's
  entities, and keys are added, never renamed or removed.

  runs list, runs show     info.{run_id, run_name, experiment_id, status, user_id,
                           start_time, end_time, lifecycle_stage, artifact_uri},
                           data.{metrics, params, tags}, inputs, outputs
  experiments list, show   experiment_id, name, artifact_location, lifecycle_stage,
                           creation_time, last_update_time, tags
  models list, show        name, description, latest_versions, aliases, tags;
                           show: holders
  versions list, show      name, version, current_stage, run_id, model_id, digest,
                           aliases, tags; show: files, holds
  holders, holds           place, version, since, actor, reason, kind, overridden,
                           verdicts, approvals
  rules check              rule, passed, expected, actual
  events, models history   position, model, model_uid, seq, kind, version, from, to,
                           actor, reason, time, details, prev_hash, hash

  Times are ISO 8601 in UTC with Z. Under MLflow's own keys (start_time, end_time,
  creation_timestamp, last_updated_timestamp, creation_time, last_update_time,
  timestamp) they are milliseconds since the epoch, as MLflow has them. NaN and
  infinity are the texts "NaN", "Infinity" and "-Infinity".

A failure with --json prints on stdout
  {"error": {"code": ..., "exit_code": ..., "message": ..., "verdicts": [...]}}
with the verdicts of the rules if a promotion was refused.""",
    "filters": """\
Filters are comparisons joined by AND, OR, NOT and parentheses:
  --filter "metrics.auc > 0.9 AND params.depth = '3' AND tags.team LIKE 'ea%'"
  --filter "start_time > '2026-03-01' AND status = 'FAILED'"
  --filter "start_time > '7d'"
Text stands in quotes, numbers do not. A key with blanks stands in backticks:
metrics.`val auc`. Operators: = != > >= < <= LIKE ILIKE IN IS NULL.

Order: --order-by "metrics.auc DESC"; --best auc is short for it.

Times: 2026-03-01 (its beginning, UTC), 2026-03-01T12:00:00Z, or how long ago:
7d, 12h, 1w2d. They are the same in --since, --until, --older-than and filters.""",
    "targets": """\
VERSION     churn/7, churn/Production, churn@champion, churn/latest;
            models:/ may stand before it.
RUN         its id, the first 4 characters or more of it, or EXPERIMENT/RUN-NAME.
EXPERIMENT  its name or its id.
URI         models:/churn/7, models:/churn/Production, models:/churn@champion,
            models:/MODEL_ID, runs:/RUN_ID/path, and a file in any of them.
            churn/Production?at=... is written models:/churn/Production?at=TIME.
FILE        a path; - is stdin or stdout.
STAGE       None, Staging, Production or Archived, in any case.""",
}

_VARIABLES: Final = (
    ("REGISTRY_TRACKING_URI", "Where runs and models are kept. Also MLFLOW_TRACKING_URI."),
    ("REGISTRY_BACKEND_STORE_URI", "The database, if the tracking URI is s3://."),
    ("REGISTRY_ARTIFACT_LOCATION", "Where the files of new experiments go."),
    ("REGISTRY_SPOOL_DIR", "A directory to log to first, instead of the tracking URI; 'sync' sends it."),
    ("REGISTRY_SPOOL_SYNC", "Whether a thread sends it while the process lives; off by default."),
    ("REGISTRY_TRIGGERS_FILE", "What the names of triggers mean on this machine; for 'monitor run' and 'retrain'."),
    ("REGISTRY_ACTOR", "The name in histories; by default the user of the operating system."),
    ("REGISTRY_CACHE_DIR", "Where downloaded models are kept."),
    ("REGISTRY_CACHE_LIMIT_BYTES", "How large that may become; 20 GiB by default."),
    ("REGISTRY_ALLOW_CODE", "Whether loading a model may run code from its files; off by default."),
    ("REGISTRY_KEY_PASSWORD", "The password of the key of 'versions sign'."),
    ("REGISTRY_S3_ENDPOINT_URL", "The S3 server, if it is not Amazon's. Credentials are boto3's: AWS_..."),
    ("REGISTRY_CONNECT_TIMEOUT_SECONDS", "How long PostgreSQL may take to accept a connection; 10."),
    ("REGISTRY_STATEMENT_TIMEOUT_SECONDS", "How long a statement may take; 300."),
    ("NO_COLOR, TERM=dumb", "No bold headers."),
    ("COLUMNS", "The width of tables on a terminal."),
)
