"""``registry db grants``: the SQL that gives a PostgreSQL user what a role may do."""

from typing import Annotated

import typer

from registry.cli import output
from registry.exceptions import InvalidParameterError


def grants(
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="reader, writer or promoter.")],
    to: Annotated[
        str | None, typer.Option("--to", metavar="USER", help="The PostgreSQL user; by default registry_ROLE.")
    ] = None,
) -> None:
    """Print what the owner of the database runs, for example with psql, to give a user a role; connects to nothing."""
    from registry.store.grants import grants as sql
    from registry.store.roles import Role

    if role not in set(Role):
        raise InvalidParameterError(f"There is no role {role!r}; there are {', '.join(Role)}.")
    output.line(sql(Role(role), to).rstrip("\n"))
