"""The name of this package on the package index: `import registry`, but ``pip install registry-ml``."""

from typing import Final

DISTRIBUTION: Final = "registry-ml"
"""Not ``registry``: on the package index that name belongs to another project."""


def install_command(extra: str | None = None) -> str:
    """Return the pip command that installs this package, with one of its extras if given."""
    return f"pip install '{DISTRIBUTION}[{extra}]'" if extra else f"pip install {DISTRIBUTION}"
