"""The command line."""

from octavo.cli.app import main

__all__ = ["main"]
