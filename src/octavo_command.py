"""The command ``octavo``, beside the package, so that it ends in good order when it is interrupted while that loads."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from octavo.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
