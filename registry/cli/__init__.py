"""The command line: one file per noun, over the same public names that scripts use.

Parses arguments and prints tables; the client holds every rule. Guarantees: only `output` prints, an error is one line
on stderr with exit code 1, and heavy packages are imported only when a command needs them.
"""

from registry.cli.app import main

__all__ = ["main"]
