"""``registry relocate``: saying where files are after a bucket or directory was moved."""

from typing import Annotated

import typer

from registry.cli import output
from registry.cli.options import TrackingUri, open_client


def relocate(
    old: Annotated[str, typer.Argument(metavar="OLD", help="Where the files were: a directory or s3://bucket/prefix.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Where they are now.")],
    tracking_uri: TrackingUri = None,
) -> None:
    """Look for files at NEW instead of OLD; move them first, for example with 'aws s3 sync'."""
    count = open_client(tracking_uri).relocate(old, new)
    output.line(f"{count} experiment{' keeps its' if count == 1 else 's keep their'} files at {new} from now on.")
