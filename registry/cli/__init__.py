"""The command line: one file per noun, over the same public names that scripts use.

Owns arguments and tables; leaves every rule to the client. Invariants: only `output` prints, an error is one line on
stderr with exit code 1, and nothing heavy is imported before a command needs it.
"""

from registry.cli.app import main

__all__ = ["main"]
