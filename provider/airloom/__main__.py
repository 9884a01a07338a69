"""``airloom`` and ``python -m airloom``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; the exit code tells the kind of error."""
    from airloom.cli.main import main as run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
