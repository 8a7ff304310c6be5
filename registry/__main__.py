"""``python -m registry``: the command line."""

import sys

from registry.cli import main

if __name__ == "__main__":
    sys.exit(main())
