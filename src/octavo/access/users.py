"""The user of this machine, as whom commands act."""

import os
import pwd


def local_user() -> str:
    """The user who runs this process, by the system's word and not the environment's: ``user:ada``."""
    number = os.getuid()
    try:
        return f"user:{pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"user:{number}"
