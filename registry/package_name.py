"""The name of this distribution on the package index, and the commands that install it."""

from typing import Final

# The import name is ``registry``, but on the package index that name belongs to another project.
DISTRIBUTION: Final = "registry-ml"


def install_command(extra: str | None = None) -> str:
    """Return the pip command that installs this package, with one of its extras if given."""
    return f"pip install '{DISTRIBUTION}[{extra}]'" if extra else f"pip install {DISTRIBUTION}"
