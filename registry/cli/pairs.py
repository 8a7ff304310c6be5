"""KEY=VALUE arguments: tags, params and metrics on a command line."""

from collections.abc import Sequence
from typing import Annotated

import typer

Pairs = Annotated[list[str], typer.Argument(metavar="KEY=VALUE...", help="One or several.")]
Keys = Annotated[list[str], typer.Argument(metavar="KEY...", help="One or several.")]
TagOption = Annotated[
    list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="A tag of it; may be repeated.")
]


def parse_pairs(texts: Sequence[str] | None, hint: str = "KEY=VALUE") -> dict[str, str]:
    """Return the values by key; a value may have equals signs of its own.

    Raises:
        typer.BadParameter: A text has no equals sign, or no key before it.
    """
    pairs = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{text!r} is not KEY=VALUE.", param_hint=hint)
        pairs[key] = value
    return pairs


def shown(pairs: dict[str, str]) -> str:
    """Return pairs for a sentence."""
    return ", ".join(f"{key}={value}" for key, value in pairs.items())
